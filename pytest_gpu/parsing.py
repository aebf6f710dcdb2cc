"""Files of a node in TOML, YAML and JSON: whatever is in them, one error tells that it is unread.

The parsers raise more than their own errors: a whole number of more digits than Python takes is a
``ValueError``, what is nested a thousand deep a ``RecursionError``, and a YAML value under a tag
that it does not fit a ``KeyError`` and others.
"""

from __future__ import annotations

import json
import tomllib
from functools import lru_cache
from typing import Any

import yaml


class MalformedError(ValueError):
    """A file is not what its format asks for."""


class TooDeepError(MalformedError):
    """A file is nested more deeply than Python's parsers go; others may well read it."""

    def __init__(self) -> None:
        super().__init__("it is nested too deeply to be read")


_YAML_ERRORS = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError)


# A survey comes back to a file in every round, the nodes of a fleet have the same ones, and nobody
# changes what is returned.
@lru_cache(maxsize=128)
def toml(content: bytes) -> dict[str, Any]:
    """Return the table of a TOML document.

    Raises:
        MalformedError: it is none.
    """
    try:
        return tomllib.loads(content.decode())
    except ValueError as error:
        raise MalformedError(str(error)) from None
    except RecursionError:
        raise TooDeepError from None


@lru_cache(maxsize=64)
def yaml_document(content: bytes) -> Any:
    """Return what a YAML document says, ``None`` where it is empty.

    Raises:
        MalformedError: it is none.
    """
    try:
        return yaml.safe_load(content)
    except _YAML_ERRORS as error:
        raise MalformedError(str(error) or repr(error)) from None
    except RecursionError:
        raise TooDeepError from None


def json_document(content: bytes | str) -> Any:
    """Return what a JSON document says.

    Raises:
        MalformedError: it is none.
    """
    try:
        return json.loads(content)
    except ValueError as error:
        raise MalformedError(str(error)) from None
    except RecursionError:
        raise TooDeepError from None
