"""YAML and JSON of recordings, read as hostile input.

UTF-8, no aliases, bounded depth and number of values, every key once, and timestamps stay text, as
in the API's own JSON. The module ``yaml_writer`` writes what is read here.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from itertools import accumulate
from typing import Any

import yaml

from pytest_gpu.errors import RecordingError
from pytest_gpu.libyaml import SafeLoader

MAX_DEPTH = 100
"""Most levels of nesting. libyaml's binding and Python both recurse: 5,000 levels crash them."""

MAX_VALUES = 2_000_000
"""Most values in one file of JSON: about 5,000 nodes as kubectl prints them."""

MAX_YAML_VALUES = 400_000
"""Most values in one file of other YAML, which takes ten times as long."""

MAX_DIGITS = 1_000
"""Most characters of a number; Python does not print one of more than 4,300 digits."""

_BLOCK_PREFIX = re.compile(rb"^[ \t?:-]{%d}" % MAX_DEPTH, re.MULTILINE)
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_VALUE = "tag:yaml.org,2002:value"
# One that is not closed ends with the text.
_STRINGS = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_NO_BRACKETS = re.compile(r"[^\[\]{}]+")


class _Loader(SafeLoader):
    """The safe loader without timestamps, and with every key once."""

    # "=" is a tag of YAML 1.1 that safe loaders know and cannot construct.
    yaml_implicit_resolvers = {  # noqa: RUF012 - the name and type are PyYAML's
        first: [pair for pair in pairs if pair[0] not in (_TIMESTAMP, _VALUE)]
        for first, pairs in SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that occurs twice: YAML would drop the first one silently."""
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        if len(found) != len(node.value):
            raise yaml.constructor.ConstructorError(
                problem="a key occurs twice", problem_mark=node.start_mark
            )
        return found


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    if len(node.value) > MAX_DIGITS:
        raise yaml.constructor.ConstructorError(
            problem=f"a number has more than {MAX_DIGITS:,} digits", problem_mark=node.start_mark
        )
    return loader.construct_yaml_int(node)


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)


def load(data: bytes, where: str) -> Any:
    """Return the one document in ``data``, ``None`` if it is empty.

    Raises:
        RecordingError: it is not such YAML; the message begins with ``where``.
    """
    documents = load_all(data, where)
    if len(documents) > 1:
        raise RecordingError(f"{where}: holds {len(documents)} documents, must hold one")
    return documents[0] if documents else None


def load_all(data: bytes, where: str) -> list[Any]:
    """Return every document in ``data`` that is not empty.

    JSON is YAML, and is read a hundred times faster: text that starts with a brace is tried as
    JSON first.

    Raises:
        RecordingError: it is not YAML, or exceeds a limit; the message begins with ``where``.
    """
    text = _utf8(data, where)
    if text.startswith("{"):
        _check_json_values(data, where)
        # Flow YAML or broken: the YAML reader shows which.
        with suppress(ValueError, RecursionError):
            return [_parse_json(text)]
    _check_structure(data, where)
    try:
        documents = list(yaml.load_all(text, Loader=_Loader))
    except (yaml.YAMLError, ValueError) as error:
        raise RecordingError(f"{where}: is not valid YAML{_reason(error)}") from None
    return [document for document in documents if document is not None]


def load_json(data: bytes, where: str) -> Any:
    """Return the JSON value in ``data``.

    Raises:
        RecordingError: it is not JSON; the message begins with ``where``.
    """
    text = _utf8(data, where)
    _check_json_values(data, where)
    try:
        return _parse_json(text)
    except RecursionError:
        raise _too_deep(where) from None
    except ValueError as error:
        raise RecordingError(f"{where}: is not valid JSON: {error}") from None


def _utf8(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecordingError(f"{where}: is not UTF-8 text (byte {error.start})") from None


def _check_json_values(data: bytes, where: str) -> None:
    # Every value comes after one of these, so their number limits the number of values.
    if sum(data.count(mark) for mark in (b",", b"[", b"{", b'":')) > MAX_VALUES:
        raise RecordingError(f"{where}: holds more than {MAX_VALUES:,} values")


def may_hold_many(data: bytes) -> bool:
    """Return whether a YAML text may hold too many values; marks in texts are counted, too."""
    marks = (b"\n", b",", b"[", b"{", b"- ", b"-\n", b": ", b":\n")
    return sum(data.count(mark) for mark in marks) > MAX_YAML_VALUES


def _check_structure(data: bytes, where: str) -> None:
    """Refuse aliases, deep nesting and too many values, before anything is built.

    An alias needs an anchor, and depth needs brackets or indentation: most files have none, which
    is quick to see, and are not parsed twice.
    """
    if _is_plain(data):
        return
    depth = values = 0
    told = None
    try:
        for event in yaml.parse(data, Loader=_Loader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent):
                raise RecordingError(f"{where}: has an alias (*{event.anchor}); write it in full")
            values += isinstance(event, yaml.NodeEvent)
            if values > MAX_YAML_VALUES:
                raise _too_many(where)
            if depth > MAX_DEPTH:
                raise _too_deep(where)
            told = event
    except yaml.YAMLError as error:
        # Newer parsers have their own limit. They look ahead for the end of a key, so that they
        # may give up before they report the first bracket.
        if depth + _deepest(_untold(told, error, data)) > MAX_DEPTH:
            raise _too_deep(where) from None
        raise RecordingError(f"{where}: is not valid YAML{_reason(error)}") from None


def _is_plain(data: bytes) -> bool:
    """Return whether a text has few values and neither aliases nor depth, at a glance."""
    brackets = data.count(b"[") + data.count(b"{")
    few = brackets < MAX_DEPTH and not may_hold_many(data)
    return few and b"&" not in data and not _BLOCK_PREFIX.search(data)


def _untold(told: yaml.Event | None, error: yaml.YAMLError, data: bytes) -> str:
    """Return the text from the last event to where a parser gave up; empty if unknown."""
    start = told.end_mark if told else None
    end = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    return data.decode("utf-8-sig")[start.index if start else 0 : end.index] if end else ""


def _deepest(text: str) -> int:
    """Return how deeply the brackets outside of strings are nested."""
    steps = (1 if b in "[{" else -1 for b in _NO_BRACKETS.sub("", _STRINGS.sub("", text)))
    return max(accumulate(steps), default=0)


def _too_many(where: str) -> RecordingError:
    return RecordingError(
        f"{where}: holds more than {MAX_YAML_VALUES:,} values; as JSON it may hold {MAX_VALUES:,}"
    )


def _too_deep(where: str) -> RecordingError:
    return RecordingError(f"{where}: is nested deeper than {MAX_DEPTH} levels")


def _parse_json(text: str) -> Any:
    if _deepest(text) > MAX_DEPTH:
        raise RecursionError
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _reason(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem:
        mark = error.problem_mark
        line = f" (line {mark.line + 1})" if mark else ""
        return f"{line}: {error.problem}"
    return f": {' '.join(str(error).split())}"
