"""File name patterns as Go's ``filepath.Glob`` and ``filepath.Match`` read them.

Source: https://pkg.go.dev/path/filepath#Match. Unlike ``fnmatch``: ``[^…]`` negates and ``[!…]``
does not, a backslash escapes, ``*`` matches hidden names, and a malformed pattern is an error.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence

from pytest_gpu.errors import Unproven

_LONGEST = 4096
"""Most characters of a pattern: no path is longer."""

_DEEPEST = 100
"""Most folders in a pattern."""

_META = re.compile(r"[*?\[\\]")
_PART = re.compile(r"\*|\?|\\(.)|\[(\^?)((?:\\.|[^\\\]])+)\]|([^*?\[\\])", re.DOTALL)
_RANGE = re.compile(r"(\\.|[^\\-])(?:-(\\.|[^\\-]))?", re.DOTALL)

Names = Callable[[str], Sequence[str] | None]


class BadPatternError(ValueError):
    """Go: ``syntax error in pattern``."""


def expand(names: Names, pattern: str) -> list[str]:
    """Return the paths that match a pattern, in Go's order.

    ``names`` returns the names in a directory, ``None`` if it is proven not to exist.

    Raises:
        BadPatternError: the pattern is malformed.
        Unproven: it is too long to be followed.
    """
    if len(pattern) > _LONGEST or pattern.count("/") > _DEEPEST:
        raise Unproven(f"the pattern {pattern[:40]}… is longer than any real one")
    folder, last = posixpath.split(pattern)
    expression = compiled(last)
    folders = expand(names, folder) if _META.search(folder) else [folder]
    plain = not _META.search(last)
    return [
        clean(posixpath.join(each, name))
        for each in folders
        for name in sorted(names(re.sub("//+", "/", each)) or ())
        if (name == last if plain else expression.fullmatch(name))
    ]


def matches(pattern: str, name: str) -> bool:
    """Say whether a whole name matches a pattern, of which no part matches a slash.

    A malformed pattern matches nothing, nor does one longer than any real one.
    """
    patterns, parts = pattern.split("/"), name.split("/")
    if len(pattern) > _LONGEST or len(patterns) != len(parts):
        return False
    try:
        pairs = zip(map(compiled, patterns), parts, strict=True)
        return all(expression.fullmatch(part) for expression, part in pairs)
    except BadPatternError:
        return False


def clean(path: str) -> str:
    """Return a path as ``filepath.Clean`` does; unlike in POSIX, two leading slashes become one."""
    return re.sub("^//", "/", posixpath.normpath(path))


def compiled(pattern: str) -> re.Pattern[str]:
    """Return one path element's pattern as a regular expression.

    Raises:
        BadPatternError: the pattern is malformed.
    """
    texts, at = [""], 0
    while at < len(pattern):
        match = _PART.match(pattern, at)
        if not match:
            raise BadPatternError(f"syntax error in pattern: {pattern}")
        texts += [""] if match[0] == "*" else []
        texts[-1] += "" if match[0] == "*" else _expression(match)
        at = match.end()
    first, *between = texts
    # The first place that fits is as good as any later one, so never go back to another.
    ends = f".*{between.pop()}" if between else ""
    return re.compile("".join([first, *(f"(?>.*?{each})" for each in between), ends]), re.DOTALL)


def _expression(match: re.Match[str]) -> str:
    escaped, negated, ranges, plain = match.groups()
    if ranges is not None:
        return f"[{negated}{_ranges(ranges)}]"
    if escaped is not None or plain is not None:
        return re.escape(escaped or plain)
    return "."


def _ranges(text: str) -> str:
    parts, at = [], 0
    while at < len(text):
        match = _RANGE.match(text, at)
        if not match:
            raise BadPatternError(f"syntax error in pattern: [{text}]")
        low, high = match[1].removeprefix("\\"), (match[2] or match[1]).removeprefix("\\")
        # Go accepts a reversed range, which matches nothing.
        parts.append(f"{re.escape(low)}-{re.escape(high)}" if low <= high else "")
        at = match.end()
    return "".join(parts) or "^\\s\\S"
