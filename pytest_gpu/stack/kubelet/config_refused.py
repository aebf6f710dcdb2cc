"""The configuration that the kubelet's containerd refuses now, in its own words."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pytest_gpu.causes import Evidence
from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.known import known
from pytest_gpu.stack.containerd.refusal import Refusal, refusal
from pytest_gpu.stack.distributions.detect import distribution_of
from pytest_gpu.stack.host.journal import journal
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.operands.container_log import lines_of


@fact
def refused_config(node: Node) -> Refusal | None:
    """Return what containerd refused at its last start, ``None`` if it runs or says nothing."""
    if containerd_of(node).process is not None:
        return None
    return refusal(tuple(containerd_log(node)))


def containerd_log(node: Node) -> Iterator[Evidence]:
    """Yield the lines of containerd's own log: its file if its distribution keeps one.

    Otherwise its unit's journal.
    """
    where = distribution_of(node)
    content = known(partial(node.evidence.read, where.containerd_log or "/"))
    if where.containerd_log and content is not None:
        for line in lines_of(content.decode(errors="replace")):
            yield Evidence(source=where.containerd_log, line=line.number, text=line.text.strip())
        return
    yield from (line.evidence for line in journal(node.evidence.commands, where.containerd_unit))
