"""Prose of a page that is read in a terminal of any kind."""

from __future__ import annotations

import textwrap

WIDTH = 80


def wrapped(text: str, indent: str = "", further: str | None = None) -> list[str]:
    """Return a text in lines of 80 columns; ``further`` is the indent of all but the first."""
    return textwrap.wrap(
        " ".join(text.split()),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent if further is None else further,
        break_long_words=False,
        break_on_hyphens=False,
    )
