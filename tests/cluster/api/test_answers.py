"""Answers of an API server that has gone mad, or is none."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_gpu.cluster.api import answers, bodies
from pytest_gpu.cluster.api.answers import ApiError, event_of, items_of, parsed
from pytest_gpu.cluster.api.client import KubeClient
from pytest_gpu.cluster.api.login import open_client
from pytest_gpu.cluster.api.watching import states

Answer = Callable[[Any], None]


@pytest.mark.parametrize(
    "data", [b"[]", b"7", b"null", b'"x"', b"<html>", b"[" * 10**5, b'{"a": ', b"\xff"]
)
def test_an_answer_is_an_object(data: bytes) -> None:
    """Whatever else comes is one line."""
    with pytest.raises(ApiError, match=r"is this an API server\?") as caught:
        parsed(data)
    assert "\n" not in str(caught.value)


def test_an_answer_with_too_many_parts_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would need gigabytes."""
    monkeypatch.setattr(answers, "MAX_PARTS", 3)
    assert parsed(b'{"a": [1, 2]}') == {"a": [1, 2]}
    with pytest.raises(ApiError, match="more than 3 parts"):
        parsed(b'{"a": [1, 2, 3]}')


@pytest.mark.parametrize(
    "listed", [{"items": {}}, {"items": [None]}, {"items": "x"}, {"items": [{"metadata": []}]}]
)
def test_a_list_holds_objects(listed: dict[str, Any]) -> None:
    """Each with metadata, or without."""
    assert items_of({"items": [{"a": 1}]}) == [{"a": 1}]
    assert items_of({"items": None}) == []
    with pytest.raises(ApiError, match=r"is this an API server\?"):
        items_of(listed)


@pytest.mark.parametrize(
    "line",
    [
        b'{"type": "ADDED"}',
        b'{"type": "ADDED", "object": []}',
        b'{"type": "ADDED", "object": {"metadata": {}}}',
        b'{"type": "ADDED", "object": {"metadata": {"name": 7}}}',
    ],
)
def test_an_event_has_an_object_with_a_name(line: bytes) -> None:
    """Except for errors."""
    assert event_of(b'{"type": "ERROR", "object": {"kind": "Status"}}')["type"] == "ERROR"
    with pytest.raises(ApiError, match=r"no object with a name|is not an object"):
        event_of(line)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[Answer], KubeClient]]:
    """Return what starts a server with one answer to everything, and gives its client."""
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Answer) -> KubeClient:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                with suppress(OSError):  # the client hung up
                    answer(self.wfile)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return open_client("current", kubeconfig=_kubeconfig(tmp_path, server.server_port))

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def _kubeconfig(folder: Path, port: int) -> Path:
    config = {
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = folder / "config"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def _endless(out: Any) -> None:
    part = b"x" * (1 << 16)
    while True:
        out.write(part)


def _drip(out: Any) -> None:
    while True:
        out.write(b" ")
        out.flush()
        time.sleep(0.05)


def test_an_endless_answer_is_cut_off(
    serve: Callable[[Answer], KubeClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would fill the memory."""
    monkeypatch.setattr(bodies, "MAX_BODY", 1 << 20)
    with pytest.raises(ApiError, match="the answer was cut off after 1 MiB"):
        serve(_endless).get("/api")


def test_an_answer_that_drips_ends(
    serve: Callable[[Answer], KubeClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No byte is late, and the last one never comes."""
    monkeypatch.setattr("pytest_gpu.cluster.api.client.ANSWER_TIME", 0.5)
    with pytest.raises(ApiError, match=r"the answer was not complete after 0\.5 s"):
        serve(_drip).get("/api")


def test_a_watch_that_drips_ends(
    serve: Callable[[Answer], KubeClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the server was asked for."""
    monkeypatch.setattr("pytest_gpu.cluster.api.client.CONNECT_TIME", 0.5)
    with pytest.raises(ApiError, match=r"the answer was not complete after 0\.5 s"):
        list(serve(_drip).watch("/api", 0))


def test_a_list_that_never_ends_is_refused(serve: Callable[[Answer], KubeClient]) -> None:
    """A page that follows itself."""
    client = serve(lambda out: out.write(b'{"metadata": {"continue": "again"}, "items": []}'))
    with pytest.raises(ApiError, match="does not end"):
        list(client.pages("/api"))


def test_waiting_survives_events_that_make_no_sense(
    serve: Callable[[Answer], KubeClient],
) -> None:
    """They are an error of the API server's, in one line."""
    client = serve(lambda out: out.write(b'{"type": "ADDED", "items": []}\n'))
    with pytest.raises(ApiError, match="no object with a name"):
        list(states(client, "/api", "a=b", time.monotonic() + 1))
