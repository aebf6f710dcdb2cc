"""Mounts of the host, from /proc/1/mountinfo, to check whether programs may be executed.

Sources: proc(5) for the file's columns, mount(8) for the option ``noexec``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from pytest_gpu.causes import Evidence
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import NodeEvidence

MOUNTS = "/proc/1/mountinfo"
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One mount: its mount point, and its own options (``noexec``, ``ro``)."""

    point: str
    options: frozenset[str]
    line: int
    text: str

    @property
    def evidence(self) -> Evidence:
        """The line of mountinfo that shows it."""
        return Evidence(source=MOUNTS, line=self.line, text=self.text)


def mount_of(evidence: NodeEvidence, path: str) -> Mount:
    """Return the mount that a path is on; ``path`` must not contain links.

    Raises:
        NotInEvidence: the mounts were not read.
    """
    content = evidence.read(MOUNTS)
    found = [mount for mount in parse(content or b"") if _holds(mount.point, path)]
    if not found:
        raise NotInEvidence(evidence.name, f"the mount that holds {path} ({MOUNTS})")
    # The deepest mount counts; of several mounts on the same point, the last one.
    return max(reversed(found), key=lambda mount: len(mount.point))


@lru_cache(maxsize=64)
def parse(content: bytes) -> tuple[Mount, ...]:
    """Return the mounts in a mountinfo file; invalid lines are left out."""
    lines = content.decode(errors="replace").splitlines()
    found = (_mount(number, line) for number, line in enumerate(lines, 1))
    return tuple(mount for mount in found if mount)


def _mount(number: int, line: str) -> Mount | None:
    """Parse ``36 35 98:0 /root /point rw,noexec shared:1 - ext4 /dev/sda1 rw``."""
    columns = line.split()
    if len(columns) < 6:
        return None
    return Mount(
        point=_OCTAL.sub(lambda match: chr(int(match[1], 8)), columns[4]),
        options=frozenset(columns[5].split(",")),
        line=number,
        text=line.strip(),
    )


def _holds(point: str, path: str) -> bool:
    return path == point or path.startswith(point.rstrip("/") + "/")
