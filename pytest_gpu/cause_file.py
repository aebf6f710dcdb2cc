"""What a TOML file of causes may say: ours and those of a user's project alike."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pytest_gpu.cause_entry import COMMON, Cause, text_of
from pytest_gpu.layers import Layer
from pytest_gpu.steps import Slot, Step, Steps, Value, leaves_drained, read_step
from pytest_gpu.text.shell import example
from pytest_gpu.text.shell_places import IS_LITERAL, PLACEHOLDER

_LOOKS_LIKE_ONE = re.compile(rf"(?!{IS_LITERAL})\{{[A-Za-z_][\w-]*\}}")
_ID = re.compile(r"[a-z0-9][a-z0-9-]*/[a-z0-9][a-z0-9-]*")
_PATTERN = re.compile(r"[a-z0-9*?-]+/[a-z0-9*?-]+")
_NEEDED = ("title", "why", "check", "fix")
_KNOWN = (*_NEEDED, "layer", "explains", "example")


class EntryError(ValueError):
    """An entry of a file of causes is wrong.

    ``keys`` is where: the cause's ID, then the keys below it.
    """

    def __init__(self, problem: str, keys: tuple[str, ...] = ()) -> None:
        self.problem = problem
        self.keys = keys
        cause_id, below = keys[:1], ".".join(keys[1:])
        super().__init__(": ".join([*cause_id, *([below] if below else []), problem]))


def read_causes(text: str) -> Mapping[str, Cause]:
    """Return the causes of a TOML file by their IDs, in the file's order.

    Raises:
        EntryError: the text is not TOML, or an entry is wrong.
    """
    return {cause_id: _read_at(cause_id, entry) for cause_id, entry in _entries(text).items()}


def _entries(text: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise EntryError(f"is not TOML: {error}") from None


def _read_at(cause_id: str, entry: object) -> Cause:
    with _at(cause_id):
        return _cause(cause_id, entry)


@contextmanager
def _at(key: str) -> Iterator[None]:
    """Put a key before the place of an error."""
    try:
        yield
    except EntryError as error:
        raise EntryError(error.problem, (key, *error.keys)) from None
    except ValueError as error:
        raise EntryError(str(error), (key,)) from None


def _cause(cause_id: str, entry: object) -> Cause:
    if not _ID.fullmatch(cause_id):
        raise EntryError('the ID must have a prefix: ["prefix/name"], in lower case')
    table = _table(entry)
    _check_keys(table)
    return Cause(
        id=cause_id,
        layer=_layer(cause_id.partition("/")[0], table),
        title=_text(table, "title"),
        why=_text(table, "why").strip(),
        check=_check(table),
        fix=_fix(table),
        explains=tuple(_explains(table)),
        example=_example(table),
    )


def _check_keys(table: Mapping[str, Any]) -> None:
    for key in table:
        if key not in _KNOWN:
            raise EntryError(f"unknown key; known keys are {', '.join(_KNOWN)}", (key,))
    if missing := [key for key in _NEEDED if key not in table]:
        raise EntryError(f"{', '.join(missing)} missing")


def _layer(prefix: str, table: Mapping[str, Any]) -> Layer:
    """Return the layer that an entry names, else the one that its ID begins with."""
    if "layer" in table:
        name = _text(table, "layer")
        with _at("layer"):
            return Layer.parse(name)
    try:
        return Layer.parse(prefix)
    except ValueError:
        raise EntryError(f"layer missing; layers are {', '.join(map(str, Layer))}") from None


def _check(table: Mapping[str, Any]) -> tuple[Step, ...]:
    steps = []
    with _at("check"):
        for index, entry in enumerate(_list(table["check"])):
            step = _step(index, entry)
            if isinstance(step, Slot):
                raise EntryError("only a fix may contain the steps of a finding", (str(index),))
            steps.append(step)
    return tuple(steps)


def _fix(table: Mapping[str, Any]) -> Mapping[str, tuple[Step | Slot, ...]]:
    with _at("fix"):
        fixes = _table(table["fix"])
        if "default" not in fixes:
            raise EntryError("default missing")
        return {name: _steps(name, steps) for name, steps in fixes.items()}


def _steps(key: str, entries: object) -> tuple[Step | Slot, ...]:
    with _at(key):
        fix = tuple(_step(index, entry) for index, entry in enumerate(_list(entries)))
        if leaves_drained(fix):
            raise EntryError("drains the node: end it with kubectl uncordon {node}")
        return fix


def _step(index: int, entry: object) -> Step | Slot:
    # Without _at: there are a thousand steps, and every run reads them all.
    try:
        step = read_step(entry)
        _check_braces(text_of(step))
    except ValueError as error:
        raise EntryError(str(error), (str(index),)) from None
    return step


def _explains(table: Mapping[str, Any]) -> Iterator[str]:
    with _at("explains"):
        for pattern in _list(table.get("explains", [])):
            if not isinstance(pattern, str):
                raise EntryError("must be a list of texts")
            if not _PATTERN.fullmatch(pattern):
                raise EntryError(
                    f"{pattern!r} is not a cause's ID or a pattern of some, such as "
                    "acme/disk-full or acme/*"
                )
            yield pattern


def _example(table: Mapping[str, Any]) -> Mapping[str, Value]:
    with _at("example"):
        return _values(table.get("example", {}))


def read_examples(text: str) -> Mapping[str, Mapping[str, Value]]:
    """Return the examples of a TOML file by the IDs of their causes.

    Raises:
        EntryError: the text is not TOML, or a value is wrong.
    """
    return {cause_id: _values(entry) for cause_id, entry in _entries(text).items()}


def _values(entry: object) -> Mapping[str, Value]:
    return {name: _value(name, value) for name, value in _table(entry).items()}


def _value(name: str, value: object) -> Value:
    with _at(name):
        if isinstance(value, str):
            return value
        if isinstance(value, list):
            return _only_steps(map(read_step, value))
        if isinstance(value, dict) and isinstance(value.get("command"), str) and len(value) == 1:
            return example(value["command"])
        raise EntryError("must be a text, a list of steps, or { command = TEXT }")


def _only_steps(steps: Iterable[Step | Slot]) -> Steps:
    found = tuple(steps)
    if any(isinstance(step, Slot) for step in found):
        raise EntryError("must be words or commands")
    return tuple(step for step in found if isinstance(step, Step))


def check_placeholders(cause: Cause) -> None:
    """Refuse a placeholder without an example, and an example without a placeholder.

    ``example.distribution`` is always allowed: whose commands the example shows.

    Raises:
        EntryError: see above; its keys begin below the cause's ID.
    """
    used = cause.placeholders()
    for name in sorted(used - COMMON - cause.example.keys()):
        raise EntryError(
            f"{{{name}}} has no example: it is not filled in for every cause; "
            f'add example.{name} = "..." and pass {name} to Finding.of'
        )
    given = cause.example.keys() - {"distribution"}
    for name in sorted(given & COMMON):
        raise EntryError("is filled in for every cause", ("example", name))
    for name in sorted(given - used):
        raise EntryError(f"no text has the placeholder {{{name}}}", ("example", name))


def _text(table: Mapping[str, Any], key: str) -> str:
    with _at(key):
        text = table[key]
        if not isinstance(text, str) or not text.strip():
            raise EntryError("must be a text")
        _check_braces(text)
        if text.count("{") != text.count("}"):
            raise EntryError("has a brace without its partner; a placeholder looks like {node}")
        return text


def _check_braces(text: str) -> None:
    for match in _LOOKS_LIKE_ONE.finditer(text):
        if not PLACEHOLDER.fullmatch(match[0]):
            raise EntryError(
                f"{match[0]} is not a placeholder: it may have lower-case letters and underscores"
            )


def _table(entry: object) -> Mapping[str, Any]:
    if not isinstance(entry, dict):
        raise EntryError("must be a table")
    return entry


def _list(entry: object) -> list[Any]:
    if not isinstance(entry, list):
        raise EntryError("must be a list")
    return entry
