"""Texts that would control a terminal, a CI service, a browser or an XML reader."""

from __future__ import annotations

from collections.abc import Mapping

from tests.support.hostile_text import CHARACTERS, COMMANDS

PLAIN_CHARACTERS = CHARACTERS.replace("\ud800", "")
"""Those that UTF-8 can have."""

TEXTS: Mapping[str, str] = {
    "characters": PLAIN_CHARACTERS,
    "commands": "".join(f"\n{line}" for line in COMMANDS),
    "markup": "</failure>]]><script>alert(1)</script>&x;<!-- \x0b\x0c\ufffe\uffff {handler} %s",
    "long": "x" * 200_000 + "\x1b[2J",
}
