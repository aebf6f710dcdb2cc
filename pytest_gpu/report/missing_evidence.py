"""The section that names, node by node, what unproven tests need of the evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_gpu.report.blocks import Block
from pytest_gpu.report.text import Line, Span

MAX_SHOWN = 20
"""Most things of one kind that are shown; the JSON report has all."""

MAX_GROUPS = 5

_KINDS = (
    ("file ", "files"),
    ("the complete listing of ", "directories, listed whole"),
    ("the ELF header of ", "ELF headers"),
    ("/", "whether there is"),
    ("the list of ", "Kubernetes resources"),
    ("", "other"),
)
"""How the text of a thing begins, and the heading for such things."""


def section(nodes: Sequence[Mapping[str, Any]], block: Block) -> Iterator[Line]:
    """Yield what is missing, once for all nodes that lack the same things."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for node in nodes:
        if node["missing"]:
            groups.setdefault(tuple(node["missing"]), []).append(node["name"])
    if not groups:
        return
    title = "missing from the evidence, as far as known (add it, or list it as absent):"
    yield (Span(title, "yellow bold"),)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    for things, names in ordered[:MAX_GROUPS]:
        yield from block.prose(f"{block.names(names)}:", "  ")
        for kind, members in _by_kind(things).items():
            yield from block.prose(f"{kind}: {_some(members)}", "    ", "      ")
    if len(ordered) > MAX_GROUPS:
        yield from block.prose("other nodes: --gpu-report=FILE.json has all", "  ")


def _by_kind(things: Sequence[str]) -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = {}
    for thing in things:
        start, kind = next(each for each in _KINDS if thing.startswith(each[0]))
        shown = thing if start == "/" else thing.removeprefix(start)
        found.setdefault(kind, []).append(shown)
    return found


def _some(members: Sequence[str]) -> str:
    rest = len(members) - MAX_SHOWN
    shown = ", ".join(members[:MAX_SHOWN])
    return f"{shown} and {rest} more (--gpu-report=FILE.json has all)" if rest > 0 else shown
