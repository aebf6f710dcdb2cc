"""What can be advised about a unit that ends by itself: by the trouble that its words tell of."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from pytest_gpu.causes import Finding, fill_step, join
from pytest_gpu.stack.distributions.distribution import Distribution
from pytest_gpu.stack.kubelet.unit_end import UnitEnd
from pytest_gpu.stack.operands import trouble
from pytest_gpu.stack.operands.advice import read_table
from pytest_gpu.steps import Step, Steps, typed
from pytest_gpu.text.shell import command

DISK, MEMORY, FILES = "disk", "memory", "files"

_RESOURCES = (
    (re.compile(r"no space left|disk quota", re.IGNORECASE), DISK),
    (re.compile(r"too many open files", re.IGNORECASE), FILES),
)


@cache
def table() -> Mapping[str, Sequence[Step]]:
    """Return the steps of each kind of trouble, with their placeholders."""
    return read_table("pytest_gpu.stack.kubelet", "unit_advice.toml")


def kind_of(said: str) -> str:
    """Return the kind of trouble that a unit's last words tell of."""
    kind = trouble.kind_of("", said)
    if kind == trouble.RESOURCES:
        return next((what for pattern, what in _RESOURCES if pattern.search(said)), MEMORY)
    return kind if kind in table() else trouble.UNKNOWN


def unit_advice(end: UnitEnd, unit: str, where: str) -> Steps:
    """Return the steps that follow from a unit's last words; ``where`` is what configures it."""
    kind = kind_of(end.said)
    filling = Finding.of(kind, unit=unit, where=where)
    return (*(fill_step(step, filling) for step in table()[kind]), *_path(kind, end.said))


def _path(kind: str, said: str) -> Iterator[Step]:
    """Yield the commands that show the path that the words name."""
    path = trouble.path_in(said)
    if kind == DISK:
        yield typed("node", command("df -h {path}", path=path or "/"))
    elif path and kind in {trouble.PATH, trouble.PERMISSION}:
        yield typed("node", command("ls -ld {path}", path=path))
    if path and kind == trouble.PERMISSION:
        yield typed("node", command("findmnt -T {path}", path=path))


def settings_of(where: Distribution, files: Sequence[str]) -> str:
    """Return where a unit of a distribution is configured for good, beside these files."""
    own = [path for path in files if not path.endswith(f"/00-{where.name}-defaults.conf")]
    if where.settings:
        settings = f"{where.settings}/config.yaml"
        return join((f"{settings} or a file in {settings}.d", *own))
    if where.arguments:
        own.append(where.arguments.path)
    return f"{join(own) or 'its files'} or in the flags of its unit"
