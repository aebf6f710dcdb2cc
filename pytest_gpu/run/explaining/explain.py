"""``--gpu-explain``: which causes there are, and what one of them means, without any cluster."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from pytest_gpu.catalogue import catalogue
from pytest_gpu.cause_entry import Cause
from pytest_gpu.errors import GpuError
from pytest_gpu.run.explaining.example import Example
from pytest_gpu.run.explaining.wrapped import wrapped
from pytest_gpu.steps import Step
from pytest_gpu.text.plain_text import fix_lines
from pytest_gpu.text.shell_places import PLACEHOLDER

ALL = "all"
SUCH_AS = "driver/nouveau-holds-gpu"


def explain(asked: str, own: Mapping[str, Cause]) -> str:
    """Return what is known of a cause, or the list of causes that were asked for.

    Args:
        asked: a cause's ID, a part of one, or ``all``.
        own: the causes of the user's project.

    Raises:
        GpuError: nothing was asked, or there is no such cause; the message names the closest ones.
    """
    causes = {**catalogue(), **own}
    word = asked.strip().lower()
    if not word:
        raise GpuError(f"is empty; name a cause such as {SUCH_AS}, a part of its name, or {ALL}")
    if word == ALL:
        return _text(_by_layer(causes.values()))
    if word in causes:
        return _text(_lines(causes[word]))
    found = [cause for cause in causes.values() if word in cause.id]
    if not found:
        raise GpuError(_unknown(word, tuple(causes)))
    return _text(_lines(found[0]) if len(found) == 1 else _list(asked, found))


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"


def _unknown(asked: str, known: tuple[str, ...]) -> str:
    # Names are also compared without prefix: people remember the name, not the component.
    close = difflib.get_close_matches(asked, known, n=3, cutoff=0.5)
    by_name = {each.partition("/")[2]: each for each in known}
    name = asked.rpartition("/")[2]
    close += [by_name[each] for each in difflib.get_close_matches(name, by_name, n=3, cutoff=0.6)]
    if close := list(dict.fromkeys(close or _with_a_word_like(name, known)))[:3]:
        return f"no such cause; closest are {', '.join(close)}"
    prefixes = sorted({each.partition("/")[0] for each in known})
    starts = ", ".join(f"{each}/" for each in prefixes)
    return f"no such cause; causes start with {starts}; --gpu-explain={ALL} lists them"


def _with_a_word_like(name: str, known: Iterable[str]) -> Iterator[str]:
    """Yield the IDs that have a word like this one, as driver/nouveau-holds-gpu for noveau."""
    having: dict[str, list[str]] = {}
    for each in known:
        for word in re.split("[/-]", each):
            having.setdefault(word, []).append(each)
    for word in difflib.get_close_matches(name, having, n=3, cutoff=0.65):
        yield from having[word]


def _by_layer(causes: Iterable[Cause]) -> Iterator[str]:
    ordered = sorted(causes, key=lambda cause: (cause.layer, cause.id))
    for layer, group in groupby(ordered, key=lambda cause: cause.layer):
        found = list(group)
        yield f"{layer} ({len(found)})"
        for cause in found:
            yield from _entry(cause)
        yield ""
    yield "More about one of them: pytest --gpu-explain=CAUSE"


def _list(asked: str, causes: Iterable[Cause]) -> Iterator[str]:
    found = sorted(causes, key=lambda cause: (cause.layer, cause.id))
    yield f"{len(found)} causes have {asked!r} in their name:"
    for cause in found:
        yield from _entry(cause)


def _entry(cause: Cause) -> list[str]:
    """Return one entry of a list: the placeholders stand for what a run finds."""
    title = PLACEHOLDER.sub(lambda match: f"<{match[1].replace('_', '-')}>", cause.title)
    return wrapped(f"{cause.id}: {title}", "  ", "      ")


def _lines(cause: Cause) -> Iterator[str]:
    example = Example(cause)
    yield from wrapped(f"{cause.id}: {example.title}")
    yield ""
    yield f"Layer: {cause.layer}"
    if said := example.said():
        yield from wrapped(f"Example: {said}", "", "  ")
    yield ""
    yield from wrapped(example.why)
    yield from _block("Check by hand", example.check)
    for distribution in cause.fix:
        where = "" if len(cause.fix) == 1 else f" ({_where(distribution)})"
        yield from _block(f"Fix{where}", example.fix(distribution))
    if cause.explains:
        yield from ("", "Consequences of this cause:")
        yield from (f"  {pattern}" for pattern in cause.explains)


def _where(distribution: str) -> str:
    return "any other distribution" if distribution == "default" else distribution


def _block(title: str, steps: Iterable[Step]) -> Iterator[str]:
    yield ""
    yield f"{title}:"
    for step in steps:
        # Text to copy is never wrapped.
        words = step.kind == "words"
        yield from wrapped(step.shown, "  ") if words else fix_lines([step.shown])
