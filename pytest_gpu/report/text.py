"""Text for terminals, made to fit; ages as kubectl prints them."""

from __future__ import annotations

import textwrap
from typing import NamedTuple


class Span(NamedTuple):
    """A piece of a line; ``style`` holds words of pytest's terminal markup, or nothing."""

    text: str
    style: str = ""


Line = tuple[Span, ...]


def wrap(text: str, width: int, indent: str = "", hanging: str | None = None) -> list[str]:
    """Return prose in lines of at most ``width``; a path or word too long stays whole."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent if hanging is None else hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def cut(text: str, limit: int) -> str:
    """Return a text of at most about ``limit`` characters that says how much is left out."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… ({len(text) - limit} more characters)"


def cut_inside(text: str, limit: int) -> str:
    """Return a text of about ``limit`` characters that keeps its end, where an error says why.

    It is cut at blanks, unless its words are very long.
    """
    if len(text) <= limit:
        return text
    most, least = limit // 2, limit // 4
    begin = text.rfind(" ", least, most)
    end = text.find(" ", len(text) - most, len(text) - least)
    head = text[: begin if begin >= 0 else most]
    tail = text[end + 1 if end >= 0 else len(text) - most :]
    return f"{head} … ({len(text) - len(head) - len(tail)} characters left out) … {tail}"


def age(seconds: int) -> str:
    """Return an age as kubectl prints it (k8s.io/apimachinery duration.HumanDuration)."""
    minutes, hours, days, years = (seconds // unit for unit in (60, 3600, 86400, 31536000))
    steps = (
        (seconds < 120, f"{seconds}s"),
        (minutes < 10, _two(minutes, "m", seconds % 60, "s")),
        (hours < 3, f"{minutes}m"),
        (hours < 8, _two(hours, "h", minutes % 60, "m")),
        (hours < 48, f"{hours}h"),
        (days < 8, _two(days, "d", hours % 24, "h")),
        (years < 2, f"{days}d"),
        (years < 8, _two(years, "y", days % 365, "d")),
    )
    return next((text for fits, text in steps if fits), f"{years}y")


def _two(big: int, unit: str, small: int, smaller: str) -> str:
    return f"{big}{unit}{small}{smaller}" if small else f"{big}{unit}"
