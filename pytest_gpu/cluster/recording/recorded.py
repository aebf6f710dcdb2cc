"""A recorded cluster: a folder, or a .tar.gz of one, that answers like a live one."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from pytest_gpu.asked import Asked
from pytest_gpu.cluster.recording import kept_outcomes
from pytest_gpu.cluster.recording.archive import unpack
from pytest_gpu.cluster.recording.folder import Folder
from pytest_gpu.cluster.recording.manifest import FILE, check_node_name, check_plural
from pytest_gpu.cluster.recording.overlay import Part, read_chain
from pytest_gpu.cluster.recording.recorded_node import RecordedNode
from pytest_gpu.cluster.recording.recorded_objects import merged
from pytest_gpu.cluster.recording.renaming import name_above
from pytest_gpu.cluster.recording.samples import is_sample
from pytest_gpu.cluster.recording.selected import selected_nodes
from pytest_gpu.cluster.recording.temporary import new_folder, remove
from pytest_gpu.errors import NotInEvidence, RecordingError
from pytest_gpu.evidence import KubeObject
from pytest_gpu.memory import Memory
from pytest_gpu.text.naming import natural, nearest

MAX_LIKES = 3
"""Most nodes in a chain of nodes that are ``like`` each other."""


class RecordedCluster:
    """All evidence of one cluster, read when it is first needed.

    Close it, or use it as a context manager: an archive stays unpacked in a private folder until
    then. ``chain`` are the recordings it consists of, the lowest first.
    """

    def __init__(self, chain: Sequence[Part], title: str, private: Path | None = None) -> None:
        self.title = title
        self.taken = _taken(chain)
        self.memory = Memory()
        self._chain = chain
        self._nodes: dict[str, RecordedNode] = {}
        self._objects: dict[str, tuple[KubeObject, ...]] = {}
        for at, part in enumerate(chain):
            if part.manifest.renamed:
                _check_renamed(part, RecordedCluster(chain[:at], title))
        # Even if it is never closed: at the latest when the process ends.
        self._close = weakref.finalize(self, _remove, private)

    def __repr__(self) -> str:
        return f"RecordedCluster({self.title!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the private folder of an archive; files cannot be read after that."""
        self._close()

    @property
    def folder(self) -> Path:
        """The folder with the manifest; other processes can open it while this one runs."""
        return self._chain[-1].folder.root

    @property
    def suite(self) -> str:
        """The version of pytest-gpu that made the recording, empty if it does not say."""
        return next((part.manifest.suite for part in self._chain[::-1] if part.manifest.suite), "")

    @property
    def asked(self) -> Asked:
        """The questions that were asked; an overlay's own list replaces its base's."""
        lists = (part.manifest.asked for part in reversed(self._chain))
        return next((asked for asked in lists if asked is not None), None)

    @property
    def selected(self) -> tuple[str, ...] | None:
        """The nodes under test; ``None`` if it does not say: those with a sign of a GPU.

        An overlay's own list replaces its base's; of that, what the overlay removes is left out.
        """
        return selected_nodes([part.manifest for part in self._chain])

    @property
    def note(self) -> str:
        """What its author wrote about the recording, empty if nothing."""
        return self._chain[-1].manifest.note

    @property
    def warning(self) -> str | None:
        """What its author should know: outcomes of the base that may no longer be true."""
        return kept_outcomes.warning(self.node_names(), self._chain)

    def node(self, name: str) -> RecordedNode:
        """Return one node's evidence; a node that was not visited has a door of kind none.

        Raises:
            RecordingError: the name is not a valid node name, or ``like:`` is circular.
        """
        if name not in self._nodes:
            self._nodes[name] = RecordedNode(name, self._chain, self.node)
            self._check_likes(self._nodes[name])
        return self._nodes[name]

    def _check_likes(self, node: RecordedNode) -> None:
        steps = [node.name]
        where = f"nodes/{node.name}/node.yaml: like"
        other = node.head.like
        while other:
            if other in steps:
                raise RecordingError(f"{where}: is circular: it leads back to {other!r}")
            if len(steps) > MAX_LIKES:
                raise RecordingError(f"{where}: more than {MAX_LIKES} nodes are like each other")
            steps.append(other)
            other = RecordedNode(other, self._chain, self.node).head.like

    def node_names(self) -> tuple[str, ...]:
        """Return the names of the nodes that the recording has evidence of, in natural order."""
        found: set[str] = set()
        for part in self._chain:
            found = {name_above(name, [part.manifest.renamed]) for name in found}
            found.difference_update(part.manifest.removed_below("nodes/"))
            found.update(part.folder.names("nodes"))
        return tuple(sorted(found, key=natural))

    def resources(self) -> tuple[str, ...]:
        """Return the sorted plural names of the resources that the recording has."""
        found: set[str] = set()
        for part in self._chain:
            found.difference_update(part.manifest.removed_below("kubernetes/"))
            names = part.folder.names("kubernetes")
            found.update(name for name in names if name.endswith(".yaml"))
        return tuple(sorted(name.removesuffix(".yaml") for name in found))

    def objects(self, resource: str) -> tuple[KubeObject, ...]:
        """Return all objects of a resource, by its plural name such as ``runtimeclasses``.

        Raises:
            NotInEvidence: the recording has no such file.
        """
        if resource not in self._objects:
            self._objects[resource] = merged(check_plural(resource), self._chain)
        return self._objects[resource]

    def check(self) -> None:
        """Read all Kubernetes objects now: they are part of every node's evidence.

        Raises:
            RecordingError: something in them is wrong, or the name of a node is not valid.
        """
        for resource in self.resources():
            self.objects(resource)
        for name in self.node_names():
            check_node_name(name, f"{self.folder}/nodes")

    def check_nodes(self, names: Iterable[str]) -> None:
        """Read what the recording says about these nodes now, and refuse it once.

        Raises:
            RecordingError: something in it is wrong.
        """
        for name in names:
            self.node(name).check()


