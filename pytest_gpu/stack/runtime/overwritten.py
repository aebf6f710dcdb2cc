"""Who overwrote containerd's configuration after the NVIDIA handler had been added.

Sources: the toolkit's container writes only at its start (nvidia-container-toolkit
``nvidia-ctk-installer``); each distribution says which files its image's scripts copy.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import KubeObject
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.containerd.handlers import shown
from pytest_gpu.stack.distributions import every
from pytest_gpu.stack.host.processes import boot_time
from pytest_gpu.stack.kube.objects import spec_of
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.kubelet.file_times import (
    changed_at,
    clock,
    file_against_start,
    runs_otherwise,
)
from pytest_gpu.stack.operands.operands import Operand
from pytest_gpu.stack.repair.config_fix import Fix
from pytest_gpu.stack.repair.file_owner import owner_lines
from pytest_gpu.stack.toolkit.instructions import toolkit_of
from pytest_gpu.stack.toolkit.toolkit_pods import (
    stale_validators,
    started_at,
    toolkit_pod,
    toolkit_pod_evidence,
    toolkit_start,
)

TOOLKIT_APP = "nvidia-container-toolkit-daemonset"
"""The app label of the GPU operator's toolkit pods."""

AFTER_BOOT = 600.0
"""A file written within this many seconds after the boot was written by a boot-time job."""


def overwritten(node: Node, fix: Fix) -> Finding | None:
    """Find that the file was overwritten after it had the handler.

    The toolkit's pod is Ready only once it has written; a handler that is missing then was lost.
    ``fix`` puts the handler back.
    """
    if finding := _by_bootstrap(node, fix):
        return finding
    pod, config = toolkit_pod(node), containerd_of(node).config_path
    written = node.evidence.resolve(toolkit_of(node).config_path)
    if pod is None or not pod.ready or written != node.evidence.resolve(config):
        return None
    at_boot = _after_boot(node, pod)
    return Finding.of(
        "runtime/config-rewritten-at-boot" if at_boot else "runtime/config-overwritten",
        now_there(node),
        *who_rewrote(node),
        *at_boot,
        *toolkit_pod_evidence(node),
        *stale_validators(node),
        config=config,
        selector=_selector(toolkit_of(node).daemonset),
        namespace=pod.namespace,
        **fix.values,
    )


def now_there(node: Node) -> Evidence:
    """Return what the merged configuration defines."""
    config = containerd_of(node).config
    return Evidence(source=config.path, text=f"merged runtimes: {shown(config.runtimes)}")


def _by_bootstrap(node: Node, fix: Fix) -> Finding | None:
    """Find that the file is identical to the one that the image's bootstrap script copies."""
    original, config = bootstrap_copy(node), containerd_of(node).config_path
    if original is None:
        return None
    return Finding.of(
        "runtime/bootstrap-overwrote-config",
        now_there(node),
        Evidence(source=original, text=f"is, byte by byte, what {config} is now"),
        *who_rewrote(node),
        *toolkit_pod_evidence(node),
        config=config,
        original=original,
        **fix.values,
    )


def bootstrap_copy(node: Node) -> str | None:
    """Return the image's file of which containerd's configuration is a copy, if it is one."""
    for path in every.copied_files():
        try:
            original = node.evidence.read(path)
        except NotInEvidence:
            continue
        if original and original == node.evidence.read(containerd_of(node).config_path):
            return path
    return None


def _after_boot(node: Node, pod: Operand) -> tuple[Evidence, ...]:
    """Return evidence that the file was rewritten at boot, after the toolkit's pod had written."""
    changed = changed_at(node, containerd_of(node).config_path)
    boot = boot_time((node.evidence.read("/proc/stat") or b"").decode(errors="replace"))
    if changed is None or boot is None or not boot <= changed <= boot + AFTER_BOOT:
        return ()
    started = started_at(pod)
    if started is None or started > changed:
        return ()
    path = containerd_of(node).config_path
    text = f"the node booted {clock(boot)}; {path} was written {changed - boot:.0f} s later"
    return (Evidence(source="/proc/stat", text=text),)


def who_rewrote(node: Node) -> Iterator[Evidence]:
    """Yield evidence of when and by whom containerd's file was last written."""
    config = containerd_of(node).config_path
    yield from file_against_start(node, config, loaded=not runs_otherwise(node))
    yield from toolkit_start(node)
    yield from owner_lines(node, config)


def _selector(daemonset: KubeObject | None) -> str:
    """Return the labels of a DaemonSet's pods, as ``kubectl -l`` takes them."""
    selector = spec_of(daemonset or {}).get("selector") or {}
    labels = selector.get("matchLabels") or {"app": TOOLKIT_APP}
    return ",".join(f"{key}={value}" for key, value in labels.items())
