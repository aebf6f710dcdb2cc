"""Secrets in text: passwords, tokens and keys are replaced, lines and line numbers are kept.

Only a value is replaced, never the name next to it; switches, paths of key files and image digests
stay. Every step reads the text once, from left to right: hostile text takes linear time, too.
"""

from __future__ import annotations

import re

from pytest_gpu.cluster.redaction.command_lines import (
    redact_block_lists,
    redact_command_line,
    redact_flow_lists,
)
from pytest_gpu.cluster.redaction.encoded import redact_encoded, redact_wrapped
from pytest_gpu.cluster.redaction.env_pairs import redact_pairs
from pytest_gpu.cluster.redaction.named_values import redact_names
from pytest_gpu.cluster.redaction.private_keys import redact_private_keys
from pytest_gpu.cluster.redaction.token_shapes import redact_shapes

# What one step replaces may show another step a secret: all are taken until nothing changes.
_ROUNDS = 3

_NAMES = (
    *("pass", "pw", "secret", "token", "key", "auth", "cred", "sess", "cookie", "jwt", "licen"),
    *("psk", "username", "conn", "dsn", "signature", "dockerc", "last-applied", "sid"),
)
"""Parts of secrets' names: a line without any of them has none."""

_COMMANDS = re.compile(r"-[a-zA-Z]|--user|--proxy-user|--from-literal|login|pass|pw", re.IGNORECASE)


def redact_text(text: str) -> str:
    """Return text without secrets; every line keeps its line number."""
    text = _redact_base64(text)
    for _ in range(_ROUNDS):
        before = text
        text = _redact_once(text)
        if text == before:
            break
    return text


def _redact_base64(text: str) -> str:
    """Return text without base64 of secrets; done once, for what is decoded is redacted, too."""
    lines = redact_encoded(text, redact_text).split("\n")
    redact_wrapped(lines, redact_text)
    return "\n".join(lines)


def _redact_once(text: str) -> str:
    text = redact_flow_lists(redact_pairs(redact_shapes(text)))
    lines = text.split("\n")
    if "PRIVATE KEY" in text:
        redact_private_keys(lines)
    if len(lines) > 1:
        redact_block_lists(lines)
    _redact_lines(lines)
    return "\n".join(lines)


def _redact_lines(lines: list[str]) -> None:
    lowered = [line.lower() for line in lines]
    whole = "\n".join(lowered)
    names = [name for name in _NAMES if name in whole]
    at = 0
    while at < len(lines):
        line, take = lines[at], None
        if any(name in lowered[at] for name in names):
            line, take = redact_names(line)
        if _COMMANDS.search(line):
            line = redact_command_line(line)
        lines[at] = line
        at += 1
        if take is not None:
            at = take(lines, at)
