"""A client of the Kubernetes API: the official client's connection, with plain JSON over it.

The official client reads kubeconfigs, starts exec plugins, and handles TLS and proxies. Its
generated classes are not used: they cost seconds for large lists and drop fields that they do not
know. Nothing is imported from it before a cluster is opened.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any
from urllib.parse import urlencode

from pytest_gpu.errors import GpuError

CONNECT_TIME = 10.0
"""Seconds within which the API server must accept a connection."""

REQUEST_TIME = 60.0
"""Seconds for one request; the API server itself gives up after the same time."""

PAGE = 2000
"""Objects per page of a list: one request for most clusters, bounded memory for the largest."""

CONNECTIONS = 128
"""Connections that are kept open; further ones are closed after each request."""

Query = Mapping[str, str | int | bool]


class ApiError(GpuError):
    """The API server refused a request.

    ``status`` is the HTTP status (0: it was not reached) and ``reason`` is Kubernetes' own word,
    such as Forbidden or NotFound.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class KubeClient:
    """One user's access to one API server; all methods may be called from many threads."""

    def __init__(self, configuration: Any) -> None:
        # Only some versions of the client have type annotations.
        rest: Any = import_module("kubernetes.client.rest")
        configuration.connection_pool_maxsize = CONNECTIONS
        self.configuration = configuration
        self.host: str = configuration.host.rstrip("/")
        self._pool = rest.RESTClientObject(configuration).pool_manager
        # An exec plugin whose token has expired must be started once, not by every thread.
        self._lock = threading.Lock()

    def call(self, method: str, path: str, query: Query | None = None, body: Any = None) -> Any:
        """Send one request and return the parsed answer.

        Raises:
            ApiError: the API server refused it, or cannot be reached.
        """
        response = self._send(method, path, query, body)
        if response.status >= 300:
            raise refusal(response.status, response.data)
        return _parsed(response.data)

    def get(self, path: str, **query: str | int | bool) -> Any:
        """Read an object, or a list in one piece."""
        return self.call("GET", path, query)

    def text(self, path: str, **query: str | int | bool) -> str:
        """Read what is not an object, such as a container's log.

        Raises:
            ApiError: the API server refused it, or cannot be reached.
        """
        response = self._send("GET", path, query)
        if response.status >= 300:
            raise refusal(response.status, response.data)
        text: str = response.data.decode("utf-8", "replace")
        return text

    def find(self, path: str) -> Any:
        """Read an object, ``None`` if there is none."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def create(self, path: str, body: Mapping[str, Any]) -> Any:
        """Create an object in the collection at ``path``."""
        return self.call("POST", path, None, body)

    def delete(self, path: str, **query: str | int | bool) -> None:
        """Delete an object, or a collection by a labelSelector; it may be gone already."""
        try:
            self.call("DELETE", path, query)
        except ApiError as error:
            if error.status != 404:
                raise

    def pages(self, path: str, **query: str | int | bool) -> Iterator[Mapping[str, Any]]:
        """Yield the parts of a list; each is a List object."""
        further: dict[str, str | int | bool] = {}
        while True:
            part = self.call("GET", path, {**query, "limit": PAGE, **further})
            yield part
            token = (part.get("metadata") or {}).get("continue")
            if not token:
                return
            further = {"continue": token}

    def watch(self, path: str, seconds: int, **query: str | int | bool) -> Iterator[Any]:
        """Yield watch events, ``{type, object}``, until the API server ends it after ``seconds``.

        Raises:
            ApiError: it was refused, or the connection broke.
        """
        asked = {**query, "watch": True, "timeoutSeconds": seconds}
        response = self._send("GET", path, asked, streams=seconds)
        try:
            if response.status >= 300:
                raise refusal(response.status, response.data)
            yield from _lines(response)
        finally:
            response.close()

    def authorization(self) -> dict[str, str]:
        """Return the headers that authenticate the user."""
        with self._lock:
            settings = self.configuration.auth_settings().values()
        found = {each["key"]: each["value"] for each in settings if each["in"] == "header"}
        return {key: value for key, value in found.items() if value}

    def websocket(self, path: str, query: str) -> Any:
        """Open a websocket, for exec.

        The official client's own exec is not used: it replaces a method of a shared object, so no
        two could be opened at once.

        Raises:
            ApiError: the API server refused it, or cannot be reached.
        """
        import websocket  # noqa: PLC0415 - heavy

        stream: Any = import_module("kubernetes.stream.ws_client")
        url = f"{self.host.replace('http', 'ws', 1)}{path}?{query}"
        try:
            return stream.create_websocket(self.configuration, url, self.authorization())
        except websocket.WebSocketBadStatusException as error:
            body = getattr(error, "resp_body", None) or b""
            raise refusal(error.status_code, body) from error
        except (OSError, websocket.WebSocketException) as error:
            raise unreachable(self.host, error) from error

    def close(self) -> None:
        """Close all connections; another request would open a new one."""
        self._pool.clear()

    def _send(
        self,
        method: str,
        path: str,
        query: Query | None,
        body: Any = None,
        *,
        streams: int = 0,
    ) -> Any:
        """Send a request; ``streams``: seconds for which its answer is a stream."""
        import urllib3  # noqa: PLC0415 - heavy

        seconds = streams + CONNECT_TIME if streams else REQUEST_TIME
        headers = {"Accept": "application/json", **self.authorization()}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            return self._pool.request(
                method,
                f"{self.host}{path}{_encoded(query)}",
                body=None if body is None else json.dumps(body),
                headers=headers,
                timeout=urllib3.Timeout(connect=CONNECT_TIME, read=seconds),
                # A request that changes something is not sent twice; urllib3 notices a dead
                # connection that was kept open.
                retries=urllib3.Retry(1, read=0, redirect=0, status=0),
                preload_content=not streams,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise unreachable(self.host, error) from error


def refusal(status: int, data: bytes | str) -> ApiError:
    """Return the error for a refusing answer of an API server."""
    try:
        said = json.loads(data)
    except ValueError:
        said = None
    if isinstance(said, dict) and said.get("kind") == "Status":
        message = str(said.get("message") or said.get("reason") or status)
        return ApiError(status, str(said.get("reason") or ""), " ".join(message.split()))
    text = data.decode(errors="replace") if isinstance(data, bytes) else data
    return ApiError(status, "", f"status {status}: {' '.join(text.split())[:300]}".rstrip(": "))


def unreachable(host: str, error: Exception) -> ApiError:
    """Return the error for an API server that cannot be reached."""
    cause: BaseException = error
    while (deeper := getattr(cause, "reason", None) or cause.__cause__) and isinstance(
        deeper, BaseException
    ):
        cause = deeper
    text = " ".join(str(cause).split()).rpartition("object at 0x")[2]
    text = text.partition(">: ")[2] or text
    return ApiError(0, "Unreachable", f"the API server {host} cannot be reached: {text}")


def _encoded(query: Query | None) -> str:
    if not query:
        return ""
    texts = {key: str(value).lower() if value is True else value for key, value in query.items()}
    return f"?{urlencode(texts)}"


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data) if data else {}
    except ValueError as error:
        text = data[:100].decode(errors="replace")
        raise ApiError(
            200, "", f"the answer is not JSON: {text!r}; is this an API server?"
        ) from error


def _lines(response: Any) -> Iterator[Any]:
    import urllib3  # noqa: PLC0415 - heavy

    rest = b""
    try:
        for part in response.stream(1 << 16, decode_content=True):
            *lines, rest = (rest + part).split(b"\n")
            yield from (json.loads(line) for line in lines if line)
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise ApiError(0, "Unreachable", f"the watch broke: {error}") from error
