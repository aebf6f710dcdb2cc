"""The default runtime that a distribution was told to use, in its own flags or settings files.

Only distributions with a ``config.yaml`` of their own are told one: ``default-runtime``.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from pytest_gpu.causes import Evidence
from pytest_gpu.evidence import NodeEvidence
from pytest_gpu.known import known
from pytest_gpu.stack.distributions import settings_files
from pytest_gpu.stack.distributions.distribution import Distribution
from pytest_gpu.stack.host.processes import Process, flag
from pytest_gpu.stack.host.systemd_unit import service

_DEFAULT = "default-runtime"
_FLAG = f"--{_DEFAULT}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Default:
    """A default runtime that a distribution was told, ``None`` where it was not, and who told it.

    ``unread`` are files and folders that might tell another one.
    """

    name: str | None = None
    said: Evidence | None = None
    unread: tuple[str, ...] = ()


def configured_default(
    processes: Sequence[Process], evidence: NodeEvidence, distribution: Distribution
) -> Default:
    """Return ``default-runtime`` of the distribution's flags, else of its settings."""
    if distribution.settings is None:
        return Default()
    words = _command_line(processes, evidence, distribution)
    if told := flag(words, _FLAG):
        where = f"the command line of {distribution.name}"
        return Default(name=told, said=Evidence(source=where, text=f"{_FLAG}={told}"))
    settings = settings_files.read(words, evidence, distribution.settings)
    value = settings.values.get(_DEFAULT)
    if not value:
        return Default(unread=settings.unread)
    said = _line(evidence, settings.sources[_DEFAULT])
    return Default(name=str(value), said=said, unread=settings.unread)


def _command_line(
    processes: Sequence[Process], evidence: NodeEvidence, distribution: Distribution
) -> tuple[str, ...]:
    """Return the words that the distribution was started with, else those that its unit has."""
    for process in processes:
        name = posixpath.basename(process.words[0])
        if name in distribution.programs and not process.foreign:
            return process.words
    unit = known(partial(service, evidence, distribution.containerd_unit))
    return unit.argv if unit else ()


def _line(evidence: NodeEvidence, path: str) -> Evidence:
    """Return the line of a file that sets the default runtime; comments do not."""
    lines = (evidence.read(path) or b"").decode(errors="replace").splitlines()
    said = [n for n, line in enumerate(lines, 1) if _DEFAULT in line.partition("#")[0]]
    number = said[-1] if said else None
    text = lines[number - 1].strip() if number else f"sets {_DEFAULT}"
    return Evidence(source=path, line=number, text=text)
