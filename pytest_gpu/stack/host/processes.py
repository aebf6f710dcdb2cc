"""Processes, from procfs (proc(5)): their programs, arguments and listening sockets."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import NodeEvidence
from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.known import known

TICKS = 100
"""USER_HZ, the unit of start times in /proc/PID/stat: 100 on all platforms NVIDIA supports."""

DAEMONS = frozenset(
    {"containerd", "cri-dockerd", "crio", "dockerd", "k0s", "k3s", "kubelet", "kubelite", "rke2"}
)
"""Programs whose start time, sockets and namespaces are collected."""

DELETED = " (deleted)"
"""What the kernel adds to /proc/PID/exe when the file is gone, usually after an upgrade."""

SEARCH_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Where a service searches for a program without a path: systemd's DefaultPATH."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process. ``started`` is seconds since the epoch, ``None`` if procfs does not show it.

    ``sockets`` are the paths of the Unix sockets it listens on, ``None`` if not collected.
    ``foreign`` processes use another network namespace than the node: they belong to a node inside
    this one, such as kind's and k3d's. With ``own_root`` a process has another root file system, so
    the paths in its arguments are not paths of the node.

    Attributes:
        pid: the process ID (PID).
        argv: the arguments, the program first.
        exe: the path of the program, ``None`` if it was not collected.
    """

    pid: int
    argv: tuple[str, ...]
    exe: str | None = None
    started: float | None = None
    sockets: frozenset[str] | None = frozenset()
    foreign: bool = False
    own_root: bool = False

    @property
    def program(self) -> str:
        """The program's file name, without its directory."""
        return PurePosixPath((self.exe or self.words[0]).removesuffix(DELETED)).name

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the command line; k3s and RKE2 write the whole line into argument 0."""
        return tuple(" ".join(self.argv).split()) or ("",)

    def is_program(self, name: str) -> bool:
        """Say whether this process runs a program, by its file or the name it was started with.

        One binary may be several programs: k3s is also the file behind its ``containerd``.
        """
        return name in (self.program, PurePosixPath(self.words[0]).name)

    def flag(self, *names: str) -> str | None:
        """Return the last value given as ``--name=value`` or ``--name value``."""
        return flag(self.argv, *names)


def flag(argv: tuple[str, ...], *names: str) -> str | None:
    """Return the last value given for a flag in a command line."""
    found: str | None = None
    for position, argument in enumerate(argv):
        name, equals, value = argument.partition("=")
        if name in names:
            if equals:
                found = value
            elif position + 1 < len(argv):
                found = argv[position + 1]
    return found


def running(evidence: NodeEvidence) -> tuple[Process, ...]:
    """Return the processes, by PID. Kernel threads have no arguments and are left out.

    Raises:
        NotInEvidence: /proc was not listed.
    """
    names = evidence.names("/proc") or ()
    paths = listening(evidence)
    boot = boot_time(_text(evidence, "/proc/stat"))
    pids = sorted(int(name) for name in names if name.isdecimal())
    found = (_process(evidence, pid, paths, boot) for pid in pids)
    return tuple(process for process in found if process.argv)


def listening(evidence: NodeEvidence) -> dict[str, str] | None:
    """Return the path of every listening Unix socket by inode, ``None`` if not collected."""
    content = known(lambda: evidence.read("/proc/net/unix"))
    return None if content is None else socket_paths(content.decode(errors="replace"))


def _process(
    evidence: NodeEvidence, pid: int, paths: dict[str, str] | None, boot: float | None
) -> Process:
    found = Process(
        pid=pid,
        argv=arguments(evidence.read(f"/proc/{pid}/cmdline") or b""),
        exe=_target(evidence, f"/proc/{pid}/exe"),
        started=start_time(_text(evidence, f"/proc/{pid}/stat"), boot),
        sockets=_own_sockets(paths, _open_sockets(evidence, pid)),
    )
    if not DAEMONS & {found.program, PurePosixPath(found.words[0]).name}:
        return found
    return replace(
        found,
        foreign=_differs(evidence, pid, "net"),
        own_root=_differs(evidence, pid, "mnt") and _roots_differ(evidence, pid),
    )


def _differs(evidence: NodeEvidence, pid: int, kind: str) -> bool:
    """Say whether a process is known to be in another namespace than the node's PID 1."""
    theirs, ours = (_target(evidence, f"/proc/{each}/ns/{kind}") for each in (pid, 1))
    return theirs is not None and ours is not None and theirs != ours


