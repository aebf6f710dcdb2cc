"""Checks that the content of a recording's file has the shape that the format asks for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from pytest_gpu.errors import RecordingError

_JSON_NAMES = {
    dict: "a mapping",
    list: "a list",
    str: "text",
    type(None): "empty",
    bool: "a boolean",
}


def kind(value: Any) -> str:
    """Return the kind of a value, for messages."""
    return _JSON_NAMES.get(type(value), "a number")


def mapping(value: Any, where: str, keys: Collection[str] | None = None) -> Mapping[str, Any]:
    """Return a mapping whose keys are text; with ``keys``, only those.

    Raises:
        RecordingError: it is something else, or has other keys.
    """
    if not isinstance(value, dict):
        raise RecordingError(f"{where}: is {kind(value)}, must be a mapping")
    for key in value:
        if not isinstance(key, str):
            raise RecordingError(f"{where}: the key {key!r} is not text; quote it")
        if keys is not None and key not in keys:
            raise RecordingError(f"{where}: unknown key {key!r}; keys are {', '.join(keys)}")
    return value


def items(value: Any, where: str) -> list[Any]:
    """Return a list, an empty one for ``None``.

    Raises:
        RecordingError: it is something else.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise RecordingError(f"{where}: is {kind(value)}, must be a list")
    return value


def text(value: Any, where: str) -> str:
    """Return text.

    Raises:
        RecordingError: it is something else, such as a number without quotes.
    """
    if not isinstance(value, str):
        raise RecordingError(f"{where}: is {kind(value)}, must be text; quote it")
    return value


def texts(value: Any, where: str) -> tuple[str, ...]:
    """Return a list of text, with the check of :func:`items` and :func:`text`."""
    return tuple(text(item, f"{where}[{at}]") for at, item in enumerate(items(value, where)))


def integer(value: Any, where: str) -> int:
    """Return a whole number.

    Raises:
        RecordingError: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise RecordingError(f"{where}: is {kind(value)}, must be a whole number")
    return value


def number(value: Any, where: str) -> float:
    """Return a number, such as seconds.

    Raises:
        RecordingError: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecordingError(f"{where}: is {kind(value)}, must be a number")
    return float(value)


def bounded(value: Any, where: str) -> None:
    """Check all numbers in JSON types: none is infinite, not a number, or has more than 64 bits.

    Raises:
        RecordingError: one is.
    """
    if isinstance(value, dict):
        for key, member in value.items():
            bounded(member, f"{where}: {key}")
    elif isinstance(value, list):
        for at, member in enumerate(value):
            bounded(member, f"{where}[{at}]")
    elif isinstance(value, int | float) and not abs(value) < 1 << 64:
        raise RecordingError(f"{where}: must be a number of at most 64 bits")


def moment(value: Any, where: str) -> datetime:
    """Return an ISO 8601 time with its zone; without one it is UTC.

    Raises:
        RecordingError: it is not such a time, or is before the year 1 or after 9999 in UTC.
    """
    try:
        found = datetime.fromisoformat(text(value, where))
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        found.astimezone(UTC)
    except (ValueError, OverflowError):
        right = "must be a time like 2026-11-21T10:00:00Z"
        raise RecordingError(f"{where}: is {value!r}, {right}") from None
    return found


def octal(value: Any, where: str) -> int:
    """Return file mode bits: ``"0666"``, or 0666 without quotes, which YAML reads as octal.

    Raises:
        RecordingError: it is not such a number.
    """
    if isinstance(value, str):
        try:
            return int(value, 8)
        except ValueError:
            raise RecordingError(f"{where}: is {value!r}, must be octal like '0666'") from None
    return integer(value, where)
