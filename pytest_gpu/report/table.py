"""The table of nodes and layers, kept short for fleets of any size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_gpu.layers import Layer
from pytest_gpu.report.names import fit, fold
from pytest_gpu.report.text import Line, Span
from pytest_gpu.text.naming import count
from pytest_gpu.text.visible import visible

ROWS = 20
"""The most rows a table has, without its heading."""

_HEADINGS = {Layer.DEVICE_PLUGIN: "plugin", Layer.RUNTIMECLASS_POD: "pod"}
_WORDS = {"passed": "ok", "failed": "FAIL", "error": "ERROR", "not-asked": "-"}
_COUNTED = frozenset({"passed", "failed", "error", "unproven", "not-run"})
_STYLES = {
    "ok": "green",
    "implied": "green",
    "FAIL": "red bold",
    "ERROR": "red bold",
    "unproven": "yellow",
    "skipped": "yellow",
    "latent": "yellow",
    "asked": "yellow",
    "not-run": "yellow",
}
_SEVERITY = ("fails", "error", "unproven", "conforms")
_SHORTEST_NAME = 14

Node = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Nodes that share a line of the table; ``mark`` is the number of their root cause."""

    nodes: tuple[str, ...]
    cells: tuple[str, ...]
    mark: str

    def without_counts(self, *words: str) -> Row:
        """Return the row without ``n/m`` in cells that say one of the words, or in all."""
        split = ((cell, cell.partition(" ")[0]) for cell in self.cells)
        return replace(
            self, cells=tuple(word if word in words or not words else cell for cell, word in split)
        )


def table(
    document: Mapping[str, Any], width: int, *, unicode: bool, beside: Sequence[str] = ()
) -> list[Line]:
    """Return heading, rows and, where rows had to be left out, a line that says so."""
    nodes: Sequence[Node] = document["nodes"]
    rows = _fitting(_rows(nodes, _marks(document)), width)
    fitted = fit([node["name"] for node in nodes], _room(rows, width), beside)
    labels = _labels(rows, fitted, _room(rows, width), unicode=unicode)
    columns = [max(map(len, labels)), *_widths(rows)]
    lines = [_heading(columns)]
    lines += [_line(row, label, columns) for row, label in zip(rows, labels, strict=True)]
    left = len(nodes) - sum(len(row.nodes) for row in rows)
    if left:
        lines.append((Span(f"and {count(left, 'more node')} in the same or a better state"),))
    return lines


def cell_text(cell: Mapping[str, Any]) -> str:
    """Return what a cell says, such as ``ok 6/6``: passed tests of all the layer's tests."""
    word = str(_WORDS.get(cell["state"], cell["state"]))
    if cell["state"] in _COUNTED:
        return f"{word} {cell['passed']}/{cell['total']}"
    if cell["state"] == "not-asked" and cell["passed"]:
        return f"asked {cell['passed']}/{cell['total']}"
    return word


def _marks(document: Mapping[str, Any]) -> dict[str, str]:
    numbered = enumerate(document["causes"], 1)
    return {name: str(number) for number, cause in numbered for name in cause["nodes"]}


def _rows(nodes: Sequence[Node], marks: Mapping[str, str]) -> list[Row]:
    """Return a row per node; of a large fleet a row per kind of node, the worst first."""
    single = [_row(node, marks) for node in nodes]
    if len(single) <= ROWS:
        return single
    verdicts = {node["name"]: _SEVERITY.index(node["verdict"]) for node in nodes}
    single.sort(key=lambda row: (verdicts[row.nodes[0]], int(row.mark or 0)))
    # Each step ignores more differences between nodes: none, the counts, the root cause.
    without_counts = [row.without_counts() for row in single]
    steps = (single, without_counts, [replace(row, mark="") for row in without_counts])
    merged = [_merged(step) for step in steps]
    return next((rows for rows in merged if len(rows) <= ROWS), merged[-1][: ROWS - 1])


def _fitting(rows: list[Row], width: int) -> list[Row]:
    """Return the rows without the counts that must be dropped to make room for names."""
    needed = min(_SHORTEST_NAME, max(len(name) for row in rows for name in row.nodes))
    steps = (rows, [row.without_counts("unproven", "not-run", "ERROR") for row in rows])
    fitting = (step for step in steps if _room(step, width) >= needed)
    return next(fitting, [row.without_counts() for row in rows])


def _row(node: Node, marks: Mapping[str, str]) -> Row:
    cells = tuple(cell_text(node["layers"][str(layer)]) for layer in Layer)
    return Row(nodes=(node["name"],), cells=cells, mark=marks.get(node["name"], ""))


def _merged(rows: Sequence[Row]) -> list[Row]:
    groups: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for row in rows:
        groups.setdefault((row.cells, row.mark), []).extend(row.nodes)
    return [Row(nodes=tuple(n), cells=cells, mark=mark) for (cells, mark), n in groups.items()]


def _widths(rows: Sequence[Row]) -> list[int]:
    """Return the width of every column but the first."""
    headings = [_HEADINGS.get(layer, str(layer)) for layer in Layer]
    cells = zip(headings, *(row.cells for row in rows), strict=True)
    marks = [len(row.mark) for row in rows]
    return [max(map(len, column)) for column in cells] + ([max(marks)] if any(marks) else [])


def _room(rows: Sequence[Row], width: int) -> int:
    """Return the width left for names."""
    return width - sum(1 + column for column in _widths(rows))


def _labels(
    rows: Sequence[Row], fitted: Mapping[str, str], room: int, *, unicode: bool
) -> list[str]:
    labels = []
    for row in rows:
        folded = fold(row.nodes)
        short = folded[0] if len(folded) == 1 else f"{len(row.nodes)} nodes"
        many = short if len(short) <= room else f"{len(row.nodes)} nodes"
        labels.append(fitted[row.nodes[0]] if len(row.nodes) == 1 else many)
    return [visible(label, unicode=unicode, keep="") for label in labels]


def _heading(columns: Sequence[int]) -> Line:
    headings = ["node", *(_HEADINGS.get(layer, str(layer)) for layer in Layer), "#"]
    return (Span(_joined(headings[: len(columns)], columns), "bold"),)


def _line(row: Row, label: str, columns: Sequence[int]) -> Line:
    texts = [label, *row.cells, row.mark][: len(columns)]
    spans: list[Span] = []
    for text, column in zip(texts, columns, strict=True):
        style = _STYLES.get(text.partition(" ")[0], "") if spans else ""
        spans += [Span(text, style), Span(" " * (column - len(text) + 1))]
    return tuple(_trimmed(spans))


def _trimmed(spans: list[Span]) -> list[Span]:
    while spans and not spans[-1].text.strip():
        spans.pop()
    return spans


def _joined(texts: Sequence[str], columns: Sequence[int]) -> str:
    padded = (text.ljust(column) for text, column in zip(texts, columns, strict=True))
    return " ".join(padded).rstrip()
