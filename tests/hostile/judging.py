"""What is wrong with a run over a hostile input."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.hostile.child import Ran
from tests.hostile.inputs import Input
from tests.support.hostile_text import harmful

Kind = Literal["exit", "line", "traceback", "time", "memory", "escape", "green", "left", "node"]

REPORT = "report.json"
WRITTEN = frozenset({REPORT, "junit.xml", "allure"})
"""What a run is asked to write into its folder; anything else there is not wanted."""

BUGS = ("Traceback", "INTERNALERROR", "MemoryError", "RecursionError", "Segmentation fault")
"""What only our own faults print."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a run may take."""

    seconds: float = 5
    memory: int = 512 * 2**20


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that is wrong with a run."""

    kind: Kind
    what: str


def judge(each: Input, ran: Ran, folder: Path, limits: Limits) -> tuple[Fault, ...]:
    """Return what is wrong with a run, whose files are in a folder."""
    text = ran.printed.decode(errors="replace")
    report = _report(folder)
    return (
        *_wrong_answer(each, ran, text),
        *_bugs(text, report),
        *_costs(ran, limits),
        *_escapes(ran.printed, folder),
        *_green(each, ran, report),
        *_other_nodes(each, report),
        *_left(folder),
    )


def _wrong_answer(each: Input, ran: Ran, text: str) -> Iterator[Fault]:
    if ran.exit != each.exit:
        yield Fault(kind="exit", what=f"exit code {ran.exit}, not {each.exit}: {_last(text)}")
    if not each.says.strip() or _joined(each.says) not in _joined(text):
        yield Fault(kind="line", what=f"does not say {each.says!r}: {_last(text)}")


def _bugs(text: str, report: Any) -> Iterator[Fault]:
    yield from (Fault(kind="traceback", what=f"prints {bug}") for bug in BUGS if bug in text)
    for node in _nodes(report):
        for layer, counts in node["layers"].items():
            if counts["error"]:
                yield Fault(kind="traceback", what=f"{layer} has an error of our own: {_e(text)}")


def _costs(ran: Ran, limits: Limits) -> Iterator[Fault]:
    if ran.seconds > limits.seconds:
        yield Fault(kind="time", what=f"takes {ran.seconds:.1f} s ({ran.cpu:.1f} s of CPU)")
    if ran.peak > limits.memory:
        yield Fault(kind="memory", what=f"takes {ran.peak >> 20} MiB")


def _escapes(printed: bytes, folder: Path) -> Iterator[Fault]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    written = {"output": printed} | {path.name: path.read_bytes() for path in files}
    for name, content in written.items():
        try:
            found = [*harmful(content.decode())]
        except UnicodeDecodeError as error:
            found = [f"not UTF-8: {error}"]
        yield from (Fault(kind="escape", what=f"{name}: {what[:200]}") for what in found[:1])


def _green(each: Input, ran: Ran, report: Any) -> Iterator[Fault]:
    if each.exit and not ran.exit:
        yield Fault(kind="green", what="exit code 0")
    states = [node["layers"][each.hurt]["state"] for node in _nodes(report) if each.hurt]
    if states and all(state == "passed" for state in states):
        yield Fault(kind="green", what=f"layer {each.hurt} passed")


def _other_nodes(each: Input, report: Any) -> Iterator[Fault]:
    found = {node["name"]: node["verdict"] for node in _nodes(report)}
    for name, verdict in each.nodes_judged.items():
        if found.get(name) != verdict:
            yield Fault(kind="node", what=f"{name} is {found.get(name)}, not {verdict}")


def _left(folder: Path) -> Iterator[Fault]:
    for name in sorted({path.name for path in folder.iterdir()} - WRITTEN):
        yield Fault(kind="left", what=f"leaves {name!r}")


def _report(folder: Path) -> Any:
    path = folder / REPORT
    return json.loads(path.read_bytes()) if path.exists() else {}


def _nodes(report: Any) -> list[Any]:
    return [node for node in report.get("nodes", []) if node["layers"]]


def _joined(text: str) -> str:
    """Return a text without its white space: long lines are wrapped anywhere."""
    return "".join(text.split())


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return ascii(lines[-1][:300]) if lines else "(nothing printed)"


def _e(text: str) -> str:
    errors = [line for line in text.splitlines() if line.startswith("E  ")]
    return ascii(errors[0][:200]) if errors else _last(text)
