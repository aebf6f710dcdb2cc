"""CDI specs that a runtime can see (the Container Device Interface of cncf-tags).

Source: pkg/cdi/{cache,spec-dirs}.go of tags.cncf.io/container-device-interface: if two files
define one device, the one in the later directory wins; within one directory neither does.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import NodeEvidence
from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.memory import lazy
from pytest_gpu.stack.cdi.document import BadSpec, line_of, load
from pytest_gpu.stack.cdi.rules import check, version_of
from pytest_gpu.stack.cdi.shape import shaped
from pytest_gpu.stack.kubelet.runtime import runtime_of

VENDOR = "nvidia.com"
SUFFIXES = (".json", ".yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class CdiNode:
    """A device node to create: ``path`` on the host; ``type`` and ``numbers`` if set."""

    path: str
    type: str = ""
    numbers: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CdiEdits:
    """What a device, or every device of a spec, adds to a container.

    Device ``nodes``, and the paths of ``mounts`` and ``hooks`` on the host.
    """

    nodes: tuple[CdiNode, ...] = ()
    mounts: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CdiSpec:
    """One spec file.

    ``devices`` maps qualified names such as ``nvidia.com/gpu=0`` to what each adds; ``edits`` is
    what all add. ``error`` says why the library refuses the file, ``line`` where. ``priority`` is
    the position of its directory among all.

    Attributes:
        path: where the file is.
        kind: vendor and class, such as ``nvidia.com/gpu``.
        version: the version of the CDI format.
        line: the line number from 1, ``None`` if there is none.
        priority: an index from 0: a higher one wins.
    """

    path: str
    kind: str = ""
    version: str = ""
    devices: Mapping[str, CdiEdits]
    edits: CdiEdits = CdiEdits()
    error: str = ""
    line: int | None = None
    priority: int = 0

    @property
    def vendor(self) -> str:
        """The first half of the kind."""
        return self.kind.partition("/")[0]

    @property
    def nvidias(self) -> bool:
        """Whether it is NVIDIA's: by its kind, or by its file name if it has none."""
        if self.kind:
            return f".{self.vendor}".endswith(f".{VENDOR}")
        return "nvidia" in posixpath.basename(self.path)


@dataclass(frozen=True, kw_only=True)
class CdiSpecs:
    """All specs in a runtime's directories.

    ``unknown`` are directories, links and files that were not collected; ``links`` are
    directories that are links themselves, which the library does not follow.

    Attributes:
        directories: the directories that were read.
        specs: the spec files in them.
    """

    directories: tuple[str, ...]
    specs: tuple[CdiSpec, ...]
    unknown: tuple[str, ...]
    links: tuple[str, ...] = ()

    @lazy
    def resolved(self) -> Mapping[str, CdiSpec]:
        """The spec that each device is taken from, by the device's qualified name."""
        found: dict[str, CdiSpec] = {}
        for spec in self.specs:
            for name in spec.devices:
                if name not in found or spec.priority > found[name].priority:
                    found[name] = spec
        return {name: spec for name, spec in found.items() if name not in self.conflicts}

    @lazy
    def conflicts(self) -> Mapping[str, tuple[str, str]]:
        """The two files of one directory that both define a device, by its qualified name."""
        best: dict[str, CdiSpec] = {}
        found: dict[str, tuple[str, str]] = {}
        for spec in self.specs:
            for name in spec.devices:
                other = best.get(name)
                if other is not None and other.priority == spec.priority:
                    found[name] = (other.path, spec.path)
                best[name] = spec
        return found

    @property
    def devices(self) -> frozenset[str]:
        """The qualified names of all devices that the runtime can find."""
        return frozenset(self.resolved)

    @property
    def gpu_devices(self) -> frozenset[str]:
        """NVIDIA's devices: those of the toolkit, the device plugin and the DRA driver.

        Their kinds are nvidia.com/gpu, k8s.device-plugin.nvidia.com/gpu, k8s.gpu.nvidia.com/….
        """
        return frozenset(name for name, spec in self.resolved.items() if spec.nvidias)


def read(evidence: NodeEvidence, directories: Sequence[str]) -> CdiSpecs:
    """Return the specs of all directories; those of a later directory take precedence."""
    specs: list[CdiSpec] = []
    unknown: list[str] = []
    links: list[str] = []
    for priority, directory in enumerate(directories):
        try:
            if _is_link(evidence, directory):
                links.append(directory)
                continue
            names = evidence.names(directory) or ()
        except NotInEvidence:
            unknown.append(directory)
            continue
        for name in names:
            if name.endswith(SUFFIXES):
                path = posixpath.join(directory, name)
                try:
                    content = evidence.read(path)
                except NotInEvidence:
                    unknown.append(path)
                    continue
                if content is not None:
                    specs.append(parse(path, content, priority))
    return CdiSpecs(
        directories=tuple(directories),
        specs=tuple(specs),
        unknown=tuple(unknown),
        links=tuple(links),
    )


def _is_link(evidence: NodeEvidence, directory: str) -> bool:
    """Say whether a directory's last name is a link: Go's filepath.Walk does not follow it."""
    try:
        entry = evidence.entry(posixpath.normpath(directory))
    except NotInEvidence:
        return False
    return entry is not None and entry.kind == "symlink"


@lru_cache(maxsize=256)
def parse(path: str, content: bytes, priority: int = 0) -> CdiSpec:
    """Parse one spec; its ``error`` says what is wrong with it."""
    try:
        spec = shaped(load(content))
        check(spec)
    except BadSpec as problem:
        line = problem.line or line_of(content, problem.path)
        return CdiSpec(
            path=path,
            kind=_kind_of(content),
            devices={},
            error=problem.text,
            line=line,
            priority=priority,
        )
    return _parsed(path, spec, priority)


def _kind_of(content: bytes) -> str:
    """Return the kind that a refused file names, which shows whose file it is."""
    try:
        document = load(content)
    except BadSpec:
        return ""
    kind = document.get("kind") if isinstance(document, dict) else None
    return kind if isinstance(kind, str) else ""


def _parsed(path: str, spec: Mapping[str, Any], priority: int) -> CdiSpec:
    kind = spec["kind"]
    return CdiSpec(
        path=path,
        kind=kind,
        version=version_of(spec),
        devices={f"{kind}={each['name']}": _edits(each) for each in spec["devices"]},
        edits=_edits(spec),
        priority=priority,
    )


def _edits(holder: Mapping[str, Any]) -> CdiEdits:
    edits = holder.get("containerEdits") or {}
    return CdiEdits(
        nodes=tuple(_node(each) for each in edits.get("deviceNodes") or ()),
        mounts=tuple(_bind_mounts(edits.get("mounts") or ())),
        hooks=tuple(each["path"] for each in edits.get("hooks") or ()),
    )


def _node(node: Mapping[str, Any]) -> CdiNode:
    numbers = (node["major"], node.get("minor", 0)) if node.get("major") else None
    return CdiNode(
        path=node.get("hostPath") or node["path"], type=node.get("type", ""), numbers=numbers
    )


def _bind_mounts(mounts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the host paths that are mounted; a tmpfs, for example, needs none."""
    for mount in mounts:
        if mount.get("type", "") in {"", "none", "bind"}:
            yield mount["hostPath"]


@fact
def cdi_of(node: Node) -> CdiSpecs:
    """Return the CDI specs that the runtime can see."""
    return read(node.evidence, runtime_of(node).cdi_dirs)
