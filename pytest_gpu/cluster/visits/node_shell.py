"""A shell on a node for users' tests: commands by argument list, files, patterns.

Every way into a node leads to the same probe, so one implementation serves them all.
"""

from __future__ import annotations

import base64
import json
import math
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self

from pytest_gpu.cluster.visits import sent
from pytest_gpu.cluster.visits.visit import COMMAND_GRACE, Stream, answers, greet
from pytest_gpu.errors import GpuError, Unproven
from pytest_gpu.evidence import CommandResult, Door, KubeObject
from pytest_gpu.settings.options import NODE_SHELLS
from pytest_gpu.stack.kube.objects import name_of

READ_LIMIT = 16 << 20
LOOK_TIME = 30.0


class NodeShell(Protocol):
    """Reads files of one node and runs commands there, as root, without a shell in between."""

    def run(self, argv: Sequence[str], timeout: float = 60.0) -> CommandResult:
        """Run a command; after ``timeout`` seconds it is killed, with exit code 124.

        Raises:
            Unproven: the node no longer answers.
        """

    def read(self, path: str) -> bytes:
        """Return a regular file's bytes.

        Raises:
            FileNotFoundError: there is no such file.
            GpuError: it cannot be read, or is longer than 16 MiB.
        """

    def exists(self, path: str) -> bool:
        """Return whether a path exists; a link counts, wherever it leads.

        Raises:
            GpuError: that cannot be determined.
        """

    def glob(self, pattern: str) -> tuple[str, ...]:
        """Return the paths that match a pattern with ``*``, ``?`` and ``[…]``, sorted."""


class ProbeShell:
    """A shell over a line to a probe, which is opened when it is first needed.

    Args:
        connect: opens the line; the probe at its other end has already said hello.
        patience: seconds that no answer may exceed.
    """

    def __init__(self, connect: Callable[[], Stream], patience: float = math.inf) -> None:
        self._connect = connect
        self._patience = patience
        self._stream: Stream | None = None
        self._rounds = 0
        self._lock = threading.Lock()

    def run(self, argv: Sequence[str], timeout: float = 60.0) -> CommandResult:
        """Run a command."""
        words = list(argv)
        asked = {"run": [{"argv": words, "timeout": timeout}]}
        answer = self._ask("run", asked, timeout + COMMAND_GRACE)
        try:
            return sent.result_of(words, answer)
        except ValueError as error:
            raise Unproven(f"the node's answer to {words[0]} is invalid: {error}") from None

    def read(self, path: str) -> bytes:
        """Return a regular file's bytes."""
        answer = self._ask("read", {"read": [{"path": path, "limit": READ_LIMIT}]}, LOOK_TIME)
        if answer.get("absent"):
            raise FileNotFoundError(path)
        if answer.get("truncated"):
            raise GpuError(f"{path}: is longer than {READ_LIMIT >> 20} MiB")
        if "data" not in answer:
            raise GpuError(f"{path}: {answer.get('error', 'cannot be read')}")
        try:
            return base64.b64decode(sent.text_of(answer["data"]), validate=True)
        except ValueError as error:
            raise GpuError(f"{path}: the node's answer is invalid: {error}") from None

    def exists(self, path: str) -> bool:
        """Return whether a path exists."""
        answer = self._ask("stat", {"stat": [path]}, LOOK_TIME)
        if "error" in answer:
            raise GpuError(f"{path}: {answer['error']}")
        return not answer.get("absent")

    def glob(self, pattern: str) -> tuple[str, ...]:
        """Return the paths that match a pattern."""
        answer = self._ask("glob", {"glob": [{"pattern": pattern, "limit": 0}]}, LOOK_TIME)
        if "error" in answer:
            raise GpuError(f"{pattern}: {answer['error']}")
        try:
            return sent.texts_of(answer.get("paths"))
        except ValueError as error:
            raise GpuError(f"{pattern}: the node's answer is invalid: {error}") from None

    def close(self) -> None:
        """End the conversation, if there was one."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _ask(self, kind: str, asked: dict[str, Any], within: float) -> dict[str, Any]:
        """Return the answer to one question."""
        with self._lock:
            self._rounds += 1
            try:
                self._stream = self._stream or self._connect()
                self._stream.send(_line({"round": self._rounds, **asked}))
                found = list(answers(self._stream, self._rounds, min(within, self._patience)))
            except GpuError as error:
                self.close()
                raise Unproven(f"the node does not answer: {error}") from error
        return next((each for each in found if kind in each), {"error": "no answer"})


def open_shell(kind: str, node: KubeObject, patience: float = math.inf) -> ProbeShell:
    """Return a shell on a node by a way that does not need Kubernetes: ssh or local.

    No wait exceeds ``patience`` seconds.

    Raises:
        GpuError: there is no such way.
    """
    if kind == "local":
        return ProbeShell(_local, patience)
    if kind == "ssh":
        from pytest_gpu.cluster.visits.ssh import host_of, open_ssh  # noqa: PLC0415 - few runs use it

        return ProbeShell(lambda: open_ssh(host_of(node), patience), patience)
    raise GpuError(f"{kind!r} is not a way into a node; choose one of {', '.join(NODE_SHELLS)}")


def _local() -> Stream:
    from pytest_gpu.cluster.visits.streams import LocalStream  # noqa: PLC0415 - few runs use it

    stream = LocalStream()
    greet(stream)
    return stream


def _line(asked: dict[str, Any]) -> bytes:
    return json.dumps(asked).encode() + b"\n"


class Way(Protocol):
    """The way into the nodes of a live cluster."""

    def shell(self, node: KubeObject, door: Door) -> ProbeShell:
        """Return a shell on a node, through the door by which its evidence came.

        Raises:
            GpuError: there is none.
        """


class Shells:
    """The shells of one run, opened when they are first asked for.

    Args:
        cluster: the value of ``--gpu-cluster``.
        kind: the value of ``--gpu-node-shell``, ``None`` for the way that suits the cluster.
        live: the way into a live cluster's nodes, which keeps its shells itself; ``None`` for
            this machine, and for a recorded cluster, whose nodes cannot be entered.
    """

    def __init__(self, cluster: str, kind: str | None, live: Way | None = None) -> None:
        self._live = live
        self._kind = (kind or "local") if cluster == "local" else "none"
        self._shells: dict[str, ProbeShell] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for shell in self._shells.values():
            shell.close()

    def of(self, node: KubeObject, door: Door) -> NodeShell:
        """Return the shell of a node.

        Raises:
            Unproven: there is no way into it.
        """
        try:
            return self._open(node, door)
        except GpuError as error:
            raise Unproven(str(error)) from error

    def _open(self, node: KubeObject, door: Door) -> NodeShell:
        name = name_of(node)
        if self._live is not None:
            return self._live.shell(node, door)
        if self._kind == "none":
            raise GpuError(f"there is no way into {name}: it is recorded, or its shell is none")
        if name not in self._shells:
            self._shells[name] = open_shell(self._kind, node)
        return self._shells[name]
