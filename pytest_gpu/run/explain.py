"""``--gpu-explain``: what a cause of the catalogue means, without any cluster."""

from __future__ import annotations

import difflib
import re
import textwrap
from collections.abc import Iterable, Iterator

from pytest_gpu.catalogue import catalogue
from pytest_gpu.cause_entry import Cause
from pytest_gpu.errors import GpuError
from pytest_gpu.steps import Slot, Step

_PLACEHOLDER = re.compile(r"\{([a-z][a-z_]*)\}")
WIDTH = 80


def explain(cause_id: str) -> str:
    """Return all that the catalogue says about a cause.

    Raises:
        GpuError: there is no such cause; the message names the closest ones.
    """
    causes = catalogue()
    if cause_id not in causes:
        raise GpuError(_unknown(cause_id, tuple(causes)))
    return "\n".join(_lines(causes[cause_id])) + "\n"


def _unknown(cause_id: str, known: tuple[str, ...]) -> str:
    # Names are also compared without prefix: people remember the name, not the component.
    close = difflib.get_close_matches(cause_id, known, n=3, cutoff=0.5)
    by_name = {each.partition("/")[2]: each for each in known}
    name = cause_id.rpartition("/")[2]
    close += [by_name[each] for each in difflib.get_close_matches(name, by_name, n=3, cutoff=0.6)]
    close = list(dict.fromkeys(close))[:3]
    if close:
        return f"no such cause; closest are {', '.join(close)}"
    prefixes = sorted({each.partition("/")[0] for each in known})
    return f"no such cause; causes start with {', '.join(f'{each}/' for each in prefixes)}"


def _lines(cause: Cause) -> Iterator[str]:
    yield from _wrapped(f"{cause.id}: {cause.title}")
    yield ""
    yield from _wrapped(cause.why)
    yield from _block("Check by hand", cause.check)
    for distribution, steps in cause.fix.items():
        where = "" if len(cause.fix) == 1 else f" ({_where(distribution)})"
        yield from _block(f"Fix{where}", steps)
    if cause.explains:
        yield from ("", "Consequences of this cause:")
        yield from (f"  {pattern}" for pattern in cause.explains)


def _where(distribution: str) -> str:
    return "any other distribution" if distribution == "default" else distribution


def _block(title: str, steps: Iterable[Step | Slot]) -> Iterator[str]:
    yield ""
    yield f"{title}:"
    for step in steps:
        yield from _step(step)


def _step(step: Step | Slot) -> Iterator[str]:
    if isinstance(step, Slot):
        yield from _wrapped(step.before, "  ")
    # Text to copy is never wrapped.
    if isinstance(step, Step) and step.kind != "words":
        yield f"  {_shown(step.shown)}"
    else:
        yield from _wrapped(step.shown, "  ")


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        _shown(" ".join(text.split())),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _shown(text: str) -> str:
    """Return a text with its placeholders as a manual shows them: ``<node>``."""
    return _PLACEHOLDER.sub(lambda match: f"<{match[1].replace('_', '-')}>", text)
