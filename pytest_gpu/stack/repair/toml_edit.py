"""Changing an admin's TOML file in few places: comments, order and layout stay as they are.

Imported only when a finding is made: tomlkit takes longer to load and to parse than all checks of
a healthy node together.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

from pytest_gpu.parsing import check_toml
from pytest_gpu.stack.repair import line_diff

MAX_LINES = 5_000
"""Most lines of a file that tomlkit is given: it copies what it has read for every new table."""

MAX_LENGTH = 1 << 18
"""Most characters of such a file."""

Keys = tuple[str, ...]
Changes = Mapping[Keys, Any]
"""Wanted values by the keys that lead to them; ``None`` removes, a mapping is merged in."""

# What tomlkit raises where it meets a layout that it cannot change.
_CANNOT = (TOMLKitError, KeyError, TypeError, ValueError, AttributeError, IndexError)


def edited(text: str, changes: Changes) -> str | None:
    """Return a TOML text with its values changed, ``None`` where that cannot be done faithfully.

    What comes out was read again: it says what was wanted, and nothing else differs.
    """
    if len(text) > MAX_LENGTH or text.count("\n") > MAX_LINES:
        return None
    try:
        check_toml(text.encode(errors="replace"))
        wanted = tomllib.loads(text)
        for keys, value in changes.items():
            _put_plain(wanted, keys, value)
        changed = _by_tomlkit(text, changes)
        ways = (_spaced(text, changed), changed)
        return next((each for each in ways if tomllib.loads(each) == wanted), None)
    except _CANNOT:
        return None


def _by_tomlkit(text: str, changes: Changes) -> str:
    # tomlkit would go on in the last line if that is not ended.
    document = tomlkit.parse(text if text.endswith("\n") or not text else f"{text}\n")
    for keys, value in changes.items():
        _put(document, keys, value)
    return tomlkit.dumps(document)


def _spaced(before: str, after: str) -> str:
    """Return a changed text with an empty line before and after each table that is new."""
    new, lines = after.split("\n"), list[str]()
    match = line_diff.matcher(before.split("\n"), new, autojunk=False)
    for tag, _, _, start, end in match.get_opcodes():
        table = tag == "insert" and new[start].lstrip().startswith("[")
        if table and lines and lines[-1].strip():
            lines.append("")
        lines += new[start:end]
        if table and lines[-1].strip() and end < len(new) and new[end].strip():
            lines.append("")
    return "\n".join(lines)


def _put(table: Any, keys: Keys, value: Any) -> None:
    """Change one value of a tomlkit table; what lies on the way and is missing is made."""
    key, rest = keys[0], keys[1:]
    if rest and key in table:
        _put(table[key], rest, value)
    elif value is None:
        if not rest and key in table:
            del table[key]
    elif isinstance(value, list) and isinstance(table.get(key), list):
        _change_list(table[key], value)
    elif isinstance(value, Mapping) and isinstance(table.get(key), Mapping) and not rest:
        for name, each in value.items():
            _put(table[key], (name,), each)
    else:
        _add(table, key, _nested(rest, value))


def _add(table: Any, key: str, value: Any) -> None:
    table[key] = value
    if isinstance(table[key], Table):
        # tomlkit indents the new header like its neighbours, but not the lines below it.
        table[key].trivia.indent = ""


def _change_list(array: Any, wanted: list[Any]) -> None:
    """Take out and add single items, so that comments between the others stay."""
    for item in [each for each in array if each not in wanted]:
        array.remove(item)
    for item in wanted:
        if item not in array:
            array.append(item)


def _nested(keys: Keys, value: Any) -> Any:
    for key in reversed(keys):
        value = {key: value}
    return value


def _put_plain(table: dict[str, Any], keys: Keys, value: Any) -> None:
    """Do to plain mappings what :func:`_put` does to tomlkit's."""
    key, rest = keys[0], keys[1:]
    if value is None and not rest:
        table.pop(key, None)
    elif rest:
        if value is not None or key in table:
            _put_plain(table.setdefault(key, {}), rest, value)
    elif isinstance(value, Mapping) and isinstance(table.get(key), dict):
        for name, each in value.items():
            _put_plain(table[key], (name,), each)
    else:
        table[key] = deepcopy(value)
