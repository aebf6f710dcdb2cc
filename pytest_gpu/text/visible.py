r"""The one exit for text that people read: it cannot control a terminal or a CI service.

Evidence comes from nodes, clusters and recordings that may be hostile. Whatever is printed or
written for people passes :func:`visible`; JSON passes :func:`json_text`, which escapes the same
characters in the way of JSON.

Commands of CI services, as their runners find them: GitHub takes a line that starts with ``::``
after blanks, and ``##[`` anywhere; Azure takes ``##vso[`` anywhere, TeamCity ``##teamcity[``. The
section markers of GitLab need a carriage return and an escape, which are never left as they are.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any

_ASCII = str.maketrans({"…": "..", "·": "-", "—": "-", "─": "-", "→": "->"})

# Not printable for Python: controls, formats (bidirectional, zero width), surrogates, blanks other
# than the space. These are printable for Python, but nobody sees them: fillers, selectors, blanks.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_COLOUR = re.compile(r"\x1b\[[0-9;]{0,32}m")

_START = re.compile(r"^([ \t]*)::", re.MULTILINE)
_ANYWHERE = re.compile(r"##(?=\[|vso\[|teamcity\[)", re.IGNORECASE)


def is_unicode(encoding: str | None) -> bool:
    """Return whether a stream of this encoding can show every character."""
    try:
        return codecs.lookup(encoding or "ascii").name.startswith("utf")
    except LookupError:
        return False


def visible(text: str, *, unicode: bool = True, keep: str = "\n\t") -> str:
    r"""Return text in which harmful characters are escapes, such as ``\x1b`` or ``\u202e``.

    A line that a CI service would obey begins with ``\x3a:`` instead of ``::``, or has ``\x23#[``
    instead of ``##[``. Line ends and tabs stay: they have a meaning in files to copy. Where they
    are not in ``keep``, a tab becomes a space. What was made visible stays as it is when it passes
    again.

    Args:
        text: any text.
        unicode: whether the reader's terminal shows all characters; if not, the text is ASCII.
        keep: characters to leave alone.
    """
    shown = text if unicode else text.translate(_ASCII)
    if not (shown.isascii() and shown.isprintable()):
        shown = "".join(
            char if char in keep or _is_seen(char, unicode=unicode) else _escaped(char)
            for char in shown
        )
    return _ANYWHERE.sub(r"\\x23#", _START.sub(r"\1\\x3a:", shown))


def visible_but_colours(text: str) -> str:
    """Return :func:`visible` text that keeps the colours of pytest's own messages and logs."""
    colours = [*_COLOUR.findall(text), ""]
    parts = map(visible, _COLOUR.split(text))
    return "".join(part + colour for part, colour in zip(parts, colours, strict=True))


def _is_seen(char: str, *, unicode: bool) -> bool:
    if char.isascii():
        return char.isprintable()
    return unicode and char.isprintable() and not _UNSEEN.match(char)


def _escaped(char: str) -> str:
    if char == "\t":
        return " "
    if char.isascii():
        return f"\\x{ord(char):02x}"
    return char.encode("ascii", "backslashreplace").decode()


def encodable(found: Any) -> Any:
    r"""Return a text, or JSON types with texts, that can be written as UTF-8.

    A lone surrogate, from JSON or a file name of a node, becomes ``\ud800``: Allure and xdist
    cannot write it.
    """
    if isinstance(found, str):
        return found.encode(errors="backslashreplace").decode()
    if isinstance(found, dict):
        return {encodable(key): encodable(value) for key, value in found.items()}
    return [encodable(each) for each in found] if isinstance(found, list | tuple) else found


def json_text(found: Any) -> str:
    """Return JSON types as JSON text with sorted keys that is valid UTF-8.

    Programs read the texts as they are; for people harmful characters are escapes of JSON.
    """
    text = json.dumps(encodable(found), indent=2, sort_keys=True, ensure_ascii=False)
    if not text.isascii() or "\x7f" in text:
        text = "".join(
            char if char == "\n" or _is_seen(char, unicode=True) else json.dumps(char)[1:-1]
            for char in text
        )
    return _ANYWHERE.sub(r"\\u0023#", text)
