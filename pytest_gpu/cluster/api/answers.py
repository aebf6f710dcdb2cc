"""What an API server answered: parsed, in the shape that Kubernetes documents, or refused.

https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pytest_gpu.cluster.redaction.redact_text import redact_text
from pytest_gpu.errors import GpuError
from pytest_gpu.evidence import KubeObject

MAX_PARTS = 1_500_000
"""Parts of one answer in JSON; a page of 500 large pods has about 250,000."""

MAX_SAID = 4000
"""Characters of a refusal that are kept; an admission webhook may explain itself at length."""

FORBIDDEN = 403
"""The status of a request that this user may not make."""

_SIGNS = (b"{", b"[", b",")


class ApiError(GpuError):
    """The API server refused a request.

    ``status`` is the HTTP status (0: it was not reached) and ``reason`` is Kubernetes' own word,
    such as Forbidden or NotFound. The message is redacted: it may quote a kubeconfig's address with
    a password in it, or an object.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(redact_text(message))
        self.status = status
        self.reason = reason


def refusal(status: int, data: bytes | bytearray | str) -> ApiError:
    """Return the error for a refusing answer of an API server."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        said = None
    if isinstance(said, dict) and said.get("kind") == "Status":
        message = str(said.get("message") or said.get("reason") or status)[:MAX_SAID]
        return ApiError(status, str(said.get("reason") or ""), " ".join(message.split()))
    text = data if isinstance(data, str) else data[:MAX_SAID].decode(errors="replace")
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


def parsed(data: bytes | bytearray) -> dict[str, Any]:
    """Return the object in an answer, an empty one for no answer at all.

    Raises:
        ApiError: it is something else.
    """
    if sum(map(data.count, _SIGNS)) > MAX_PARTS:
        raise strange(f"the answer has more than {MAX_PARTS} parts")
    try:
        found = json.loads(data) if data else {}
    except (ValueError, RecursionError) as error:
        text = data[:100].decode(errors="replace")
        raise strange(f"the answer is not JSON: {text!r}") from error
    if not isinstance(found, dict):
        raise strange(f"the answer is not an object: {data[:100].decode(errors='replace')!r}")
    return found


def part(answer: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return an object inside an object, an empty one if it is missing.

    Raises:
        ApiError: it is something else.
    """
    found = {} if answer.get(key) is None else answer[key]
    if not isinstance(found, dict):
        raise strange(f"{key!r} in the answer is not an object")
    return found


def items_of(listed: Mapping[str, Any], key: str = "items") -> list[KubeObject]:
    """Return the objects of a list; each has a name if it has metadata.

    Raises:
        ApiError: it is not a list of objects.
    """
    found = [] if listed.get(key) is None else listed[key]
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise strange(f"{key!r} in the answer is not a list of objects")
    for each in found:
        part(each, "metadata")
    return found


def event_of(line: bytes) -> Mapping[str, Any]:
    """Return an event of a watch: its ``type``, and the ``object``.

    Raises:
        ApiError: it is something else.
    """
    event = parsed(line)
    name = part(part(event, "object"), "metadata").get("name")
    if not isinstance(event.get("type"), str):
        raise strange("an event of the watch has no type")
    if event["type"] != "ERROR" and not isinstance(name, str):
        raise strange("an event of the watch has no object with a name")
    return event


def strange(what: str) -> ApiError:
    """Return the error for an answer that no API server gives."""
    return ApiError(200, "", f"{what}; is this an API server?")
