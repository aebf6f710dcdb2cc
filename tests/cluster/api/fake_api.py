"""A small Kubernetes API server over plain HTTP: lists, watches, rights, pods, exec.

Its nodes are folders of this machine. A pod that is bound to a node "runs" there at once, and exec
starts the command's Python program in earnest, with the folder as the node's root. What is wrong
with a node is said by its ``trouble``.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import json
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
HELD_TIME = 120.0
"""Seconds after which a request that nobody releases is answered."""

VERBS = ("get", "list", "watch", "create", "delete", "deletecollection")
RESOURCES = (
    *("pods", "pods/exec", "pods/log", "namespaces", "priorityclasses", "nodes", "events"),
    *("daemonsets", "deployments", "replicasets", "statefulsets", "jobs", "runtimeclasses"),
    *("clusterpolicies", "nvidiadrivers", "resourceslices", "resourceclaims"),
)
"""Rights that a user of this server has, unless they are denied."""

GROUPS = {"apps": "v1", "node.k8s.io": "v1", "nvidia.com": "v1"}


@dataclass(kw_only=True, eq=False)
class FakeApi:
    """What the server knows; ``objects`` by collection and ``namespace/name``.

    ``roots`` are the folders of nodes; ``trouble`` maps a node to the status of pods on it, and
    ``denied`` holds "verb resource" of rights that are missing; ``silent``: only reviews of
    single rights tell. With ``pulling``, each new pod has
    the event that its image is being pulled. A watch ends after
    ``quiet`` seconds without a change. ``requests`` is what was asked; ``agents`` who asked. A
    request that matches ``hold`` (``METHOD path``) sets ``reached`` and waits for ``release``.
    """

    roots: dict[str, Path] = field(default_factory=dict)
    objects: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    trouble: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    silent: bool = False
    sticky: bool = False
    pulling: bool = False
    quiet: float = 0.3
    requests: list[str] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    hold: str = ""
    reached: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    version: int = 1
    changed: threading.Condition = field(default_factory=threading.Condition)
    changes: list[tuple[int, str, str, dict[str, Any]]] = field(default_factory=list)

    def put(self, kind: str, thing: dict[str, Any], event: str = "ADDED") -> None:
        """Store an object, or its new state, and tell the watchers."""
        with self.changed:
            self.version += 1
            head = thing.setdefault("metadata", {})
            head["resourceVersion"] = str(self.version)
            key = f"{head.get('namespace', '')}/{head['name']}"
            self.objects.setdefault(kind, {})[key] = thing
            self.changes.append((self.version, event, kind, thing))
            self.changed.notify_all()

    def drop(self, kind: str, key: str) -> None:
        """Remove an object and tell the watchers."""
        with self.changed:
            self.version += 1
            thing = self.objects[kind].pop(key)
            self.changes.append((self.version, "DELETED", kind, thing))
            self.changed.notify_all()

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return all objects of a collection."""
        return list(self.objects.get(kind, {}).values())

    def rules(self) -> dict[str, Any]:
        """Return the status of a review of rules: all rights but those that are denied.

        With ``silent``, nobody lists his rules.
        """
        every = {f"{verb} {what}" for verb in VERBS for what in RESOURCES} - self.denied
        pairs = (right.split(" ") for right in sorted(every))
        rules = [{"verbs": [v], "apiGroups": ["*"], "resources": [what]} for v, what in pairs]
        return {"resourceRules": [] if self.silent else rules, "incomplete": self.silent}

    def asked(self, pattern: str) -> list[str]:
        """Return the requests, ``METHOD path``, that match a pattern."""
        return fnmatch.filter(self.requests, pattern)


