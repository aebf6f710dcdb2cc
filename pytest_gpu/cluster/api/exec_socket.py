"""The websocket of an exec, opened with the official client's configuration.

The client's own function sends no header but the user's authorization, and waits for an answer
for ever.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from importlib import import_module
from typing import Any

PROTOCOLS = "v5.channel.k8s.io,v4.channel.k8s.io"
"""Exec protocols: a channel's number before each message, and a status at the end."""


def open_socket(configuration: Any, url: str, headers: Mapping[str, str], seconds: float) -> Any:
    """Return a websocket whose other end has answered within a number of seconds.

    Raises:
        WebSocketException: the server refused it.
        OSError: the server cannot be reached.
    """
    import websocket  # noqa: PLC0415 - heavy

    stream: Any = import_module("kubernetes.stream.ws_client")
    socket: Any = websocket.WebSocket(sslopt=_tls(configuration, url), skip_utf8_validation=False)
    sent = {**headers, "Sec-WebSocket-Protocol": PROTOCOLS}
    options: dict[str, Any] = {"header": [f"{name}: {text}" for name, text in sent.items()]}
    if configuration.proxy or configuration.proxy_headers:
        options = stream.websocket_proxycare(options, configuration, url, headers)
    socket.connect(url, timeout=seconds, **options)
    return socket


def _tls(configuration: Any, url: str) -> dict[str, Any]:
    if not (url.startswith("wss://") and configuration.verify_ssl):
        return {"cert_reqs": ssl.CERT_NONE, **_given(configuration)}
    authorities = configuration.ssl_ca_cert or import_module("certifi").where()
    found = {"cert_reqs": ssl.CERT_REQUIRED, "ca_certs": authorities}
    if configuration.assert_hostname is not None:
        found["check_hostname"] = configuration.assert_hostname
    return {**found, **_given(configuration)}


def _given(configuration: Any) -> dict[str, Any]:
    """Return what a configuration says about certificates, by the names of websocket-client."""
    found = {
        "certfile": configuration.cert_file,
        "keyfile": configuration.key_file,
        # Not every version of the client has it.
        "server_hostname": getattr(configuration, "tls_server_name", None),
    }
    return {name: value for name, value in found.items() if value}
