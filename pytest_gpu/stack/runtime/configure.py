"""How a containerd without a GPU handler gets one: from whoever runs the toolkit on this node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.distributions.detect import distribution_of
from pytest_gpu.stack.kube.objects import name_of, namespace_of
from pytest_gpu.stack.kube.operator import cluster_policy, operator_release, policy_section
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.toolkit.installed import installed
from pytest_gpu.stack.toolkit.instructions import INSTALL_DIR, toolkit_of
from pytest_gpu.stack.toolkit.operator_values import apply, in_force, values_file
from pytest_gpu.stack.toolkit.toolkit_pods import toolkit_pod
from pytest_gpu.steps import Step, Steps, Value, typed
from pytest_gpu.text.shell import command


def configure(node: Node) -> Mapping[str, Value]:
    """Return the steps by who configures containerd: ``settings``, ``again`` and ``install``.

    New settings of a toolkit in the cluster, its start with those that it has, or a toolkit of the
    host. Each is empty where it does not apply.
    """
    return {
        "settings": tuple(_settings(node)),
        "again": tuple(_again(node)),
        "install": _install(node),
    }


def _settings(node: Node) -> Iterator[Step]:
    """Yield the file of values and how it is applied, if a toolkit of the cluster lacks one."""
    if _is_managed(node) and not in_force(node):
        yield Step("file", values_file(node))
        yield from apply(node)


def _is_managed(node: Node) -> bool:
    """Say whether a toolkit in the cluster configures this node, or an operator would make one."""
    if toolkit_of(node).daemonset or toolkit_pod(node):
        return True
    off = policy_section(node.cluster, "toolkit").get("enabled") is False
    return not off and bool(operator_release(node.cluster) or cluster_policy(node.cluster))


def _again(node: Node) -> Iterator[Step]:
    """Yield how a toolkit whose settings are right comes to act on them, when it starts."""
    if not in_force(node):
        return
    set_up = "The toolkit in the cluster has the settings for this containerd"
    if pod := toolkit_pod(node):
        yield Step("words", f"{set_up}, and acts on them when it starts. Let it start again:")
        yield typed(
            "cluster",
            command(
                "kubectl delete pod {name} -n {namespace}",
                name=pod.object_name,
                namespace=pod.namespace,
            ),
        )
    elif daemonset := toolkit_of(node).daemonset:
        yield Step("words", f"{set_up}, but no pod on this node. See why:")
        yield typed(
            "cluster",
            command(
                "kubectl describe daemonset {name} -n {namespace}",
                name=name_of(daemonset),
                namespace=namespace_of(daemonset),
            ),
        )
    elif (policy := cluster_policy(node.cluster)) and _is_managed(node):
        asks = "The ClusterPolicy asks for a toolkit with the settings for this containerd"
        yield Step("words", f"{asks}, but no DaemonSet of it selects this node. See why:")
        yield typed(
            "cluster", command("kubectl describe clusterpolicy {name}", name=name_of(policy))
        )


def _install(node: Node) -> Steps:
    """Return how a toolkit of the host does it, where the cluster has none."""
    if toolkit_of(node).daemonset or toolkit_pod(node):
        return ()
    managed = _is_managed(node)
    absent = f"{'Or install' if managed else 'Install'} the NVIDIA container toolkit"
    if distribution_of(node).finds_runtimes:
        return (Step("words", f"{absent} on the host."),)
    own = f"{'Or let' if managed else 'Let'} the NVIDIA container toolkit of this node do it:"
    done = command(
        "sudo nvidia-ctk runtime configure --runtime=containerd --config={config}",
        config=containerd_of(node).config_path,
    )
    return (Step("words", own if _by_package(node) else f"{absent} and run:"), typed("node", done))


def _by_package(node: Node) -> bool:
    """Say whether the host has a toolkit of its own, not what a toolkit's pod left there."""
    path = installed(node)
    return path is not None and not path.startswith(f"{INSTALL_DIR}/")
