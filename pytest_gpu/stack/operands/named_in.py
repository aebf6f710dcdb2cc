"""What a line of a log or a message names: a path, or an object that is not there."""

from __future__ import annotations

import re

_MISSING = re.compile(
    r'\b(?P<kind>configmap|secret)s? "(?P<name>[^"\s]{1,253})" not found', re.IGNORECASE
)
_PATH = re.compile(r"(?<![\w:/.])/[\w.@+-]{1,255}(?:/[\w.@+-]{1,255}){0,20}")


def missing_in(text: str) -> tuple[str, str] | None:
    """Return kind and name of an object that a message says is not there, ``None`` if none is."""
    found = _MISSING.search(text)
    return (found["kind"].lower(), found["name"]) if found else None


def path_in(text: str) -> str | None:
    """Return the last path of a file that a line names, ``None`` if it names none."""
    found = _PATH.findall(text)
    return str(found[-1]) if found else None
