"""The interface of evidence, wherever it came from: the seam between collecting and judging.

Every look-up has three answers: the thing, ``None`` when it is proven absent, and
:class:`~pytest_gpu.errors.NotInEvidence` when it was not collected. Unknown is never absent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pytest_gpu.asked import Asked
from pytest_gpu.memory import Memory

KubeObject = Mapping[str, Any]
"""A Kubernetes object as ``kubectl get -o yaml`` prints it."""

REDACTED = "<redacted>"
"""Stands in the evidence for a secret: such a line differs from the file's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Metadata of one path, as lstat(2) and readlink(2) give it.

    ``kind`` is file, directory, symlink, char, block, socket or fifo; ``mtime`` is seconds since
    the epoch; ``target`` is a symlink's text; ``device`` is (major, minor) of a device node.

    Attributes:
        path: the absolute path.
        mode: the permission bits, ``None`` if they were not collected.
        size: bytes, ``None`` if it was not collected.
    """

    path: str
    kind: str
    mode: int | None = None
    mtime: float | None = None
    size: int | None = None
    target: str | None = None
    device: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """One command that ran on the node; ``duration`` is seconds, ``exit`` its exit code.

    Attributes:
        argv: the arguments, the program first.
        stdout: what it printed.
        stderr: what it printed as errors.
    """

    argv: tuple[str, ...]
    exit: int
    stdout: str = ""
    stderr: str = ""
    duration: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """How a node's evidence was collected.

    ``kind`` is pod, ssh, local or none; ``reason`` says why there is no door or what went wrong.
    """

    kind: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfSummary:
    """What an ELF file needs in order to start; ELF is the only format that the probe parses.

    ``versions`` maps each needed library to the symbol versions asked of it, such as
    ``{"libc.so.6": ("GLIBC_2.27",)}``; ``defines`` are the versions the file itself offers;
    ``runpath`` are the directories in which it looks for libraries first (``$ORIGIN``: its own).
    A script has the ``machine`` ``script`` and its interpreter; ``error`` says why no kernel can
    start the file (empty, truncated, not a program).

    Attributes:
        path: the absolute path.
        interpreter: the program loader, ``None`` for a static program.
        needed: the names of the libraries that it needs.
    """

    path: str
    machine: str
    interpreter: str | None = None
    needed: tuple[str, ...] = ()
    versions: Mapping[str, tuple[str, ...]]
    defines: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    error: str = ""


class NodeEvidence(Protocol):
    """All evidence of one node. Paths are absolute; symbolic links are followed.

    Every look-up raises ``NotInEvidence`` if the thing was not collected.
    """

    @property
    def name(self) -> str:
        """The node's name in Kubernetes."""

    @property
    def door(self) -> Door:
        """The door through which this evidence came."""

    def read(self, path: str) -> bytes | None:
        """Return a regular file's bytes, ``None`` if it is proven absent."""

    def entry(self, path: str) -> Entry | None:
        """Return a path's own metadata (a link is not followed), ``None`` if proven absent."""

    def names(self, directory: str) -> Sequence[str] | None:
        """Return the sorted names in a directory that was listed whole, ``None`` if absent."""

    def resolve(self, path: str) -> str:
        """Return the path with every recorded symbolic link followed."""

    @property
    def commands(self) -> Sequence[CommandResult]:
        """Every command that was run on the node, in order."""

    @property
    def nvml(self) -> Mapping[str, Any] | None:
        """NVML's answers (docs/reference/recordings.md), ``None`` if there is no library."""

    def elf(self, path: str) -> ElfSummary | None:
        """Return the summary of an ELF file, ``None`` if the file is proven absent."""

    def outcome(self, kind: str) -> Mapping[str, Any]:
        """Return what happened to the suite's own objects: ``kind`` is sandbox or pod."""


class ClusterEvidence(Protocol):
    """All evidence of one cluster."""

    @property
    def memory(self) -> Memory:
        """What was worked out from this cluster's Kubernetes objects."""

    @property
    def title(self) -> str:
        """What the user asked for, such as ``sample:healthy-rke2``."""

    @property
    def taken(self) -> datetime:
        """When the evidence was taken (with a time zone): ages count from here."""

    @property
    def suite(self) -> str:
        """The version of pytest-gpu that took the evidence, empty if it is not known."""

    @property
    def asked(self) -> Asked:
        """The questions that were asked when it was taken; ``None``: all."""

    def objects(self, resource: str) -> Sequence[KubeObject]:
        """Return all objects of a resource, by its plural name such as ``runtimeclasses``.

        Raises:
            NotInEvidence: the resource was not asked for, or could not be read.
        """

    def node(self, name: str) -> NodeEvidence:
        """Return one node's evidence; a node that was not visited has a door of kind none."""
