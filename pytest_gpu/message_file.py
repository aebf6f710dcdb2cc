"""What a ``messages.toml`` may say: messages of components, and the causes that they mean.

Each row is an entry of an array of tables whose key is the ID of the cause.
"""

from __future__ import annotations

import enum
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_gpu.cause_file import EntryError

_NEEDED = ("pattern", "where", "source", "match", "near_miss")
_KNOWN = (*_NEEDED, "decisive", "general", "needs", "shows")


class Where(enum.StrEnum):
    """Where a message stands.

    Attributes:
        CONTROL: crictl's error for a sandbox with the default handler.
        SANDBOX: crictl's error for a sandbox with the GPU handler.
        POD: the status of a pod that does not start, or an event of it.
        ANY_POD: the words with which a node refuses a pod or sandbox, with or without a GPU.
        PLUGIN_POD: that of POD of the device plugin's pod.
        OPERAND: the log, status or events of an operand that does not come up.
        ADMISSION: the API server's answer to a pod that is created.
        CUDA: what CUDA said in a pod.
        CONTAINERD: the journal of containerd's unit.
        NODE_READY: the message of a node's condition Ready.
    """

    CONTROL = "control"
    SANDBOX = "sandbox"
    POD = "pod"
    ANY_POD = "any-pod"
    PLUGIN_POD = "plugin-pod"
    OPERAND = "operand"
    ADMISSION = "admission"
    CUDA = "cuda"
    CONTAINERD = "containerd"
    NODE_READY = "node-ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A message of a component, and the cause that it means.

    Attributes:
        cause: the ID of the cause.
        pattern: what the message matches; its named groups are values of the cause.
        where: where the message may stand.
        source: the document, or the file of the component at a version, that has the message.
        match: a text that the pattern matches.
        near_miss: a text that is much like it and means something else.
        decisive: whether it comes before every other row: what it wraps is only a detail of it.
        general: whether every other row comes before it.
        needs: the names of the discriminators that must hold besides.
        shows: the names of those whose evidence is shown where it exists.
    """

    cause: str
    pattern: re.Pattern[str]
    where: frozenset[Where]
    source: str
    match: str
    near_miss: str
    decisive: bool = False
    general: bool = False
    needs: tuple[str, ...] = ()
    shows: tuple[str, ...] = ()


def read_rows(text: str) -> Iterator[Row]:
    """Yield the rows of a TOML file, in its order.

    Raises:
        EntryError: the text is not TOML, or a row is wrong.
    """
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise EntryError(f"is not TOML: {error}") from None
    for cause, entries in found.items():
        if not isinstance(entries, list):
            raise EntryError("must be an array of tables: [[...]]", (cause,))
        for index, entry in enumerate(entries):
            yield _read_at((cause, str(index)), entry)


def _read_at(keys: tuple[str, str], entry: object) -> Row:
    try:
        return _row(keys[0], entry)
    except EntryError as error:
        raise EntryError(error.problem, (*keys, *error.keys)) from None


def _row(cause: str, entry: object) -> Row:
    if not isinstance(entry, dict):
        raise EntryError("must be a table")
    _check_keys(entry)
    return Row(
        cause=cause,
        pattern=_pattern(entry),
        where=_where(entry),
        source=_text(entry, "source"),
        match=_text(entry, "match"),
        near_miss=_text(entry, "near_miss"),
        decisive=_flag(entry, "decisive"),
        general=_flag(entry, "general"),
        needs=_texts(entry, "needs"),
        shows=_texts(entry, "shows"),
    )


def _check_keys(entry: Mapping[str, Any]) -> None:
    for key in entry:
        if key not in _KNOWN:
            raise EntryError(f"unknown key; known keys are {', '.join(_KNOWN)}", (key,))
    if missing := [key for key in _NEEDED if key not in entry]:
        raise EntryError(f"{', '.join(missing)} missing")


def _pattern(entry: Mapping[str, Any]) -> re.Pattern[str]:
    try:
        return re.compile(_text(entry, "pattern"))
    except re.error as error:
        raise EntryError(f"is not a pattern: {error}", ("pattern",)) from None


def _where(entry: Mapping[str, Any]) -> frozenset[Where]:
    names = _texts(entry, "where")
    known = {str(each): each for each in Where}
    if not names or not known.keys() >= set(names):
        raise EntryError(f"must be a list of {', '.join(known)}", ("where",))
    return frozenset(known[name] for name in names)


def _text(entry: Mapping[str, Any], key: str) -> str:
    text = entry[key]
    if not isinstance(text, str) or not text.strip():
        raise EntryError("must be a text", (key,))
    return text


def _texts(entry: Mapping[str, Any], key: str) -> tuple[str, ...]:
    texts = entry.get(key, [])
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise EntryError("must be a list of texts", (key,))
    return tuple(texts)


def _flag(entry: Mapping[str, Any], key: str) -> bool:
    flag = entry.get(key, False)
    if not isinstance(flag, bool):
        raise EntryError("must be true or false", (key,))
    return flag
