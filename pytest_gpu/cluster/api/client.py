"""A client of the Kubernetes API: the official client's connection, with plain JSON over it.

The official client reads kubeconfigs, starts exec plugins, and handles TLS and proxies. Its
generated classes are not used: they cost seconds for large lists and drop fields that they do not
know. Nothing is imported from it before a cluster is opened.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from functools import partial
from importlib import import_module
from importlib.metadata import version
from typing import Any
from urllib.parse import urlencode

from pytest_gpu.cluster.api.answers import ApiError, event_of, parsed, part, refusal, unreachable
from pytest_gpu.cluster.api.bodies import ANSWER_TIME, chunks, ended_after
from pytest_gpu.cluster.api.exec_socket import open_socket
from pytest_gpu.cluster.api.line_buffer import LineBuffer
from pytest_gpu.cluster.api.measured_socket import abandoned_after

CONNECT_TIME = 10.0
"""Seconds within which the API server must accept a connection."""

REQUEST_TIME = 60.0
"""Seconds for one request; the API server itself gives up after the same time."""

PAGE = 500
"""Objects per page of a list: one request for most clusters, bounded memory for the largest."""

MAX_PAGES = 1000
"""Pages of one list: half a million objects."""

LIST_TIME = 300.0
"""Seconds for all pages of one list."""

CONNECTIONS = 128
"""Connections that are kept open; further ones are closed after each request."""

Query = Mapping[str, str | int | bool]


class KubeClient:
    """One user's access to one API server; all methods may be called from many threads.

    Args:
        configuration: the official client's.
        timeout: seconds that no wait may exceed; most have shorter limits of their own.
    """

    def __init__(self, configuration: Any, timeout: float = LIST_TIME) -> None:
        # Only some versions of the client have type annotations.
        rest: Any = import_module("kubernetes.client.rest")
        configuration.connection_pool_maxsize = CONNECTIONS
        self.configuration = configuration
        self.timeout = timeout
        self.host: str = configuration.host.rstrip("/")
        self._pool = rest.RESTClientObject(configuration).pool_manager
        # An exec plugin whose token has expired must be started once, not by every thread.
        self._lock = threading.Lock()

    def call(self, method: str, path: str, query: Query | None = None, body: Any = None) -> Any:
        """Send one request and return the parsed answer.

        Raises:
            ApiError: the API server refused it, or cannot be reached.
        """
        return parsed(self._read(method, path, query, body))

    def get(self, path: str, **query: str | int | bool) -> Any:
        """Read an object, or a list in one piece."""
        return self.call("GET", path, query)

    def text(self, path: str, **query: str | int | bool) -> str:
        """Read what is not an object, such as a container's log.

        Raises:
            ApiError: the API server refused it, or cannot be reached.
        """
        return self._read("GET", path, query).decode("utf-8", "replace")

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
        """Yield the parts of a list; each is a List object.

        Raises:
            ApiError: the list does not end.
        """
        further: dict[str, str | int | bool] = {}
        limit = min(LIST_TIME, self.timeout)
        deadline = time.monotonic() + limit
        for _ in range(MAX_PAGES):
            page = self.call("GET", path, {**query, "limit": PAGE, **further})
            yield page
            token = str(part(page, "metadata").get("continue") or "")
            if not token:
                return
            if time.monotonic() > deadline:
                raise ApiError(200, "", f"{path}: the list was not complete after {limit:g} s")
            if further == {"continue": token}:
                raise ApiError(200, "", f"{path}: the list does not end: a page follows itself")
            further = {"continue": token}
        raise ApiError(200, "", f"{path}: the list has more than {MAX_PAGES} pages")

    def watch(self, path: str, seconds: int, **query: str | int | bool) -> Iterator[Any]:
        """Yield watch events, ``{type, object}``, until the API server ends it after ``seconds``.

        Raises:
            ApiError: it was refused, or the connection broke.
        """
        asked = {**query, "watch": True, "timeoutSeconds": seconds}
        within = seconds + min(CONNECT_TIME, self.timeout)
        response = self._send("GET", path, asked, seconds=within)
        try:
            with ended_after(response, within):
                if response.status >= 300:
                    raise refusal(response.status, b"".join(chunks(response)))
                yield from _events(response)
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

        url = f"{self.host.replace('http', 'ws', 1)}{path}?{query}"
        headers = {"User-Agent": user_agent(), **self.authorization()}
        seconds = min(REQUEST_TIME, self.timeout)
        opened = partial(open_socket, self.configuration, url, headers, seconds)
        try:
            return abandoned_after(seconds, opened)
        except TimeoutError:
            raise ApiError(408, "Timeout", f"exec: no answer within {seconds:g} s") from None
        except websocket.WebSocketBadStatusException as error:
            body = getattr(error, "resp_body", None) or b""
            raise refusal(error.status_code, body) from error
        except (OSError, websocket.WebSocketException) as error:
            raise unreachable(self.host, error) from error

    def close(self) -> None:
        """Close all connections; another request would open a new one."""
        self._pool.clear()

    def _read(self, method: str, path: str, query: Query | None, body: Any = None) -> bytearray:
        """Return a whole answer."""
        seconds = min(REQUEST_TIME, self.timeout)
        response = self._send(method, path, query, body, seconds=seconds)
        data = bytearray()
        try:
            with ended_after(response, min(ANSWER_TIME, self.timeout)):
                for each in chunks(response):
                    data += each
        except ApiError:
            response.close()
            raise
        if response.status >= 300:
            raise refusal(response.status, data)
        return data

    def _send(
        self,
        method: str,
        path: str,
        query: Query | None,
        body: Any = None,
        *,
        seconds: float,
    ) -> Any:
        """Send a request; its answer may be silent for a number of seconds."""
        import urllib3  # noqa: PLC0415 - heavy

        known = {"Accept": "application/json", "User-Agent": user_agent()}
        headers = {**known, **self.authorization()}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            return self._pool.request(
                method,
                f"{self.host}{path}{_encoded(query)}",
                body=None if body is None else json.dumps(body),
                headers=headers,
                timeout=urllib3.Timeout(connect=min(CONNECT_TIME, seconds), read=seconds),
                # A request that changes something is not sent twice; urllib3 notices a dead
                # connection that was kept open.
                retries=urllib3.Retry(1, read=0, status=0),
                redirect=False,
                preload_content=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise unreachable(self.host, error) from error


def user_agent() -> str:
    """Return how our requests are named in an API server's audit log."""
    return f"pytest-gpu/{version('pytest-gpu')}"


def _encoded(query: Query | None) -> str:
    if not query:
        return ""
    texts = {key: str(value).lower() if value is True else value for key, value in query.items()}
    return f"?{urlencode(texts)}"


def _events(response: Any) -> Iterator[Any]:
    buffer = LineBuffer()
    for each in chunks(response):
        yield from (event_of(line) for line in buffer.take(each) if line)
