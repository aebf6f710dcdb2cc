"""Names that stand for secrets: of keys, environment variables and flags.

A name is judged by its words: ``dbPassword``, ``DB_PASSWORD`` and ``example.com/db-password`` are
the same three times. What the name ends with decides: ``private_key_file`` is the path of a file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pytest_gpu.evidence import REDACTED

_WORD = re.compile(r"[A-Z]++(?![a-z])|[A-Z]?[a-z]++|[A-Z]|[0-9]++")
STEMS = (
    *("pass", "pw", "secret", "token", "key", "auth", "cred", "sess", "cookie", "jwt", "licen"),
    *("psk", "username", "conn", "dsn", "signature", "dockerc", "last-applied", "last-handled"),
    *("sid",),
)
"""Parts of secrets' names: a name or a line without any of them has none."""

_STRONG = (
    *("password", "passwd", "passphrase", "passcode", "secret", "token", "apikey", "accesskey"),
    *("secretkey", "privatekey", "authkey", "licensekey", "signingkey", "encryptionkey"),
    *("masterkey", "sharedkey", "accountkey", "credential", "credentials", "creds", "cookie"),
    *("cookies", "jwt", "pwd", "psk", "authorization", "dockerconfigjson", "dockercfg"),
)
"""A name whose last word ends with one of these is a secret's."""

_WEAK = ("pass", "auth")
_NOT_WEAK = frozenset({"bypass", "compass", "multipass", "encompass", "noauth", "preauth"})
_WHOLE = frozenset(
    {"pw", "dbpw", "rootpw", "bindpw", "adminpw", "userpw", "session", "sessionid", "sessid"}
    | {"phpsessid", "jsessionid", "sid", "license", "licence", "username", "dsn", "connstr"}
    | {"connectionstring"}
)
"""Last words that count if they are the whole word."""

_KEYS = frozenset(
    {"api", "access", "secret", "client", "private", "auth", "encryption", "signing", "ssh"}
    | {"license", "licence", "account", "shared", "storage", "master", "service", "subscription"}
    | {"session", "hmac", "aes", "primary", "secondary", "deploy", "host", "preshared", "app"}
    | {"application", "rsa", "webhook", "certificate", "registry", "ngc", "admin", "root"}
)
"""What stands before ``key`` in a secret's name; ``key`` itself names much else."""

_PAIRS = frozenset(
    {("connection", "string"), ("conn", "str"), ("conn", "string"), ("access", "signature")}
    | {("amz", "signature"), ("goog", "signature"), ("user", "name")}
)
_TAILS = frozenset(
    {"data", "value", "id", "b", "base", "raw", "plain", "text", "string", "str", "json", "yaml"}
    | {"hash", "old", "new", "current", "previous", "default", "prod", "production", "dev", "test"}
    | {"staging"}
)
"""Last words that say nothing: ``client-key-data`` is a key."""

_IN_ENV = ("password", "passwd", "passphrase", "secret", "secrets", "token", "tokens", "cookie")
_ENV_KEYS = frozenset({"key", "keys", "apikey", "credential", "credentials", "jwt"})
_ABOUT = frozenset(
    {"file", "path", "dir", "directory", "folder", "name", "names", "type", "mode", "url", "uri"}
    | {"endpoint", "host", "port", "server", "address", "sock", "socket", "ttl", "expiry"}
    | {"expiration", "timeout", "enabled", "disabled", "count", "size", "length", "limit", "class"}
    | {"interval", "version", "algorithm", "ring", "ref", "provider", "manager", "audience"}
    | {"issuer", "policy", "rotation", "format", "required", "location", "seconds", "bus", "dirs"}
)
"""Last words of an environment variable that tells something about a secret."""

