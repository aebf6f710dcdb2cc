"""What one line of a log says, and how bad its program calls it.

Formats: klog (``E1130 12:00:00.000000 1 main.go:9] text``), logrus, slog and zap as ``key=value``
or JSON, Go's own log package, and plain text with a level in front.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FATAL, ERROR, WARNING, INFO = "fatal", "error", "warning", "info"

_LEVELS = {
    **dict.fromkeys(("f", "fatal", "panic", "dpanic", "critical", "crit", "emerg"), FATAL),
    **dict.fromkeys(("e", "error", "err", "eror", "alert"), ERROR),
    **dict.fromkeys(("w", "warn", "warning"), WARNING),
    **dict.fromkeys(("i", "info", "debug", "trace", "notice"), INFO),
}
_KLOG = re.compile(
    r"(?P<level>[IWEF])\d{4} \d\d:\d\d:\d\d\.\d{1,9} {1,8}\d{1,10} [^\s\]]{1,200}\] ?"
)
_GO = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(?:\.\d{1,9})? (?:[\w./-]{1,200}\.go:\d{1,6}: )?")
# zap's console, of operators: "2025-01-02T10:00:00.000Z<TAB>ERROR<TAB>logger<TAB>text<TAB>{...}"
_ZAP = re.compile(
    r"(?:\d{4}-\d\d-\d\dT[\d:.]{8,18}(?:Z|[+-]\d\d:?\d\d)|\d\.\d{1,20}e\+\d\d)"
    r"(?:\t| {2,8})(?P<level>[A-Z]{4,6})(?:\t| {2,8})(?P<rest>.*)",
    re.DOTALL,
)
_COLUMN = re.compile(r"\t| {2,8}(?=\S)")
# What programs without a logger put in front: "[ERROR] text", "ERROR: text", a stamp before it.
_STAMP = re.compile(r"\[?\d{4}-\d\d-\d\d[T ][\d:.,]{8,18}(?:Z|[+-]\d\d:?\d\d)?\]?[ \t]{1,8}")
_WORD = re.compile(
    r"\[?(?P<level>FATAL|PANIC|CRITICAL|ERROR|WARN|WARNING|INFO|DEBUG|NOTICE)\b\]?:?[ \t]{0,8}"
    r"(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
# gpu-operator v25.3.4, validator/main.go: main prints why it ends as information.
_OWN_END = re.compile(r"Error: ")
# apt-get, as Debian and Ubuntu ship it, prints its errors as "E: text".
_APT = re.compile(r"E: (?=\S)")
_GO_PANIC = re.compile(r"panic: |fatal error: |Fatal Python error: ")
_PAIR = re.compile(r'(?P<key>[A-Za-z_][\w.]{0,40})=(?P<value>"(?:[^"\\]|\\.)*+"|[^\s"]*+)')
# logrus with DisableQuote: a value goes on up to the next key.
_UNQUOTED = re.compile(
    r'(?<!\S)(?P<key>[A-Za-z_][\w.]{0,40})=(?P<value>[^\s"](?:\S|\s(?![A-Za-z_][\w.]{0,40}=))*+)'
)
_TEXT_KEYS = ("msg", "message")
_CAUSE_KEYS = ("error", "err")


@dataclass(frozen=True, slots=True)
class Message:
    """A line without stamp and logger's marks; ``level`` is ``""`` where the line has none."""

    level: str
    text: str


def message_of(line: str) -> Message:
    """Return what a line of a log says."""
    if line.startswith("{") and (found := _json(line)):
        return found
    if klog := _KLOG.match(line):
        return Message(_LEVELS[klog["level"].lower()], _with_cause(line[klog.end() :]))
    if _GO_PANIC.match(line):
        return Message(FATAL, line)
    return _pairs(line) or _zap(line) or _plain(line)


def _json(line: str) -> Message | None:
    entry = _object(line)
    return _entry(entry) if entry else None


def _object(text: str) -> Mapping[str, Any] | None:
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _pairs(line: str) -> Message | None:
    """Return what a line of ``key=value`` pairs says; it must have a level and a text."""
    if "level=" not in line:
        return None
    pairs = {pair["key"]: _unquoted(pair["value"]) for pair in _PAIR.finditer(line)}
    for longer in _UNQUOTED.finditer(line):
        if longer["value"].startswith(pairs.get(longer["key"], " ")):
            pairs[longer["key"]] = longer["value"].strip()
    return _entry(pairs)


def _entry(entry: Mapping[str, Any]) -> Message | None:
    level = str(entry.get("level") or entry.get("severity") or "").lower()
    text = _first(entry, _TEXT_KEYS)
    cause = _first(entry, _CAUSE_KEYS)
    if not text and not cause:
        return None
    both = text if cause in text else f"{text}: {cause}" if text else cause
    known = _LEVELS.get(level, "")
    return Message("" if known == INFO and _OWN_END.match(both) else known, both)


def _first(entry: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    return next((str(entry[key]).strip() for key in keys if entry.get(key)), "")


def _with_cause(text: str) -> str:
    """Return klog's structured ``"text" err="cause"`` as ``text: cause``; other text as it is."""
    if not text.startswith('"'):
        return text.strip()
    head = re.match(r'"(?:[^"\\]|\\.)*+"', text)
    if not head:
        return text.strip()
    pairs = {p["key"]: _unquoted(p["value"]) for p in _PAIR.finditer(text, head.end())}
    found = _entry({"msg": _unquoted(head[0]), **pairs})
    return found.text if found else text.strip()


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    try:
        return str(json.loads(value))
    except ValueError:
        return value[1:-1]


def _zap(line: str) -> Message | None:
    """Return what a line of zap's console says: the logger's name goes, the error stays."""
    zap = _ZAP.match(line)
    if not zap or zap["level"].lower() not in _LEVELS:
        return None
    text, _, fields = zap["rest"].partition("{")
    entry = _object(f"{{{fields}")
    said = [part for part in _COLUMN.split((text if entry else zap["rest"]).strip()) if part]
    cause = _first(entry or {}, _CAUSE_KEYS)
    return _entry({"level": zap["level"], "msg": said[-1] if said else "", "error": cause})


def _plain(line: str) -> Message:
    rest = line
    for stamp in (_STAMP, _GO):
        if found := stamp.match(rest):
            rest = rest[found.end() :]
    if _GO_PANIC.match(rest):
        return Message(FATAL, rest.strip())
    if _APT.match(rest):
        return Message(ERROR, rest.strip())
    word = _WORD.match(rest)
    if word and word["rest"]:
        return Message(_LEVELS[word["level"].lower()], word["rest"].strip())
    return Message("", rest.strip())
