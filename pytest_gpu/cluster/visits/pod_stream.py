"""A line to a command in a pod, over the API server's exec, with its errors and exit code."""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from pytest_gpu.cluster.api.client import KubeClient
from pytest_gpu.cluster.api.line_buffer import LineBuffer
from pytest_gpu.cluster.api.measured_socket import MeasuredSocket
from pytest_gpu.cluster.visits.visit import StreamLate
from pytest_gpu.errors import GpuError

STDIN, STDOUT, STDERR, STATUS = range(4)
"""Channels of Kubernetes' exec protocol; the first byte of each message."""

LAST_WORDS = 2000
"""Last bytes of a command's standard error that are kept, for error messages."""

SEND_TIME = 60.0
"""Seconds for one message to a command."""

CHUNK = 1 << 15
"""Bytes of one message; API servers and proxies accept at least this many."""


class PodStream:
    """A command that runs in a container; satisfies ``pytest_gpu.cluster.visits.visit.Stream``.

    Args:
        client: the API server.
        pod: the pod's path in the API.
        container: the container's name.
        argv: the command.
        stdin: whether something will be sent to it. The older exec protocol of Kubernetes has
            no end of input, so the other end must know when to stop.

    Raises:
        ApiError: the API server refused it; the message names the missing right.
    """

    def __init__(
        self, client: KubeClient, pod: str, container: str, argv: Sequence[str], *, stdin: bool
    ) -> None:
        asked = [("container", container), ("stdin", _flag(stdin)), ("stdout", "true")]
        asked += [("stderr", "true"), ("tty", "false"), *(("command", word) for word in argv)]
        self._socket = client.websocket(f"{pod}/exec", urlencode(asked))
        self._socket.sock = self._measured = MeasuredSocket(self._socket.sock)
        self._patience = min(SEND_TIME, client.timeout)
        self._buffer = LineBuffer()
        self._lines: deque[bytes] = deque()
        self._ended = False
        self.errors = b""
        self.status: dict[str, Any] | None = None

    @property
    def complaint(self) -> str:
        """The end of what the command wrote to its standard error, else how it ended."""
        said = " ".join(self.errors.decode(errors="replace").split())
        return said or str((self.status or {}).get("message") or "")

    @property
    def exit(self) -> int | None:
        """The command's exit code, ``None`` while it runs or if it is not known."""
        if self.status is None:
            return None
        if self.status.get("status") == "Success":
            return 0
        return _exit_code(self.status)

    def send(self, line: bytes) -> None:
        """Send bytes to the command.

        Raises:
            GpuError: the line is dead.
        """
        import websocket  # noqa: PLC0415 - heavy

        self._buffer.renew()
        try:
            self._socket.settimeout(self._patience)
            for start in range(0, len(line), CHUNK):
                self._socket.send_binary(bytes([STDIN]) + line[start : start + CHUNK])
        except (OSError, websocket.WebSocketException) as error:
            raise GpuError(self.complaint or f"the line is dead: {error}") from error

    def lines(self, deadline: float) -> Iterator[bytes]:
        """Yield lines of the command's output until ``deadline`` (of time.monotonic) or its end.

        Raises:
            StreamLate: the deadline passed.
            GpuError: the line broke.
        """
        while True:
            while self._lines:
                yield self._lines.popleft()
            if self._ended:
                return
            self._lines.extend(self._buffer.take(self._receive(deadline)))

    def output(self, deadline: float) -> bytes:
        """Return all of the command's output.

        Raises:
            StreamLate: it did not end in time.
            GpuError: the line broke.
        """
        lines = [*self.lines(deadline), self._buffer.rest]
        return b"\n".join(lines)

    def close(self) -> None:
        """Close the line."""
        self._ended = True
        self._socket.close(timeout=1)
        # If the other end closed first, close() does nothing, and the connection stays open.
        self._socket.shutdown()

    def _receive(self, deadline: float) -> bytes:
        """Return the next part of the command's output, empty if it was another message."""
        import websocket  # noqa: PLC0415 - heavy

        left = deadline - time.monotonic()
        if left <= 0:
            raise StreamLate(f"nothing came in time; {self.complaint}".rstrip("; "))
        self._measured.begin(deadline)
        try:
            _, frame = self._socket.recv_data_frame(control_frame=True)
        except websocket.WebSocketTimeoutException:
            return b""
        except (OSError, websocket.WebSocketException) as error:
            self._ended = True
            if self.status is None:
                raise GpuError(f"the line to the pod broke: {error}") from error
            return b""
        return self._take(frame.opcode, frame.data)

    def _take(self, opcode: int, data: bytes) -> bytes:
        import websocket  # noqa: PLC0415 - heavy

        if opcode == websocket.ABNF.OPCODE_CLOSE:
            self._ended = True
        if opcode not in (websocket.ABNF.OPCODE_BINARY, websocket.ABNF.OPCODE_TEXT) or not data:
            self._buffer.spend(len(data))
            return b""
        if data[0] != STDOUT:
            self._buffer.spend(len(data))
        if data[0] == STDERR:
            self.errors = (self.errors + data[1:])[-LAST_WORDS:]
        elif data[0] == STATUS:
            self.status = status_of(data[1:])
        return data[1:] if data[0] == STDOUT else b""


def status_of(data: bytes) -> dict[str, Any]:
    """Return how the command ended; what cannot be read is said as the message.

    The node's kubelet has a say in it, so it may be anything.
    """
    try:
        found = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return found
    return {"message": f"the command ended with a status that is not an object: {data[:100]!r}"}


def _exit_code(status: Mapping[str, Any]) -> int | None:
    details = status.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    for cause in causes if isinstance(causes, list) else ():
        if isinstance(cause, dict) and cause.get("reason") == "ExitCode":
            code = str(cause.get("message"))
            return int(code) if re.fullmatch(r"-?\d{1,9}", code) else None
    return None


def _flag(value: bool) -> str:
    return "true" if value else "false"
