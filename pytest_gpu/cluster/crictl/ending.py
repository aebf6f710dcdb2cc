"""How a sandbox's container ended, and what it listed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from pytest_gpu.cluster.crictl.bench import Bench
from pytest_gpu.cluster.crictl.tool import (
    LOOK_TIME,
    Crictl,
)
from pytest_gpu.evidence import CommandResult
from pytest_gpu.parsing import json_document
from pytest_gpu.stack.sandbox.config_files import (
    END,
    listing_of,
)

END_TIME = 30.0
"""Seconds within which a listing must have ended; it takes a few hundredths of a second."""

LOG_TIME = 5.0
"""Seconds within which the log of a container that succeeded must be complete."""

# Waits up to a second for the listing's end: fewer calls, and none that takes long.
_AWAIT = """\
n=0
until grep -q "$2" "$1" 2>/dev/null || [ $n -ge 20 ]; do
  n=$((n+1))
  sleep 0.05 || sleep 1
done
cat "$1"
"""


def ended(bench: Bench, started: CommandResult, log: str) -> tuple[CommandResult, str]:
    """Wait for a started container's end, and return how it was and what it listed."""
    deadline = time.monotonic() + END_TIME
    container = started.stdout.split()[-1] if started.stdout.split() else ""
    end: CommandResult | None = None
    while True:
        text = bench.shell.run(("sh", "-c", _AWAIT, "sh", log, END), LOOK_TIME).stdout
        output, whole = listing_of(text)
        if whole:
            return CommandResult(argv=started.argv, exit=0), output
        # The end was seen before this reading of the log: nothing more will be added to it.
        if end is not None and end.exit != 0:
            return end, output
        if time.monotonic() > deadline:
            return _late(started, end), output
        if end is None and (end := _state(bench.crictl, container)) is not None:
            deadline = min(deadline, time.monotonic() + LOG_TIME)


def _late(started: CommandResult, end: CommandResult | None) -> CommandResult:
    """Return the result for a listing without its end, which proves nothing about a GPU."""
    text = f"the container timed out: it did not end within {END_TIME:.0f} s"
    if end is not None:
        text = "the container's log timed out: it succeeded, but the end of its listing is missing"
    return CommandResult(argv=started.argv, exit=124, stderr=text)


def _state(crictl: Crictl, container: str) -> CommandResult | None:
    """Return how a container ended, ``None`` if it is not over yet."""
    done = crictl.run("inspect", "--output", "json", container)
    if done.exit != 0:
        return done
    try:
        status: Mapping[str, Any] = json_document(done.stdout)["status"]
        code = int(status.get("exitCode") or 0)
    except (ValueError, KeyError, TypeError, AttributeError):
        return CommandResult(argv=done.argv, exit=1, stderr="crictl inspect printed no status")
    if status.get("state") != "CONTAINER_EXITED":
        return None
    said = ": ".join(str(status[key]) for key in ("reason", "message") if status.get(key))
    text = f"the container ended with exit code {code} {said}".rstrip()
    return CommandResult(argv=done.argv, exit=code, stderr=text if code else "")
