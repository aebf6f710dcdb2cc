"""The values that every cause of the catalogue may use, added when a finding is reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from pytest_gpu.cause_entry import Cause
from pytest_gpu.causes import Finding
from pytest_gpu.errors import Unproven
from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.stack.distributions.detect import distribution_of
from pytest_gpu.stack.distributions.distribution import UNKNOWN, Distribution
from pytest_gpu.stack.kubelet.kubelet import kubelet_of
from pytest_gpu.text.shell import command, word
from pytest_gpu.text.shell import filled as filled_in


def filled(
    finding: Finding, node: Node, own: Mapping[str, Cause] = MappingProxyType({})
) -> Finding:
    """Return a finding with the values that every cause may use; its own come first.

    ``own`` are the causes of the user's project, by ID.
    """
    values = {**common_values(node), **finding.values}
    return replace(finding, values=values, entry=own.get(finding.cause))


@fact
def common_values(node: Node) -> Mapping[str, str]:
    """Return the placeholders that every cause may use on a node.

    If the distribution is not known, the usual commands are used: a failure stays a failure.
    """
    try:
        where = distribution_of(node)
    except Unproven:
        where = UNKNOWN
    return values_for(node.name, where, _socket(node) or where.socket)


def _socket(node: Node) -> str | None:
    """Return the kubelet's CRI socket, ``None`` if it is not known."""
    try:
        return kubelet_of(node).socket
    except Unproven:
        return None


def values_for(name: str, where: Distribution, socket: str) -> Mapping[str, str]:
    """Return node, distribution, and its commands and paths, by placeholder."""
    on = {"node": name}
    return {
        "node": name,
        "distribution": where.name,
        "family": where.family,
        "how": where.how.replace("NODE", word(name)),
        "restart": filled_in(where.restart, on.__getitem__),
        "kubelet_unit": where.kubelet_unit,
        "restart_kubelet": filled_in(where.restart_kubelet, on.__getitem__),
        "containerd_unit": where.containerd_unit,
        "crictl": command(
            "sudo {crictl} --runtime-endpoint unix://{socket}", crictl=where.crictl, socket=socket
        ),
    }
