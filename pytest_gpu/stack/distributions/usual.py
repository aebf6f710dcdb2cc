"""A distribution as it usually is, for texts that are about no node in particular."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import CommandResult, Door, ElfSummary, Entry
from pytest_gpu.stack.distributions.distribution import Distribution
from pytest_gpu.stack.distributions.every import products
from pytest_gpu.stack.distributions.signs import Observed


def names() -> tuple[str, ...]:
    """Return the names of all distributions, sorted."""
    return tuple(sorted(name for product in products() for name in product.names))


def usual(name: str) -> Distribution:
    """Return a distribution's commands and paths on a worker node.

    Raises:
        KeyError: there is no distribution of that name.
    """
    for product in products():
        if name in product.names:
            unseen = Observed(node={}, processes=(), kubelet=None, evidence=_Unseen())
            return product.on(unseen)
    raise KeyError(name)


class _Unseen:
    """The evidence of a node that nobody looked at."""

    name = "a node"
    door = Door(kind="none", reason="nobody looked")
    commands: Sequence[CommandResult] = ()
    nvml: Mapping[str, Any] | None = None

    def read(self, path: str) -> bytes | None:
        raise NotInEvidence(self.name, path)

    def entry(self, path: str) -> Entry | None:
        raise NotInEvidence(self.name, path)

    def names(self, directory: str) -> Sequence[str] | None:
        raise NotInEvidence(self.name, directory)

    def resolve(self, path: str) -> str:
        return path

    def elf(self, path: str) -> ElfSummary | None:
        raise NotInEvidence(self.name, path)

    def outcome(self, kind: str) -> Mapping[str, Any]:
        raise NotInEvidence(self.name, kind)
