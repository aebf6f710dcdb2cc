"""Parses a node's TOML, YAML and JSON files; whatever is wrong with one, it raises one error.

The parsers raise more than their own errors: ``ValueError`` for a whole number with too many
digits for Python, ``RecursionError`` for a thousand levels of nesting, ``KeyError`` and others for
a YAML value that does not fit its tag.
"""

from __future__ import annotations

import json
import tomllib
from functools import lru_cache
from typing import Any

import yaml


class MalformedError(ValueError):
    """A file is not valid in its format."""


class TooDeepError(MalformedError):
    """A file is nested too deeply for Python's parsers; other parsers may read it."""

    def __init__(self) -> None:
        super().__init__("it is nested too deeply to be read")


_YAML_ERRORS = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError)


# Cached: a survey reads a file again in every round, and the nodes of a fleet have the same files.
# Callers never change the result.
@lru_cache(maxsize=128)
def toml(content: bytes) -> dict[str, Any]:
    """Return the table of a TOML document.

    Raises:
        MalformedError: it is not valid TOML.
    """
    try:
        return tomllib.loads(content.decode())
    except ValueError as error:
        raise MalformedError(str(error)) from None
    except RecursionError:
        raise TooDeepError from None


@lru_cache(maxsize=64)
def yaml_document(content: bytes) -> Any:
    """Return the value of a YAML document, ``None`` if it is empty.

    Raises:
        MalformedError: it is not valid YAML.
    """
    try:
        return yaml.safe_load(content)
    except _YAML_ERRORS as error:
        raise MalformedError(str(error) or repr(error)) from None
    except RecursionError:
        raise TooDeepError from None


def json_document(content: bytes | str) -> Any:
    """Return the value of a JSON document.

    Raises:
        MalformedError: it is not valid JSON.
    """
    try:
        return json.loads(content)
    except ValueError as error:
        raise MalformedError(str(error)) from None
    except RecursionError:
        raise TooDeepError from None