_PLAIN = frozenset(
    {"", "true", "false", "null", "none", "yes", "no", "on", "off", "~", "enabled", "disabled"}
    | {"required", "optional", "0", "1", REDACTED}
)
_LICENCE = re.compile(
    r"(?:dual\s)?(?:apache|mit|bsd|gpl|lgpl|agpl|mpl|isc|cc|epl|nvidia|proprietary|gnu|accept)\b",
    re.IGNORECASE,
)
_PATH = re.compile(r"(?:/[a-z0-9_.@-]++){2,}+")
_SYMBOLS = re.compile(r"[\w.~+/=%!@#$^&*-]{8,}+")


def words_of(name: str) -> list[str]:
    """Return the words of a name in lower case."""
    return [word.lower() for word in _WORD.findall(name)]


def is_secret_env(name: str) -> bool:
    """Return whether an environment variable's name says that its value is a secret."""
    if not _has_stem(name):
        return False
    words = words_of(name)
    if not words or words[-1] in _ABOUT:
        return False
    return _ends_secret(words) or ("public" not in words and any(map(_is_env_word, words)))


def is_secret_flag(argument: str) -> bool:
    """Return whether the argument after this one is a secret, as after ``--password``."""
    name = argument.lstrip("-")
    is_flag = name != argument and len(argument) - len(name) < 3 and "=" not in name
    return is_flag and is_secret_name(name) and words_of(name)[-1] != "username"


def is_secret_name(name: str) -> bool:
    """Return whether a key of a mapping names a secret: ``password``, ``identitytoken``.

    In capitals it may be an environment variable, of which more are secrets.
    """
    if not _has_stem(name):
        return False
    if "last-applied" in name or "last-handled" in name:
        return True
    return _ends_secret(words_of(name)) or (name.isupper() and is_secret_env(name))


def is_certain(name: str) -> bool:
    """Return whether even prose after ``name:`` is taken for a secret."""
    words = words_of(name)
    strong = any(words[-1].endswith(word) for word in _STRONG[:4]) if words else False
    return strong or (words[-1:] == ["key"] and words[-2:-1] != ["host"]) or "apikey" in words


def is_vague(name: str) -> bool:
    """Return whether a name alone says little: ``--session`` is also a switch of dbus-daemon."""
    return name.lower() in ("session", "auth", "license", "licence")


def is_harmless(name: str, value: str) -> bool:
    """Return whether a value is not a secret, whatever its name: a switch, a directory."""
    value = value.strip()
    if value.lower() in _PLAIN:
        return True
    words = words_of(name)
    match words[-1:]:
        case ["pwd" | "oldpwd"]:
            return len(words) == 1 and value.startswith("/")
        case ["license" | "licence"]:
            return _LICENCE.match(value) is not None
        case ["session"] | ["id"]:
            return value.isdigit() and len(value) < 6
        case ["key"]:
            return _PATH.fullmatch(value) is not None
    return False


def looks_secret(value: str) -> bool:
    """Return whether a word is more likely a secret than a word of a sentence."""
    value = value.rstrip(")]}>,;:.")
    mixed = any(map(str.isdigit, value[:200])) and any(map(str.isalpha, value[:200]))
    return mixed and _SYMBOLS.fullmatch(value) is not None


def _has_stem(name: str) -> bool:
    lowered = name.lower()
    return any(stem in lowered for stem in STEMS)


def _is_env_word(word: str) -> bool:
    return word in _ENV_KEYS or word.endswith(_IN_ENV)


def _ends_secret(words: Sequence[str]) -> bool:
    end = len(words)
    while end > 1 and (words[end - 1] in _TAILS or words[end - 1].isdigit()):
        end -= 1
    if not end:
        return False
    last, before = words[end - 1], words[end - 2] if end > 1 else ""
    if last == "key":
        return before in _KEYS
    whole = last in _WHOLE or (before, last) in _PAIRS or tuple(words[end - 1 : end + 1]) in _PAIRS
    return whole or last.endswith(_STRONG) or (last.endswith(_WEAK) and last not in _NOT_WEAK)
