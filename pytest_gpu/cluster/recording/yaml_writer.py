"""YAML and JSON of recordings as a person writes them: no aliases, long texts as blocks."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from pytest_gpu.cluster.recording import yaml_io
from pytest_gpu.libyaml import SafeDumper

_UNPRINTABLE = re.compile("[^\n\t -~\u00a0-\u2027\u202a-\ud7ff]")
_UNLIKELY_BLOCK = re.compile(r"\A\s|[ \t]\n|[ \t]\Z")


class _Dumper(SafeDumper):
    """The safe dumper without aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write a shared object in full each time: the reader refuses aliases."""
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    block = "\n" in text and not _UNPRINTABLE.search(text) and not _UNLIKELY_BLOCK.search(text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if block else None)


_Dumper.add_representer(str, _represent_text)


def dump(value: Any) -> bytes:
    """Return a value as YAML, keys in the order they have; a large mapping as JSON."""
    try:
        data = _yaml(value)
    except UnicodeEncodeError:  # libyaml takes no lone surrogate, which JSON may have
        data = _yaml(_without_surrogates(value))
    large = isinstance(value, Mapping) and yaml_io.may_hold_many(data)
    return dump_json(value) if large else data


def _yaml(value: Any) -> bytes:
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100_000)
    return text.encode(errors="replace")


def _without_surrogates(value: Any) -> Any:
    r"""Return a value with each lone surrogate written out, as ``\ud800``."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, Mapping):
        parts = value.items()
        return {_without_surrogates(key): _without_surrogates(part) for key, part in parts}
    return [_without_surrogates(each) for each in value] if isinstance(value, list) else value


def dump_json(value: Mapping[str, Any]) -> bytes:
    """Return a mapping as JSON with one key per line."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode(errors="replace")
