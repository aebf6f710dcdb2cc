"""Kernel modules: which are loaded, and for which kernels NVIDIA's module is installed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import NodeEvidence

# Where packages put nvidia.ko below /lib/modules/RELEASE: DKMS, Red Hat's kmod and weak updates,
# the .run installer. Ubuntu's signed modules are in kernel/nvidia-BRANCH.
DIRECTORIES = (
    "updates/dkms",
    "extra",
    "extra/nvidia",
    "weak-updates",
    "weak-updates/nvidia",
    "kernel/drivers/video",
    "kernel/drivers/video/nvidia",
)
_FILES = tuple(f"nvidia.ko{suffix}" for suffix in ("", ".zst", ".xz", ".gz"))


def text(evidence: NodeEvidence, path: str) -> str:
    """Return a file's text.

    Raises:
        NotInEvidence: it was not read, or it does not exist.
    """
    content = evidence.read(path)
    if content is None:
        raise NotInEvidence(evidence.name, path)
    return content.decode(errors="replace")


def loaded(evidence: NodeEvidence) -> frozenset[str]:
    """Return the names of the loaded modules, from /proc/modules."""
    lines = text(evidence, "/proc/modules").splitlines()
    return frozenset(line.split()[0] for line in lines if line.strip())


def release(evidence: NodeEvidence) -> str:
    """Return the running kernel's release, as ``uname -r`` prints it."""
    for command in evidence.commands:
        if command.argv == ("uname", "-r") and command.exit == 0:
            return command.stdout.strip()
    match = re.match(r"Linux version (\S+)", text(evidence, "/proc/version"))
    if match is None:
        raise NotInEvidence(evidence.name, "the kernel release")
    return match[1]


def nvidia_files(evidence: NodeEvidence, kernel: str) -> Mapping[str, str]:
    """Return the path of nvidia.ko by kernel release, for the releases that have one.

    Raises:
        NotInEvidence: none was found for ``kernel``, and the search was not complete.
    """
    for command in evidence.commands:
        if command.argv[:2] == ("find", "/lib/modules") and command.exit == 0:
            return _by_release(command.stdout.split())
    found = _by_release(_listed(evidence, kernel))
    if kernel not in found:
        _prove_searched(evidence, kernel)
    return found


def _by_release(paths: Iterable[str]) -> Mapping[str, str]:
    matches = (re.match(r"(?:/usr)?/lib/modules/([^/]+)/.*nvidia\.ko", path) for path in paths)
    return {match[1]: match.string for match in matches if match}


def _listed(evidence: NodeEvidence, kernel: str) -> Iterator[str]:
    """Yield the files that are in evidence, even if the listing is not complete."""
    for name in dict.fromkeys([kernel, *_names(evidence, "/lib/modules")]):
        for directory in _directories(evidence, f"/lib/modules/{name}"):
            paths = [f"{directory}/{file}" for file in _FILES]
            yield from (path for path in paths if _is_there(evidence, path))


def _directories(evidence: NodeEvidence, modules: str) -> list[str]:
    branches = [n for n in _names(evidence, f"{modules}/kernel") if n.startswith("nvidia-")]
    return [f"{modules}/{name}" for name in (*DIRECTORIES, *(f"kernel/{b}" for b in branches))]


def _prove_searched(evidence: NodeEvidence, kernel: str) -> None:
    """Check that every possible path of this kernel's module was looked up.

    Raises:
        NotInEvidence: one was not.
    """
    for directory in _directories(evidence, f"/lib/modules/{kernel}"):
        for file in _FILES:
            evidence.entry(f"{directory}/{file}")


def _names(evidence: NodeEvidence, directory: str) -> Sequence[str]:
    try:
        return evidence.names(directory) or ()
    except NotInEvidence:
        return ()


def _is_there(evidence: NodeEvidence, path: str) -> bool:
    try:
        return evidence.entry(path) is not None
    except NotInEvidence:
        return False