class FakeServer(ThreadingHTTPServer):
    """The server of one API; use it as a context manager."""

    daemon_threads = True
    request_queue_size = 256
    """Connections that wait to be taken: a run looks at many nodes at once."""

    def __init__(self, api: FakeApi, handler: type[Handler] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), handler or Handler)
        self.api = api

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def kubeconfig(self, folder: Path, context: str = "fake") -> Path:
        """Write a kubeconfig whose only context leads here; return it."""
        file = folder / "kubeconfig"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": context,
            "contexts": [{"name": context, "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
            "users": [{"name": "u", "user": {"token": "secret-token"}}],
        }
        file.write_text(json.dumps(config))
        return file

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: FakeServer

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing."""

    def handle(self) -> None:
        """Serve until the client goes away; that it does is no error."""
        try:
            super().handle()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def do_GET(self) -> None:
        """Answer lists, watches, single objects and exec."""
        if self._refused():
            return
        if self.path.startswith("/apis?") or self.path == "/apis":
            self._send({"groups": [_group(*item) for item in GROUPS.items()]})
        elif "/exec?" in self.path:
            self.execute()
        elif self.query.get("watch") == "true":
            self._watch()
        else:
            self._get()

    def do_POST(self) -> None:
        """Create."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._refused():
            return
        if self.url.path.endswith("selfsubjectrulesreviews"):
            self._send({"status": self.api.rules()})
            return
        if self.url.path.endswith("selfsubjectaccessreviews"):
            wanted = body["spec"]["resourceAttributes"]
            what = "/".join(filter(None, (wanted["resource"], wanted["subresource"])))
            allowed = f"{wanted['verb']} {what}" not in self.api.denied
            self._send({"status": {"allowed": allowed}})
            return
        if self.kind == "pods":
            node = body["spec"].get("nodeName", "")
            if node in self.api.refusals:
                self._refuse(*self.api.refusals[node])
                return
            if self.api.pulling:
                self.api.put("events", _pulling(body["metadata"]["name"]))
            body["status"] = self.api.trouble.get(node) or self.fate(body)
        self.api.put(self.kind, body)
        self._send(body, 201)

    def execute(self) -> None:
        """Start a command in a pod."""
        Exec(self).run()

    def do_DELETE(self) -> None:
        """Delete an object or a collection."""
        if self._refused():
            return
        for key, thing in list(self.api.objects.get(self.kind, {}).items()):
            if self._selects(thing) and self.name in ("", thing["metadata"]["name"]):
                if self.api.sticky:
                    thing["metadata"]["deletionTimestamp"] = "2026-11-21T10:00:00Z"
                else:
                    self.api.drop(self.kind, key)
        self._send({"kind": "Status", "status": "Success"})

    def fate(self, pod: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the status of a new pod."""
        return {
            "phase": "Running",
            "startTime": "2026-11-21T10:00:00Z",
            "containerStatuses": [{"name": "visit", "state": {"running": {}}}],
        }

    @property
    def api(self) -> FakeApi:
        """What the server knows."""
        return self.server.api

    @property
    def url(self) -> Any:
        """The request's path and query, split."""
        return urlsplit(self.path)

    @property
    def query(self) -> dict[str, str]:
        """The query."""
        return dict(parse_qsl(self.url.query))

    @property
    def kind(self) -> str:
        """The collection that is meant."""
        parts = self.url.path.strip("/").split("/")
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        if len(rest) > 2 and rest[0] == "namespaces":
            rest = rest[2:]
        return str(rest[0]) if rest else ""

    @property
    def name(self) -> str:
        """The object that is meant, empty for the collection."""
        _, _, rest = self.url.path.rpartition(f"/{self.kind}")
        return str(rest.strip("/").partition("/")[0])

    def _refused(self) -> bool:
        """Answer what is denied; note what was asked."""
        asks = f"{self.command} {self.path}"
        self.api.requests.append(asks)
        self.api.agents.add(self.headers.get("User-Agent", ""))
        if self.api.hold and fnmatch.fnmatchcase(asks, self.api.hold):
            self.api.reached.set()
            self.api.release.wait(HELD_TIME)
        if self.headers.get("Authorization") != "Bearer secret-token":
            self._refuse(401, "Unauthorized")
            return True
        resource = f"{self.kind}/exec" if "/exec?" in self.path else self.kind
        verb = {"POST": "create", "DELETE": "delete" if self.name else "deletecollection"}
        asked = verb.get(self.command) or ("get" if self.name else "list")
        if self.query.get("watch") == "true":
            asked = "watch"
        if f"{asked} {resource}" in self.api.denied:
            text = f'{resource} is forbidden: User "u" cannot {asked} resource "{resource}"'
            self._refuse(403, text)
            return True
        return False

    def _refuse(self, status: int, message: str) -> None:
        reason = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound"}.get(status, "")
        self._send({"kind": "Status", "message": message, "reason": reason}, status)

    def _get(self) -> None:
        found = [t for t in self.api.of(self.kind) if self._selects(t)]
        if self.name:
            named = [thing for thing in found if thing["metadata"]["name"] == self.name]
            if named:
                self._send(named[0])
            else:
                self._refuse(404, f'{self.kind} "{self.name}" not found')
            return
        head = {"resourceVersion": str(self.api.version)}
        self._send(
            {"kind": f"{self.kind}List", "apiVersion": "v1", "metadata": head, "items": found}
        )

    def _selects(self, thing: Mapping[str, Any]) -> bool:
        labels = thing["metadata"].get("labels") or {}
        for term in filter(None, self.query.get("labelSelector", "").split(",")):
            key, sign, value = term.partition("!=" if "!=" in term else "=")
            if (not sign and key not in labels) or (sign == "!=" and labels.get(key) == value):
                return False
            if sign == "=" and labels.get(key) != value:
                return False
        return True

    def _watch(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event, thing in self._events():
            line = json.dumps({"type": event, "object": thing}).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.write(b"0\r\n\r\n")

    def _events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield what changed since the version asked for; a quiet while ends the watch."""
        seen = int(self.query.get("resourceVersion") or 0)
        while True:
            with self.api.changed:
                if self.api.version == seen:
                    self.api.changed.wait(self.api.quiet)
                new = [c for c in self.api.changes if c[0] > seen and c[2] == self.kind]
                if self.api.version == seen:
                    return
                seen = self.api.version
            yield from ((event, thing) for _, event, _, thing in new if self._selects(thing))

    def _send(self, body: Mapping[str, Any], status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _pulling(pod: str) -> dict[str, Any]:
    """Return what a kubelet says when it begins to pull a pod's image."""
    head = {"name": f"{pod}.1", "namespace": "pytest-gpu"}
    about = {"kind": "Pod", "name": pod, "namespace": "pytest-gpu"}
    said = {"type": "Normal", "reason": "Pulling", "message": "Pulling image"}
    return {"metadata": head, "involvedObject": about, **said}


def _group(name: str, version: str) -> dict[str, Any]:
    return {"name": name, "preferredVersion": {"groupVersion": f"{name}/{version}"}}


class Exec:
    """One exec: the websocket's frames to and from a process on this machine."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self._lock = threading.Lock()

    def run(self) -> None:
        """Shake hands, start the process, carry bytes until it ends."""
        self.shake_hands()
        pipe = subprocess.PIPE
        with subprocess.Popen(self._argv(), stdin=pipe, stdout=pipe, stderr=pipe) as child:
            readers = [
                threading.Thread(target=self._carry, args=(1, child.stdout)),
                threading.Thread(target=self._carry, args=(2, child.stderr)),
            ]
            for reader in readers:
                reader.start()
            threading.Thread(target=self._feed, args=(child,), daemon=True).start()
            for reader in readers:
                reader.join()
        self.frame(3, json.dumps(_status(child.returncode)).encode())
        with suppress(OSError):
            self.handler.wfile.write(b"\x88\x00")
        self.handler.close_connection = True

    def shake_hands(self) -> None:
        """Accept the websocket."""
        key = self.handler.headers["Sec-WebSocket-Key"].encode()
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()  # noqa: S324 - RFC 6455
        self.handler.send_response(101)
        self.handler.send_header("Upgrade", "websocket")
        self.handler.send_header("Connection", "Upgrade")
        self.handler.send_header("Sec-WebSocket-Accept", accept)
        self.handler.send_header("Sec-WebSocket-Protocol", "v4.channel.k8s.io")
        self.handler.end_headers()

    def _argv(self) -> list[str]:
        """Return the command as it runs here: this Python, the node's folder."""
        api = self.handler.api
        asked = [value for key, value in parse_qsl(self.handler.url.query) if key == "command"]
        pods = {pod["metadata"]["name"]: pod for pod in api.of("pods")}
        spec = pods[self.handler.name]["spec"]
        places = {"python3": sys.executable, "namespaces": "here"}
        places["/host"] = str(api.roots[spec["nodeName"]])
        return [places.get(word, word) for word in asked]

    def _carry(self, channel: int, pipe: Any) -> None:
        while data := pipe.read1(1 << 16):
            self.frame(channel, data)

    def frame(self, channel: int, data: bytes) -> None:
        """Send a message."""
        payload = bytes([channel]) + data
        head = b"\x82" + (b"\x7f" + struct.pack(">Q", len(payload)))
        with self._lock:
            try:
                self.handler.wfile.write(head + payload)
            except OSError:
                self.handler.close_connection = True

    def _feed(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdin is not None
        try:
            while (payload := self.receive()) is not None:
                child.stdin.write(payload[1:])
                child.stdin.flush()
        except (OSError, ValueError, struct.error) as error:
            self.handler.log_message("exec ended: %s", error)
        child.kill()

    def receive(self) -> bytes | None:
        """Return the next message, ``None`` at the end."""
        stream = self.handler.rfile
        first, second = stream.read(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack(">H", stream.read(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", stream.read(8))
        mask = stream.read(4)
        data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(stream.read(size)))
        return None if first & 0x0F == 8 else data


def _status(code: int) -> Mapping[str, Any]:
    if code == 0:
        return {"status": "Success"}
    cause = {"reason": "ExitCode", "message": str(code)}
    return {"status": "Failure", "message": f"exit code {code}", "details": {"causes": [cause]}}


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
