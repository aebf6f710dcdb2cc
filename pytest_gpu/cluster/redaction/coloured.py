r"""Secrets between colours and other control characters: ``\x1b[31mpassword\x1b[0m=x``.

Loggers colour names so (logrus); Docker and Go write the escape as ``\u001b`` and ``\x1b``. A
quoted line shows none of them, so the secret would be readable again.
"""

from __future__ import annotations

import re
from collections.abc import Callable

# Line ends, tabs and NUL, which separates texts, are none of these.
_CONTROL = re.compile(
    r"(?:\x1b|\\{1,4}(?:u001[bB]|x1[bB]))\[[0-9;?]{0,32}[@-~]|[\x01-\x08\x0e-\x1b\x7f]"
)


def redact_coloured(text: str, redact: Callable[[str], str]) -> str:
    """Return text in which no secret is left that shows once control characters are removed.

    Such a line loses its control characters, too; all other lines stay as they are.
    """
    if not _CONTROL.search(text):
        return text
    plain = _CONTROL.sub("", text)
    lines = zip(text.split("\n"), plain.split("\n"), redact(plain).split("\n"), strict=True)
    return "\n".join(line if shown == hidden else hidden for line, shown, hidden in lines)
