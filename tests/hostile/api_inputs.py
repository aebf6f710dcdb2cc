"""What an API server may answer: lists of the wrong shape, bodies without end, refusals, names."""

from __future__ import annotations

import gzip
import itertools
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from tests.hostile.inputs import Input
from tests.hostile.live import answering, body, changed, listed, serving, streamed, thing
from tests.hostile.stub_api import BAD, GOOD, Answer, HostileHandler
from tests.support.hostile_text import HOSTILE

NODES, PODS = "GET /api/v1/nodes[?]*", "GET /api/v1/pods[?]*"
GROUPS, REVIEWS = "GET /apis", "POST *selfsubjectaccessreviews"
OURS = "GET /api/v1/namespaces/pytest-gpu"
VISITS, WATCH = f"{OURS}/pods[?]label*", f"{OURS}/pods[?]*watch=true*"

NO_OBJECT = "is not an object"
NO_LIST = "is not a list of objects"
NOT_JSON = "the answer is not JSON"
QUICK = "--gpu-timeout=1"

DEEP = b"[" * 100_000
HUGE = b"1" + b"0" * 400

SHAPES: Mapping[str, tuple[bytes, str]] = {
    "null": (b"null", NO_OBJECT),
    "a number": (b"7", NO_OBJECT),
    "a text": (b'"nodes"', NO_OBJECT),
    "a list": (b"[{}]", NO_OBJECT),
    "nothing": (b" ", NOT_JSON),
    "html": (b"<html><body>\x1b[31mLog in</body></html>", NOT_JSON),
    "invalid utf-8": (b'{"items": ["\xff\xfe"]}', NOT_JSON),
    "nested deeply": (b'{"items": ' + DEEP, NOT_JSON),
    "nested deeply and closed": (
        b'{"items": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        NOT_JSON,
    ),
    "a number of 5000 digits": (b'{"items": ' + b"1" * 5000 + b"}", NOT_JSON),
    "truncated": (b'{"kind": "NodeList", "items": [{"metadata": {"na', NOT_JSON),
    "two answers": (b'{"items": []}{"items": []}', NOT_JSON),
    "items a map": (b'{"items": {}}', NO_LIST),
    "items a text": (b'{"items": "none"}', NO_LIST),
    "items a number": (b'{"items": %s}' % HUGE, NO_LIST),
    "items of null": (b'{"items": [null]}', NO_LIST),
    "items of lists": (b'{"items": [[]]}', NO_LIST),
    "items of texts": (b'{"items": ["a"]}', NO_LIST),
    "metadata a list": (b'{"items": [{"metadata": []}]}', NO_OBJECT),
    "metadata of the list a text": (b'{"metadata": "x", "items": []}', NO_OBJECT),
}


def shapes() -> Iterator[Input]:
    """Yield answers of the wrong shape, for the nodes and for what else is listed."""
    for name, (data, says) in SHAPES.items():
        yield answering(f"nodes: {name}", NODES, body(data), says)
    for name in ("null", "html", "items of null", "nested deeply", "items a number"):
        data, says = SHAPES[name]
        yield answering(
            f"pods: {name}",
            PODS,
            body(data),
            f"could not read pods: {says}"[:20],
            exit=1,
            layers="device-plugin",
            hurt="device-plugin",
        )
        yield answering(f"groups: {name}", GROUPS, body(data.replace(b"items", b"groups")), says)


def empties() -> Iterator[Input]:
    """Yield lists without a GPU node in them."""
    none = "no GPU node"
    yield answering("nodes: no items", NODES, thing({"kind": "NodeList"}), none)
    yield answering("nodes: items are null", NODES, thing({"items": None}), none)
    pod = {"metadata": {"name": "a", "namespace": "b"}, "spec": {"containers": []}}
    yield answering("nodes: pods instead", NODES, thing({"kind": "PodList", "items": [pod]}), none)


def _node(**parts: Any) -> dict[str, Any]:
    status = {"capacity": {"nvidia.com/gpu": "1"}, "allocatable": {"nvidia.com/gpu": "1"}}
    return {"metadata": {"name": "bad-1"}, "status": status, **parts}


VALUES: Mapping[str, dict[str, Any]] = {
    "without metadata": {"metadata": None},
    "without a name": {"metadata": {}},
    "named by a number": {"metadata": {"name": 7}},
    "named by a list": {"metadata": {"name": ["a"]}},
    "named by a path": {"metadata": {"name": "../../etc"}},
    "named by a command": {"metadata": {"name": "nv$(touch PWN); id"}},
    "named by escapes": {"metadata": {"name": HOSTILE}},
    "named endlessly": {"metadata": {"name": "a" * 300}},
    "named by nothing": {"metadata": {"name": ""}},
    "labels a list": {"metadata": {"name": "bad-1", "labels": ["a"]}},
    "labels of numbers": {"metadata": {"name": "bad-1", "labels": {"a": 1}}},
    "annotations a text": {"metadata": {"name": "bad-1", "annotations": "a"}},
    "status a list": {"status": []},
    "status a number": {"status": 10**400},
    "capacity a list": {"status": {"capacity": [1]}},
    "conditions a text": {"status": {"conditions": "Ready"}},
    "conditions of null": {"status": {"conditions": [None]}},
    "addresses of numbers": {"status": {"addresses": [7]}},
    "node info a list": {"status": {"nodeInfo": []}},
    "spec a list": {"spec": []},
    "taints a map": {"spec": {"taints": {}}},
}


