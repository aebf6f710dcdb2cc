"""The summary with ``-q`` and ``-qq``: a table and a line per cause, or a line per node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pytest_gpu.layers import Layer
from pytest_gpu.report import closing
from pytest_gpu.report.blocks import Block
from pytest_gpu.report.table import table
from pytest_gpu.report.text import Line, Span
from pytest_gpu.text.naming import count
from pytest_gpu.text.visible import visible

_STYLES = {"fails": "red", "error": "red", "unproven": "yellow", "conforms": "green"}

Entry = Mapping[str, Any]


def short(document: Entry, block: Block, beside: Sequence[str]) -> list[Iterable[Line]]:
    """Return the parts of the summary with ``-q``: no blocks, no explanations."""
    nodes = document["nodes"]
    text, style = closing.last(document)
    return [
        table(document, block.width, unicode=block.unicode, beside=beside),
        _causes(document["causes"], "cause", block),
        _causes(document["latent"], "latent", block),
        closing.still_open(nodes, "errors", "errors (of the suite, not of a GPU)", block),
        closing.still_open(nodes, "unproven", "unproven (neither passed nor failed)", block),
        closing.deselected(document, block),
        block.prose(text, style=style),
    ]


def per_node(document: Entry, block: Block) -> Iterator[Line]:
    """Yield the summary with ``-qq``: one line per node, for other programs to cut up."""
    for node in document["nodes"]:
        line = visible(f"{node['name']}: {_verdict(node)}", unicode=block.unicode, keep="")
        yield (Span(line, _STYLES[node["verdict"]]),)


def _causes(causes: Sequence[Entry], name: str, block: Block) -> Iterator[Line]:
    """Yield a line per cause, which is not wrapped."""
    for number, cause in enumerate(causes, 1):
        where = f"layer {cause['layer']}, {block.names(cause['nodes'])}"
        line = f"{name} {number}: {cause['title']} ({cause['id']}; {where})"
        yield (
            Span(
                visible(line, unicode=block.unicode, keep=""),
                "red" if name == "cause" else "yellow",
            ),
        )


def _verdict(node: Entry) -> str:
    if node["verdict"] == "fails":
        return f"fails at {node['layer']}: {node['title']} ({node['cause']})"
    if node["verdict"] == "conforms":
        reached = node["conforms_up_to"]
        if reached == str(max(Layer)):
            return "conforms"
        return f"conforms up to {reached}" if reached else "conforms in what was asked"
    entries = node["errors" if node["verdict"] == "error" else "unproven"]
    reasons = list(dict.fromkeys(entry["reason"] for entry in entries))
    more = f" and {count(len(reasons) - 1, 'more reason')}" if len(reasons) > 1 else ""
    return f"{node['verdict']}: {' '.join(reasons[0].split())}{more}"
