"""Which process of a node is its kubelet, or has it inside."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_gpu.stack.distributions import every
from pytest_gpu.stack.host.processes import Process


def find(processes: Sequence[Process]) -> Process | None:
    """Return the node's kubelet, ``None`` if none runs; those of nodes inside it do not count."""
    return next((each for each in processes if not each.foreign and _is_kubelet(each)), None)


def _is_kubelet(process: Process) -> bool:
    if process.is_program("kubelet"):
        return True
    programs = every.embedding().items()
    embedding = (commands for name, commands in programs if process.is_program(name))
    return any(not commands or commands & {*process.words} for commands in embedding)