def _roots_differ(evidence: NodeEvidence, pid: int) -> bool:
    """Say whether a process with its own mount namespace also has another root file system.

    A unit with PrivateTmp= has its own mounts but the node's files; a container has its own files.
    """
    theirs, ours = (root_mount(_text(evidence, f"/proc/{each}/mountinfo")) for each in (pid, 1))
    return theirs is not None and ours is not None and theirs != ours


def root_mount(mountinfo: str) -> tuple[str, str] | None:
    """Return device and subtree of the mount at /, from the last such line of mountinfo.

    Columns (proc_pid_mountinfo(5)): ID, parent, major:minor, root, mount point, and more.
    """
    lines = (line.split() for line in mountinfo.splitlines())
    found = [(columns[2], columns[3]) for columns in lines if columns[4:5] == ["/"]]
    return found[-1] if found else None


def arguments(cmdline: bytes) -> tuple[str, ...]:
    """Split /proc/PID/cmdline at NULs (the kernel) or newlines (recordings written by hand)."""
    text = cmdline.decode(errors="replace")
    return tuple(part for part in re.split("[\0\n]", text) if part)


def socket_paths(unix: str) -> dict[str, str]:
    """Return the path of every listening socket in /proc/net/unix by inode.

    Columns: Num RefCount Protocol Flags Type St Inode Path; flag 0x10000 is __SO_ACCEPTCON.
    """
    found = {}
    for line in unix.splitlines()[1:]:
        columns = line.split(None, 7)
        if len(columns) == 8 and _flags(columns[3]) & 0x10000:
            found[columns[6]] = columns[7]
    return found


def _flags(column: str) -> int:
    return int(column, 16) if re.fullmatch("[0-9a-fA-F]+", column) else 0


def boot_time(stat: str) -> float | None:
    """Return the boot time (``btime`` in /proc/stat) in seconds since the epoch."""
    match = re.search(r"^btime (\d+)$", stat, re.MULTILINE)
    return float(match[1]) if match else None


def start_time(stat: str, boot: float | None) -> float | None:
    """Return field 22 of /proc/PID/stat as seconds since the epoch."""
    fields = stat.rpartition(")")[2].split()
    if boot is None or len(fields) < 20 or not fields[19].isdecimal():
        return None
    return boot + int(fields[19]) / TICKS


def _own_sockets(paths: dict[str, str] | None, inodes: list[str] | None) -> frozenset[str] | None:
    if paths is None or inodes is None:
        return None
    return frozenset(paths[inode] for inode in inodes if inode in paths)


def _open_sockets(evidence: NodeEvidence, pid: int) -> list[str] | None:
    try:
        names = evidence.names(f"/proc/{pid}/fd") or ()
    except NotInEvidence:
        return None
    targets = (_target(evidence, f"/proc/{pid}/fd/{name}") or "" for name in names)
    return [target[8:-1] for target in targets if target.startswith("socket:[")]


def _target(evidence: NodeEvidence, path: str) -> str | None:
    try:
        entry = evidence.entry(path)
    except NotInEvidence:
        return None
    return entry.target if entry else None


def _text(evidence: NodeEvidence, path: str) -> str:
    try:
        return (evidence.read(path) or b"").decode(errors="replace")
    except NotInEvidence:
        return ""


@fact
def processes_of(node: Node) -> tuple[Process, ...]:
    """Return the processes that run on the node, by PID."""
    return running(node.evidence)
