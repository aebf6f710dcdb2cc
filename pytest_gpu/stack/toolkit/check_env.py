"""The settings of the toolkit's pods, against the containerd that this node's kubelet uses.

Sources: the GPU operator's ``transformForRuntime`` (how it renders ``toolkit.env``), and its
issues 683 (one runtime for all nodes) and 1694 (25.3.3 mounts the default socket's folder).
"""

from __future__ import annotations

import posixpath
from dataclasses import replace

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check, question
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.distributions.detect import distribution_of
from pytest_gpu.stack.injection.reached import handed_out_now
from pytest_gpu.stack.kube.objects import judged_alone, labels_of, path_of
from pytest_gpu.stack.kube.operator import change_values, operator_release
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.repair.config_places import is_rendered
from pytest_gpu.stack.toolkit.instructions import toolkit_of
from pytest_gpu.stack.toolkit.operator_values import toolkit_values
from pytest_gpu.stack.toolkit.toolkit_pods import toolkit_pod_evidence
from pytest_gpu.steps import Steps, typed
from pytest_gpu.text.shell import command

_SOCKETS = ("RUNTIME_SOCKET", "CONTAINERD_SOCKET")
_HEEDS_SOCKET = "v25.3.4"
_LOOK = "kubectl get deployment -A -l app=gpu-operator   # install v25.3.4 or newer"


@check("toolkit/misled")
def misled(node: Node) -> Finding | None:
    """Find a wrong setting of the toolkit on a node that works nevertheless.

    Raises:
        NotInEvidence: the DaemonSets were not read.
    """
    if judged_alone(node):
        return None
    node.cluster.objects("daemonsets")
    if not handed_out_now(node):
        return None
    socket = socket_ignored(node) or signals_another(node)
    return other_runtime(node) or socket or writes_rendered(node)


def other_runtime(node: Node) -> Finding | None:
    """Find a toolkit that is set to configure Docker or CRI-O."""
    toolkit = toolkit_of(node)
    if toolkit.daemonset is None or toolkit.runtime == "containerd":
        return None
    return Finding.of(
        "runtime/toolkit-configures-other-runtime",
        Evidence(source=_where(node), text=f"RUNTIME={toolkit.runtime}"),
        Evidence(source="kubelet", text=f"uses containerd on {containerd_of(node).socket}"),
        *toolkit_pod_evidence(node),
        runtime=toolkit.runtime,
        config=containerd_of(node).config_path,
        upgrade=change_values(node.cluster, "operator.defaultRuntime", "containerd"),
    )


def _where(node: Node) -> str:
    return f"DaemonSet {path_of(toolkit_of(node).daemonset or {})}"


@question("toolkit/socket-ignored")
def socket_ignored(node: Node) -> Finding | None:
    """Find an operator that was given this containerd's socket but rendered another."""
    toolkit, evidence = toolkit_of(node), node.evidence
    asked = next((toolkit.asked[name] for name in _SOCKETS if name in toolkit.asked), None)
    rendered = next((toolkit.rendered[n] for n in _SOCKETS if n in toolkit.rendered), None)
    if asked is None or rendered is None or not _is_ours(node, asked) or _is_ours(node, rendered):
        return None
    return Finding.of(
        "runtime/operator-ignores-socket",
        Evidence(source="ClusterPolicy, toolkit.env", text=f"CONTAINERD_SOCKET={asked}"),
        Evidence(source=_where(node), text=f"mounts {posixpath.dirname(rendered)}"),
        *toolkit_pod_evidence(node),
        asked=asked,
        rendered=evidence.resolve(posixpath.dirname(rendered)),
        operator=_operator(node),
        upgrade=_upgrade(node),
    )


def _is_ours(node: Node, socket: str) -> bool:
    resolve = node.evidence.resolve
    return resolve(socket) == resolve(containerd_of(node).socket)


def _operator(node: Node) -> str:
    chart = labels_of(toolkit_of(node).daemonset or {}).get("helm.sh/chart", "")
    return chart.removeprefix("gpu-operator-") or "of this cluster"


def _upgrade(node: Node) -> Steps:
    release = operator_release(node.cluster)
    if release is None:
        return (typed("cluster", command(_LOOK)),)
    return (typed("helm", replace(release, version=_HEEDS_SOCKET).upgrade()),)


@question("toolkit/signals-another")
def signals_another(node: Node) -> Finding | None:
    """Find a toolkit that signals a socket other than this containerd's."""
    toolkit = toolkit_of(node)
    if toolkit.daemonset is None or toolkit.runtime != "containerd" or not toolkit.signals:
        return None
    if _is_ours(node, toolkit.socket):
        return None
    return Finding.of(
        "runtime/toolkit-signals-other-containerd",
        Evidence(source=_where(node), text=f"CONTAINERD_SOCKET={toolkit.socket}"),
        Evidence(source="kubelet", text=f"its containerd listens on {containerd_of(node).socket}"),
        *toolkit_pod_evidence(node),
        signalled=toolkit.socket,
        **toolkit_values(node),
    )


def writes_rendered(node: Node) -> Finding | None:
    """Find a toolkit that edits a file which the distribution renders again at every start.

    A distribution that adds the handlers itself also renders its file, and needs no toolkit for it.
    """
    toolkit, template = toolkit_of(node), distribution_of(node).source
    if toolkit.daemonset is None or distribution_of(node).finds_runtimes:
        return None
    if template is None or not is_rendered(node, toolkit.config_path):
        return None
    return Finding.of(
        "runtime/toolkit-writes-rendered-file",
        Evidence(source=_where(node), text=f"CONTAINERD_CONFIG={toolkit.config_path}"),
        Evidence(source=toolkit.config_path, text=f"is rendered from {template} at every start"),
        *toolkit_pod_evidence(node),
        template=template,
        **toolkit_values(node),
    )


def never_signalled(node: Node, loaded: Finding) -> Finding:
    """Return why the handler is not loaded, if the toolkit wrote it but signalled another socket.

    Args:
        node: a node whose containerd has not loaded what is on disk.
        loaded: the finding about that; it is returned if the toolkit is not the cause.
    """
    resolve, toolkit = node.evidence.resolve, toolkit_of(node)
    files = {resolve(toolkit.config_path), resolve(toolkit.drop_in)}
    if resolve(loaded.evidence[0].source) not in files:
        return loaded
    found = socket_ignored(node) or signals_another(node)
    return replace(found, evidence=(*found.evidence, *loaded.evidence)) if found else loaded
