"""Inputs that a live cluster gives: its API server or one of its nodes is hostile."""

from __future__ import annotations

import json
import multiprocessing
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.hostile.inputs import Given, Input, Start
from tests.hostile.stub_api import BAD, GOOD, Answer, HostileApi, HostileHandler, HostileServer
from tests.hostile.stub_api import healthy as healthy_cluster

ONE_BAD_NODE: Mapping[str, str] = {BAD: "unproven", GOOD: "conforms"}
"""One bad node costs one node."""


def serving(
    *options: str,
    layers: str = "driver",
    change: Callable[[HostileApi], None] = lambda api: None,
    environment: Mapping[str, str] | None = None,
    **hurt: Any,
) -> Start:
    """Return what serves a cluster that is healthy but for what is hurt."""

    def make() -> HostileApi:
        api = healthy_cluster(**hurt)
        change(api)
        return api

    @contextmanager
    def start(folder: Path) -> Iterator[Given]:
        with _apart(make, folder) as kubeconfig:
            cluster = ("--gpu-cluster=fake", f"--gpu-kubeconfig={kubeconfig}")
            given = (*cluster, f"--gpu-layers={layers}", *options)
            yield Given(arguments=given, environment=environment or {})

    return start


@contextmanager
def _apart(make: Callable[[], HostileApi], folder: Path) -> Iterator[str]:
    """Serve a cluster in a process of its own: what it takes is not counted as the run's."""
    system = multiprocessing.get_context("fork")
    mine, its = system.Pipe()
    server = system.Process(target=_serve, args=(make, folder, its), daemon=True)
    server.start()
    try:
        yield mine.recv()
    finally:
        server.kill()
        server.join()


def _serve(make: Callable[[], HostileApi], folder: Path, its: Any) -> None:
    with HostileServer(make()) as server:
        its.send(str(server.kubeconfig(folder)))
        its.poll(None)


def answering(  # noqa: PLR0913 - a row of a table
    name: str,
    asked: str,
    answer: Answer,
    says: str,
    *options: str,
    exit: int = 4,
    layers: str = "driver",
    hurt: str = "",
) -> Input:
    """Return an input in which the API server gives an answer to what is asked.

    ``asked`` is a pattern of ``METHOD path``.
    """
    start = serving(*options, layers=layers, answers={asked: answer})
    return Input(name=name, family="API", start=start, exit=exit, says=says, hurt=hurt)


def named(inputs: Iterable[Input]) -> tuple[Input, ...]:
    """Return inputs whose names can be those of folders, also in a list of kubeconfigs."""
    return tuple(replace(each, name=re.sub(r"[^\w()]+", "-", each.name)) for each in inputs)


def body(data: bytes, status: int = 200, **headers: str) -> Answer:
    """Return an answer that is these bytes."""

    def answer(handler: HostileHandler) -> None:
        handler.send_bytes(data, status, **headers)

    return answer


def thing(found: Any, status: int = 200, **headers: str) -> Answer:
    """Return an answer that is this, as JSON."""
    return body(json.dumps(found).encode(), status, Content_Type="application/json", **headers)


def listed(items: Any, **metadata: str) -> Answer:
    """Return an answer that is a list of nodes."""
    return thing({"kind": "NodeList", "apiVersion": "v1", "metadata": metadata, "items": items})


def streamed(parts: Callable[[], Iterator[bytes]], *headers: tuple[str, str]) -> Answer:
    """Return an answer without a length that is sent part by part."""

    def answer(handler: HostileHandler) -> None:
        handler.send_response(200)
        for header in headers or (("Content-Type", "application/json"),):
            handler.send_header(*header)
        handler.end_headers()
        for part in parts():
            handler.wfile.write(part)
            handler.wfile.flush()

    return answer


def changed(kind: str, key: str, change: Callable[[dict[str, Any]], object]) -> Any:
    """Return a change of one object of a healthy cluster."""

    def hurt(api: HostileApi) -> None:
        found = api.objects[kind][key]
        change(found)

    return hurt
