"""Names as the Kubernetes API takes them; no object of a cluster can have another one.

The rules are those of k8s.io/apimachinery (pkg/util/validation). Names stand in evidence and in
commands to copy, so a recording with other names is refused when it is opened.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pytest_gpu.cluster.recording import shapes
from pytest_gpu.errors import RecordingError
from pytest_gpu.evidence import REDACTED

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*+(?<=[a-z0-9]))?+")
_VALUE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*+(?<=[A-Za-z0-9]))?+")
_SHOWN = 80


def object_name(value: Any, where: str) -> str:
    """Check the name of an object: words of a-z, 0-9 and ``-`` with dots between them."""
    return _checked(value, where, is_subdomain, "a name: lower-case letters, digits, '-' and '.'")


def short_name(value: Any, where: str) -> str:
    """Check the name of a namespace, a container, or a handler of a RuntimeClass: one word."""
    return _checked(value, where, _is_label, "a name: lower-case letters, digits and '-'")


def key(value: Any, where: str) -> str:
    """Check the name of a resource, or the key of a label: ``nvidia.com/gpu``, ``cpu``."""
    return _checked(value, where, _is_key, "a name such as nvidia.com/gpu")


def labels(value: Any, where: str) -> None:
    """Check the keys and values of labels, or of a selector that names them."""
    for name, text in shapes.mapping(value, where).items():
        key(name, where)
        _checked(text, f"{where}.{name}", _is_label_value, "a label's value")


def is_subdomain(text: str) -> bool:
    """Return whether a text is a DNS subdomain as of RFC 1123."""
    return len(text) <= 253 and all(map(_LABEL.fullmatch, text.split(".")))


def _is_label(text: str) -> bool:
    return len(text) <= 63 and bool(_LABEL.fullmatch(text))


def _is_label_value(text: str) -> bool:
    # What a recording hides of a value is not part of it.
    seen = text.replace(REDACTED, "x")
    return not seen or (len(seen) <= 63 and bool(_VALUE.fullmatch(seen)))


def _is_key(text: str) -> bool:
    prefix, slash, name = text.rpartition("/")
    return bool(name) and _is_label_value(name) and (not slash or is_subdomain(prefix))


def _checked(value: Any, where: str, right: Callable[[str], bool], kind: str) -> str:
    text = shapes.text(value, where)
    if not right(text):
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        raise RecordingError(f"{where}: {shown!r} is not {kind}")
    return text
