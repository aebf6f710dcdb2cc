"""Where the host's dynamic loader finds a library, without starting a program.

Source: ld.so(8). ldconfig(8) builds the loader's cache from /etc/ld.so.conf and the same default
directories, so those are searched; an outdated cache is not detected.
"""

from __future__ import annotations

import posixpath
import re
from collections import deque
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import NodeEvidence

CONF = "/etc/ld.so.conf"
CONF_FOLDER = "/etc/ld.so.conf.d"
_MULTIARCH = {"x86-64": "x86_64-linux-gnu", "aarch64": "aarch64-linux-gnu"}
_MOST_FILES = 100


def default_folders(machine: str) -> Sequence[str]:
    """Return the directories that every glibc searches: Debian's multiarch, lib64, lib."""
    triplet = _MULTIARCH.get(machine, f"{machine}-linux-gnu")
    return (
        f"/usr/lib/{triplet}",
        "/usr/lib64",
        f"/lib/{triplet}",
        "/lib64",
        "/usr/lib",
        "/lib",
    )


def find(evidence: NodeEvidence, name: str, machine: str, first: Sequence[str] = ()) -> str | None:
    """Return the path of a library, ``None`` if it is proven absent.

    Args:
        evidence: the node's evidence.
        name: the library's soname, such as ``libcap.so.2``; a name with a slash is a path.
        machine: the architecture, as in :class:`~pytest_gpu.evidence.ElfSummary`.
        first: directories that come before all others (LD_LIBRARY_PATH, RUNPATH).

    Raises:
        NotInEvidence: it was not found, and the search was not complete.
    """
    if "/" in name:
        return name if evidence.entry(evidence.resolve(name)) else None
    unknown: list[str] = []
    for folder in _folders(evidence, machine, first, unknown):
        path = f"{folder}/{name}"
        try:
            # A link with a missing target is not a library, so check the target.
            if evidence.entry(evidence.resolve(path)):
                return path
        except NotInEvidence:
            unknown.append(path)
    if unknown:
        raise NotInEvidence(evidence.name, unknown[0])
    return None


def _folders(
    evidence: NodeEvidence, machine: str, first: Sequence[str], unknown: list[str]
) -> Iterator[str]:
    """Yield the directories to search, in order; note in ``unknown`` what could not be read."""
    yield from first
    yield from default_folders(machine)
    yield from _configured(evidence, unknown)


def _configured(evidence: NodeEvidence, unknown: list[str]) -> Iterator[str]:
    """Yield the directories in /etc/ld.so.conf and the files that it includes."""
    waiting, seen = deque([CONF]), 0
    while waiting and seen < _MOST_FILES:
        path, seen = waiting.popleft(), seen + 1
        try:
            lines = parse(evidence.read(path) or b"")
            included_by = [pattern for word, pattern in lines if word == "include"]
            for included in included_by[:_MOST_FILES]:
                waiting += _matches(evidence, posixpath.join(posixpath.dirname(path), included))
        except NotInEvidence:
            unknown.append(path)
            continue
        yield from (folder.rstrip("/") for word, folder in lines if not word)


def _matches(evidence: NodeEvidence, pattern: str) -> Iterator[str]:
    folder, name = posixpath.split(pattern)
    for found in evidence.names(folder) or ():
        if fnmatchcase(found, name):
            yield f"{folder}/{found}"


@lru_cache(maxsize=256)
def parse(content: bytes) -> tuple[tuple[str, str], ...]:
    """Return (``include``, pattern) or (empty, directory) for each line of an ld.so.conf."""
    lines = (
        line.partition("#")[0].strip() for line in content.decode(errors="replace").split("\n")
    )
    found = (re.fullmatch(r"(?:(include)\s+)?(/\S*|\S+)", line) for line in lines)
    return tuple((match[1] or "", match[2]) for match in found if match)
