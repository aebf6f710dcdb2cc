"""Command lines inside of text: of units, logs and scripts, and as lists in YAML and JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pytest_gpu.cluster.redaction.following_lines import LINE_ENDS
from pytest_gpu.cluster.redaction.known_programs import PROGRAMS, hide_words
from pytest_gpu.cluster.redaction.secret_names import is_harmless, is_secret_name, words_of
from pytest_gpu.evidence import REDACTED

_PROGRAM = re.compile(
    rf"(?<![\w.-])(?:{'|'.join(sorted(map(re.escape, PROGRAMS), reverse=True))})(?![\w.=:-])"
)
_USER = re.compile(
    rf"(?P<name>(?<![\w-])(?:-[uU]|--(?:proxy-)?user)(?:[ \t]++|=)[\"']?)(?!\d*+:\d*+(?![\w:]))"
    rf"[^\s:\"'\\/{LINE_ENDS}]++:[^\s\"'\\{LINE_ENDS}]++"
)
_LITERAL = re.compile(
    r"(?P<name>--from-literal(?:=|[ \t]++|[\"'],?[ \t]*+[\"'])[\"']?[\w.-]++=)"
    rf"[^\s\"'\\{LINE_ENDS}]++"
)
_NETRC = re.compile(
    rf"(?P<name>\blogin[ \t]++[^\s]++[ \t]++password[ \t]++)[^\s\"'\\{LINE_ENDS}]++"
    r"|(?P<sql>\b(?:identified[ \t]++by|password|passwd|passphrase)[ \t]++(?P<quote>[\"']))"
    rf"(?:(?!(?P=quote))[^{LINE_ENDS}])++",
    re.IGNORECASE,
)
_TWO_WORDS = re.compile(
    rf"[ \t]*+(?P<name>[\w.-]++)[ \t]++(?P<value>[^\s:={LINE_ENDS}]++)[ \t\r;]*+"
)
_ALONE = frozenset({"password", "passwd", "requirepass", "masterauth", "bindpw", "rootpw"})
_WORD = re.compile(
    rf"(?<=-\w )(?P<quote>\\*+[\"'])(?P<inner>[^\"'\\{LINE_ENDS}]*+)(?P=quote)"
    r"|(?<=[\s=\[,:(])(?P<quote_>\\*+[\"'])(?P<word>[^\"'\s\\]*+)(?P=quote_)"
    r"|(?<!\\)(?P<newline>\\++[nrt])|(?P<bare>[^\s\"'\\]++)"
)
_BLOCK_ITEM = re.compile(r"(?P<dash>[ \t]*+-[ \t]++)(?P<item>[^\s].*+)")
_ITEM_WORD = re.compile(
    rf"(?P<quote>[\"'])(?P<inner>[^\"'{LINE_ENDS}]*+)(?P=quote)|(?P<bare>[^\"'{LINE_ENDS}]++)"
)
_FLOW_LIST = re.compile(
    r"\[\s*+(?:(?:\"(?:[^\"\\]|\\.)*+\"|'[^']*+'|\\\"[^\"\\]*+\\\"|[^\s,\[\]{}\"'\\][^,\[\]{}\"']*+)"
    r"\s*+,?+\s*+)++\]"
)
_FLOW_ITEM = re.compile(
    r"\\\"(?P<escaped>[^\"\\]*+)\\\"|(?<!\\)\"(?P<double>(?:[^\"\\]|\\.)*+)\"|'(?P<single>[^']*+)'"
    r"|(?P<bare>[^\s,\[\]\"'\\][^,\[\]\"'\n]*+)"
)

Span = tuple[int, int, str]


def redact_command_line(line: str) -> str:
    """Return a line without the passwords of the commands in it."""
    for pattern in (_USER, _LITERAL, _NETRC):
        line = pattern.sub(_after_name, line)
    program = _PROGRAM.search(line)
    if program is None:
        return line
    return _rewritten(line, _words(line, program.start()))


def redact_two_words(line: str) -> str:
    """Return a line without its second word if that is all, and the first one names a secret."""
    words = _TWO_WORDS.fullmatch(line)
    if words is None or not is_secret_name(name := words["name"].lower()):
        return line
    is_compound = len(words_of(name)) > 1
    if not (is_compound or name in _ALONE) or is_harmless(name, words["value"]):
        return line
    return line[: words.start("value")] + REDACTED + line[words.end("value") :]


def _after_name(match: re.Match[str]) -> str:
    found = match.groupdict()
    return f"{found['name'] or found.get('sql') or ''}{REDACTED}"


def _words(line: str, start: int) -> list[Span]:
    found = (match for match in _WORD.finditer(line, start) if not match["newline"])
    return [_span(match, ("inner", "word", "bare")) for match in found]


def _span(match: re.Match[str], groups: Sequence[str]) -> Span:
    group = next(name for name in groups if match[name] is not None)
    return (*match.span(group), match[group])


def _rewritten(text: str, words: Sequence[Span]) -> str:
    """Return text with the secret words among some words replaced."""
    parts: list[str] = []
    done = 0
    for (start, end, word), hidden in zip(words, hide_words([w for *_, w in words]), strict=True):
        if hidden != word and REDACTED not in word:
            parts += (text[done:start], hidden)
            done = end
    return "".join((*parts, text[done:]))


def redact_flow_lists(text: str) -> str:
    """Return text without the secret arguments in lists such as ``["--token", "x"]``."""
    if "[" not in text or "-" not in text:
        return text
    return _FLOW_LIST.sub(_flow_list, text)


def _flow_list(match: re.Match[str]) -> str:
    groups = ("escaped", "double", "single", "bare")
    text = match[0]
    return _rewritten(text, [_span(item, groups) for item in _FLOW_ITEM.finditer(text)])


def redact_block_lists(lines: list[str]) -> None:
    """Redact the secret arguments in lists of YAML, one item a line, in place."""
    for group in _block_lists(lines):
        words = [_span(item, ("inner", "bare")) if item else None for _, item in group]
        hidden = hide_words([word[2] if word else "" for word in words])
        for (at, _), word, new in zip(group, words, hidden, strict=True):
            if word and new != word[2] and REDACTED not in word[2]:
                lines[at] = lines[at][: word[0]] + new + lines[at][word[1] :]


def _block_lists(lines: Sequence[str]) -> Iterator[list[tuple[int, re.Match[str] | None]]]:
    """Yield consecutive lines that are items with the same indentation, with their words."""
    group: list[tuple[int, re.Match[str] | None]] = []
    dash = ""
    for at, line in enumerate(lines):
        item = _BLOCK_ITEM.match(line)
        if group and (item is None or item["dash"] != dash):
            yield group
            group = []
        if item is not None:
            dash = item["dash"]
            group.append((at, _ITEM_WORD.match(line, item.start("item"))))
    if group:
        yield group
