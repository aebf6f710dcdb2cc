"""The end of the summary: the legend, what is unproven, and the one-line verdict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pytest_gpu.asked import by
from pytest_gpu.layers import Layer
from pytest_gpu.report.blocks import Block
from pytest_gpu.report.findings import nameless
from pytest_gpu.report.next_steps import with_next_step
from pytest_gpu.report.text import Line, Span
from pytest_gpu.text.naming import count

_REASONS = 15
_LEGEND = {
    "blocked": "blocked: not tried, a lower layer of the node fails",
    "unproven": "unproven: could not be decided",
    "implied": "implied: not tried, but an ordinary pod passed through it",
    "latent": "latent: works now, breaks later",
    "not-run": "not-run: the run ended before all tests of the layer had run",
    "skipped": "skipped: no test was run",
    "not-asked": "-: not asked",
}
_PLURALS = {"error": "errors"}
_TOP = str(max(Layer))

Node = Mapping[str, Any]


def header(document: Mapping[str, Any], block: Block) -> Iterator[Line]:
    """Yield what was judged: cluster, versions, distributions, and when it was seen."""
    cluster = document["cluster"]
    names = {node["distribution"] for node in document["nodes"]} - {None}
    facts = [
        cluster["title"],
        cluster["kubernetes_version"] and f"Kubernetes {cluster['kubernetes_version']}",
        ", ".join(sorted(names)),
    ]
    what, when = " · ".join(filter(None, facts)), f"seen {document['run']['taken']}"
    lines = [f"{what} · {when}"] if len(what) + len(when) + 3 <= block.width else [what, when]
    for line in lines:
        yield from block.prose(line, hanging="  ")


def legend(nodes: Sequence[Node], block: Block) -> Iterator[Line]:
    """Yield what the words of the table mean, for the words that need it and occur."""
    states = {cell["state"] for node in nodes for cell in node["layers"].values()}
    found = [text for state, text in _LEGEND.items() if state in states]
    if any(node["not_asked"] for node in nodes):
        found.append("asked n/m: only n of m were asked, and passed")
    if any(node["cause"] for node in nodes):
        found.append("#: number of the cause below")
    yield from block.prose("; ".join(found), style="light")


def still_open(nodes: Sequence[Node], key: str, title: str, block: Block) -> Iterator[Line]:
    """Yield the nodes' ``unproven`` or ``errors``, one entry per reason, the lowest layers first.

    What is unproven below is often why the rest is. A reason for whole layers stands once for the
    nodes that share all these layers.
    """
    reasons: dict[tuple[str, tuple[str, ...]], list[tuple[str, Mapping[str, Any]]]] = {}
    for node in nodes:
        for entry in node[key]:
            reason = nameless(entry["reason"], node["name"])
            layers = () if entry["test"] else _layers_of(node[key], entry["reason"])
            reasons.setdefault((reason, layers), []).append((node["name"], entry))
    if not reasons:
        return
    yield (Span(f"{title}:", "yellow bold"),)
    ordered = sorted(reasons.items(), key=lambda item: (_lowest(item[1]), -len(item[1])))
    for (reason, _), members in ordered[:_REASONS]:
        told = _told(reason, members, helps=key == "unproven")
        yield from block.prose(_reason(told, members, block), "  ", "    ")
    if len(ordered) > _REASONS:
        yield from block.prose(f"and {count(len(ordered) - _REASONS, 'more reason')}", "  ")


def _lowest(members: Sequence[tuple[str, Mapping[str, Any]]]) -> int:
    """Return the number of the lowest layer for which there is a reason, 0 if it has none."""
    return min(Layer.parse(entry["layer"]) if entry["layer"] else 0 for _, entry in members)


def _layers_of(entries: Sequence[Mapping[str, Any]], reason: str) -> tuple[str, ...]:
    """Return the layers for which a node has this reason, the lowest first."""
    return _ordered(entry["layer"] for entry in entries if entry["reason"] == reason)


def _ordered(layers: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({layer for layer in layers if layer}, key=Layer.parse))


def _told(reason: str, members: Sequence[tuple[str, Mapping[str, Any]]], *, helps: bool) -> str:
    """Return a reason with the node's own name if it is that of one, and with what helps."""
    names = {name for name, _ in members}
    text: str = members[0][1]["reason"] if len(names) == 1 else reason
    return with_next_step(text) if helps else text


