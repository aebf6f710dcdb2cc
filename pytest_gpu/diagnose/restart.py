"""The running containerd against its files: what is not loaded yet, what a restart will change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.diagnose.handler import by_hand, still_live
from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.node.gpu_node import GpuNode

GRACE = 5.0
"""Seconds between writing a rendered file and starting containerd with it."""


def not_restarted(node: GpuNode) -> Finding | None:
    """Find a GPU handler that stands on disk, but that the running containerd has not loaded.

    Raises:
        Unproven: the running containerd was not asked.
    """
    containerd = node.containerd
    if not containerd.gpu_handlers:
        return None
    live = containerd.live
    if live is None:
        if _read_as_they_are(node):
            return None
        raise Unproven("nobody asked the running containerd for its handlers (crictl info)")
    if live.error:
        raise Unproven("the running containerd did not tell its handlers (crictl info failed)")
    if any(handler in live.handlers for handler in containerd.gpu_handlers):
        return None
    handler = containerd.gpu_handlers[0]
    return node.finding(
        "runtime/not-restarted",
        containerd.config.runtimes[handler].source,
        Evidence(source=live.command, text=f"loaded: {', '.join(sorted(live.handlers))}"),
        *_times(node, containerd.config.runtimes[handler].source.source),
        handler=handler,
    )


def _read_as_they_are(node: GpuNode) -> bool:
    """Say whether every file of the merge set is older than the containerd that runs.

    containerd reads its configuration once, when it starts: what stood there then is loaded.
    """
    process = node.containerd.process
    if process is None or process.started is None:
        return False
    changes = [changed_at(node, file.path) for file in node.containerd.config.files]
    return bool(changes) and all(at is not None and at < process.started for at in changes)


def _times(node: GpuNode, path: str) -> Iterator[Evidence]:
    process = node.containerd.process
    changed = changed_at(node, path)
    if process and process.started and changed and changed > process.started:
        text = f"started {_clock(process.started)}; {path} changed {_clock(changed)}"
        yield Evidence(source=f"containerd, pid {process.pid}", text=text)


def changed_at(node: GpuNode, path: str) -> float | None:
    """Return a file's modification time, seconds since the epoch, ``None`` where unknown."""
    try:
        entry = node.evidence.entry(node.evidence.resolve(path))
    except NotInEvidence:
        return None
    return entry.mtime if entry else None


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def lost_at_restart(node: GpuNode) -> Finding | None:
    """Find a handler that only the running containerd still has: its files lost it."""
    containerd = node.containerd
    if containerd.gpu_handlers or not still_live(node) or containerd.live is None:
        return None
    live = containerd.live
    return node.finding(
        "runtime/lost-at-restart",
        Evidence(source=live.command, text=f"loaded: {', '.join(sorted(live.handlers))}"),
        Evidence(
            source=containerd.config_path,
            text=f"on disk: {', '.join(containerd.config.runtimes) or 'none'}",
        ),
        config=containerd.config_path,
        **by_hand(node),
    )


def rendered_file_edited(node: GpuNode) -> Finding | None:
    """Find an edit of a file that the distribution renders again at every start."""
    source, containerd = node.distribution.source, node.containerd
    process = containerd.process
    if source is None or process is None or process.started is None:
        return None
    changed = changed_at(node, containerd.config_path)
    if changed is None or changed <= process.started + GRACE:
        return None
    return node.finding(
        "runtime/rendered-file-edited",
        Evidence(
            source=containerd.config_path,
            text=f"changed {_clock(changed)}, after containerd started {_clock(process.started)}",
        ),
        config=containerd.config_path,
        template=source,
    )
