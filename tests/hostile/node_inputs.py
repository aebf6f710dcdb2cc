"""What a node may answer: through its pod, over ssh, to crictl, and in its GPU pod."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.hostile import hostile_nodes, node_kinds, stub_ssh
from tests.hostile.inputs import Given, Input, Start
from tests.hostile.live import ONE_BAD_NODE, named, serving
from tests.hostile.stub_api import BAD, GOOD
from tests.support.hostile_text import HOSTILE

QUICK = "--gpu-timeout=1"
LESS_QUICK = "--gpu-timeout=2"
"""For a node behind a program that must be started first."""

BOTH: Mapping[str, str] = {BAD: "conforms", GOOD: "conforms"}
FAILS: Mapping[str, str] = {BAD: "fails", GOOD: "conforms"}

HARMLESS = frozenset(
    {
        "garbage before the answers",
        "errors before the answers",
        "every answer twice",
        "version: escapes",
    }
)
"""What changes nothing: the answers are true."""

LEFT = {"pods: a deadline of 5000 digits": "bad-1: sandbox a could not be removed"}
"""What leaves the verdict alone, but the run says that something of it is left."""

DEFINITE = frozenset({"listings with names that lead out", "run: escapes"})
"""What says that there is nothing, or refuses even a control sandbox: definite, in any words."""

OVER_SSH = (
    *("garbage before the answers", "errors before the answers", "half an answer"),
    *("endless line", "endless lines", "endless empty lines", "endless errors", "drip"),
    *("endless errors in lines", "drip of errors", "silence", "a deep line", "no object"),
    *("an error with escapes", "errors with escapes at the end", "times of 400 digits"),
    *("no hello", "endless greeting", "endless errors for a greeting", "a greeting with escapes"),
)


def by_pod() -> Iterator[Input]:
    """Yield hostile answers through a pod."""
    for name, make in hostile_nodes.hostile_nodes().items():
        layers = "runtime" if name in hostile_nodes.CHANGES else "driver"
        options = (QUICK,) if name in node_kinds.HANGING else ()
        yield _input(f"pod: {name}", name, serving(*options, layers=layers, nodes={BAD: make}))


def _input(title: str, name: str, start: Start) -> Input:
    left = LEFT.get(name, "")
    judged = BOTH if left or name in HARMLESS else FAILS if name in DEFINITE else ONE_BAD_NODE
    green = judged is BOTH
    says = left or ("2 conform" if green else "1 fails" if judged is FAILS else "1 unproven")
    return Input(
        name=title,
        family="nodes",
        start=start,
        exit=0 if green and not left else 1,
        says=says,
        nodes_judged=judged,
    )


def by_ssh() -> Iterator[Input]:
    """Yield hostile logins and hostile answers over ssh; no pod can be started instead."""
    for name in (*OVER_SSH, *stub_ssh.LOGINS):
        yield _input(f"ssh: {name.removeprefix('ssh: ')}", name, _over_ssh(name))


def _over_ssh(name: str) -> Start:
    refusals = {BAD: (403, "no pods here")}
    hangs = name in node_kinds.HANGING | stub_ssh.HANGING
    options = (LESS_QUICK,) if hangs else ()
    serve = serving("--gpu-node-shell=ssh", *options, refusals=refusals)

    @contextmanager
    def start(folder: Path) -> Iterator[Given]:
        with serve(folder) as given:
            environment = stub_ssh.install(folder, name)
            yield Given(arguments=given.arguments, environment=environment)

    return start


CRICTL: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "images: null": ("images", {"stdout": "null"}),
    "images: a list": ("images", {"stdout": "[]"}),
    "images: items of null": ("images", {"stdout": '{"images": [null]}'}),
    "images: a text": ("images", {"stdout": '{"images": "x"}'}),
    "images: names that are numbers": ("images", {"stdout": '{"images": [{"repoTags": [7]}]}'}),
    "images: deep": ("images", {"stdout": "[" * 100_000}),
    "images: 3 MiB of brackets": ("images", {"stdout": "[" + "{}," * (1 << 20) + "{}]"}),
    "images: escapes": ("images", {"exit": 1, "stderr": HOSTILE}),
    "pods: items of null": ("pods", {"stdout": '{"items": [null]}'}),
    "pods: a text": ("pods", {"stdout": '{"items": "x"}'}),
    "pods: without an ID": ("pods", {"stdout": '{"items": [{}]}'}),
    "pods: annotations that are a list": (
        "pods",
        {"stdout": '{"items": [{"id": "a", "annotations": [1], "labels": [2]}]}'},
    ),
    "pods: a deadline of 5000 digits": (
        "pods",
        {
            "stdout": '{"items": [{"id": "a", "state": "SANDBOX_READY",'
            ' "annotations": {"pytest-gpu/deadline": "' + "1" * 5000 + '"}}]}'
        },
    ),
    "run: escapes": ("run", {"exit": 1, "stderr": HOSTILE}),
    "run: an exit code that is a text": ("run", {"exit": "0"}),
    "run: an exit code that is true": ("run", {"exit": True}),
    "run: output that is a list": ("run", {"exit": 0, "stdout": ["c1"]}),
    "run: an exit code of 400 digits": ("run", {"exit": node_kinds.HUGE}),
    "run: a duration that is a text": ("run", {"exit": 0, "duration": "long"}),
    "run: 5 MiB": ("run", {"exit": 1, "stderr": "x" * (5 << 20)}),
    "version: escapes": ("--version", {"stdout": f"crictl version v1.2.3{HOSTILE}"}),
    "version: 5 MiB of digits": ("--version", {"stdout": "1" * (5 << 20)}),
}


def by_crictl() -> Iterator[Input]:
    """Yield hostile answers of a node's crictl."""
    for name, (word, how) in CRICTL.items():
        start = serving(
            layers="sandbox",
            nodes={BAD: lambda word=word, how=how: node_kinds.Prints(word, how)},
        )
        yield _input(f"crictl: {name}", name, start)


