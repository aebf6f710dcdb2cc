r"""What people read is harmless and still says what was there: ``\x1b``, not a colour."""

from __future__ import annotations

import json

import pytest

from pytest_gpu.text.visible import encodable, json_text, visible, visible_but_colours
from tests.support.hostile_text import HOSTILE, harmful

SHOWN = {
    "\x1b[31mred": r"\x1b[31mred",
    "a\rb": r"a\x0db",
    "\x00\x7f": r"\x00\x7f",
    "\x9b2J": r"\x9b2J",
    "a\u202eb\u2066c": r"a\u202eb\u2066c",
    "a\u200bb\ufeffc": r"a\u200bb\ufeffc",
    "a\u2028b\u2029c\x85d": r"a\u2028b\u2029c\x85d",
    "a\u3164b\u115fc\u034fd\u2800e\ufe0f": r"a\u3164b\u115fc\u034fd\u2800e\ufe0f",
    "a\U000e0041b\U000e0101": r"a\U000e0041b\U000e0101",
    "a\u00a0b": r"a\xa0b",
    "\ud800": r"\ud800",
    "::error::x": r"\x3a:error::x",
    " \t::error::x": " \t" + r"\x3a:error::x",
    "a\n::set-output name=a::b": "a\n" + r"\x3a:set-output name=a::b",
    "##[error]x": r"\x23#[error]x",
    "a ##[group]x": r"a \x23#[group]x",
    "###[x": r"#\x23#[x",
    "a ##vso[task.complete]x": r"a \x23#vso[task.complete]x",
    "##VSO[x": r"\x23#VSO[x",
    "##teamcity[x": r"\x23#teamcity[x",
    "section_start:1:a\r\x1b[0Kb": r"section_start:1:a\x0d\x1b[0Kb",
}
"""Also for a surrogate: what is written must be UTF-8."""


@pytest.mark.parametrize(("text", "shown"), SHOWN.items(), ids=map(ascii, SHOWN))
def test_harmful_text_is_shown_as_what_it_is(text: str, shown: str) -> None:
    """And once it is shown, it stays so."""
    assert visible(text) == shown
    assert visible(shown) == shown
    assert not [*harmful(shown)]


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\n\tb:\n    - c\n\n",
        "--- a\n+++ b\n@@ -1 +1 @@\n-x\n+::y\n",
        "test_a.py::test_b",
        "listens on ::1 and [::]",
        "## heading\n# [x]\n[[a]]",
        "température 80 °C — “hot”… 漢字 😀 é",
    ],
)
def test_everything_else_stays(text: str) -> None:
    """Files to copy, indentation, letters of every language, IDs, addresses."""
    assert visible(text) == text


def test_ascii_streams_get_ascii() -> None:
    """With our own signs as a reader knows them."""
    assert visible("a → b… é", unicode=False) == r"a -> b.. \xe9"


def test_one_line_keeps_no_line_end() -> None:
    """Names and labels: a tab is a space, a line end is seen."""
    assert visible("a\tb\nc", keep="") == r"a b\x0ac"


def test_colours_of_pytest_may_stay() -> None:
    """And nothing else with them."""
    assert visible_but_colours("\x1b[31ma\x1b[0m\x1b[2Jb") == "\x1b[31ma\x1b[0m" + r"\x1b[2Jb"
    assert visible_but_colours("\x1b[31m::error::") == "\x1b[31m" + r"\x3a:error::"


def test_json_is_escaped_as_json() -> None:
    """Programs read what was found, except for what is no Unicode; people see no harm."""
    found = {"a": [HOSTILE, 1, None], HOSTILE: ("x",)}
    text = json_text(found)
    assert text.isascii()
    assert not [*harmful(text)]
    assert json.loads(text) == encodable(found)
    assert encodable(HOSTILE) == HOSTILE.replace("\ud800", r"\ud800")
