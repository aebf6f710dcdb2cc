"""Which handlers of containerd a GPU container can get."""

from __future__ import annotations

from pytest_gpu.evidence import KubeObject
from pytest_gpu.kube import runtimeclass
from pytest_gpu.kube.objects import optional, spec_of, template_of
from pytest_gpu.kube.pods import pods_on, uses_gpu
from pytest_gpu.node.config_merge import Runtime
from pytest_gpu.node.gpu_node import GpuNode
from pytest_gpu.node.hints import known


def gpu_runtimes(node: GpuNode) -> list[Runtime]:
    """Return the GPU handlers that pods can get, by a RuntimeClass or by default, else all.

    With the values they run with now: those that are loaded, if the running containerd told them.
    """
    containerd = node.containerd
    by_class = known(lambda: runtimeclass.handlers(node.cluster)) or {}
    now = (containerd.now(name) for name in containerd.gpu_handlers)
    found = [runtime for runtime in now if runtime and runtime.binary]
    reached = {containerd.default_runtime, *by_class.values()}
    return [runtime for runtime in found if runtime.name in reached] or found


def named_handlers(node: GpuNode) -> frozenset[str]:
    """Return the handlers that DaemonSets, and pods on this node, name by a RuntimeClass."""
    by_class = known(lambda: runtimeclass.handlers(node.cluster)) or {}
    specs = [template_of(each) for each in optional(node.cluster, "daemonsets")]
    specs += [spec_of(each) for each in optional(node.cluster, "pods")]
    here = [each for each in specs if each.get("nodeName") in {None, "", node.name}]
    return frozenset(runtimeclass.handler_of(each, by_class) or "" for each in here) - {""}


def serves_cri(node: GpuNode) -> bool:
    """Say whether the files on disk let containerd serve the CRI."""
    config = node.containerd.config
    return not (
        config.problems or config.cri_disabled or config.default_runtime not in config.runtimes
    )


def handed_out_now(node: GpuNode) -> bool:
    """Say whether containers get a GPU handler now: on disk, loaded as far as known, CRI on."""
    containerd = node.containerd
    live = containerd.live
    if not serves_cri(node) or not containerd.gpu_handlers:
        return False
    return live is None or any(name in live.handlers for name in containerd.gpu_handlers)


def by_default(node: GpuNode) -> list[KubeObject]:
    """Return the node's GPU pods that name no RuntimeClass."""
    return [
        pod
        for pod in pods_on(node.cluster, node.name)
        if uses_gpu(pod) and not runtimeclass.class_of(spec_of(pod))
    ]


def pod_runtimes(node: GpuNode) -> list[Runtime]:
    """Return every handler that pods can get: the default one, those of classes, those of GPUs."""
    containerd = node.containerd
    by_class = known(lambda: runtimeclass.handlers(node.cluster)) or {}
    names = (containerd.default_runtime, *by_class.values(), *(r.name for r in gpu_runtimes(node)))
    found = (containerd.config.runtimes.get(name) for name in dict.fromkeys(names))
    return [runtime for runtime in found if runtime]
