"""Secrets of Kubernetes that are written out in text: their data goes, whatever its keys say.

So does a ConfigMap's binaryData, which nobody can look into.
"""

from __future__ import annotations

import re

from pytest_gpu.evidence import REDACTED

_JSON_KIND = re.compile(r"\"kind\\*+\"\s*+:\s*+\\*+\"Secret\\*+\"")
_JSON_DATA = re.compile(r"\"(?:data|stringData)\\*+\"\s*+:\s*+\{[^{}]++\}")
_JSON_BINARY = re.compile(r"\"binaryData\\*+\"\s*+:\s*+\{[^{}]++\}")
_JSON_VALUE = re.compile(r"(?P<name>:\s*+(?P<quote>\\*+\"))(?:(?!(?P=quote))(?:\\.|[^\\\r\n]))++")
_KIND = re.compile(r"[ \t]*+(?:-[ \t]++)*+kind:[ \t]*+[\"']?Secret[\"']?[ \t\r]*+")
_DATA = re.compile(r"(?P<indent>[ \t]*+(?:-[ \t]++)*+)(?:data|stringData|binaryData):[ \t\r]*+")
_BINARY = re.compile(r"(?P<indent>[ \t]*+(?:-[ \t]++)*+)binaryData:[ \t\r]*+")
_ENTRY = re.compile(r"(?P<name>[ \t]*+[\"']?[\w.-]++[\"']?:[ \t]++)(?P<value>\S.*+)")


def redact_secret_json(text: str) -> str:
    """Return text in which Secrets in JSON have lost their data."""
    if "binaryData" in text:
        text = _JSON_BINARY.sub(_without_values, text)
    return _JSON_DATA.sub(_without_values, text) if _JSON_KIND.search(text) else text


def _without_values(found: re.Match[str]) -> str:
    return _JSON_VALUE.sub(rf"\g<name>{REDACTED}", found[0])


def redact_secret_yaml(lines: list[str]) -> None:
    """Redact the data of Secrets in YAML, in place; other documents of a stream stay."""
    begin = 0
    for at in range(len(lines) + 1):
        if at == len(lines) or lines[at].startswith("---"):
            is_secret = any(_KIND.fullmatch(line) for line in lines[begin:at])
            _redact_document(lines, range(begin, at), is_secret=is_secret)
            begin = at


def _redact_document(lines: list[str], places: range, *, is_secret: bool) -> None:
    column = -1
    for at in places:
        depth = len(lines[at]) - len(lines[at].lstrip(" \t"))
        if column >= 0 and lines[at].strip() and depth <= column:
            column = -1
        if column >= 0:
            lines[at] = _redacted(lines[at])
        elif begin := (_DATA.fullmatch(lines[at]) if is_secret else _BINARY.fullmatch(lines[at])):
            column = len(begin["indent"])


def _redacted(line: str) -> str:
    """Return an entry with its value redacted, or a line of a longer value."""
    body = line.strip()
    if not body or body.endswith(":"):
        return line
    entry = _ENTRY.match(line)
    value = entry["value"].rstrip() if entry else body
    return line if value[:1] in ("|", ">") else line.replace(value, REDACTED)
