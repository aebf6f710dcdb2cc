"""Reading and writing YAML in tests, by libyaml where it is there: ten times faster than Python."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from pytest_gpu.libyaml import SafeDumper, SafeLoader


def load(text: str) -> Any:
    """Return the one document of a text."""
    return yaml.load(text, Loader=SafeLoader)  # noqa: S506 - it is a safe one


def load_all(text: str) -> Iterator[Any]:
    """Yield the documents of a text."""
    yield from yaml.load_all(text, Loader=SafeLoader)


def dump(value: Any, *, sort_keys: bool = True) -> str:
    """Return a value as YAML."""
    text: str = yaml.dump(value, Dumper=SafeDumper, sort_keys=sort_keys)
    return text
