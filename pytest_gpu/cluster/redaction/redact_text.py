"""Secrets in text: passwords, tokens and keys are replaced, lines and line numbers are kept.

Every rule is a pattern and its replacement. A rule replaces a value, never the name next to it,
and knows what must stay: booleans, paths of key files, image digests.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable

from pytest_gpu.cluster.redaction.secret_names import ENV, KEY, NAME
from pytest_gpu.evidence import REDACTED

# One rule's result may match another rule: they are applied until nothing changes.
_ROUNDS = 5

# What ends a line for str.splitlines(): none of these characters may be removed.
_EOL = "\r\n\v\f\x1c-\x1e\x85\u2028\u2029"

_KEY_AND = rf"(?P<name>(?<![\w.-])[\"']?{KEY}[\"']?[ \t]*[:=][ \t]*)"
# Not secrets: the values of a switch, and placeholders for a value.
_PLAIN = r"(?:true|false|null|none|yes|no|on|off|~)(?![\w.-])"

Replace = Callable[[re.Match[str]], str]
Rule = tuple[re.Pattern[str], Replace]


def redact_text(text: str) -> str:
    """Return text without secrets; every line keeps its line number."""
    if not _TRIGGER.search(text):
        return text
    for _ in range(_ROUNDS):
        before = text
        text = _apply(_OVER_LINES, text)
        text = "\n".join(_redact_line(line) for line in text.split("\n"))
        if text == before:
            break
    return text


def _redact_line(line: str) -> str:
    for _ in range(_ROUNDS):
        before = line
        if _LINE_TRIGGER.search(line):
            line = _apply(_IN_LINE, line)
        if line == before:
            break
    return line


def _apply(rules: tuple[Rule, ...], text: str) -> str:
    for pattern, replace in rules:
        text = pattern.sub(replace, text)
    return text


def blank(text: str) -> str:
    """Return ``text`` with every line redacted; indentation and line ends stay."""
    return "".join(_blank_line(line) for line in text.splitlines(keepends=True))


def _blank_line(line: str) -> str:
    body = line.strip()
    return line.replace(body, REDACTED) if body else line


def _rule(pattern: str, replace: Replace, flags: int = re.IGNORECASE) -> Rule:
    return re.compile(pattern, flags), replace


def _all(_match: re.Match[str]) -> str:
    return REDACTED


def _after_name(match: re.Match[str]) -> str:
    return f"{match['name']}{REDACTED}"


def _quoted(match: re.Match[str]) -> str:
    quote, value = match["quote"], match["value"]
    kept = value if value in {"", "true", "false"} else REDACTED
    return f"{match['name']}{quote}{kept}{quote}"


def _block(match: re.Match[str]) -> str:
    return match["name"] + blank(match["value"])


def _long_string(match: re.Match[str]) -> str:
    return f"{match['name']}{match['quote']}{blank(match['value'])}{match['quote']}"


def _listed(match: re.Match[str]) -> str:
    return match["name"] + re.sub(r"""(["'])[^"']+\1""", rf"\1{REDACTED}\1", match["value"])


def _encoded_key(match: re.Match[str]) -> str:
    """Redact base64 of a private key; a certificate is public and stays."""
    text = match[0][: len(match[0]) // 4 * 4]
    try:
        return REDACTED if b"PRIVATE KEY" in base64.b64decode(text)[:64] else match[0]
    except binascii.Error:
        return REDACTED


_KEY_BEGIN = r"(?P<name>-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----)"
_KEY_END = r"-----END [A-Z0-9 ]*PRIVATE KEY-----"

_LINE = re.IGNORECASE | re.MULTILINE
_BARE = rf"[^\s\"'&`\\\[{{{_EOL}]+"

_OVER_LINES: tuple[Rule, ...] = (
    # PEM, over lines or with \n written out; if END is missing, as far as it looks like a key
    _rule(rf"{_KEY_BEGIN}(?P<value>(?:(?!-----)[\s\S]){{1,20000}}?)(?={_KEY_END})", _block, 0),
    _rule(
        rf"{_KEY_BEGIN}(?P<value>(?:(?:\\n|\s)+"
        rf"(?:(?:Proc-Type|DEK-Info): [^{_EOL}]*|[A-Za-z0-9+/=]{{16,}}))+)",
        _block,
        0,
    ),
    # TOML: a string over several lines
    _rule(
        rf"(?P<name>^[ \t]*{KEY}[ \t]*=[ \t]*)"
        r"(?P<quote>\"{3}|'{3})(?P<value>[\s\S]{0,20000}?)(?P=quote)",
        _long_string,
        _LINE,
    ),
    # YAML: a block of lines, each indented further than its name
    _rule(
        rf"(?P<name>^(?P<indent>[ \t]*)(?:-[ \t]+)*{KEY}[ \t]*:[ \t]*[|>][-+0-9]*[ \t]*\r?\n)"
        r"(?P<value>(?:(?:(?P=indent)[ \t]+[^\n]*|[ \t\r]*)(?:\n|\Z))+)",
        _block,
        _LINE,
    ),
    # an environment variable in YAML: its name, then its value
    _rule(
        rf"(?P<name>\bname:[ \t]*[\"']?{ENV}[\"']?[ \t]*\r?\n[ \t]*value:[ \t]*)(?!\s)[^{_EOL}]+",
        _after_name,
        0,
    ),
)

_BY_SHAPE: tuple[Rule, ...] = (
    _rule(r"LS0tLS1CRUdJTi[A-Za-z0-9+/=]{20,}", _encoded_key, 0),
    _rule(r"\beyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?", _all, 0),
    _rule(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", _all, 0),
    _rule(r"\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}", _all, 0),
    _rule(r"\bnvapi-[\w-]{16,}|\bhf_\w{20,}|\bxox[abprs]-[\w-]{10,}|\bAIza[\w-]{30,}", _all, 0),
    # the join tokens of k3s and RKE2, and of kubeadm
    _rule(r"\bK10[0-9a-f]{16,}::[^\s\"']+", _all, 0),
    _rule(r"(?<![\w./:@-])[a-z0-9]{6}\.(?=[a-z]*[0-9])[a-z0-9]{16}(?![\w./:-])", _all, 0),
    # user:password@ of a URL; image digests are written with an @ too
    _rule(
        rf"(?P<name>\b[a-z][a-z0-9+.-]{{1,20}}://)[^\s/\"'`{_EOL}]{{1,500}}"
        r"(?=@(?!sha(?:256|512):))",
        _after_name,
    ),
    _rule(r"(?P<name>\b(?:Bearer|Negotiate)[ \t]+)(?=\S*\d)[\w.~+/=-]{8,}", _after_name),
    _rule(r"(?P<name>\bBasic[ \t]+)(?=[\w+/]*[\d=])[\w+/]{8,}={0,2}", _after_name, 0),
)

_BY_NAME: tuple[Rule, ...] = (
    # TOML and JSON: a list of strings
    _rule(rf"{_KEY_AND}(?P<value>\[[^\]{_EOL}]*\])", _listed),
    # quoted values: TOML, JSON, YAML, the environment; JSON inside of JSON
    _rule(rf"{_KEY_AND}(?P<quote>\")(?P<value>(?:[^\"\\{_EOL}]|\\.)*)\"", _quoted),
    _rule(rf"{_KEY_AND}(?P<quote>')(?P<value>[^'{_EOL}]*)'", _quoted),
    _rule(
        rf"(?P<name>(?<![\w.-]){KEY}\\\"[ \t]*:[ \t]*)"
        rf"(?P<quote>\\\")(?P<value>[^\"\\{_EOL}]*)\\\"",
        _quoted,
    ),
    # a quote that nothing closes
    _rule(
        rf"(?P<name>^[ \t-]*[\"']?{KEY}[\"']?[ \t]*[:=][ \t]*[\"'])[^\"'{_EOL}]+$",
        _after_name,
        _LINE,
    ),
    # values without quotes: a line of TOML or YAML, flow YAML, a log, flags, the environment
    _rule(
        rf"(?P<name>^[ \t-]*{KEY}[ \t]*[:=][ \t]*)(?!{_PLAIN})(?![\[{{|>&*\"'#\s])[^{_EOL}]+",
        _after_name,
        _LINE,
    ),
    _rule(
        rf"(?P<name>[{{,][ \t]*{NAME}[ \t]*:[ \t]+)(?!{_PLAIN})[^\s,}}\"'\[{{{_EOL}]+", _after_name
    ),
    _rule(
        r"(?P<name>(?<![\w.-])(?:pass(?:word|wd|phrase)|(?:api|secret|access)[_-]?key):[ \t]+)"
        rf"(?!{_PLAIN}|[|>]){_BARE}",
        _after_name,
    ),
    _rule(r"(?P<name>(?<![\w.-])token:[ \t]+)(?=\S*\d)[\w.~+/=-]{16,}", _after_name),
    _rule(rf"(?P<name>(?<![\w./-])-{{0,2}}{NAME}=)(?!{_PLAIN}){_BARE}", _after_name),
    _rule(rf"(?P<name>(?<![\w./-])--?{NAME}[ \t]+)(?!{_PLAIN}|-){_BARE}", _after_name),
    _rule(rf"(?P<name>\"--?{NAME}\",\s*)(?P<quote>\")(?P<value>[^\"{_EOL}]+)\"", _quoted),
    _rule(rf"(?P<name>(?<![\w./-]){ENV}=)(?!{_PLAIN}){_BARE}", _after_name, 0),
    _rule(
        rf"(?P<name>(?<![\w./-]){ENV}=)(?P<quote>\\?[\"'])(?P<value>[^\"'\\{_EOL}]*)(?P=quote)",
        _quoted,
        0,
    ),
    # an environment variable as the API and the CRI write it in JSON: its name, then its value
    _rule(
        rf"(?P<name>\\?\"(?:name|key)\\?\":\s*\\?\"{ENV}\\?\",\s*\\?\"value\\?\":\s*)"
        rf"(?P<quote>\\?\")(?P<value>[^\"\\{_EOL}]*)(?P=quote)",
        _quoted,
        0,
    ),
)

_IN_LINE = (*_BY_SHAPE, *_BY_NAME)


# Most texts have no secret, nor have most lines of the others: one quick test skips the rules.
_SUSPECT = r"(?:pass(?:w|phrase)|secret|token|key|auth|cred|username|x-amz)"
_SHAPES = (
    r"authorization|bearer|basic|negotiate|://[^\s/]{1,500}@|LS0t|eyJ|AKIA|ASIA"
    r"|gh[pousr]_|_pat_|glpat|nvapi|hf_|xox|AIza|K10|\b[a-z0-9]{6}\.[a-z0-9]{16}\b"
)
_TRIGGER = re.compile(rf"{_SUSPECT}|{_SHAPES}", re.IGNORECASE)
_LINE_TRIGGER = re.compile(
    rf"{_SUSPECT}[\w.-]{{0,80}}\\?[\"']?[ \t]*[:=,]|-[\w.-]{{0,80}}{_SUSPECT}[\w.-]{{0,80}}[ \t]"
    rf"|{_SHAPES}",
    re.IGNORECASE,
)