def _ended(**parts: Any) -> dict[str, Any]:
    ended = {"exitCode": 0, "reason": "Completed", **parts}
    each = {"name": "gpu", "state": {"terminated": ended}}
    return {"phase": "Succeeded", "containerStatuses": [each, {**each, "name": "none"}]}


FATES: Mapping[str, Any] = {
    "a message with escapes": _ended(message=HOSTILE),
    "a message of 1 MiB": _ended(message="x" * (1 << 20)),
    "a message that is a list": _ended(message=["{}"]),
    "a report of null": _ended(message='{"devices": null, "cuda": null}'),
    "a report of numbers": _ended(message='{"devices": 7, "libraries": 7, "cuda": 7}'),
    "a report of lists": _ended(message='{"devices": [[]], "libraries": [{}], "cuda": [1]}'),
    "a report that is deep": _ended(message='{"devices": ' + "[" * 50_000),
    "a report with a number of 400 digits": _ended(
        message=f'{{"devices": [], "libraries": [], "cuda": {{"init": {node_kinds.HUGE}}}}}'
    ),
    "a reason with escapes": _ended(exitCode=1, reason=HOSTILE),
    "no containers": {"phase": "Succeeded"},
    "a phase that is a number": {"phase": 7},
}


def by_gpu_pod() -> Iterator[Input]:
    """Yield hostile states of a GPU pod, which the node's kubelet writes."""
    for name, fate in FATES.items():
        options = (QUICK,) if fate.get("phase") == 7 else ()
        yield Input(
            name=f"GPU pod: {name}",
            family="nodes",
            start=serving(*options, layers="runtimeclass-pod", fates={BAD: fate}),
            exit=1,
            says="bad-1",
            nodes_judged={GOOD: "conforms"},
        )


def node_inputs() -> tuple[Input, ...]:
    """Return all inputs of this family."""
    return named((*by_pod(), *by_ssh(), *by_crictl(), *by_gpu_pod()))
