"""Changing an admin's JSON file in as few places as its own layout allows."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pytest_gpu.parsing import json_document
from pytest_gpu.stack.repair.patch import patch, unified
from pytest_gpu.steps import Steps


def diff(name: str, text: str, wanted: Mapping[str, Any]) -> str:
    """Return a unified diff that turns a file's text into one that says what is wanted."""
    return unified(name, f"{text.strip()}\n", f"{edited(text, wanted).strip()}\n").rstrip("\n")


def patched(path: str, text: str | None, wanted: Mapping[str, Any]) -> Steps:
    """Return the patch after which a file of the node says what is wanted; ``None`` makes it."""
    after = f"{_written_anew('', wanted)}\n" if text is None else edited(text, wanted)
    return patch(path, text, after)


def edited(text: str, wanted: Mapping[str, Any]) -> str:
    """Return the text with only the differing members changed; written anew if that fails."""
    try:
        changed = _merge(text, json_document(text), wanted, ())
        right = json_document(changed) == wanted
    except ValueError:
        right = False
    return changed if right else _written_anew(text, wanted)


def _written_anew(text: str, wanted: Mapping[str, Any]) -> str:
    indent = re.search(r"^([ \t]+)\S", text, re.MULTILINE)
    return json.dumps(wanted, indent=indent[1] if indent else "  ", ensure_ascii=False)


def _merge(text: str, old: Mapping[str, Any], new: Mapping[str, Any], path: tuple[str, ...]) -> str:
    """Change members one by one; each is looked for by its key behind those of its parents."""
    for key, value in new.items():
        before = old.get(key)
        if before == value:
            continue
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            text = _merge(text, before, value, (*path, key))
        elif key in old:
            text = _replaced(text, (*path, key), value)
        else:
            text = _inserted(text, path, key, value)
    return text


def _after(text: str, path: tuple[str, ...]) -> int:
    """Return the position behind the colon of the member that a path leads to."""
    position = 0
    for key in path:
        match = re.compile(rf"{re.escape(json.dumps(key))}\s*:\s*").search(text, position)
        if match is None:
            raise ValueError(f"no member {key!r}")
        position = match.end()
    return position


def _replaced(text: str, path: tuple[str, ...], value: object) -> str:
    start = _after(text, path)
    _, end = json.JSONDecoder().raw_decode(text, start)
    return text[:start] + json.dumps(value) + text[end:]


def _inserted(text: str, path: tuple[str, ...], key: str, value: object) -> str:
    """Insert a member first in its object, on a line of its own if the others have theirs."""
    opening = text.index("{", _after(text, path)) + 1
    member = f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
    gap = re.compile(r"\s*").match(text, opening)
    space = gap[0] if gap else ""
    if text[opening + len(space)] == "}":
        return f"{text[:opening]}{member}{text[opening + len(space) :]}"
    between = space if "\n" in space else " "
    return f"{text[:opening]}{space}{member},{between}{text[opening + len(space) :]}"
