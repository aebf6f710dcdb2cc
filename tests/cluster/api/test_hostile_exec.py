"""An exec whose other end ignores the protocol: each message has a budget and a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from pytest_gpu.cluster.api import line_buffer, measured_socket
from pytest_gpu.cluster.api.answers import ApiError
from pytest_gpu.cluster.api.client import KubeClient
from pytest_gpu.cluster.api.login import open_client
from pytest_gpu.cluster.visits.pod_stream import PodStream
from pytest_gpu.cluster.visits.probe_app import sent_app
from pytest_gpu.cluster.visits.visit import StreamLate, answers, greet
from pytest_gpu.errors import GpuError
from tests.hostile import node_kinds
from tests.hostile.stub_api import BAD, HostileServer, healthy
from tests.hostile.stub_node import ERR, Honest, Said

POD = f"visit-{BAD}"
POD_PATH = f"/api/v1/namespaces/pytest-gpu/pods/{POD}"

Open = Callable[[Callable[..., Said]], PodStream]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Return what opens a line to a node that talks in a way of its own."""
    with ExitStack() as stack:

        def open_line(say: Callable[..., Said]) -> PodStream:
            client = serving(stack, tmp_path, lambda: node_kinds.Talks(say))
            stream = PodStream(client, POD_PATH, "visit", ["python3"], stdin=True)
            stack.callback(stream.close)
            stream.send(sent_app())
            greet(stream)
            stream.send(b'{"round": 1, "list": []}\n')
            return stream

        yield open_line


def serving(stack: ExitStack, folder: Path, node: Callable[[], Honest]) -> KubeClient:
    """Return a client of a cluster with a pod on this node."""
    api = healthy(nodes={BAD: node})
    head = {"name": POD, "namespace": "pytest-gpu"}
    api.put("pods", {"metadata": head, "spec": {"nodeName": BAD}})
    server = stack.enter_context(HostileServer(api))
    client = open_client("current", kubeconfig=server.kubeconfig(folder), timeout=2)
    stack.callback(client.close)
    return client


@pytest.mark.parametrize("say", [node_kinds.giant, node_kinds.fragments])
def test_a_message_without_an_end_is_cut_off(
    opened: Open, monkeypatch: pytest.MonkeyPatch, say: Callable[..., Said]
) -> None:
    """websocket-client would read on until the memory is full."""
    monkeypatch.setattr(measured_socket, "MESSAGE_BYTES", 1 << 20)
    with pytest.raises(GpuError, match="cut off: a message is longer than 1 MiB"):
        list(answers(opened(say), 1, 20))


def test_a_message_that_drips_is_late(opened: Open) -> None:
    """Each byte comes in time, the message does not."""
    stream = opened(node_kinds.slow_frame)
    began = time.monotonic()
    with pytest.raises(StreamLate):
        list(answers(stream, 1, 0.5))
    assert time.monotonic() - began < 10


def test_errors_without_end_have_the_budget_of_answers(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read and thrown away costs time all the same."""
    monkeypatch.setattr(line_buffer, "ROUND_BYTES", 1 << 20)
    with pytest.raises(GpuError, match="cut off after 1 MiB"):
        list(answers(opened(node_kinds.forever(ERR, node_kinds.JUNK)), 1, 20))


def test_lines_without_end_are_cut_off(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is short, and parsing each takes time."""
    monkeypatch.setattr(line_buffer, "ROUND_LINES", 1000)
    with pytest.raises(GpuError, match="cut off after 1000 lines"):
        list(answers(opened(node_kinds.forever(1, b"\n" * 100)), 1, 20))


def test_a_handshake_that_never_ends_is_given_up(tmp_path: Path) -> None:
    """The official client waits for it without a limit."""
    api = healthy(answers={"GET */exec[?]*": partial(_silent)})
    with HostileServer(api) as server:
        client = open_client("current", kubeconfig=server.kubeconfig(tmp_path), timeout=0.5)
        with pytest.raises(ApiError, match=r"exec: no answer within 0\.5 s") as caught:
            client.websocket(f"{POD_PATH}/exec", "command=x")
        client.close()
    assert caught.value.status == 408


def _silent(handler: object) -> None:
    time.sleep(3)
