"""One program on the host: its file after following links, and what it needs to start."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import ElfSummary, Entry, NodeEvidence
from pytest_gpu.memory import lazy
from pytest_gpu.stack.host import loader

GLIBC = (
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib64/libc.so.6",
    "/lib/aarch64-linux-gnu/libc.so.6",
    "/usr/lib/x86_64-linux-gnu/libc.so.6",
    "/usr/lib64/libc.so.6",
    "/usr/lib/aarch64-linux-gnu/libc.so.6",
)


@dataclass(frozen=True)
class Program:
    """A path that is executed.

    ``beside`` are directories that are searched for libraries first; ``loads`` are libraries that
    it loads by name while it runs, so its summary does not list them.
    """

    evidence: NodeEvidence
    path: str
    beside: Sequence[str] = ()
    loads: Sequence[str] = ()

    @lazy
    def file(self) -> str:
        """The path with every link followed."""
        return self.evidence.resolve(self.path)

    @lazy
    def entry(self) -> Entry | None:
        """The file after following links, ``None`` if it does not exist.

        Raises:
            NotInEvidence: it was not collected.
        """
        return self.evidence.entry(self.file)

    @lazy
    def summary(self) -> ElfSummary | None:
        """What it needs, ``None`` if it does not exist.

        Raises:
            NotInEvidence: it was not read.
        """
        return self.evidence.elf(self.path)

    @property
    def is_script(self) -> bool:
        """Whether it is a script, like the toolkit's older wrappers."""
        return self.summary is not None and self.summary.machine == "script"

    def library(self, name: str) -> str | None:
        """Return the path at which its loader finds a library, ``None`` if it is proven absent.

        Raises:
            NotInEvidence: it was not found, and the search was not complete.
        """
        summary = self.summary
        own = [_origin(folder, self.file) for folder in summary.runpath] if summary else []
        first = (*self.beside, *own, *self._private)
        found = loader.find(self.evidence, name, _machine(self), first)
        if found is None and self._private:
            where = f"where the loader in {self._private[0]} finds {name}"
            raise NotInEvidence(self.evidence.name, where)
        return found

    def glibc(self) -> ElfSummary | None:
        """Return the summary of the C library that it uses, ``None`` if it is not known.

        Raises:
            NotInEvidence: it brings its own C library, which was not read.
        """
        for folder in self._private:
            return self.evidence.elf(f"{folder}/libc.so.6")
        return host_glibc(self.evidence)

    @property
    def _private(self) -> Sequence[str]:
        """The directory of its own loader: NixOS, Talos and snaps do not use the host's.

        Such a loader is in the same directory as its C library and has its own configuration.
        """
        folder = posixpath.dirname((self.summary.interpreter if self.summary else None) or "")
        usual = not folder or self.is_script or folder in loader.default_folders(_machine(self))
        return () if usual else (folder,)


def _machine(program: Program) -> str:
    return program.summary.machine if program.summary else ""


def _origin(folder: str, file: str) -> str:
    """Return a RUNPATH directory with ``$ORIGIN`` filled in."""
    here = posixpath.dirname(file)
    return posixpath.normpath(folder.replace("${ORIGIN}", here).replace("$ORIGIN", here))


def host_glibc(evidence: NodeEvidence) -> ElfSummary | None:
    """Return the summary of the host's libc.so.6, ``None`` if none was read."""
    for path in GLIBC:
        try:
            summary = evidence.elf(path)
        except NotInEvidence:
            continue
        if summary is not None:
            return summary
    return None
