"""What a hostile input is: how it is made, how it is given to a run, and what is right."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Family = Literal["recordings", "nodes", "API", "texts"]
FAMILIES: tuple[Family, ...] = ("recordings", "nodes", "API", "texts")


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a run is given: arguments after `python -m pytest`, and more environment variables."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


Start = Callable[[Path], AbstractContextManager[Given]]
"""Makes an input in an empty folder, and keeps what it needs (a server) until the run has ended."""


@dataclass(frozen=True, kw_only=True)
class Input:
    """One hostile input and what is right for it.

    ``exit`` is the right exit code and ``says`` a part of the output, whose white space does not
    matter. ``hurt`` is the layer that must not pass on all nodes; where it is empty, only the exit
    code tells a green run. ``nodes_judged`` are nodes that the report must have, with a verdict:
    one bad node costs one node.
    """

    name: str
    family: Family
    start: Start
    exit: int
    says: str
    hurt: str = ""
    nodes_judged: Mapping[str, str] = field(default_factory=dict)


def made(make: Callable[[Path], tuple[str, ...]]) -> Start:
    """Return the start of an input that is only files: the function writes them."""

    @contextmanager
    def start(folder: Path) -> Iterator[Given]:
        yield Given(arguments=make(folder))

    return start
