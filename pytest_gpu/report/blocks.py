"""One block per root cause: what is wrong, where, the evidence, why, and the fix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from pytest_gpu.report.names import fold
from pytest_gpu.report.text import Line, Span, age, cut, cut_inside, wrap
from pytest_gpu.text.naming import WAITING, count
from pytest_gpu.text.visible import visible

_EVIDENCE = 12
_EVIDENCE_LINES = 6
_LONGEST_LINE = 300
_PODS = 10
_NAMES = 240
_JSON = "--gpu-report=FILE.json has all"


class Block:
    """Writes blocks of one width for one kind of terminal."""

    def __init__(self, width: int, *, unicode: bool) -> None:
        self.width = width
        self.unicode = unicode

    def cause(self, cause: Mapping[str, Any], title: str, of: int) -> Iterator[Line]:
        """Yield the block of one root cause; ``of`` is how many nodes were tested."""
        yield self._rule(title, f"{len(cause['nodes'])} of {count(of, 'node')}")
        yield from self._head(cause, "red bold")
        yield from self._below(cause)
        yield from self._evidence(cause)
        yield from self._paragraph("why", cause["why"])
        yield from self._also_seen(cause)
        yield from self._fix(cause)
        yield from self._pods(cause)
        yield from self._more(cause)

    def latent(self, cause: Mapping[str, Any], title: str, of: int) -> Iterator[Line]:
        """Yield the block of something that works now and breaks later."""
        yield self._rule(title, f"{len(cause['nodes'])} of {count(of, 'node')}")
        yield from self._head(cause, "yellow bold")
        yield from self._evidence(cause)
        yield from self._paragraph("why", cause["why"])
        yield from self._fix(cause)
        yield from self._more(cause)

    def short(self, cause: Mapping[str, Any], title: str) -> Iterator[Line]:
        """Yield a short entry for a cause that has no room for a block."""
        text = f"{title}: {cause['title']} ({cause['id']}) on {self.names(cause['nodes'])}"
        yield from self.prose(text, hanging="  ")

    def names(self, names: Sequence[str]) -> str:
        """Return names as ranges; if there are very many, only the first ones."""
        folded = fold(names)
        shown = ""
        for position, name in enumerate(folded):
            longer = f"{shown}, {name}" if shown else name
            if shown and len(longer) > _NAMES:
                return f"{shown} and {len(folded) - position} more ({_JSON})"
            shown = longer
        return cut(shown, 3 * _NAMES)

    def prose(
        self, text: str, indent: str = "", hanging: str | None = None, style: str = ""
    ) -> Iterator[Line]:
        """Yield wrapped text."""
        clean = visible(" ".join(text.split()), unicode=self.unicode)
        for line in wrap(clean, self.width, indent, hanging):
            yield (Span(line, style),)

    def _rule(self, left: str, right: str) -> Line:
        dash = "─" if self.unicode else "-"
        filling = max(2, self.width - len(left) - len(right) - 2)
        return (Span(f"{left} {dash * filling} {right}", "bold"),)

    def _head(self, cause: Mapping[str, Any], style: str) -> Iterator[Line]:
        yield from self.prose(cause["title"], style=style)
        yield from self.prose(f"cause: {cause['id']} (layer {cause['layer']})", "  ")
        yield from self.prose(f"nodes: {self.names(cause['nodes'])}", "  ", " " * 9)

    def _below(self, cause: Mapping[str, Any]) -> Iterator[Line]:
        """Yield what a reader must know of the lower layers, if not all of them were asked for."""
        if cause["silent"]:
            text = "not asked for, but judged, too: what was asked for depends on it"
            yield from self.prose(text, "  ", "    ")
        if not cause["not_judged"]:
            return
        yield (Span("  lower layers that were not judged:", "yellow bold"),)
        for layer, entries in groupby(cause["not_judged"], lambda entry: entry["layer"]):
            reasons = [entry["reason"] for entry in entries]
            more = f" (and {count(len(reasons) - 1, 'more reason')})" if len(reasons) > 1 else ""
            yield from self.prose(f"{layer}: {reasons[0]}{more}", "    ", " " * 6)
        yield from self.prose("a fault there may be the cause of this one", "    ")

    def _paragraph(self, name: str, text: str) -> Iterator[Line]:
        if text.strip():
            yield (Span(f"  {name}:", "bold"),)
            yield from self.prose(text, "    ")

    def _evidence(self, cause: Mapping[str, Any]) -> Iterator[Line]:
        items = cause["evidence"]
        if not items:
            return
        of = f" of {cause['evidence_of']}" if len(cause["nodes"]) > 1 else ""
        yield (Span(visible(f"  evidence{of}:", unicode=self.unicode), "bold"),)
        for item in items[:_EVIDENCE]:
            yield from self._item(item)
        if len(items) > _EVIDENCE:
            yield from self.prose(f"and {len(items) - _EVIDENCE} more ({_JSON})", "    ")

    def _item(self, item: Mapping[str, Any]) -> Iterator[Line]:
        """Yield ``source:line: text``, the text below its source where one line is too short."""
        number = "" if item["line"] is None else f":{item['line']}"
        where = f"{' '.join(item['source'].split())}{number}:"
        found = (line.strip() for line in item["text"].splitlines() if line)
        lines = [cut_inside(line, _LONGEST_LINE) for line in found]
        if len(lines) == 1 and len(where) + len(lines[0]) + 5 <= self.width:
            yield from self.prose(f"{where} {lines[0]}", "    ", " " * 6)
            return
        yield from self.prose(where, "    ", " " * 6)
        for line in lines[:_EVIDENCE_LINES]:
            yield from self.prose(line, " " * 6, " " * 8)
        if len(lines) > _EVIDENCE_LINES:
            left = count(len(lines) - _EVIDENCE_LINES, "more line")
            yield from self.prose(f"and {left} ({_JSON})", " " * 6)

    def _also_seen(self, cause: Mapping[str, Any]) -> Iterator[Line]:
        if not cause["also_seen"]:
            return
        yield (Span("  also seen there:", "bold"),)
        for other in cause["also_seen"]:
            where = f" on {count(len(other['nodes']), 'node')}" if len(cause["nodes"]) > 1 else ""
            text = f"{other['title']} ({other['cause']}){where}"
            yield from self.prose(text, "    ", " " * 6)

    def _fix(self, cause: Mapping[str, Any]) -> Iterator[Line]:
        if not cause["fix"]:
            return
        yield (Span("  fix:", "bold"),)
        for entry in cause["fix"]:
            apart = [(Span(""),)] if "\n" in entry else []
            yield from (*apart, *self._step(entry), *apart)

    def _step(self, entry: str) -> Iterator[Line]:
        """Yield one step. Text to copy is never wrapped, whatever its length.

        Commands and files of several lines start in the first column: a copied here-document
        ends only at an unindented word, and a diff applies only as it is.
        """
        command = entry.removeprefix("$ ")
        if "\n" in entry:
            yield from self._copied(command.strip("\n").split("\n"))
        elif command != entry:
            yield (Span(f"      {self._verbatim(command)}", "cyan"),)
        elif entry[:1].isspace():
            yield (Span(f"      {self._verbatim(entry)}"),)
        else:
            yield from self.prose(entry, "    ")

    def _copied(self, lines: Sequence[str]) -> Iterator[Line]:
        is_diff = lines[0].startswith(("--- ", "sudo patch "))
        for line in lines:
            style = {"+": "green", "-": "red"}.get(line[:1], "") if is_diff else ""
            yield (Span(self._verbatim(line), style),)

    def _verbatim(self, text: str) -> str:
        return visible(text, unicode=self.unicode, keep="\t")

    def _pods(self, cause: Mapping[str, Any]) -> Iterator[Line]:
        pods = cause["waiting_pods"]
        if pods is None:
            yield from self.prose("pods that wait: not in the evidence", "  ")
        told = _told(cause["evidence"][:_EVIDENCE])
        pods = [pod for pod in pods or () if pod["name"] not in told]
        if not pods:
            return
        # Not "because of it": they are all GPU pods that wait there, whatever each waits for.
        where = "this node" if len(cause["nodes"]) == 1 else "these nodes"
        yield (Span(f"  GPU pods that wait on {where}:", "bold"),)
        rows = [self._pod(pod) for pod in pods[:_PODS]]
        state, old = (max(len(row[column]) for row in rows) for column in (0, 1))
        for row in rows:
            start = f"    {row[0]:{state}}  {row[1]:{old}}"
            if len(start) + 2 + len(row[2]) <= self.width:
                yield (Span(f"{start}  {row[2]}"),)
            else:
                yield (Span(start.rstrip()),)
                yield (Span(f"      {row[2]}"),)
        if len(pods) > _PODS:
            yield from self.prose(f"and {len(pods) - _PODS} more ({_JSON})", "    ")

    def _pod(self, pod: Mapping[str, Any]) -> tuple[str, str, str]:
        """Return state, age and name; the name is last because it may be of any length."""
        state, name = (
            visible(text, unicode=self.unicode, keep="")
            for text in (pod["state"], f"{pod['namespace']}/{pod['name']}")
        )
        return state, age(pod["age_seconds"]), name

    def _more(self, cause: Mapping[str, Any]) -> Iterator[Line]:
        # A command to copy stays on one line.
        yield (Span(f"  more: pytest --gpu-explain={self._verbatim(cause['id'])}"),)


def _told(evidence: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Return the names of pods that the evidence shows as waiting, with their states."""
    return frozenset(
        name.partition(" (")[0]
        for item in evidence
        if item["source"] == WAITING
        for name in item["text"].split(", ")
    )
