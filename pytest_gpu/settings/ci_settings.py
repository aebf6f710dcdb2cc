"""The settings for what CI systems read: JUnit and Allure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

UNPROVEN = ("skipped", "failure")
"""What an unproven test can be in JUnit; the first is the default."""

T = TypeVar("T")

_PLACEHOLDERS = ("{cause}", "{anchor}")
_URL = re.compile(r"https?://[^\s{}]+([^\s]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class CiSettings:
    """How JUnit and Allure are written.

    ``junit_strict`` keeps to the schema of the xUnit plugin for Jenkins; ``junit_unproven`` is what
    an unproven test is there; ``cause_link`` is the address of a page about a cause (``None``:
    Allure's own pattern for links of type ``tms``).
    """

    junit_strict: bool
    junit_unproven: str
    cause_link: str | None

    def link_of(self, cause: str) -> str | None:
        """Return the address of the page about a cause, ``None`` if there is no pattern."""
        if self.cause_link is None:
            return None
        anchor = cause.replace("/", "")
        return self.cause_link.replace("{cause}", cause).replace("{anchor}", anchor)


class Reader(Protocol):
    """Looks a value of the configuration file up, else a default."""

    def value(self, name: str, parse: Callable[[Any], T], default: T | None) -> Any:
        """Return a parsed value, or the default."""


def read_ci(reader: Reader) -> CiSettings:
    """Return the settings about JUnit and Allure."""
    return CiSettings(
        junit_strict=reader.value("junit_strict", bool, False),
        junit_unproven=reader.value("junit_unproven", _unproven, UNPROVEN[0]),
        cause_link=reader.value("cause_link", _link, None),
    )


def _unproven(text: str) -> str:
    if text not in UNPROVEN:
        raise ValueError(f"must be {' or '.join(UNPROVEN)}; the default is {UNPROVEN[0]}")
    return text


def _link(text: str) -> str:
    example = "such as https://example.com/causes.html#{anchor}"
    if not _URL.fullmatch(text):
        raise ValueError(f"is not an address that begins with http:// or https://, {example}")
    named = re.findall(r"\{[^{}]*\}", text)
    if not named or not set(named) <= set(_PLACEHOLDERS):
        raise ValueError(f"must contain {' or '.join(_PLACEHOLDERS)} and nothing else in braces")
    return text
