"""Secrets of Kubernetes that are written out in text: their data goes, whatever its keys say."""

from __future__ import annotations

import re

from pytest_gpu.evidence import REDACTED

_JSON_KIND = re.compile(r"\"kind\\*+\"\s*+:\s*+\\*+\"Secret\\*+\"")
_JSON_DATA = re.compile(r"\"(?:data|stringData)\\*+\"\s*+:\s*+\{(?P<pairs>[^{}]++)\}")
_JSON_VALUE = re.compile(r"(?P<name>:\s*+(?P<quote>\\*+\"))(?:(?!(?P=quote))(?:\\.|[^\\\r\n]))++")
_KIND = re.compile(r"[ \t]*+(?:-[ \t]++)*+kind:[ \t]*+[\"']?Secret[\"']?[ \t\r]*+")
_DATA = re.compile(r"(?P<indent>[ \t]*+(?:-[ \t]++)*+)(?:data|stringData):[ \t\r]*+")
_ENTRY = re.compile(r"(?P<name>[ \t]*+[\"']?[\w.-]++[\"']?:[ \t]++)(?P<value>\S.*+)")


def redact_secret_json(text: str) -> str:
    """Return text in which Secrets in JSON have lost their data."""
    if _JSON_KIND.search(text) is None:
        return text
    return _JSON_DATA.sub(lambda found: _JSON_VALUE.sub(rf"\g<name>{REDACTED}", found[0]), text)


def redact_secret_yaml(lines: list[str]) -> None:
    """Redact the data of Secrets in YAML, in place; other documents of a stream stay."""
    begin = 0
    for at in range(len(lines) + 1):
        if at == len(lines) or lines[at].startswith("---"):
            if any(_KIND.fullmatch(line) for line in lines[begin:at]):
                _redact_document(lines, begin, at)
            begin = at


def _redact_document(lines: list[str], begin: int, end: int) -> None:
    column = -1
    for at in range(begin, end):
        depth = len(lines[at]) - len(lines[at].lstrip(" \t"))
        if column >= 0 and lines[at].strip() and depth <= column:
            column = -1
        if column >= 0:
            lines[at] = _redacted(lines[at])
        elif data := _DATA.fullmatch(lines[at]):
            column = len(data["indent"])


def _redacted(line: str) -> str:
    """Return an entry with its value redacted, or a line of a longer value."""
    body = line.strip()
    if not body or body.endswith(":"):
        return line
    entry = _ENTRY.match(line)
    value = entry["value"].rstrip() if entry else body
    return line if value[:1] in ("|", ">") else line.replace(value, REDACTED)
