"""When files were changed and when containerd started: times explain, they do not decide.

A copy may keep its old time (``cp -p``, a package, a configuration manager), a clock may have been
set since, and procfs tells a start only as exactly as the boot is known (one second). What decides
is what the running containerd says of itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from pytest_gpu.causes import Evidence
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.containerd.templates import is_rendered
from pytest_gpu.stack.kubelet.containerd import containerd_of

BOOT_EXACT = 1.0
"""Seconds by which a start may be off: ``btime`` in /proc/stat has no fractions (proc(5))."""

GRACE = 5.0
"""Seconds between writing a rendered file and starting containerd with it."""


def changed_at(node: Node, path: str) -> float | None:
    """Return a file's modification time, seconds since the epoch, ``None`` where unknown."""
    try:
        entry = node.evidence.entry(node.evidence.resolve(path))
    except NotInEvidence:
        return None
    return entry.mtime if entry else None


def started_at(node: Node) -> float | None:
    """Return when the kubelet's containerd started, seconds since the epoch, or ``None``."""
    process = containerd_of(node).process
    return process.started if process else None


def is_older(node: Node, path: str) -> bool:
    """Say whether a file surely stood as it is before containerd started."""
    changed, started = changed_at(node, path), started_at(node)
    return changed is not None and started is not None and changed <= started - BOOT_EXACT


def read_as_they_are(node: Node) -> bool:
    """Say whether every file of the merge set is older than the containerd that runs.

    A distribution that renders the file does so right before it starts containerd with it.
    """
    files = [file.path for file in containerd_of(node).config.files]
    return bool(files) and all(is_older(node, path) or _just_rendered(node, path) for path in files)


def _just_rendered(node: Node, path: str) -> bool:
    changed, started = changed_at(node, path), started_at(node)
    rendered = is_rendered(path) and path == containerd_of(node).config_path
    return rendered and changed is not None and started is not None and changed <= started + GRACE


def runs_otherwise(node: Node) -> bool:
    """Say whether the running containerd is known to have other handlers than its files define."""
    live = containerd_of(node).live
    if live is None or live.error:
        return False
    return live.handlers != frozenset(containerd_of(node).config.runtimes)


def file_against_start(node: Node, path: str, *, loaded: bool) -> Iterator[Evidence]:
    """Yield the line that compares a file's time with containerd's start, where both are known.

    A file that is older and not ``loaded`` was not there yet: its time is that of its original.
    """
    process, changed = containerd_of(node).process, changed_at(node, path)
    if process is None or process.started is None or changed is None:
        return
    text = f"started {clock(process.started)}; {path} changed {clock(changed)}"
    if not loaded and is_older(node, path):
        text += ": put in place later with its old time, or imported only since then"
    yield Evidence(source=f"containerd, pid {process.pid}", text=text)


def clock(seconds: float) -> str:
    """Return a time as people compare it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
