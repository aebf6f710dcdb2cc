"""The API server's audit log: every request of the suite's service account, as it came in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

WRITING = ("create", "update", "patch", "delete", "deletecollection")
"""Verbs that change something."""

GROUP = "system:serviceaccounts:pytest-gpu"

POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "Metadata", "userGroups": [GROUP]}, {"level": "None"}],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request: the verb and resource as RBAC has them (``pods/exec``), the answer's status."""

    verb: str
    resource: str
    name: str
    status: int

    @property
    def is_writing(self) -> bool:
        """Say whether it may change something; a command in a pod counts by either of its verbs."""
        return self.verb in WRITING or self.resource == "pods/exec"


def flags(folder: Path) -> Sequence[str]:
    """Write the policy into ``folder``; return the API server's flags for a log beside it."""
    policy = folder / "audit-policy.json"
    policy.write_text(json.dumps(POLICY))
    return (f"--audit-policy-file={policy}", f"--audit-log-path={log(folder)}")


def log(folder: Path) -> Path:
    """Return the log whose policy lies in ``folder``."""
    return folder / "audit.log"


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a log: what comes behind it is what happened since."""

    path: Path
    offset: int

    def requests(self) -> Sequence[Request]:
        """Return the requests that ended since."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return [_request(line) for line in file.read().splitlines()]


def mark(folder: Path) -> Mark:
    """Return the present end of the log."""
    path = log(folder)
    return Mark(path, path.stat().st_size if path.exists() else 0)


def _request(line: bytes) -> Request:
    event = json.loads(line)
    about = event.get("objectRef") or {}
    parts = (about.get("resource", event["requestURI"]), about.get("subresource"))
    return Request(
        verb=event["verb"],
        resource="/".join(part for part in parts if part),
        name=about.get("name", ""),
        status=(event.get("responseStatus") or {}).get("code", 0),
    )
