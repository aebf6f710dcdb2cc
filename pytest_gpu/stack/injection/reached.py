"""Which handlers of the container runtime a GPU container can get."""

from __future__ import annotations

from pytest_gpu.evidence import KubeObject
from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.known import known
from pytest_gpu.stack.cri.handler import Handler
from pytest_gpu.stack.injection.injected import needs_no_handler
from pytest_gpu.stack.kube import runtimeclass
from pytest_gpu.stack.kube.objects import spec_of
from pytest_gpu.stack.kube.placement import specs_on
from pytest_gpu.stack.kube.pods import pods_on, uses_gpu
from pytest_gpu.stack.kubelet.runtime import runtime_of

PLAIN = "nvidia"
"""The handler, and the RuntimeClass, that everything of NVIDIA's uses where nobody says more."""


@fact
def gpu_runtimes(node: Node) -> list[Handler]:
    """Return the GPU handlers that pods of this node get, else all where GPUs come by handlers.

    With the values they run with now: those that are loaded, if the running program told them.
    """
    return gpu_runtimes_used(node) or ([] if another_way(node) else _gpu_runtimes(node))


@fact
def gpu_runtimes_used(node: Node) -> list[Handler]:
    """Return the GPU handlers that are the default, or that pods of this node name.

    The plain ``nvidia`` counts, too, where GPUs come by handlers; every other one only if it is
    named: distributions define handlers and classes for modes that nobody asked for.
    """
    used = {runtime_of(node).default_runtime, *named_handlers(node)}
    if not another_way(node):
        by_class = known(lambda: runtimeclass.handlers(node.cluster)) or {}
        used |= {PLAIN, by_class.get(PLAIN, PLAIN)}
    return [runtime for runtime in _gpu_runtimes(node) if runtime.name in used]


@fact
def _gpu_runtimes(node: Node) -> list[Handler]:
    runtime = runtime_of(node)
    now = (runtime.now(name) for name in runtime.gpu_handlers)
    return [handler for handler in now if handler and handler.binary]


@fact
def another_way(node: Node) -> bool:
    """Say whether GPUs are known to come into containers here without any handler."""
    return known(lambda: needs_no_handler(node)) is not None


@fact
def named_handlers(node: Node) -> frozenset[str]:
    """Return the handlers that pods on this node, and DaemonSets for it, name by a RuntimeClass."""
    by_class = known(lambda: runtimeclass.handlers(node.cluster)) or {}
    specs = specs_on(node.cluster, node.name)
    return frozenset(runtimeclass.handler_of(each, by_class) or "" for each in specs) - {""}


def handed_out_now(node: Node) -> bool:
    """Say whether containers get a GPU handler now: on disk, loaded as far as known, CRI on."""
    runtime = runtime_of(node)
    if not runtime.serves_cri or not runtime.gpu_handlers:
        return False
    return runtime.loaded is None or not runtime.loaded.isdisjoint(runtime.gpu_handlers)


def by_default(node: Node) -> list[KubeObject]:
    """Return the node's GPU pods that name no RuntimeClass."""
    return [
        pod
        for pod in pods_on(node.cluster, node.name)
        if uses_gpu(pod) and not runtimeclass.class_of(spec_of(pod))
    ]


def pod_runtimes(node: Node) -> list[Handler]:
    """Return every handler that pods here get: the default one, those they name, those of GPUs.

    A RuntimeClass that none of them names makes no handler count: it may be meant for other nodes.
    """
    runtime = runtime_of(node)
    gpus = (handler.name for handler in gpu_runtimes(node))
    names = (runtime.default_runtime, *sorted(named_handlers(node)), *gpus)
    found = (runtime.handler(name) for name in dict.fromkeys(names))
    return [handler for handler in found if handler]
