"""Which Kubernetes distribution a node runs, by what is to be seen of it.

Hints for reading and for fixes only: no verdict rests on a name. What a node reports of itself
comes first, then the program that is its kubelet, then labels and files; another distribution
that merely lies or runs beside it says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import KubeObject, NodeEvidence
from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.stack.distributions import every, kubelet_process
from pytest_gpu.stack.distributions.distribution import UNKNOWN, Distribution, Product
from pytest_gpu.stack.distributions.signs import Observed
from pytest_gpu.stack.host.processes import Process, processes_of
from pytest_gpu.stack.kube.objects import object_of

__all__ = ["Distribution", "detect"]


def detect(node: KubeObject, processes: Sequence[Process], evidence: NodeEvidence) -> Distribution:
    """Return the distribution; one of the name ``unknown`` where nothing speaks for any."""
    own = [process for process in processes if not process.foreign]
    kubelet = kubelet_process.find(own)
    seen = Observed(node=node, processes=own, kubelet=kubelet, evidence=evidence)
    found = next(_claiming(seen), None)
    return found.on(seen) if found else UNKNOWN


def _claiming(seen: Observed) -> Iterator[Product]:
    """Yield the products that have a sign on the node, the surest sign first.

    Systems are made for one distribution; a version may be that of the cloud around it.
    """
    yield from (each for each in every.products() if each.signs.in_system(seen))
    yield from (each for each in every.products() if each.signs.in_version(seen))
    if seen.kubelet:
        yield from _by_program(seen.kubelet)
    yield from (each for each in every.products() if each.signs.in_labels(seen))
    yield from (each for each in every.products() if each.signs.set_up(seen))
    # Without a kubelet, whatever else runs is the best sign that is left.
    for process in () if seen.kubelet else seen.processes:
        yield from _by_program(process)


def _by_program(process: Process) -> Iterator[Product]:
    return (each for each in every.products() if each.signs.in_program(process))


@fact
def distribution_of(node: Node) -> Distribution:
    """Return which Kubernetes distribution this node runs, with its commands and paths."""
    try:
        seen = processes_of(node)
    except NotInEvidence:
        # A node without a door still has a name for its distribution: the version suffix.
        seen = ()
    return detect(object_of(node), seen, node.evidence)
