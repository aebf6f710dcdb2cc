"""The settings for a live cluster."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

NAMESPACE = "pytest-gpu"
IMAGE = "python:3-slim"
PARALLEL = 100

T = TypeVar("T")

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSettings:
    """How a live cluster is reached and used.

    ``kubeconfig`` is read instead of kubectl's files (``None``: read those); everything is created
    in ``namespace``, from ``image``; ``parallel`` nodes are visited at the same time;
    ``read_only`` creates nothing; ``crictl`` is copied to nodes that have none.
    """

    kubeconfig: Path | None
    namespace: str
    image: str
    parallel: int
    read_only: bool
    crictl: Path | None


class Reader(Protocol):
    """Looks a value up: the option, else the configuration value, else a default."""

    def value(self, name: str, parse: Callable[[Any], T], default: T | None) -> Any:
        """Return a parsed value, or the default."""

    def path(self, text: str) -> Path:
        """Return a path of the command line."""


def read_live(reader: Reader) -> LiveSettings:
    """Return the settings about live clusters."""
    return LiveSettings(
        kubeconfig=reader.value("kubeconfig", lambda text: _file(reader.path(text)), None),
        namespace=reader.value("namespace", _namespace, NAMESPACE),
        image=reader.value("image", _image, IMAGE),
        parallel=reader.value("parallel", _count, PARALLEL),
        read_only=reader.value("read_only", bool, False),
        crictl=reader.value("crictl", lambda text: _file(reader.path(text)), None),
    )


def _file(path: Path) -> Path:
    if not path.is_file():
        raise ValueError("there is no such file")
    return path


def _namespace(text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise ValueError("is not a valid namespace name: use up to 63 a-z, 0-9 and dashes")
    return text


def _image(text: str) -> str:
    if not text or any(sign.isspace() for sign in text):
        raise ValueError(f"is not a valid image name; the default is {IMAGE}")
    return text


def _count(text: str) -> int:
    count = int(text) if text.isdecimal() else 0
    if not 1 <= count <= 1000:
        raise ValueError(f"must be a number of nodes from 1 to 1000; the default is {PARALLEL}")
    return count
