"""For which lack of the node a kubelet evicts pods."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_gpu.causes import Evidence
from pytest_gpu.stack.kube import pressure
from tests.support.fake_evidence import FakeCluster, node_object

NOTHING = FakeCluster(objects={})


def said(text: str) -> Evidence:
    """Return the kubelet's words about a pod."""
    return Evidence(source="pod default/p", text=text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Evicted: The node had condition: [DiskPressure]. ", "DiskPressure"),
        ("Evicted: The node had condition: [MemoryPressure PIDPressure]. ", "PIDPressure"),
        ("Evicted: The node was low on resource: inodes. ", "DiskPressure"),
        ("Evicted: The node was low on resource: memory. ", "MemoryPressure"),
        ("Evicted: Pod ephemeral local storage usage exceeds the total limit of containers.", None),
        ("Evicted: The node was low on resource: sunlight. ", None),
        ("Failed: The node had condition: [DiskPressure]. ", None),
    ],
)
def test_the_kubelets_words_tell_what_the_node_lacks(text: str, kind: str | None) -> None:
    """A pod that is evicted for its own limit, or for something unknown, says nothing of it."""
    found = pressure.evicting(NOTHING, node_object(), said(text))
    assert (found.kind if found else None) == kind


@pytest.mark.parametrize(
    ("kind", "status", "refuses"),
    [
        ("DiskPressure", "True", True),
        ("PIDPressure", "True", True),
        ("MemoryPressure", "True", False),
        ("DiskPressure", "Unknown", False),
        ("DiskPressure", "False", False),
    ],
)
def test_only_some_pressures_refuse_every_pod(kind: str, status: str, *, refuses: bool) -> None:
    """A pod that asks for memory starts without much; a silent kubelet proves nothing."""
    node: dict[str, Any] = node_object()
    node["status"]["conditions"] = [{"type": kind, "status": status}]
    assert (pressure.refusing(NOTHING, node) is not None) is refuses
