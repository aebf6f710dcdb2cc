"""The settings for a live cluster."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pytest_gpu.settings.user_files import program_file, readable_file

NAMESPACE = "pytest-gpu"
IMAGE = "python:3-slim"
PARALLEL = 100

T = TypeVar("T")

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_HOST = r"(?:[A-Za-z0-9](?:[-.A-Za-z0-9]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?:{_HOST}/)?{_PART}(?:/{_PART})*(?::\w[\w.-]{{0,127}})?"
    r"(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?",
    re.ASCII,
)
"""The name of an image, as the registries define it."""


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
        kubeconfig=reader.value("kubeconfig", lambda text: readable_file(reader.path(text)), None),
        namespace=reader.value("namespace", _namespace, NAMESPACE),
        image=reader.value("image", _image, IMAGE),
        parallel=reader.value("parallel", _count, PARALLEL),
        read_only=reader.value("read_only", bool, False),
        crictl=reader.value("crictl", lambda text: program_file(reader.path(text)), None),
    )


def _namespace(text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise ValueError("is not a valid namespace name: use up to 63 a-z, 0-9 and dashes")
    return text


def _image(text: str) -> str:
    if not _REFERENCE.fullmatch(text):
        raise ValueError(f"is not a valid image name; the default is {IMAGE}")
    return text


def _count(text: str) -> int:
    count = int(text) if re.fullmatch("[0-9]{1,9}", text) else 0
    if not 1 <= count <= 1000:
        raise ValueError(f"must be a number of nodes from 1 to 1000; the default is {PARALLEL}")
    return count
