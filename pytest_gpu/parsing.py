"""Parses a node's TOML, YAML and JSON files; whatever is wrong with one, it raises one error.

The parsers raise more than their own errors: ``ValueError`` for a whole number with too many
digits for Python, ``RecursionError`` for a thousand levels of nesting, ``KeyError`` and others for
a YAML value that does not fit its tag.

What a node sends is hostile until proven otherwise, so a text is measured before it is parsed.
The limits are far above any real file; below them each parser takes linear time.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
import tomllib
from functools import lru_cache
from itertools import accumulate
from typing import Any

import yaml

from pytest_gpu.libyaml import SafeLoader

MAX_TEXT = 4 << 20
"""Most bytes of one file that is parsed."""

MAX_ITEMS = 50_000
"""Most values in one file: lines (but comments), commas and brackets are counted."""

MAX_LEVELS = 100
"""Most levels of nesting in YAML; libyaml's binding recurses, and 5,000 levels crash it."""

MAX_KEYS = 32
"""Most keys in one dotted key of TOML: tomllib compares each with all before it."""

MAX_WORDS = 1 << 16
"""Most characters of a command line: shlex copies a word for each of its characters."""

_MARKS = (b"\n", b",", b"[", b"{", b"- ", b": ")
_INDENTED = re.compile(rb"^[ \t?:-]{%d}" % MAX_LEVELS, re.MULTILINE)
_BRACKETS = re.compile(rb"[\[\]{}]")
_DOT = re.compile(rb"\.(?!\.)")
_ENDS_KEY = re.compile(rb"[,={}\[\]]")
_COLONS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class MalformedError(ValueError):
    """A file is not valid in its format."""


class LimitError(MalformedError):
    """A file exceeds a limit of ours; other parsers may read it."""


class TooDeepError(LimitError):
    """A file is nested too deeply for Python's parsers; other parsers may read it."""

    def __init__(self) -> None:
        super().__init__("it is nested too deeply to be read")


class _Loader(SafeLoader):
    """The safe loader as Kubernetes reads: what has a colon is no number in base 60."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return the value of a node."""
        if node.tag in _COLONS and ":" in str(node.value):
            return node.value
        return super().construct_object(node, deep)


_YAML_ERRORS = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError)


# Cached: a survey reads a file again in every round, and the nodes of a fleet have the same files.
# Callers never change the result.
@lru_cache(maxsize=128)
def toml(content: bytes) -> dict[str, Any]:
    """Return the table of a TOML document.

    Raises:
        LimitError: it is too large or nested too deeply to be read.
        MalformedError: it is not valid TOML.
    """
    check_toml(content)
    try:
        return tomllib.loads(content.decode())
    except ValueError as error:
        raise MalformedError(words_of(error)) from None
    except RecursionError:
        raise TooDeepError from None


def check_toml(content: bytes) -> None:
    """Refuse a TOML document that would take too long to parse.

    Raises:
        LimitError: it has too many bytes, values, or parts of one key.
    """
    _check_size(content)
    if any(_dots(line) > MAX_KEYS for line in content.split(b"\n") if line.count(b".") > MAX_KEYS):
        raise LimitError(f"it has a key of more than {MAX_KEYS} parts")


def _dots(line: bytes) -> int:
    """Return the dots of the longest dotted key that a line may have."""
    if line.lstrip().startswith(b"#"):
        return 0
    return max(len(_DOT.findall(part)) for part in _ENDS_KEY.split(line))


@lru_cache(maxsize=64)
def yaml_document(content: bytes) -> Any:
    """Return the value of a YAML document, ``None`` if it is empty.

    Raises:
        LimitError: it is too large or nested too deeply to be read, or has aliases.
        MalformedError: it is not valid YAML.
    """
    _check_size(content)
    try:
        _check_structure(content)
        return yaml.load(content, Loader=_Loader)  # noqa: S506 - it is a safe loader
    except LimitError:
        raise
    except _YAML_ERRORS as error:
        raise MalformedError(words_of(error)) from None
    except RecursionError:
        raise TooDeepError from None


def _check_structure(content: bytes) -> None:
    """Refuse aliases and deep nesting; a file that can have neither is not parsed twice."""
    brackets = content.count(b"[") + content.count(b"{")
    if b"&" not in content and brackets < MAX_LEVELS and not _INDENTED.search(content):
        return
    depth = 0
    try:
        for event in yaml.parse(content, Loader=_Loader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.events.AliasEvent):
                raise LimitError(f"it has an alias (*{event.anchor})")
            if depth > MAX_LEVELS:
                raise TooDeepError
    except yaml.YAMLError:
        # Newer parsers have a limit of their own.
        if _deepest(content) > MAX_LEVELS:
            raise TooDeepError from None
        raise


def _deepest(content: bytes) -> int:
    steps = (1 if found[0] in b"[{" else -1 for found in _BRACKETS.finditer(content))
    return max(accumulate(steps), default=0)


def json_document(content: bytes | str) -> Any:
    """Return the value of a JSON document.

    Raises:
        TooDeepError: it is nested too deeply to be read.
        MalformedError: it is not valid JSON.
    """
    try:
        return json.loads(content)
    except ValueError as error:
        raise MalformedError(words_of(error)) from None
    except RecursionError:
        raise TooDeepError from None


def shell_words(text: str, *, comments: bool = False) -> tuple[str, ...]:
    """Return the words of a command line as a shell reads them.

    Raises:
        LimitError: it is too long to be read.
        MalformedError: a quote is not closed.
    """
    if len(text) > MAX_WORDS:
        raise LimitError(f"a command line of more than {MAX_WORDS:,} characters")
    try:
        return tuple(shlex.split(text, comments=comments))
    except ValueError as error:
        raise MalformedError(str(error)) from None


def words_of(error: Exception) -> str:
    """Return what a parser says; Python's advice about long numbers is for programmers."""
    if "integer string conversion" in str(error):
        return f"a number has more than {sys.get_int_max_str_digits():,} digits"
    return str(error) or repr(error)


def _check_size(content: bytes) -> None:
    if len(content) > MAX_TEXT:
        raise LimitError(f"it is longer than {MAX_TEXT >> 20} MiB")
    comments = content.count(b"\n#")
    if sum(content.count(mark) for mark in _MARKS) - comments > MAX_ITEMS:
        raise LimitError(f"it has more than {MAX_ITEMS:,} values")
