"""The running containerd against its files: what is not loaded yet, what a restart will change.

containerd reads its configuration once, when it starts. The verdict therefore depends on what the
running daemon reports; files show what a restart will change, and their times only explain it.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check
from pytest_gpu.errors import Unproven
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.containerd.templates import is_rendered
from pytest_gpu.stack.injection.reached import another_way, named_handlers
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.kubelet.file_times import file_against_start, read_as_they_are
from pytest_gpu.stack.kubelet.live_handlers import LiveHandlers
from pytest_gpu.stack.runtime import next_start
from pytest_gpu.stack.runtime.check_handler import still_live
from pytest_gpu.stack.runtime.check_templates import edited_in_vain
from pytest_gpu.stack.runtime.drop_in_gone import drop_in_gone
from pytest_gpu.stack.runtime.handler_fix import define_handler
from pytest_gpu.stack.runtime.live_values import Difference, differences
from pytest_gpu.stack.runtime.overwritten import who_rewrote
from pytest_gpu.stack.toolkit.check_env import never_signalled


@check("runtime/not-restarted")
def not_loaded(node: Node) -> Finding | None:
    """Find what the running containerd has not loaded, or why it was not signalled to.

    Raises:
        Unproven: the running containerd was not asked.
    """
    finding = not_restarted(node)
    return never_signalled(node, finding) if finding else None


def not_restarted(node: Node) -> Finding | None:
    """Find a GPU handler, or what one needs, on disk that the running containerd has not loaded.

    Raises:
        Unproven: the running containerd was not asked.
    """
    containerd = containerd_of(node)
    live = containerd.live
    if live is None and containerd.gpu_handlers and not read_as_they_are(node):
        raise Unproven("the running containerd was not asked for its handlers (crictl info)")
    if live and live.error and containerd.gpu_handlers:
        raise Unproven("the running containerd did not list its handlers (crictl info failed)")
    if live is None or live.error:
        return None
    return _handler_not_loaded(node, live) or _change_not_loaded(node, live)


def _handler_not_loaded(node: Node, live: LiveHandlers) -> Finding | None:
    """Find that no GPU handler is loaded, or not the one that pods here ask for."""
    containerd = containerd_of(node)
    missing = [name for name in containerd.gpu_handlers if name not in live.handlers]
    named = [name for name in missing if name in named_handlers(node)]
    if not named and (len(missing) < len(containerd.gpu_handlers) or another_way(node)):
        return None
    handler = next(iter([*named, *missing]), None)
    if handler is None:
        return None
    source = containerd.config.runtimes[handler].source
    if finding := edited_in_vain(node, containerd.config.runtimes[handler]):
        return finding
    return Finding.of(
        "runtime/not-restarted",
        source,
        _loaded(live),
        *file_against_start(node, source.source, loaded=False),
        handler=handler,
    )


def _loaded(live: LiveHandlers) -> Evidence:
    return Evidence(source=live.command, text=f"loaded: {', '.join(sorted(live.handlers))}")


def _change_not_loaded(node: Node, live: LiveHandlers) -> Finding | None:
    broken = [each for each in differences(node) if each.broken_now]
    if not broken:
        return None
    return Finding.of(
        "runtime/change-not-loaded",
        *_lines(live, broken),
        *file_against_start(node, broken[0].source.source, loaded=False),
        change=broken[0].what,
        on_disk=broken[0].on_disk,
    )


def _lines(live: LiveHandlers, found: list[Difference]) -> Iterator[Evidence]:
    for each in found:
        yield each.source
        yield Evidence(source=live.command, text=each.text)


@check("runtime/change-at-restart")
def change_at_restart(node: Node) -> Finding | None:
    """Find working values that the next restart will replace by different ones from disk.

    Files that are rendered at every start are ignored: the next start replaces them.
    """
    live = containerd_of(node).live
    found = [each for each in differences(node) if not each.broken_now]
    found = [each for each in found if not is_rendered(each.source.source)]
    if not found or live is None:
        return None
    return Finding.of(
        "runtime/change-at-restart",
        *_lines(live, found),
        *file_against_start(node, found[0].source.source, loaded=False),
        change=found[0].what,
        running=found[0].running,
        on_disk=found[0].on_disk,
    )


@check("runtime/lost-at-restart")
def lost_at_restart(node: Node) -> Finding | None:
    """Find a handler that the running containerd has, but its files have lost.

    A file that is rendered at every start is judged by its predicted content. Of files that
    containerd cannot read, nothing is said but that.
    """
    containerd = containerd_of(node)
    if (
        containerd.config.problems
        or containerd.gpu_handlers
        or not still_live(node)
        or containerd.live is None
    ):
        return None
    coming = next_start.predict(node)
    if coming and containerd.loaded_gpu_handlers & coming.handlers:
        return None
    if finding := drop_in_gone(node, _loaded(containerd.live)):
        return finding
    return Finding.of(
        "runtime/lost-at-restart",
        _loaded(containerd.live),
        Evidence(
            source=containerd.config_path,
            text=f"on disk: {', '.join(containerd.config.runtimes) or 'none'}",
        ),
        *who_rewrote(node),
        config=containerd.config_path,
        **define_handler(node).values,
    )
