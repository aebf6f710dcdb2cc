"""Children that print without end, or hardly at all: each costs its budget and no more."""

from __future__ import annotations

import sys
import time

import pytest

from pytest_gpu.cluster.visits import bounded
from pytest_gpu.cluster.visits.streams import ChildStream
from pytest_gpu.cluster.visits.visit import NoAnswer, greet
from pytest_gpu.errors import GpuError

ENDLESS = "import os\nwhile True: os.write({}, b'x' * 65536)"
DRIP = "import os, time\nwhile True: os.write({}, b'x'); time.sleep(0.05)"


def python(code: str) -> list[str]:
    """Return the command line of a program."""
    return [sys.executable, "-I", "-c", code]


@pytest.mark.parametrize("handle", [1, 2])
def test_endless_output_is_cut_off(monkeypatch: pytest.MonkeyPatch, handle: int) -> None:
    """Output and errors alike."""
    monkeypatch.setattr(bounded, "OUTPUT_BYTES", 1 << 20)
    with pytest.raises(GpuError, match="cut off after 1 MiB of output"):
        bounded.run(python(ENDLESS.format(handle)), 20)


@pytest.mark.parametrize("handle", [1, 2])
def test_a_command_that_drips_ends(handle: int) -> None:
    """Each byte is in time, and the last one never comes."""
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        bounded.run(python(DRIP.format(handle)), 0.5)
    assert time.monotonic() - began < 10


def test_what_a_command_printed_is_returned() -> None:
    """With its exit code; the words of its errors are the last ones."""
    done = bounded.run(python("import os; os.write(1, b'a'); os.write(2, b'b\\nc'); exit(3)"), 20)
    assert (done.code, done.stdout, done.stderr, done.said) == (3, b"a", b"b\nc", "b c")
    assert len(bounded.Output(code=0, stdout=b"", stderr=b"x" * 9000).said) == bounded.LAST_WORDS


def test_endless_errors_end_a_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ssh client writes what the other end says; it went to a file without a limit before."""
    monkeypatch.setattr(bounded, "ERROR_BYTES", 1 << 20)
    stream = ChildStream(python(ENDLESS.format(2)))
    try:
        with pytest.raises(NoAnswer, match="cut off after 1 MiB of errors"):
            greet(stream, 20)
    finally:
        stream.close()
