"""Feeds every parser texts that libFuzzer makes up: ``make fuzz``.

It stops at the first text that raises anything but a refusal, or that takes much longer than a
text of its length may; libFuzzer writes that text to a file.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress

import atheris

with atheris.instrument_imports(include=["pytest_gpu"]):
    from tests.linear.parsers import PARSERS

from pytest_gpu.errors import GpuError

REFUSED = (GpuError, ValueError, KeyError, TypeError, AttributeError)

NAMES = sorted(PARSERS)

LONGEST = 1 << 13
"""Characters of a text; a parser that is not linear shows it well below."""

SECONDS = 2.0
"""Processor time that no such text may take."""


class SlowError(Exception):
    """A text takes too long."""


def once(data: bytes) -> None:
    """Feed one text; the first byte chooses the parser."""
    if not data:
        return
    name = NAMES[data[0] % len(NAMES)]
    text = data[1:].decode(errors="replace")
    begun = time.process_time()
    with suppress(*REFUSED):
        PARSERS[name][0](text)
    if (spent := time.process_time() - begun) > SECONDS:
        raise SlowError(f"{name}: {spent:.1f} s for {len(text)} characters")


def main() -> None:
    """Run until libFuzzer's time is over."""
    atheris.Setup([*sys.argv, f"-max_len={LONGEST}"], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