def _reason(text: str, members: Sequence[tuple[str, Mapping[str, Any]]], block: Block) -> str:
    names = list(dict.fromkeys(name for name, _ in members))
    layers = _ordered(entry["layer"] for _, entry in members)
    tests = list(dict.fromkeys(entry["test"] for _, entry in members if entry["test"]))
    what = tests[0] if len(tests) == 1 else count(len(tests), "test") if tests else ""
    where = "every layer" if len(layers) == len(Layer) else ", ".join(layers)
    told = f"{what} ({where})" if what and where else what or where
    return f"{text} - {f'{told} on ' if told else ''}{block.names(names)}"


def not_asked(document: Mapping[str, Any], block: Block) -> Iterator[Line]:
    """Yield the questions that the recording does not answer, a line per layer."""
    tests: dict[str, dict[str, None]] = {}
    for node in document["nodes"]:
        for entry in node["not_asked"]:
            tests.setdefault(entry["layer"], {})[entry["test"]] = None
    if not tests:
        return
    taken_by = by(document["run"]["taken_by"])
    title = f"not asked (the recording was taken by {taken_by}, which did not look at these):"
    yield from block.prose(title, style="yellow bold")
    for layer in sorted(tests, key=Layer.parse):
        told = f"{count(len(tests[layer]), 'test')} ({layer}): {', '.join(tests[layer])}"
        yield from block.prose(told, "  ", "    ")


def last(document: Mapping[str, Any]) -> tuple[str, str]:
    """Return the one-line verdict on the run, and its style."""
    summary = document["summary"]
    parts = [
        _part(document, "conform", "conforms", _extent(document)),
        _part(document, "fail", "fails", f" ({count(summary['causes'], 'cause')})"),
        _part(document, "error", "error"),
        _part(document, "unproven", "unproven", _allowed(document)),
    ]
    text = f"{count(summary['nodes'], 'node')}: {', '.join(filter(None, parts))}"
    if summary["latent"]:
        text += f"; {count(summary['latent'], 'latent finding')}"
    if summary["not_asked"]:
        text += f"; {count(summary['not_asked'], 'requirement')} not asked"
    if summary["not_run"]:
        text += f"; {count(summary['not_run'], 'test')} not run"
    return text, _style(summary)


def deselected(document: Mapping[str, Any], block: Block) -> Iterator[Line]:
    """Yield a warning where the verdict rests on a part of the suite only."""
    left_out = document["run"]["deselected"]
    if left_out:
        covered = "only what was run"
        if any(cause["silent"] for cause in document["causes"]):
            covered = "what was run and what had to be judged for it"
        text = f"{count(left_out, 'test')} deselected: the verdict covers {covered}"
        yield from block.prose(text, style="yellow")


def _part(document: Mapping[str, Any], key: str, one: str, more: str = "") -> str:
    number, total = document["summary"][key], document["summary"]["nodes"]
    if not number:
        return ""
    verb = one if number == 1 else _PLURALS.get(key, key)
    return f"{verb}{more}" if total == 1 else f"{number} {verb}{more}"


def _allowed(document: Mapping[str, Any]) -> str:
    return " (allowed)" if document["run"]["allow_unproven"] else ""


def _extent(document: Mapping[str, Any]) -> str:
    """Return up to which layer conforming nodes were tested, empty if on all layers."""
    asked = document["run"]["layers_asked"]
    nodes = [node for node in document["nodes"] if node["verdict"] == "conforms"]
    reached = {node["conforms_up_to"] for node in nodes}
    if reached == {_TOP}:
        return ""
    if any(node["not_asked"] for node in nodes):
        lowest = min((Layer.parse(layer) for layer in reached if layer), default=None)
        return f" up to {lowest}" if lowest and None not in reached else " in what was asked"
    highest = max(asked, key=Layer.parse, default=_TOP)
    if reached == {highest}:
        return f" up to {highest}"
    return f" in what was asked ({', '.join(asked)})"


def _style(summary: Mapping[str, int]) -> str:
    if summary["fail"] or summary["error"]:
        return "red bold"
    return "yellow bold" if summary["unproven"] else "green bold"
