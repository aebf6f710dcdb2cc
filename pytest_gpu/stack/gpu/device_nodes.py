"""The device nodes of the NVIDIA driver: which exist, and which numbers they should have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import Entry, NodeEvidence

# Character major 195 is NVIDIA's own (Documentation/admin-guide/devices.txt of the kernel).
NVIDIA_MAJOR = 195
_GPU = re.compile(r"nvidia(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceNodes:
    """The NVIDIA device nodes in one /dev; ``directory`` is its path.

    Attributes:
        entries: the metadata of each node, by its name.
    """

    directory: str
    entries: Mapping[str, Entry]

    @property
    def gpus(self) -> frozenset[int]:
        """The minor numbers in the names of the GPUs' nodes."""
        names = (_GPU.fullmatch(name) for name in self.entries)
        return frozenset(int(match[1]) for match in names if match)


def read(evidence: NodeEvidence, root: str = "") -> DeviceNodes:
    """Return the NVIDIA device nodes below a driver's root.

    Raises:
        NotInEvidence: the directory was not listed completely.
    """
    directory = f"{root}/dev"
    names = [name for name in evidence.names(directory) or () if name.startswith("nvidia")]
    found = {name: evidence.entry(f"{directory}/{name}") for name in names}
    return DeviceNodes(
        directory=directory, entries={name: entry for name, entry in found.items() if entry}
    )


def majors(evidence: NodeEvidence) -> Mapping[str, int]:
    """Return the major numbers of the character devices by their name in /proc/devices.

    Raises:
        NotInEvidence: the file was not read.
    """
    text = evidence.read("/proc/devices")
    if text is None:
        raise NotInEvidence(evidence.name, "/proc/devices")
    characters, blocks, _ = text.decode(errors="replace").partition("Block devices")
    if not blocks:  # the file was truncated, so a missing entry proves nothing
        raise NotInEvidence(evidence.name, "the whole of /proc/devices")
    rows = re.findall(r"^\s*(\d+) (\S+)$", characters, re.MULTILINE)
    return {name: int(number) for number, name in rows}
