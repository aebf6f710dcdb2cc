"""Facts: worked out once for a snapshot, an unproven one too, and typed where users see them."""

from __future__ import annotations

import pytest

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import ClusterEvidence
from pytest_gpu.gpu_node import Node, cluster_fact, fact
from pytest_gpu.memory import Memory, lazy
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.stack.kubelet.containerd import containerd_of
from tests.support.fake_evidence import FakeCluster, node_object

ASKED: list[str] = []


@pytest.fixture(autouse=True)
def nothing_asked() -> None:
    """Forget what earlier tests asked."""
    ASKED.clear()


@fact
def name_in_capitals(node: Node) -> str:
    """Return the node's name."""
    ASKED.append(node.name)
    return node.name.upper()


@fact
def never_seen(node: Node) -> str:
    """Return nothing, ever."""
    ASKED.append(node.name)
    raise NotInEvidence(node.name, "it")


@cluster_fact
def node_names(cluster: ClusterEvidence) -> tuple[str, ...]:
    """Return the names of a cluster's nodes."""
    ASKED.append(cluster.title)
    return tuple(each["metadata"]["name"] for each in cluster.objects("nodes"))


class Face(Node):
    """A node with one fact as a property."""

    capitals = name_in_capitals


def cluster() -> FakeCluster:
    """Return a cluster of two nodes."""
    return FakeCluster(objects={"nodes": [node_object("a"), node_object("b")]})


def test_a_fact_is_worked_out_once_for_each_node() -> None:
    """Called or read as a property, it is the same."""
    shared = cluster()
    first, second = Face("a", shared), Face("b", shared)
    assert [name_in_capitals(first), first.capitals, second.capitals] == ["A", "A", "B"]
    assert ASKED == ["a", "b"]


def test_a_new_snapshot_is_asked_anew() -> None:
    """Nothing that was known of an earlier one is kept."""
    shared = cluster()
    assert [name_in_capitals(Face("a", shared)) for _ in range(2)] == ["A", "A"]
    assert ASKED == ["a", "a"]


def test_what_is_unproven_stays_so_without_a_second_look() -> None:
    """The same error, with nothing of the first look in its traceback."""
    node = Face("a", cluster())
    for _ in range(3):
        with pytest.raises(NotInEvidence, match="it on a is not in the evidence") as caught:
            never_seen(node)
        assert len(caught.traceback) < 6
    assert ASKED == ["a"]


def test_an_error_of_ours_is_not_kept() -> None:
    """It is no answer; the next one to ask meets it, too."""
    memory = Memory()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            memory.recall("x", lambda: 1 // 0)
    assert memory.recall("x", lambda: 1) == 1


def test_a_fact_of_the_cluster_is_worked_out_once_for_all_nodes() -> None:
    """And anew for the next cluster."""
    shared = cluster()
    assert [node_names(Face(name, shared).cluster) for name in "ab"] == [("a", "b")] * 2
    assert node_names(cluster()) == ("a", "b")
    assert ASKED == ["fake", "fake"]


def test_a_lazy_property_is_kept_in_its_instance() -> None:
    """As cached_property, and each instance has its own."""

    class Thing:
        def __init__(self, name: str) -> None:
            self.name = name

        @lazy
        def shout(self) -> str:
            ASKED.append(self.name)
            return self.name.upper()

    one, other = Thing("x"), Thing("y")
    assert [one.shout, one.shout, other.shout] == ["X", "X", "Y"]
    assert ASKED == ["x", "y"]
    assert isinstance(Thing.shout, lazy)


def test_users_see_every_fact_as_a_property() -> None:
    """The class attribute is the fact itself, with its documentation."""
    assert GpuNode.containerd is containerd_of
    assert GpuNode.containerd.__doc__
    facts = [name for name, each in vars(GpuNode).items() if isinstance(each, fact)]
    assert {"distribution", "kubelet", "pci", "driver", "nvml", "toolkit", "cdi"} <= {*facts}
