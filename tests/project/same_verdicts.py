"""Prove that a change changed no verdict: compare two checkouts over all that is recorded.

``python tests/project/same_verdicts.py OLD NEW`` takes every sample and recording of the checkout
OLD, and the samples as its tests vary, break and move them. Each is judged by OLD and by NEW, each
with its own ``.venv``; where a layer fails, a second time with ``--gpu-all-layers``. Each recorded
node is also visited. These must be equal:

- the exit codes;
- the JSON reports, but for when the run started and how long it took;
- the questions of each round of a visit, in any order.

Each difference is a line: recording, place, old and new value. The last line counts what was
equal. Exit codes: 0 all equal, 1 something differs, 2 nothing was compared.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

INSIDE = Path(__file__).with_name("inside_checkout.py")

IGNORED = frozenset({"report.run.started", "report.run.duration"})
"""What differs between any two runs."""

NEW = frozenset(
    {"missing", "not_asked", "taken_by", "silent", "not_judged", "not_run", "fix_kinds"}
)
"""Keys that reports of an older checkout do not have: nothing to compare them with."""

ABSENT = "(absent)"
WIDTH = 160
"""Characters of a value that are shown."""

Results = Mapping[str, Mapping[str, Any]]
"""By recording: ``runs`` by their option, ``visits`` by node; as inside_checkout.py writes them."""


@dataclass(frozen=True, slots=True)
class Part:
    """One run, or one round of questions: what it is, and how it differs, if it does."""

    what: str
    kind: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that was compared."""

    recordings: int
    parts: tuple[Part, ...]

    @property
    def lines(self) -> list[str]:
        """Every difference, as a line."""
        return [f"{part.what}: {line}" for part in self.parts for line in part.lines]

    @property
    def code(self) -> int:
        """The exit code; without a run, or without a question, nothing is proven."""
        kinds = {part.kind for part in self.parts}
        return int(bool(self.lines)) if kinds == {"report", "round"} else 2

    def text(self, limit: int) -> str:
        """Return what is printed: so many differences, and the counts."""
        more = len(self.lines) - limit
        rest = [f"and {more} more differences"] if more > 0 else []
        return "\n".join([*self.lines[:limit], *rest, str(self), ""])

    def __str__(self) -> str:
        """Return the counts."""
        reports, rounds = self._count("report"), self._count("round")
        counts = f"{reports} reports equal, {rounds} rounds of questions equal"
        return f"{self.recordings} recordings, {counts}"

    def _count(self, kind: str) -> str:
        parts = [part for part in self.parts if part.kind == kind]
        return f"{sum(not part.lines for part in parts)} of {len(parts)}"


WORDS = frozenset({"check", "fix", "missing", "reason", "requirement", "text", "title", "why"})
"""Keys of a report whose texts are for people to read."""


def without_words(document: Any) -> Any:
    """Return results without texts: verdicts, layers, causes, and where evidence stands."""
    if isinstance(document, Mapping):
        return {key: without_words(each) for key, each in document.items() if key not in WORDS}
    return list(map(without_words, document)) if isinstance(document, list) else document


def compare(old: Results, new: Results) -> Comparison:
    """Compare what two checkouts made of the same recordings."""
    names = sorted({*old, *new})
    parts = (part for name in names for part in _of_recording(name, old.get(name), new.get(name)))
    return Comparison(len(names), tuple(parts))


def _of_recording(name: str, old: Any, new: Any) -> Iterator[Part]:
    old, new = old or {"runs": {}, "visits": {}}, new or {"runs": {}, "visits": {}}
    for option in sorted({*old["runs"], *new["runs"]}):
        lines = _of_run(old["runs"].get(option), new["runs"].get(option))
        yield Part(f"{name} {option}".rstrip(), "report", tuple(lines))
    for node in sorted({*old["visits"], *new["visits"]}):
        both = zip_longest(old["visits"].get(node, ()), new["visits"].get(node, ()))
        for number, (asked, asks) in enumerate(both, start=1):
            what = f"{name}: node {node}: round {number}"
            yield Part(what, "round", tuple(_of_round(asked, asks)))


