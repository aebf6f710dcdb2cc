"""Private keys in PEM, over lines or in one line with escaped line ends; certificates stay."""

from __future__ import annotations

import re

from pytest_gpu.evidence import REDACTED

_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,32}?PRIVATE KEY(?: BLOCK)?-----")
_END = "-----END "
_ONE_LINE = re.compile(r"(?:\\++[nr]|[ \t]|[A-Za-z0-9+/=]|(?:Proc-Type|DEK-Info): [\w,-]*+)++")
_BODY = re.compile(r"[A-Za-z0-9+/=]{16,}+")
_LAST = re.compile(r"[A-Za-z0-9+/=]++")
_HEADER = ("Proc-Type:", "DEK-Info:", "Comment:", "Version:")


def redact_private_keys(lines: list[str]) -> None:
    """Redact private keys in place. If the end is missing: as far as it looks like a key."""
    at = 0
    while at < len(lines):
        lines[at], is_open = _redact_line(lines[at])
        at += 1
        if is_open:
            at = _take_body(lines, at)


def _redact_line(line: str) -> tuple[str, bool]:
    """Return a line without the keys in it, and whether the last one goes on."""
    parts: list[str] = []
    done = 0
    is_open = False
    last = line.rfind(_END)
    while begin := _BEGIN.search(line, done):
        parts.append(line[done : begin.end()])
        done = begin.end()
        end = line.find(_END, done) if done <= last else -1
        body = _ONE_LINE.match(line, done)
        stop = end if end >= 0 else body.end() if body else done
        parts.append(REDACTED if line[done:stop].strip("\\nr \t\r") else line[done:stop])
        is_open, done = end < 0, stop
    return "".join((*parts, line[done:])), is_open


def _take_body(lines: list[str], at: int) -> int:
    is_body = False
    prefix = ""
    while at < len(lines):
        line = lines[at]
        before, end, after = line.partition(_END)
        if end:
            lines[at] = _blank_last(before) + end + after
            return at + 1
        before, _, last = line.rstrip(" \t\r\"',").rpartition(" ")
        is_rest = is_body and (_is_rest(line) or (_is_rest(last) and before == prefix != ""))
        is_body, prefix = is_rest or _BODY.fullmatch(last.strip()) is not None, before
        if not is_body and line.strip() and REDACTED not in line and not _is_header(line):
            return at
        lines[at] = _blank_header(line) if _is_header(line) else _blank_last(line)
        at += 1
    return at


def _is_rest(line: str) -> bool:
    """Return whether a line can be the short last line of a key."""
    return _LAST.fullmatch(line.strip(" \t\r\"',")) is not None


def _is_header(line: str) -> bool:
    return line.lstrip().startswith(_HEADER)


def _blank_header(line: str) -> str:
    body = line.strip()
    return line.replace(body, REDACTED)


def _blank_last(line: str) -> str:
    """Redact the last word of a line: in a log, others stand before it."""
    kept = line.rstrip(" \t\r\"',")
    before, space, word = kept.rpartition(" ")
    indentation = word[: len(word) - len(word.lstrip("\t\"'"))]
    found = f"{before}{space}{indentation}{REDACTED}" if word.strip("\t\"'") else kept
    return found + line[len(kept) :]
