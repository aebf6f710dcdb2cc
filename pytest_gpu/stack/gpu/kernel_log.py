"""The kernel's ring buffer: messages of the NVIDIA driver (prefix NVRM) since boot."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pytest_gpu.causes import Evidence
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import CommandResult, NodeEvidence
from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.stack.gpu.pci import normal

# "NVRM: Xid (PCI:0000:a1:00): 79, ..."; on a MIG instance "(PCI:0000:a1:00 GPU-I:05)".
_XID = re.compile(
    r"NVRM: Xid \((?:PCI:)?(?P<slot>[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2})[^)]*\): (?P<number>\d+)",
    re.IGNORECASE,
)
_LOADED = "NVRM: loading NVIDIA UNIX"
# "[ 1234.5] pci 0000:a1:00.0: [10de:20b0] type 00 ...": the device was found on the bus again.
_FOUND = re.compile(r"pci (?P<slot>[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2})\.0: \[10de:", re.I)

RECOVERY_ACTION = 154
_NONE = " to 0x0 (None)"
_HARMLESS = re.compile(r" to 0x[0-9a-f]+ \((None|Drain P2P)\)", re.IGNORECASE)

_STAMP = re.compile(r"^(?:\[[^\]]*\]\s*)?(?:NVRM: ?)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Xid:
    """One XID message: ``slot`` is domain:bus:device, ``index`` the line number from 0.

    Attributes:
        number: the number of the XID.
        text: the whole line.
    """

    number: int
    slot: str
    index: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelLog:
    """The lines of the ring buffer, oldest first, and the command that printed them.

    ``loaded_at`` is the index of the line that reports the driver's last load, 0 if there is none;
    ``recovered_at`` is the index of each slot's last sign of recovery.

    Attributes:
        lines: the lines, oldest first.
        source: the command that printed them.
        xids: the XID messages among them.
    """

    lines: tuple[str, ...]
    source: str = "dmesg"
    xids: tuple[Xid, ...] = ()
    loaded_at: int = 0
    recovered_at: Mapping[str, int] = field(default_factory=dict)

    def find(self, pattern: str, needle: str = "") -> Evidence | None:
        """Return the newest line since the driver's load that matches a regular expression.

        Only lines that contain ``needle`` are tried, because logs are long.
        """
        for index in range(len(self.lines) - 1, self.loaded_at - 1, -1):
            if needle in self.lines[index] and re.search(pattern, self.lines[index]):
                return self.at(index)
        return None

    def find_wrapped(self, start: str, pattern: str) -> Evidence | None:
        """Return a message that the driver splits over up to four lines, as one text."""
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
        """Return the XIDs with these numbers that the log does not show to be over.

        A fault is over after a reload of the driver, after the GPU was found on the bus again, or
        when the driver says so (XID 154: recovery action None).
        """
        return tuple(
            xid
            for xid in self.xids
            if xid.number in numbers
            and xid.index >= max(self.loaded_at, self.recovered_at.get(xid.slot, 0))
        )

    @property
    def recovery_actions(self) -> tuple[Xid, ...]:
        """The latest XID 154 of each GPU that still asks for a reset or a reboot.

        The text is ``GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)``.
        """
        latest = {xid.slot: xid for xid in self.standing((RECOVERY_ACTION,))}
        return tuple(xid for xid in latest.values() if not _HARMLESS.search(xid.text))


def read(evidence: NodeEvidence) -> KernelLog:
    """Return the kernel log.

    Raises:
        NotInEvidence: it was not collected, could not be read, or was cleared.
    """
    command = next((c for c in reversed(evidence.commands) if _prints_log(c)), None)
    if command is None:
        raise NotInEvidence(evidence.name, "the kernel log (dmesg)")
    lines = tuple(command.stdout.splitlines())
    xids = _xids(lines)
    return KernelLog(
        lines=lines,
        source=" ".join(command.argv),
        xids=xids,
        loaded_at=max((i for i, line in enumerate(lines) if _LOADED in line), default=0),
        recovered_at=_recoveries(lines, xids),
    )


def _prints_log(command: CommandResult) -> bool:
    program = PurePosixPath(command.argv[0]).name
    kernel = program == "journalctl" and not {"-k", "--dmesg"}.isdisjoint(command.argv)
    # An empty log was cleared or is not readable for this user; it proves nothing.
    return (program == "dmesg" or kernel) and command.exit == 0 and bool(command.stdout.strip())


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


def _recoveries(lines: tuple[str, ...], xids: tuple[Xid, ...]) -> Mapping[str, int]:
    found = ((i, _FOUND.search(line)) for i, line in enumerate(lines) if "[10de:" in line)
    over = [(normal(match["slot"]), index) for index, match in found if match]
    over += [(x.slot, x.index) for x in xids if x.number == RECOVERY_ACTION and _NONE in x.text]
    return dict(sorted(over, key=lambda item: item[1]))


@fact
def kernel_log_of(node: Node) -> KernelLog:
    """Return the kernel log, with the messages of the NVIDIA driver."""
    return read(node.evidence)
