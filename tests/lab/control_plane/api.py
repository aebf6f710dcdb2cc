"""A bare client of the Kubernetes API: the lab must not use the code that it tests."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PATCH = "application/merge-patch+json"


class ApiError(Exception):
    """The API server refused; holds the status code and what it said."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """One user's view of the API server."""

    host: str
    port: int
    tls: ssl.SSLContext

    def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """Send one request and return the parsed answer (text where it is not JSON).

        Raises:
            ApiError: the status is not 2xx.
            OSError: the API server cannot be reached.
        """
        connection = http.client.HTTPSConnection(self.host, self.port, context=self.tls, timeout=60)
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {"Content-Type": kind})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        if answer.status >= 300:
            raise ApiError(answer.status, text)
        return json.loads(text) if "json" in answer.getheader("Content-Type", "") else text

    def get(self, path: str) -> Any:
        """Read an object or a list."""
        return self.call("GET", path)

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
        return self.call("POST", path, body)

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """Merge ``body`` into an object."""
        return self.call("PATCH", path, body, PATCH)

    def delete(self, path: str, seconds: int | None = None) -> None:
        """Delete an object or a collection, with a grace period; one that is gone is fine."""
        grace = {} if seconds is None else {"gracePeriodSeconds": seconds}
        try:
            self.call("DELETE", path, {"kind": "DeleteOptions", "apiVersion": "v1", **grace})
        except ApiError as error:
            if error.status != 404:
                raise


def open_api(kubeconfig: Path) -> Api:
    """Return the API as the only user of a kubeconfig that the lab wrote."""
    config = json.loads(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    tls = ssl.create_default_context(cadata=_decoded(cluster["certificate-authority-data"]))
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(_decoded(user["client-certificate-data"]) + _decoded(user["client-key-data"]))
        file.flush()
        tls.load_cert_chain(file.name)
    server = urlsplit(cluster["server"])
    return Api(host=server.hostname or "", port=server.port or 443, tls=tls)


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode()