def open_recording(path: Path, title: str) -> RecordedCluster:
    """Open a recording: a folder, or a .tar.gz of one.

    Args:
        path: the folder or archive.
        title: what the user asked for, such as ``path:bug-17.tar.gz``.

    Raises:
        RecordingError: it is not a recording, damaged, hostile or of a newer format.
    """
    if path.is_dir():
        return RecordedCluster(read_chain(_folder(path)), title)
    if not path.is_file():
        raise RecordingError(f"{path}: there is no such folder or .tar.gz file")
    private = new_folder()
    try:
        unpack(path, private)
        folder = Folder(root=_top(private), label=str(path))
        return RecordedCluster(read_chain(folder), title, private)
    except BaseException:
        _remove(private)
        raise


def _folder(path: Path) -> Folder:
    return Folder(root=path.resolve(), label=str(path), trusted=is_sample(path))


def _top(private: Path) -> Path:
    """Return the folder with the manifest: the archive's own top, or its only folder."""
    inside = list(private.iterdir())
    if not (private / FILE).exists() and len(inside) == 1 and inside[0].is_dir():
        return inside[0]
    return private


def _remove(private: Path | None) -> None:
    if private is not None:
        remove(private)


def _taken(chain: Sequence[Part]) -> datetime:
    for part in reversed(chain):
        if part.manifest.taken is not None:
            return part.manifest.taken
    where = chain[-1].folder.where(FILE)
    raise RecordingError(f"{where}: taken is missing; add the time at which it was recorded")


def _check_renamed(part: Part, base: RecordedCluster) -> None:
    """Refuse new names for nodes that do not exist, and names that another node has."""
    where, renamed = f"{part.folder.where(FILE)}: nodes", part.manifest.renamed
    try:
        objects = base.objects("nodes")
    except NotInEvidence:
        objects = ()
    known = {*base.node_names(), *(str(each["metadata"]["name"]) for each in objects)}
    for new, old in renamed.items():
        if old not in known:
            raise RecordingError(
                f"{where}: the base has no node {old!r}; the nearest are {nearest(old, known)}"
            )
        if new in known and new not in renamed.values():
            raise RecordingError(
                f"{where}: the base already has a node {new!r}; choose another name"
            )
