"""Secrets in text: passwords, tokens and keys are replaced, lines and line numbers are kept.

Only a value is replaced, never the name next to it; switches, paths of key files and image digests
stay. Every step reads the text once, from left to right: hostile text takes linear time, too.
"""

from __future__ import annotations

import re

from pytest_gpu.cluster.redaction.coloured import redact_coloured
from pytest_gpu.cluster.redaction.command_lines import (
    redact_block_lists,
    redact_command_line,
    redact_flow_lists,
    redact_two_words,
)
from pytest_gpu.cluster.redaction.encoded import redact_encoded, redact_wrapped
from pytest_gpu.cluster.redaction.env_pairs import redact_pairs
from pytest_gpu.cluster.redaction.named_values import redact_names
from pytest_gpu.cluster.redaction.private_keys import redact_private_keys
from pytest_gpu.cluster.redaction.secret_names import STEMS
from pytest_gpu.cluster.redaction.secret_objects import redact_secret_json, redact_secret_yaml
from pytest_gpu.cluster.redaction.token_shapes import redact_shapes

# What one step replaces may show another step a secret: all are taken until nothing changes.
_ROUNDS = 3

_COMMANDS = re.compile(
    r"-[a-zA-Z]|--user|--proxy-user|--from-literal|login|pass|pw|identified", re.IGNORECASE
)


# Most texts of an API server are a word, a path, a time or a digest: they need no closer look. No
# token consists of such short parts, and a name without a separator has no value.
_PLAIN = re.compile(
    r"(?:[a-z0-9]{1,15}+(?![A-Za-z0-9])|[A-Z][A-Za-z]{0,24}+(?![A-Za-z0-9])|[./_-])*+"
    r"|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9}+)?+Z"
    r"|(?:[a-z0-9./_-]++(?::[\w.-]++)?+@sha256:|[a-z-]++://|sha256:)[0-9a-f]{64}"
)
_MESSAGING = "amzn"  # Amazon's tokens for it are UUIDs behind a prefix


def redact_text(text: str) -> str:
    """Return text without secrets; every line keeps its line number."""
    if _PLAIN.fullmatch(text) and not text.startswith(_MESSAGING):
        return text
    return redact_coloured(_redact(text), _redact)


def _redact(text: str) -> str:
    text = _redact_base64(text)
    for _ in range(_ROUNDS):
        before = text
        text = _redact_once(text)
        if text == before:
            break
    return text


def _redact_base64(text: str) -> str:
    """Return text without base64 of secrets; done once, for what is decoded is redacted, too."""
    text = redact_encoded(text, redact_text)
    if "\n" not in text:
        return text
    lines = text.split("\n")
    redact_wrapped(lines, redact_text)
    return "\n".join(lines)


def _redact_once(text: str) -> str:
    text = redact_flow_lists(redact_pairs(redact_secret_json(redact_shapes(text))))
    lines = text.split("\n")
    if "Secret" in text or "binaryData" in text:
        redact_secret_yaml(lines)
    if "PRIVATE KEY" in text:
        redact_private_keys(lines)
    if len(lines) > 1:
        redact_block_lists(lines)
    _redact_lines(lines)
    return "\n".join(lines)


def _redact_lines(lines: list[str]) -> None:
    lowered = [line.lower() for line in lines]
    whole = "\n".join(lowered)
    names = [name for name in STEMS if name in whole]
    at = 0
    while at < len(lines):
        line, take = lines[at], None
        if any(name in lowered[at] for name in names):
            line, take = redact_names(redact_two_words(line))
        if _COMMANDS.search(line):
            line = redact_command_line(line)
        lines[at] = line
        at += 1
        if take is not None:
            at = take(lines, at)
