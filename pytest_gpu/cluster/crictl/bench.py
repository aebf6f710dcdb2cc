"""What the sandboxes on one node need: what the user asked for, crictl, and the run's marks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from pytest_gpu.cluster.crictl.tool import (
    Crictl,
    Shell,
)
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.sandbox.config_files import (
    Mark,
)
from pytest_gpu.stack.sandbox.sandboxes import SandboxFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """What the user asked for about sandboxes.

    ``image`` is the suite's image; ``crictl`` a program to copy to a node that has none; ``owner``
    and ``run`` mark what is created, which may be swept ``seconds`` later. Nothing more is
    started once ``stop`` is set.
    """

    files: SandboxFiles
    image: str
    run: str
    owner: str
    crictl: Path | None = None
    seconds: float = 300.0
    stop: Event = field(default_factory=Event)


@dataclass(kw_only=True)
class Bench:
    """What one node's sandboxes need; ``number`` and ``name`` are those of the latest one."""

    node: Node
    crictl: Crictl
    wishes: SandboxOptions
    mark: Mark
    folder: str
    image: str
    number: int = 0
    name: str = ""

    @property
    def shell(self) -> Shell:
        """The node."""
        return self.crictl.shell
