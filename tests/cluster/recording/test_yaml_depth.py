"""Deep nesting is refused in our words, whichever PyYAML is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import Any

import pytest
import yaml

from pytest_gpu import libyaml
from pytest_gpu.cluster.recording import yaml_io
from pytest_gpu.errors import RecordingError

LIMIT = 300
PYTHON_PARSE = partial(yaml.parse, Loader=yaml.SafeLoader)

DEEP = [
    "[" * 2_000,
    "a: [" + "[" * 2_000,
    "[" * 150 + "]" * 150,
    "a:\n  - b\n  - " + "[" * 2_000,
    "- " * 60 + "[" * 2_000,
    "- " * 2_000,
    '{"a":' * 2_000,
    "\n".join(f"{' ' * depth}a:" for depth in range(150)),
]

BROKEN = [
    ("[a", "expected ',' or ']'"),
    ("# " + "[" * 200 + "\na: b: c", "mapping values are not allowed"),
    ('a: "' + "[" * 200 + '"\n[', "expected"),
    ("[" + "[]," * 400 + "}", "expected"),
    ("a: |\n  " + "[" * 200 + "\nb: c: d", "mapping values are not allowed"),
]


def any_depth(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the reader over a parser without a limit, as PyYAML 6.0 to 6.0.3 have."""
    monkeypatch.setattr(yaml, "parse", parse_any_depth)
    return yaml_io


def limited(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the reader over a parser with a limit, as PyYAML 6.0.4 has."""
    monkeypatch.setattr(yaml, "parse", parse_up_to_limit)
    return yaml_io


def without_libyaml(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the reader as it is where PyYAML was built without libyaml."""
    monkeypatch.setattr(libyaml, "SafeLoader", yaml.SafeLoader)
    monkeypatch.setattr(libyaml, "SafeDumper", yaml.SafeDumper)
    spec = importlib.util.spec_from_file_location("yaml_io_without_libyaml", yaml_io.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert issubclass(module._Loader, yaml.SafeLoader)
    return module


def installed(_monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the reader over what is installed."""
    return yaml_io


READERS = [installed, without_libyaml, any_depth, limited]


def parse_any_depth(data: bytes, Loader: Any) -> Iterator[yaml.Event]:  # noqa: N803 - PyYAML's name
    """Return the events of the parser in Python, which has no limit."""
    events: Iterator[yaml.Event] = PYTHON_PARSE(data)
    return events


def parse_up_to_limit(data: bytes, Loader: Any) -> Iterator[yaml.Event]:  # noqa: N803 - PyYAML's name
    """Parse; at too many open brackets give up before telling of any that ends no key.

    The words are not PyYAML's: what we say must not hang on them.
    """
    text = data.decode()
    opened = [place for place, letter in enumerate(text) if letter in "[{"]
    place = opened[LIMIT] if len(opened) - text.count("]") > LIMIT else len(text)
    for event in PYTHON_PARSE(data):
        assert event.end_mark is not None
        if place < len(text) and event.end_mark.index > text.rfind("\n", 0, place):
            mark = yaml.Mark("x", place, 0, place, "", 0)
            raise yaml.scanner.ScannerError("while scanning", None, "enough of this", mark)
        yield event


@pytest.mark.parametrize("content", DEEP)
@pytest.mark.parametrize("reader", READERS)
def test_deep_nesting_is_refused_in_our_words(
    reader: Callable[[pytest.MonkeyPatch], ModuleType],
    content: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also by a parser that gives up first, in its own words and before it tells of any bracket."""
    with pytest.raises(RecordingError) as caught:
        reader(monkeypatch).load(content.encode(), "x.yaml")
    assert str(caught.value) == "x.yaml: is nested deeper than 100 levels"


@pytest.mark.parametrize(("content", "says"), BROKEN)
@pytest.mark.parametrize("reader", READERS)
def test_brackets_in_text_are_no_nesting(
    reader: Callable[[pytest.MonkeyPatch], ModuleType],
    content: str,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file that is broken elsewhere keeps the parser's reason and line."""
    with pytest.raises(
        RecordingError, match=r"x\.yaml: is not valid YAML \(line \d+\): "
    ) as caught:
        reader(monkeypatch).load(content.encode(), "x.yaml")
    assert says in str(caught.value)


@pytest.mark.parametrize("reader", READERS)
def test_a_hundred_levels_are_read(
    reader: Callable[[pytest.MonkeyPatch], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is ours, not one below it."""
    value = reader(monkeypatch).load(b"[" * 100 + b"]" * 100, "x.yaml")
    depth = 0
    while value is not None:
        value, depth = (value[0] if value else None), depth + 1
    assert depth == 100
