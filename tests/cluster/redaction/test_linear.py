"""Redaction takes linear time on hostile text: steps are counted, not seconds."""

from __future__ import annotations

import base64
import importlib
import json
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator
from re import _constants, _parser  # type: ignore[attr-defined] # no types
from types import FrameType
from typing import Any

import pytest

from pytest_gpu.cluster import redaction
from pytest_gpu.cluster.redaction.redact import redact_argv, redact_file, redact_text, redact_value

GROWTH = 5
"""What four times the text may cost: linear work costs four times as much."""

N = 30

FEW = 40
"""Up to this number of repetitions a pattern may go back: its cost has a bound."""


def _packed(count: int) -> str:
    """Return base64 of base64 of base64 ...: each layer must be decoded once."""
    text = "password=hunter2"
    while len(text) < 20 * count:
        text = base64.b64encode(text.encode()).decode()
    return text


UNITS = (
    *("password", "password=", "password: ", "token:\n", "token: |\n", "- token:\n ",
      "password: ["),
    *("'password': \"", "password='", 'password="', '\\"password\\": \\"', "password = '''\n"),
    *("-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\n", "MIIEowIBAAKCAQEAx\n"),
    *("a.password.", "password/", "--token ", "--token=a ", "mysql -p ", "curl -u a:b ", "-u a:"),
    *("://", "a://b:c", "://a:b@", "a@b:c@", "name: TOKEN\n", "value: x\n", "name: T_KEY value: "),
    *("- name: A_KEY\n  value: b\n", '["--token", ', "[", "[a,", "{", "{a: ", "\\", '"',
      "\\n", "\n"),
    *("eyJhbGciOiJSUzI1NiJ9.", "eyJ", "ghp_", "sk-", "xoxb-", "K10abcdef0123456789::", "AKIA"),
    *("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo", "TG9nIG9mIGFsbCB0aGF0IGlz\n", "H4sI",
      "Basic ", "?sig="),
    *("a" * 30, "0123456789abcdef", "/a", " ", "\t", "=", "-", ".", ":", "&", ";token=", "a=b;"),
    *("machine a login b password c ", "--from-literal=a=b ", "$6$", "Authorization: ",
      "- --token\n"),
    *("\\n- token: a", "- ", "  - - ", "#password: ", "password: &a ", "password: !a ",
      "\x85token=", "\x1b[31m", "\x1b[31mtoken\x1b[0m=a ", "\x1b[0;", "\\u001b[", "\x07\n"),
)  # fmt: skip
"""What hostile text repeats."""

TEXTS: dict[str, Callable[[int], str]] = {
    **{repr(unit): lambda count, unit=unit: unit * count for unit in UNITS},  # type: ignore[misc]
    "packed": _packed,
    "JSON": lambda count: json.dumps([{"name": "A_KEY", "value": "x"}] * count),
    "nested": lambda count: '{"password": [' * count + "]}" * count,
    "open": lambda count: 'password: "\n' + "a: 1\n" * count,
    "indented": lambda count: "".join(f"{' ' * (at % 9)}password:\n" for at in range(count)),
}


def steps(redact: Callable[[str], object], text: str) -> int:
    """Return how many functions are called, those of patterns and texts among them.

    A method that reads a whole text costs a step for every 100 characters of it: what copies or
    searches the rest of a long text again and again is noticed.
    """
    count = 0

    def profile(_: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")
        owner = getattr(argument, "__self__", None) if event == "c_call" else None
        if isinstance(owner, str) and argument.__name__ not in ("startswith", "endswith", "find"):
            count += len(owner) // 100

    sys.setprofile(profile)
    try:
        redact(text)
    finally:
        sys.setprofile(None)
    return count


def _of_file(text: str) -> bytes:
    return redact_file("/x", text.encode())


def _of_argv(text: str) -> object:
    return redact_argv(text.split(" "))


def _of_value(text: str) -> object:
    return redact_value({"args": text.split(" "), "x": [text]})


@pytest.mark.parametrize("redact", [_of_file, _of_argv, _of_value])
def test_four_times_the_text_takes_four_times_the_steps(redact: Callable[[str], object]) -> None:
    """Whatever it repeats, and whatever is never closed."""
    slow = []
    for name, text in TEXTS.items():
        small, large = steps(redact, text(N)), steps(redact, text(4 * N))
        if large > GROWTH * small:
            slow.append(f"{name}: {small} steps, {large} with four times the text")
    assert slow == []


def patterns() -> Iterator[re.Pattern[str]]:
    """Yield every regular expression of redaction."""
    for found in pkgutil.iter_modules(redaction.__path__, f"{redaction.__name__}."):
        for value in vars(importlib.import_module(found.name)).values():
            entries = value if isinstance(value, tuple) else (value,)
            flat = (each for entry in entries for each in _flat(entry))
            yield from (each for each in flat if isinstance(each, re.Pattern))


def _flat(entry: object) -> tuple[object, ...]:
    return entry if isinstance(entry, tuple) else (entry,)


def goes_back(nodes: Any) -> bool:
    """Return whether a parsed pattern has a long repeat that may give back what it took."""
    for operator, argument in nodes:
        is_repeat = operator in {_constants.MAX_REPEAT, _constants.MIN_REPEAT}
        if is_repeat and argument[1] > FEW and argument[0] != argument[1]:
            return True
        if any(map(goes_back, _inside(argument))):
            return True
    return False


def _inside(argument: Any) -> Iterator[Any]:
    if isinstance(argument, _parser.SubPattern):
        yield argument
    elif isinstance(argument, tuple | list):
        for each in argument:
            yield from _inside(each)


def test_no_pattern_goes_back() -> None:
    """Repeats are possessive: what a pattern took it never tries to match in another way."""
    found = list(patterns())
    slow = [each.pattern for each in found if goes_back(_parser.parse(each.pattern, each.flags))]
    assert slow == []
    assert len(found) > 80
    assert goes_back(_parser.parse("a(?:b|c*d)"))
    assert not goes_back(_parser.parse("a(?:b|c*+d)e{2,3}f{40}"))


def test_steps_tell_what_is_not_linear() -> None:
    """The measure itself: looking at the rest of a text for each of its characters is noticed."""

    def quadratic(text: str) -> int:
        return sum(text[at:].count("x") for at in range(len(text)))

    def linear(text: str) -> int:
        return sum(each.count("x") for each in text.split("a"))

    assert steps(quadratic, "a" * 8000) > GROWTH * steps(quadratic, "a" * 2000)
    assert steps(linear, "a" * 8000) < GROWTH * steps(linear, "a" * 2000)


def test_long_secrets_go_whole() -> None:
    """No limit leaves the end of a long key or value."""
    key = "\n".join(["QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2"] * 2000)
    pem = f"-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----"
    assert "QUJD" not in redact_text(pem)
    assert "a b" not in redact_text("password: " + "a b" * 20_000)
    assert "qq" not in redact_text('x = """\npassword = """' + "qq\n" * 20_000 + '"""')
