r"""The log lines of crictl: where its output is no terminal, each message is quoted.

A line is ``time="…" level=fatal msg="…"``, with ``\"`` for a quotation mark in the message.
"""

from __future__ import annotations

import re

_LINE = re.compile(
    r'^time="[^"\n]*" level=(?P<level>\w+) msg="(?P<message>(?:[^"\\\n]|\\[^\n])*)"', re.MULTILINE
)
_ESCAPED = re.compile(r'\\([nt"\\])')
_MEANT = {"n": "\n", "t": "\t"}


def messages(text: str) -> str:
    """Return what crictl printed with each of its log lines as ``LEVEL message``, unquoted."""
    return _LINE.sub(_message, text)


def _message(line: re.Match[str]) -> str:
    said = _ESCAPED.sub(lambda found: _MEANT.get(found[1], found[1]), line["message"])
    return f"{line['level'].upper()} {said}"
