"""The kernel's ring buffer: messages of the NVIDIA driver (prefix NVRM) since boot."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pytest_gpu.causes import Evidence
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import CommandResult, NodeEvidence
from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.stack.gpu.pci import normal

# "NVRM: Xid (PCI:0000:a1:00): 79, ..."; on a MIG instance "(PCI:0000:a1:00 GPU-I:05)".
_XID = re.compile(
    r"NVRM: Xid \((?:PCI:)?(?P<slot>[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2})[^()]*\): "
    r"(?P<number>\d+)",
    re.IGNORECASE,
)
_LOADED = "NVRM: loading NVIDIA UNIX"
# "[ 1234.5] pci 0000:a1:00.0: [10de:20b0] type 00 ...": the device was found on the bus again.
_FOUND = re.compile(r"pci (?P<slot>[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2})\.0: \[10de:", re.I)

RECOVERY_ACTION = 154
_NONE = " to 0x0 (None)"
_HARMLESS = re.compile(r" to 0x[0-9a-f]+ \((None|Drain P2P)\)", re.IGNORECASE)

# What stands before the kernel's own words. Others may write to the log, too, and quote them.
# dmesg: "[ 12.3] ", "[Fri Apr  5 21:29:39 2024] ", "[ 12.3][ T7] ", "<6>[ 12.3] ", and with
# --decode "kern  :info  : [ 12.3] ".
_DMESG = re.compile(r"(?:<[0-7]>|kern {0,8}:[a-z]{1,8} {0,8}: )?(?:\[[^\]]{1,64}\]){0,3} {0,8}")
# journalctl -k: "Nov 21 10:00:00 host kernel: ", and ISO or monotonic stamps; with -o cat nothing.
_JOURNAL = re.compile(
    r"(?:[A-Z][a-z]{2} [ \d]\d [\d:.]{8,15} |\d{4}-\S{15,32} |\[[ \d.]{1,32}\] )?\S{1,255} kernel: "
)
_NVRM = re.compile("NVRM: ?")


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
        messages: what each line says after its stamp.
        xids: the XID messages among them.
    """

    lines: tuple[str, ...]
    source: str = "dmesg"
    messages: tuple[str, ...] = ()
    xids: tuple[Xid, ...] = ()
    loaded_at: int = 0
    recovered_at: Mapping[str, int] = field(default_factory=dict)

    def find(self, pattern: re.Pattern[str], needle: str = "") -> Evidence | None:
        """Return the newest line since the driver's load that matches a regular expression.

        Only lines that contain ``needle`` are tried, because logs are long.
        """
        for index in range(len(self.lines) - 1, self.loaded_at - 1, -1):
            if needle in self.lines[index] and pattern.search(self.lines[index]):
                return self.at(index)
        return None

    def find_wrapped(self, start: str, pattern: re.Pattern[str]) -> Evidence | None:
        """Return a message that the driver splits over up to four lines, as one text."""
        for index, said in enumerate(self.messages):
            if said.startswith(start):
                text = " ".join(_NVRM.sub("", part, 1) for part in self.messages[index : index + 4])
                if pattern.search(text):
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
    messages = _messages(lines, command.argv)
    xids = _xids(lines, messages)
    loads = (index for index, said in enumerate(messages) if said.startswith(_LOADED))
    return KernelLog(
        lines=lines,
        source=" ".join(command.argv),
        messages=messages,
        xids=xids,
        loaded_at=max(loads, default=0),
        recovered_at=_recoveries(messages, xids),
    )


def _messages(lines: Sequence[str], argv: Sequence[str]) -> tuple[str, ...]:
    """Return what the kernel says in the lines that may be about GPUs, and the others as they are.

    In a line of somebody else more stands before the words of the driver.
    """
    journal = PurePosixPath(argv[0]).name == "journalctl"
    return tuple(
        _said(line, journal=journal) if "NVRM" in line or "[10de:" in line else line
        for line in lines
    )


def _said(line: str, *, journal: bool) -> str:
    stamp = _JOURNAL.match(line) if journal else None
    stamp = _DMESG.match(line, stamp.end() if stamp else 0)
    return line[stamp.end() :] if stamp else line


def _prints_log(command: CommandResult) -> bool:
    program = PurePosixPath(command.argv[0]).name
    kernel = program == "journalctl" and not {"-k", "--dmesg"}.isdisjoint(command.argv)
    # An empty log was cleared or is not readable for this user; it proves nothing.
    return (program == "dmesg" or kernel) and command.exit == 0 and bool(command.stdout.strip())


def _xids(lines: Sequence[str], messages: Sequence[str]) -> tuple[Xid, ...]:
    matches = ((index, _XID.match(said)) for index, said in enumerate(messages) if "Xid" in said)
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


def _recoveries(messages: Sequence[str], xids: Sequence[Xid]) -> Mapping[str, int]:
    found = ((index, _FOUND.match(said)) for index, said in enumerate(messages) if "[10de:" in said)
    over = [(normal(match["slot"]), index) for index, match in found if match]
    over += [(x.slot, x.index) for x in xids if x.number == RECOVERY_ACTION and _NONE in x.text]
    return dict(sorted(over, key=lambda item: item[1]))


@fact
def kernel_log_of(node: Node) -> KernelLog:
    """Return the kernel log, with the messages of the NVIDIA driver."""
    return read(node.evidence)
