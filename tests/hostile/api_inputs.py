"""What an API server may answer: lists of the wrong shape, bodies without end, refusals, names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.hostile import stub_ssh
from tests.hostile.api_asked import GROUPS, NODES, OURS, PODS, QUICK, REVIEWS, VISITS, WATCH
from tests.hostile.api_endless import endless_inputs
from tests.hostile.api_lists import list_inputs
from tests.hostile.inputs import Given, Input, Start
from tests.hostile.live import answering, body, changed, named, serving, thing
from tests.hostile.stub_api import BAD, GOOD, Answer
from tests.support.hostile_text import HOSTILE

SAID = {"kind": "Status", "status": "Failure", "reason": HOSTILE, "message": f"no.{HOSTILE}"}


def refusals() -> Iterator[Input]:
    """Yield refusals with hostile words, of what is asked first and of what is asked later."""
    for status in (401, 403, 404, 410, 429, 500, 503):
        yield answering(f"nodes: {status} with escapes", NODES, thing(SAID, status), "no.")
    for status in (401, 403, 404, 429, 503):
        yield answering(
            f"pods: {status} with escapes",
            PODS,
            thing(SAID, status),
            "unproven",
            exit=1,
            layers="device-plugin",
            hurt="device-plugin",
        )
    for kind, said in {"a list": [], "a number": 7, "no status": {"kind": 7}}.items():
        yield answering(f"nodes: 500 that is {kind}", NODES, thing(said, 500), "status 500")
    page = b"<html>\x1b]0;owned\x07<body>Bad gateway" + b"x" * 100_000
    yield answering("nodes: 502 of a proxy", NODES, body(page, 502), "status 502")
    elsewhere = body(b"", 302, Location="http://127.0.0.1:9/elsewhere")
    yield answering("nodes: sent elsewhere", NODES, elsewhere, "status 302")
    yield answering("groups: 500 with escapes", GROUPS, thing(SAID, 500), "no.")
    yield answering("reviews: 500 with escapes", REVIEWS, thing(SAID, 500), "no.")


def writes() -> Iterator[Input]:
    """Yield wrong answers to what creates, waits and removes."""
    made = {"null": b"null", "a list": b"[]", "html": b"<html>"}
    for name, data in made.items():
        yield answering(f"reviews: {name}", REVIEWS, body(data), "is this an API server")
        yield answering(f"namespace: {name}", OURS, body(data), "is this an API server")
        for what, asked in {"created pods": "POST */pods", "pods of the run": VISITS}.items():
            yield _unvisited(f"{what}: {name}", asked, body(data))
        yield _waiting(f"watch: {name}", body(data + b"\n"))
    for name, said in {"a list": [], "a text": "yes", "a number": 7}.items():
        yield answering(
            f"reviews: status is {name}", REVIEWS, thing({"status": said}), "is this an API server"
        )
    refused = thing(SAID, 403)
    yield _unvisited("created pods: refused", "POST */pods", refused)
    yield _unvisited("exec: refused", "GET */exec[?]*", refused)
    yield _unvisited("exec: html", "GET */exec[?]*", body(b"<html>\x1b[2J"))
    yield _unvisited("exec: 101 without a key", "GET */exec[?]*", body(b"", 101))
    left = answering("removal refused", "DELETE *", refused, "could not be removed", exit=1)
    yield replace(left, nodes_judged={BAD: "conforms", GOOD: "conforms"})


def _unvisited(name: str, asked: str, answer: Answer) -> Input:
    return answering(name, asked, answer, "2 unproven", exit=1, hurt="hardware")


PENDING = {"phase": "Pending", "startTime": "2026-11-21T10:00:00Z"}


def _waiting(name: str, answer: Answer) -> Input:
    """Return an input in which pods are waited for, and what the watch says is wrong."""
    start = serving(QUICK, answers={WATCH: answer}, trouble={BAD: PENDING, GOOD: PENDING})
    return Input(name=name, family="API", start=start, exit=1, says="unproven", hurt="hardware")


def addresses() -> Iterator[Input]:
    """Yield nodes whose address would lead elsewhere; they are visited through a pod instead."""
    for at, address in enumerate(
        ("root@elsewhere", "-oProxyCommand=touch PWN", "a b", "a\nb", "$(touch PWN)", "::1%$(id)")
    ):
        yield Input(
            name=f"an address that leads elsewhere ({at})",
            family="API",
            start=_with_address(address),
            exit=0,
            says="is neither an IP address nor a DNS name",
            nodes_judged={BAD: "conforms", GOOD: "conforms"},
        )


def _with_address(address: str) -> Start:
    addresses = [{"type": "InternalIP", "address": address}]
    serve = serving(
        "--gpu-node-shell=ssh",
        change=changed("nodes", f"/{BAD}", lambda node: node["status"].update(addresses=addresses)),
    )

    @contextmanager
    def start(folder: Path) -> Iterator[Given]:
        with serve(folder) as given:
            environment = stub_ssh.install(folder, "no hello")
            yield Given(arguments=given.arguments, environment=environment)

    return start


def api_inputs() -> tuple[Input, ...]:
    """Return all inputs of the API."""
    return named((*list_inputs(), *endless_inputs(), *refusals(), *writes(), *addresses()))
