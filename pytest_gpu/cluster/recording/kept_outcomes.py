"""Warns of an overlay that changes what outcomes depend on but keeps its base's outcomes.

The outcomes of the suite's sandbox and pod come from the base: they would show that all is well,
whatever the overlay breaks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pytest_gpu.cluster.recording.kinds import FILES_OF_KIND, is_crictl_info
from pytest_gpu.cluster.recording.node_files import parse_commands
from pytest_gpu.cluster.recording.node_parts import NodePart, highest, node_parts
from pytest_gpu.cluster.recording.overlay import Part
from pytest_gpu.errors import RecordingError

_OUTCOMES = FILES_OF_KIND["outcomes"]

_DECISIVE = re.compile(
    r"^(?!/var/log/)(.*/containerd[^/]*(/.*)?\.(toml|tmpl)$"
    r"|/etc/rancher/|.*/nvidia-container-runtime(/|$)|/usr/local/nvidia/toolkit|.*/cdi(/|$)"
    r"|/proc/(modules$|driver/nvidia)|/sys/module/nvidia|/dev/nvidia|/lib/modules/"
    r"|.*/lib(cuda|nvidia)[^/]*\.so)"
)
"""Files of the container runtime, of NVIDIA's toolkit and of the driver."""

_ANSWERS = ("elf.yaml", "nvml.json")
_OBJECTS = ("clusterpolicies", "daemonsets", "runtimeclasses")
"""Resources that say how the device plugin and the toolkit run."""

MAX_NAMED = 3


def warning(names: Sequence[str], chain: Sequence[Part]) -> str | None:
    """Return one line that names what was changed and the outcomes that were kept, if any were.

    Args:
        names: the nodes of the recording.
        chain: the recordings it consists of; those of samples that ship with the package are
            not checked.
    """
    if all(part.folder.trusted for part in chain[1:]):
        return None
    changed: dict[str, None] = {}
    kept: dict[str, None] = {}
    for node in names:
        try:
            found = tuple(_of_node(node_parts(node, chain)))
        except RecordingError:  # the node's own tests report what is wrong with it
            continue
        for what, outcomes in found:
            changed[what] = None
            kept |= dict.fromkeys(outcomes)
    return _told(list(changed), list(kept)) if kept else None


def _of_node(parts: Sequence[NodePart]) -> Iterator[tuple[str, list[str]]]:
    """Yield what changed, and the outcomes of the base that were still kept."""
    for at, part in enumerate(parts):
        kept = [name for name in _OUTCOMES if highest(parts, name) in parts[:at]]
        if part.part.folder.trusted or not kept:
            continue
        if files := [*_decisive_files(part), *_decisive_answers(part)]:
            info = ["the output of crictl info"] if _keeps_info(parts, at) else []
            outcomes = [f"nodes/{part.node}/{name}" for name in kept]
            yield from ((f"nodes/{part.node}/{file}", outcomes + info) for file in files)
        if "outcomes/pod.yaml" in kept:
            for name in _decisive_objects(part):
                yield name, [f"nodes/{part.node}/outcomes/pod.yaml"]


def _decisive_files(part: NodePart) -> Iterator[str]:
    if part.touches_paths:
        recorded = part.recorded()
        listed = (entry.path for entry in recorded.listing.entries)
        paths = {*recorded.files, *recorded.listing.absent, *listed, *part.removed_paths}
        yield from (f"files{path}" for path in sorted(paths) if _DECISIVE.search(path))


def _decisive_answers(part: NodePart) -> Iterator[str]:
    for name in _ANSWERS:
        if part.data(name) is not None or part.removes(name):
            yield name


def _decisive_objects(part: NodePart) -> Iterator[str]:
    for resource in _OBJECTS:
        path = f"kubernetes/{resource}"
        removed = part.part.manifest.removed_below(path)
        if removed or part.part.folder.locate(f"{path}.yaml") is not None:
            yield f"{path}.yaml"


def _keeps_info(parts: Sequence[NodePart], at: int) -> bool:
    """Return whether the overlay keeps the answer of the base's container runtime."""
    own = parts[at]
    data = own.data("commands.yaml")
    found = parse_commands(data, own.where("commands.yaml")) if data else ()
    if own.removes("commands.yaml") or any(is_crictl_info(each.argv) for each in found):
        return False
    return not own.part.manifest.removes_kind(own.node, "crictl-info")


def _told(changed: Sequence[str], kept: Sequence[str]) -> str:
    return (
        f"warning: this recording changes {_some(changed)} but keeps what its base recorded before "
        f"that change: {_some(kept)}. Record it again after the change, or remove it with "
        "'absent: [outcomes, crictl-info, runtime-handlers]'"
    )


def _some(names: Sequence[str]) -> str:
    rest = len(names) - MAX_NAMED
    shown = ", ".join(names[:MAX_NAMED])
    return f"{shown} and {rest} more" if rest > 0 else shown