def values() -> Iterator[Input]:
    """Yield lists of nodes in which one value is wrong."""
    for name, parts in VALUES.items():
        yield answering(f"a node {name}", NODES, listed([_node(**parts)]), "the API server's list")
    for name, number in {
        "huge": 10**400,
        "infinite": float("inf"),
        "a text": "1e999999999",
    }.items():
        status = {"capacity": {"nvidia.com/gpu": number}, "allocatable": {}}
        yield answering(
            f"a node whose capacity is {name}", NODES, listed([_node(status=status)]), "ERROR"
        )
    twice = listed([_node(), _node()])
    yield answering("nodes: one name twice", NODES, twice, "the API server's list of nodes")


def _forever(part: bytes) -> Iterator[bytes]:
    return itertools.repeat(part)


def _slowly(part: bytes) -> Iterator[bytes]:
    while True:
        yield part
        time.sleep(0.3)


def _bomb() -> bytes:
    return gzip.compress(b" " * (1 << 20), 1) * 1024


def _pages(item: bytes) -> Any:
    """Return an answer whose every page has another one behind it."""
    numbers = itertools.count()

    def answer(handler: HostileHandler) -> None:
        head = b'{"metadata": {"continue": "%d"}, "items": [' % next(numbers)
        handler.send_bytes(head + item + b"]}")

    return answer


def _again(handler: HostileHandler) -> None:
    handler.send_bytes(b'{"metadata": {"continue": "again"}, "items": []}')


def _broken_off(handler: HostileHandler) -> None:
    handler.send_bytes(b'{"items": [', Content_Length="1000")


def _hangs(handler: HostileHandler) -> None:
    time.sleep(20)


def endless() -> Iterator[Input]:
    """Yield answers that do not end, or are longer than any should be."""
    gone = "cut off after"
    many = b",".join([json.dumps(_node(metadata={"name": "x" * 50})).encode()] * 5000)
    yield answering("endless body", NODES, streamed(lambda: _forever(b" " * (1 << 16))), gone)
    yield answering(
        "endless line of brackets", NODES, streamed(lambda: _forever(b"{" * 65536)), gone
    )
    yield answering(
        "gzip bomb",
        NODES,
        lambda handler: handler.send_bytes(_bomb(), Content_Encoding="gzip"),
        gone,
    )
    yield answering(
        "many parts", NODES, body(b'{"items": [' + b"{}," * 4_000_000 + b"{}]}"), "parts"
    )
    yield answering(
        "many texts", NODES, body(b'{"items": [' + b'"ab",' * 4_000_000 + b'""]}'), "parts"
    )
    yield answering(
        "one wide character in a long body",
        NODES,
        body('{"items": ["\U0001f600'.encode() + b"x" * (60 << 20) + b'"]}'),
        NO_LIST,
    )
    yield answering("drip", NODES, streamed(lambda: _slowly(b" ")), "was not complete", QUICK)
    yield answering("drip of groups", GROUPS, streamed(lambda: _slowly(b" ")), "complete", QUICK)
    yield answering("silence", NODES, _hangs, "cannot be reached", QUICK)
    yield answering("a page that follows itself", NODES, _again, "a page follows itself")
    yield answering("endless empty pages", NODES, _pages(b""), "the list", QUICK)
    yield answering("endless pages", NODES, _pages(many), "the list", QUICK)
    yield answering(
        "endless pages of pods",
        PODS,
        _pages(many),
        "could not read pods",
        QUICK,
        exit=1,
        layers="device-plugin",
        hurt="device-plugin",
    )
    yield answering("broken off", NODES, _broken_off, "the answer broke off")


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
        yield answering(f"created pods: {name}", "POST */pods", body(data), "unproven", exit=1)
        yield answering(f"pods of the run: {name}", VISITS, body(data), "unproven", exit=1)
        yield _waiting(f"watch: {name}", body(data + b"\n"))
    for name, said in {"a list": [], "a text": "yes", "a number": 7}.items():
        yield answering(
            f"reviews: status is {name}", REVIEWS, thing({"status": said}), "is this an API server"
        )
    refused = thing(SAID, 403)
    yield answering("created pods: refused", "POST */pods", refused, "no.", exit=1)
    yield answering("exec: refused", "GET */exec[?]*", refused, "no.", exit=1, hurt="hardware")
    yield answering("exec: html", "GET */exec[?]*", body(b"<html>\x1b[2J"), "unproven", exit=1)
    yield answering("exec: 101 without a key", "GET */exec[?]*", body(b"", 101), "unproven", exit=1)
    yield answering("removal refused", "DELETE *", refused, "could not be removed", exit=1)


PENDING = {"phase": "Pending", "startTime": "2026-11-21T10:00:00Z"}


def _waiting(name: str, answer: Answer) -> Input:
    """Return an input in which pods are waited for, and what the watch says is wrong."""
    start = serving(QUICK, answers={WATCH: answer}, trouble={BAD: PENDING, GOOD: PENDING})
    return Input(name=name, family="API", start=start, exit=1, says="unproven", hurt="hardware")


def addresses() -> Iterator[Input]:
    """Yield nodes whose address would lead elsewhere."""
    for at, address in enumerate(
        ("root@elsewhere", "-oProxyCommand=touch PWN", "a b", "a\nb", "$(touch PWN)", "::1%$(id)")
    ):
        given = [{"type": "InternalIP", "address": address}]
        start = serving(
            "--gpu-node-shell=ssh",
            change=changed("nodes", f"/{BAD}", lambda n, a=given: n["status"].update(addresses=a)),
        )
        yield Input(
            name=f"an address that leads elsewhere ({at})",
            family="API",
            start=start,
            exit=0,
            says="is neither an IP address nor a DNS name",
            nodes_judged={BAD: "conforms", GOOD: "conforms"},
        )


def api_inputs() -> tuple[Input, ...]:
    """Return all inputs of this family."""
    kinds = (shapes, empties, values, endless, refusals, writes, addresses)
    return tuple(each for kind in kinds for each in kind())