def _of_run(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> Iterator[str]:
    if old is None or new is None:
        yield f"run by {'OLD' if new is None else 'NEW'} alone"
        return
    yield from differences(old, new)
    # Two runs without a report are equal and prove nothing.
    if old["report"] is None and new["report"] is None:
        yield f"neither wrote a report, exit code {old['exit']}"


def _of_round(old: Sequence[str] | None, new: Sequence[str] | None) -> Iterator[str]:
    if old is None or new is None:
        yield f"asked by {'OLD' if new is None else 'NEW'} alone"
        return
    for title, more, less in (("not asked any more", old, new), ("newly asked", new, old)):
        yield from (f"{title}: {what}" for what in (Counter(more) - Counter(less)).elements())


def differences(old: object, new: object, path: str = "") -> Iterator[str]:
    """Yield a line for each place where two JSON documents differ, with the old and new value."""
    if old == new or path in IGNORED:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new} - (NEW - old.keys())):
            inner = f"{path}.{key}".lstrip(".")
            yield from differences(old.get(key, ABSENT), new.get(key, ABSENT), inner)
    elif _has_names(old) and _has_names(new):
        yield from differences(_by_name(old), _by_name(new), path)
    elif isinstance(old, list) and isinstance(new, list):
        for number, (one, other) in enumerate(zip_longest(old, new, fillvalue=ABSENT)):
            yield from differences(one, other, f"{path}[{number}]")
    else:
        yield f"{path}: {' -> '.join(_shown(old, new))}"


def _has_names(found: object) -> bool:
    """Return whether this is a list of things with names, such as nodes; their order is free."""
    return isinstance(found, list) and all(
        isinstance(each, Mapping) and isinstance(each.get("name"), str) for each in found
    )


def _by_name(found: Any) -> dict[str, object]:
    return {each["name"]: each for each in found}


def _shown(*values: object) -> Iterator[str]:
    """Yield values as text of one line each, cut to where they begin to differ."""
    texts = [str(each) if each == ABSENT else json.dumps(each) for each in values]
    same = next((n for n, each in enumerate(zip(*texts, strict=False)) if len({*each}) > 1), 0)
    start = max(0, same - WIDTH // 2)
    for text in texts:
        head, tail = "…" if start else "", "…" if len(text) > start + WIDTH else ""
        yield f"{head}{text[start : start + WIDTH]}{tail}"


class NotCompared(Exception):  # noqa: N818 - what happened, no mistake in the call
    """A checkout could not be asked."""


def results(old: Path, new: Path, only: str) -> tuple[Results, Results]:
    """Return what both checkouts make of the recordings of OLD that ``only`` matches.

    Raises:
        NotCompared: one of them failed; its own words are on stderr.
    """
    if missing := [str(each) for each in map(_python, (old, new)) if not each.exists()]:
        raise NotCompared(f"there is no {' and no '.join(missing)}")
    with tempfile.TemporaryDirectory(prefix="pytest-gpu-same-") as name:
        folder = Path(name)
        inputs, files = folder / "inputs", [folder / "old.json", folder / "new.json"]
        _wait([(old, _start("write", old, inputs, only))])
        # One process for each checkout: that is enough for two cores.
        both = zip((old, new), files, strict=True)
        _wait([(checkout, _start("judge", checkout, inputs, str(file))) for checkout, file in both])
        first, second = (json.loads(file.read_text(encoding="utf-8")) for file in files)
    return first, second


def _start(part: str, checkout: Path, folder: Path, argument: str) -> subprocess.Popen[bytes]:
    # Without -P the modules beside the script would come before those of the checkout.
    return subprocess.Popen([_python(checkout), "-P", INSIDE, part, checkout, folder, argument])


def _python(checkout: Path) -> Path:
    return checkout / ".venv/bin/python"


def _wait(started: Sequence[tuple[Path, subprocess.Popen[bytes]]]) -> None:
    codes = [(checkout, process.wait()) for checkout, process in started]
    for checkout, code in codes:
        if code:
            raise NotCompared(f"{checkout}: exit code {code} of {INSIDE.name}")


def main() -> int:
    """Compare, print, and return the exit code."""
    options = _parser().parse_args()
    try:
        both = results(options.old.resolve(), options.new.resolve(), options.only)
        found = compare(*map(without_words, both) if options.reworded else both)
    except NotCompared as error:
        sys.stderr.write(f"nothing was compared: {error}\n")
        return 2
    sys.stdout.write(found.text(options.limit))
    return found.code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", type=Path, metavar="OLD", help="checkout whose recordings count")
    parser.add_argument("new", type=Path, metavar="NEW", help="checkout that must judge the same")
    parser.add_argument("--only", metavar="GLOB", default="*", help="recordings, such as '*rke2*'")
    parser.add_argument(
        "--reworded", action="store_true", help="texts may differ: titles, fixes, reasons, evidence"
    )
    parser.add_argument("--limit", type=int, default=100, help="differences shown (default: 100)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
