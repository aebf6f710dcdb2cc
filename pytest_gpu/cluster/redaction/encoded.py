"""Secrets in base64: a run of it is decoded, and replaced if there is a secret inside.

Base64 of ASCII is known by its characters without decoding it: paths, digests and certificates
cost nothing.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable

from pytest_gpu.evidence import REDACTED

Redact = Callable[[str], str]

# Every group of four characters begins with the upper six bits of a byte below 128.
_RUN = re.compile(r"(?<![\w+/-])(?:[A-Za-f][\w+/-]{3}){3,}+[\w+/-]{0,3}={0,2}(?![\w+/=-])")
_WRAPPED = re.compile(r"[ \t]*+(?P<run>(?:[A-Za-f][\w+/]{3}){15,}+)[ \t\r]*+")
_NEXT = re.compile(r"[ \t]*+(?P<run>[\w+/]++={0,2})[ \t\r]*+")
_URL_SAFE = str.maketrans("-_", "+/")


def redact_encoded(text: str, redact: Redact) -> str:
    """Return text without runs of base64 that hide a secret from ``redact``."""
    return _RUN.sub(lambda match: REDACTED if _hides(match[0], redact) else match[0], text)


def redact_wrapped(lines: list[str], redact: Redact) -> None:
    """Redact base64 that is wrapped over lines, in place."""
    at = 0
    while at < len(lines):
        if (first := _WRAPPED.fullmatch(lines[at])) is None:
            at += 1
            continue
        runs = [first["run"]]
        while at + len(runs) < len(lines) and (more := _NEXT.fullmatch(lines[at + len(runs)])):
            runs.append(more["run"])
        if len(runs) > 1 and _hides("".join(runs), redact):
            for index, run in enumerate(runs, at):
                lines[index] = lines[index].replace(run, REDACTED)
        at += len(runs)


def _hides(run: str, redact: Redact) -> bool:
    text = decoded(run)
    return text is not None and redact(text) != text


def decoded(run: str) -> str | None:
    """Return the text that base64 stands for, ``None`` if it is not text."""
    plain = run.rstrip("=").translate(_URL_SAFE)
    try:
        text = base64.b64decode(plain + "=" * (-len(plain) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (
        text
        if text.replace("\n", " ").replace("\t", " ").replace("\r", " ").isprintable()
        else None
    )
