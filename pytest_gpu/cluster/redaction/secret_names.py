"""Names that stand for secrets: of keys, environment variables and flags."""

from __future__ import annotations

import re

# The end of a name whose value is a secret. "private_key_file" ends differently: it is a path.
_WORDS = (
    "pass(?:word|wd|phrase)|secret|token|(?:api|access|secret|client|private|auth)[_-]?key"
    "|access[_-]?key[_-]?id|client[_-]key[_-]data|credentials?|_auth|x-amz-(?:signature|credential)"
)
NAME = rf"[\w.-]{{0,80}}(?:{_WORDS})"
# If the syntax shows that it is a name, short names count, too.
KEY = rf"(?:{NAME}|[\w.-]{{0,80}}username|[\w.-]{{0,80}}\bauth|authorization)"
ENV = r"[\w.-]{0,80}(?:TOKEN|PASSWORD|PASSWD|SECRET|CREDENTIAL|KEY)[\w.-]{0,80}"

_FULL_NAME = re.compile(KEY, re.IGNORECASE)
_FULL_ENV = re.compile(ENV, re.IGNORECASE)
_FULL_FLAG = re.compile(rf"--?{NAME}", re.IGNORECASE)


def is_secret_env(name: str) -> bool:
    """Return whether an environment variable's name says that its value is a secret."""
    return _FULL_ENV.fullmatch(name) is not None


def is_secret_flag(argument: str) -> bool:
    """Return whether the argument after this one is a secret, as after ``--password``."""
    return _FULL_FLAG.fullmatch(argument) is not None


def is_secret_name(name: str) -> bool:
    """Return whether a key of a mapping names a secret: ``password``, ``identitytoken``."""
    return _FULL_NAME.fullmatch(name) is not None
