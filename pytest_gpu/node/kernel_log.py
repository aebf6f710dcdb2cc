"""The kernel's ring buffer: what the NVIDIA driver (its prefix is NVRM) said since the boot."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pytest_gpu.causes import Evidence
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import CommandResult, NodeEvidence
from pytest_gpu.node.pci import normal

# "NVRM: Xid (PCI:0000:a1:00): 79, ..."; on a MIG instance "(PCI:0000:a1:00 GPU-I:05)".
_XID = re.compile(
    r"NVRM: Xid \((?:PCI:)?(?P<slot>[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2})[^)]*\): (?P<number>\d+)",
    re.IGNORECASE,
)
_LOADED = "NVRM: loading NVIDIA UNIX"
# "[ 1234.5] pci 0000:a1:00.0: [10de:20b0] type 00 ...": the device was found on the bus anew.
_FOUND = re.compile(r"pci (?P<slot>[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2})\.0: \[10de:", re.I)
_STAMP = re.compile(r"^(?:\[[^\]]*\]\s*)?(?:NVRM: ?)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Xid:
    """One XID message: ``slot`` is domain:bus:device, ``index`` its line, counted from 0."""

    number: int
    slot: str
    index: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelLog:
    """The lines of the ring buffer, oldest first, and the command that printed them."""

    lines: tuple[str, ...]
    source: str = "dmesg"
    xids: tuple[Xid, ...] = field(default=())

    def find(self, pattern: str) -> Evidence | None:
        """Return the newest line that matches a regular expression, since the driver's load."""
        for index in range(len(self.lines) - 1, self.driver_loaded_at - 1, -1):
            if re.search(pattern, self.lines[index], re.IGNORECASE):
                return self.at(index)
        return None

    def find_wrapped(self, start: str, pattern: str) -> Evidence | None:
        """Return a message that the driver breaks over up to four lines, as one text."""
        for index, line in enumerate(self.lines):
            if start in line:
                text = " ".join(_STAMP.sub("", part) for part in self.lines[index : index + 4])
                if re.search(pattern, text):
                    return Evidence(source=self.source, line=index + 1, text=text.strip())
        return None

    def at(self, index: int) -> Evidence:
        """Return a line as evidence."""
        return Evidence(source=self.source, line=index + 1, text=self.lines[index].strip())

    def standing(self, numbers: Collection[int]) -> tuple[Xid, ...]:
        """Return the XIDs of these numbers that nothing in the log shows to be over."""
        found = (xid for xid in self.xids if xid.number in numbers)
        return tuple(xid for xid in found if not self._is_over(xid))

    @property
    def driver_loaded_at(self) -> int:
        """Index of the line with which the driver was last loaded, 0 if it is not there."""
        return max((i for i, line in enumerate(self.lines) if _LOADED in line), default=0)

    @property
    def recovery_actions(self) -> tuple[Xid, ...]:
        """The latest XID 154 of each GPU that still asks for a reset or a reboot.

        The text is ``GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)``.
        """
        latest = {xid.slot: xid for xid in self.standing((154,))}
        wanted = re.compile(r" to 0x[0-9a-f]+ \((?!None|Drain P2P\))", re.IGNORECASE)
        return tuple(xid for xid in latest.values() if wanted.search(xid.text))

    def _is_over(self, xid: Xid) -> bool:
        """A reload, a rediscovery on the bus, or the driver's own word ends a fault."""
        if xid.index < self.driver_loaded_at:
            return True
        for later in self.xids:
            same = later.slot == xid.slot and later.index > xid.index
            if same and later.number == 154 and "(None)" in later.text.rpartition(" to ")[2]:
                return True
        found = (_FOUND.search(line) for line in self.lines[xid.index + 1 :])
        return any(match and normal(match["slot"]) == xid.slot for match in found)


def read(evidence: NodeEvidence) -> KernelLog:
    """Return the kernel log.

    Raises:
        NotInEvidence: nobody printed it, or the kernel did not let them.
    """
    command = next((c for c in reversed(evidence.commands) if _prints_log(c)), None)
    if command is None:
        raise NotInEvidence(evidence.name, "the kernel log (dmesg)")
    lines = tuple(command.stdout.splitlines())
    return KernelLog(lines=lines, source=" ".join(command.argv), xids=_xids(lines))


def _prints_log(command: CommandResult) -> bool:
    program = PurePosixPath(command.argv[0]).name
    dmesg = program == "dmesg" or (program == "journalctl" and {"-k", "--dmesg"} & {*command.argv})
    return bool(dmesg) and command.exit == 0


def _xids(lines: tuple[str, ...]) -> tuple[Xid, ...]:
    matches = ((index, _XID.search(line)) for index, line in enumerate(lines) if "Xid" in line)
    return tuple(
        Xid(
            number=int(match["number"]),
            slot=normal(match["slot"]),
            index=index,
            text=lines[index].strip(),
        )
        for index, match in matches
        if match
    )
