"""One round of questions to a node, as data: what the probe is asked, and how it is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Key = tuple[str, object]
"""A question without its limits: its kind, and the path, pattern or argument list."""

FILE_LIMIT = 1 << 20
"""Bytes of one file."""

COMMAND_TIME = 10.0
NVML_TIME = 20.0
"""Seconds; NVML on a machine with sixteen GPUs and no persistence daemon takes up to fifteen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What is asked in one round.

    ``read``, ``tail`` and ``glob`` map paths (patterns) to the bytes of a file that are sent; files
    that match a pattern are read, too. ``run`` maps argument lists to seconds. ``nvml`` are the
    paths where NVML's library may be; ``None``: NVML is not asked. ``errors`` are our own bugs, by
    the check that raised them while the questions were worked out.
    """

    list: tuple[str, ...] = ()
    stat: tuple[str, ...] = ()
    glob: Mapping[str, int]
    read: Mapping[str, int]
    tail: Mapping[str, int]
    elf: tuple[str, ...] = ()
    run: Mapping[tuple[str, ...], float]
    nvml: tuple[str, ...] | None = None
    errors: Mapping[str, str] = field(default_factory=dict)

    def keys(self) -> frozenset[Key]:
        """Return every question without its limits."""
        return frozenset(self._keys())

    def _keys(self) -> Iterator[Key]:
        for kind in ("list", "stat", "glob", "read", "tail", "elf", "run"):
            yield from ((kind, what) for what in getattr(self, kind))
        if self.nvml is not None:
            yield "nvml", None

    def as_json(self, number: int) -> Mapping[str, Any]:
        """Return the line that the probe reads, in plain JSON types."""
        asked: dict[str, Any] = {
            "round": number,
            "list": list(self.list),
            "stat": list(self.stat),
            "glob": [{"pattern": path, "limit": limit} for path, limit in self.glob.items()],
            "read": [{"path": path, "limit": limit} for path, limit in self.read.items()],
            "tail": [{"path": path, "limit": limit} for path, limit in self.tail.items()],
            "elf": list(self.elf),
            "run": [{"argv": list(argv), "timeout": time} for argv, time in self.run.items()],
        }
        if self.nvml is not None:
            asked["nvml"] = {"timeout": NVML_TIME, "libraries": list(self.nvml)}
        return asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked so far, in how many rounds."""

    rounds: int = 0
    keys: frozenset[Key] = frozenset()

    def also(self, questions: Questions) -> Asked:
        """Return a copy with one more round."""
        return Asked(rounds=self.rounds + 1, keys=self.keys | questions.keys())
