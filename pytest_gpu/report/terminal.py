"""The verdict document as lines for a terminal or a CI log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from pytest_gpu.report import closing, missing_evidence, quiet
from pytest_gpu.report.blocks import Block
from pytest_gpu.report.table import table
from pytest_gpu.report.text import Line, Span
from pytest_gpu.text.visible import is_unicode, visible

_BLOCKS = 20
_NARROWEST, _WIDEST = 80, 120

_BlockOf = Callable[[Mapping[str, Any], str, int], Iterator[Line]]


class Writer(Protocol):
    """The methods needed from a terminal; ``pytest.TerminalReporter`` has them."""

    def write(self, content: str, *, flush: bool = False, **markup: bool) -> None:
        """Write text without a line end."""


def render(
    document: Mapping[str, Any],
    *,
    width: int = 80,
    encoding: str | None = "utf-8",
    verbosity: int = 0,
    beside: Sequence[str] = (),
) -> list[Line]:
    """Return the whole summary: table, a block per cause, what is unproven, and the last line.

    With a ``verbosity`` of -1 (``-q``) a cause has one line instead of a block; below that, each
    node has one line and there is nothing else.

    Lines are at most ``width`` characters (80 at least, 120 at most), except for text to copy and
    for single words that are longer. ``encoding`` is the stream's: if it is not Unicode, the lines
    are pure ASCII. ``beside`` are the names of all nodes of the cluster: a node under test is to be
    told from these, too.
    """
    block = page(width, encoding)
    nodes = document["nodes"]
    if not nodes:
        return [(Span("no GPU node was tested: that proves nothing", "red bold"),)]
    if verbosity < -1:
        return _shown(quiet.per_node(document, block), block)
    parts = (quiet.short if verbosity < 0 else _full)(document, block, beside)
    return _shown(_spaced(parts), block)


def _shown(lines: Iterable[Line], block: Block) -> list[Line]:
    """Return lines as they leave: wrapping may have put ``::`` at the beginning of a line."""
    return [
        tuple(Span(visible(text, unicode=block.unicode, keep="\t"), style) for text, style in line)
        for line in lines
    ]


def page(width: int, encoding: str | None) -> Block:
    """Return what writes on a terminal of this width, in 80 to 120 columns."""
    return Block(min(max(width, _NARROWEST), _WIDEST), unicode=is_unicode(encoding))


def _full(document: Mapping[str, Any], block: Block, beside: Sequence[str]) -> list[Iterable[Line]]:
    nodes = document["nodes"]
    text, style = closing.last(document)
    return [
        _top(document, block, beside),
        *_blocks(document["causes"], block.cause, "cause", block, len(nodes)),
        *_blocks(document["latent"], block.latent, "latent", block, len(nodes)),
        closing.still_open(nodes, "errors", "errors (of the suite, not of a GPU)", block),
        closing.still_open(nodes, "unproven", "unproven (neither passed nor failed)", block),
        missing_evidence.section(nodes, block),
        closing.not_asked(document, block),
        closing.deselected(document, block),
        block.prose(text, style=style),
    ]


def print_lines(lines: Iterable[Line], writer: Writer) -> None:
    """Write rendered lines; whether colours appear is the writer's decision."""
    for line in lines:
        for span in line:
            writer.write(span.text, **dict.fromkeys(span.style.split(), True))
        writer.write("\n")


def plain(lines: Iterable[Line]) -> list[str]:
    """Return rendered lines without styles."""
    return ["".join(span.text for span in line) for line in lines]


def _top(document: Mapping[str, Any], block: Block, beside: Sequence[str]) -> Iterator[Line]:
    yield from closing.header(document, block)
    yield (Span(""),)
    yield from table(document, block.width, unicode=block.unicode, beside=beside)
    yield from closing.legend(document["nodes"], block)


def _blocks(
    causes: Sequence[Mapping[str, Any]], write: _BlockOf, name: str, block: Block, of: int
) -> Iterator[Iterable[Line]]:
    for number, cause in enumerate(causes, 1):
        title = f"{name} {number} of {len(causes)}"
        yield write(cause, title, of) if number <= _BLOCKS else block.short(cause, title)


def _spaced(parts: Iterable[Iterable[Line]]) -> Iterator[Line]:
    """Yield the lines of all parts, with an empty line between parts that have any."""
    started = False
    for part in map(list, parts):
        if part and started:
            yield (Span(""),)
        started = started or bool(part)
        yield from part
