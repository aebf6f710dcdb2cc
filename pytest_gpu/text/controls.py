"""Text without what controls a terminal: for lines that programs printed and that are quoted."""

from __future__ import annotations

import re

# What controls a terminal (ECMA-48): colours and the like; strings that set a title or a link, with
# what they set; other sequences; and single control characters.
_CONTROL = re.compile(
    r"\x1b\[[0-9;?]{0,32}[ -/]{0,4}[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]{0,128}(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]{1,4}[0-~]|\x1b[0-OQ-WYZc-~]"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)


def without_controls(text: str, instead: str = "") -> str:
    """Return a text without control characters and sequences; line ends and tabs stay."""
    return _CONTROL.sub(instead, text)
