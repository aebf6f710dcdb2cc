"""Made-up results of runs, for the tests of what is reported about them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pytest_gpu.asked import Asked
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import ClusterEvidence, KubeObject, NodeEvidence
from pytest_gpu.layers import Layer
from pytest_gpu.memory import Memory
from pytest_gpu.report import verdicts
from pytest_gpu.report.run_info import RunInfo
from pytest_gpu.stack.kube.pods import WaitingPod

Result = dict[str, Any]
LAYERS = tuple(str(layer) for layer in Layer)
TAKEN = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
NODE_FACTS = {
    "distribution": "k8s-snap",
    "runtimes": [
        {
            "kind": "containerd",
            "version": "1.7.24",
            "pid": 1204,
            "started": "2025-11-20T09:58:00Z",
            "socket": "/run/containerd/containerd.sock",
            "config": "/etc/containerd/config.toml",
            "serves": "the kubelet",
        }
    ],
}
TWO_CONTAINERDS = "runtime/toolkit-configured-other-containerd"


@dataclass(frozen=True)
class Cluster:
    """Cluster evidence that holds Node objects and nothing else."""

    versions: Mapping[str, str] = field(default_factory=dict)
    title: str = "sample:made-up"
    taken: datetime = TAKEN
    memory: Memory = field(default_factory=Memory)
    suite: str = "0.1.0"
    asked: Asked = None

    def objects(self, resource: str) -> Sequence[KubeObject]:
        """Return the Node objects."""
        if resource != "nodes":
            raise NotInEvidence("the cluster", resource)
        return [
            {"metadata": {"name": name}, "status": {"nodeInfo": {"kubeletVersion": version}}}
            for name, version in self.versions.items()
        ]

    def node(self, name: str) -> NodeEvidence:
        """Refuse: nothing that is tested with this may look at a node."""
        raise AssertionError(name)


def run(**changes: Any) -> RunInfo:
    """Return a run that asked everything, apart from the changes."""
    values: dict[str, Any] = {
        "suite_version": "0.1.0",
        "cluster": "sample:made-up",
        "started": TAKEN + timedelta(hours=1),
        "duration": 1.5,
        "layers_asked": LAYERS,
    }
    return RunInfo(**{**values, **changes})


def result(node: str, layer: str, state: str = "passed", **more: Any) -> Result:
    """Return the result of one test."""
    return {
        "node": node,
        "layer": layer,
        "test": f"test_{layer.replace('-', '_')}",
        "requirement": f"The {layer} works.",
        "state": state,
        "finding": None,
        "latent": [],
        "reason": "",
        "blocked_by": None,
        **more,
    }


def finding(cause: str = TWO_CONTAINERDS, **more: Any) -> dict[str, Any]:
    """Return a finding as ``as_json`` does; the kinds of its steps follow from them."""
    found = {
        "cause": cause,
        "title": "The toolkit configured another containerd than the kubelet uses",
        "why": "Two instances of containerd run on the node. " * 3,
        "check": ["$ crictl info"],
        "fix": ["Tell the toolkit where this containerd reads:", "$ helm upgrade gpu-operator"],
        "explains": ["device-plugin/*"],
        "evidence": [
            {"source": "/etc/containerd/config.toml", "line": 12, "text": "runtimes.nvidia"}
        ],
        **more,
    }
    return {"fix_kinds": list(map(_kind, found["fix"])), **found}


def _kind(shown: str) -> str:
    """Return the kind of a step by its first word."""
    sign, _, program = shown.partition(" ")
    kinds = {"kubectl": "cluster", "helm": "helm"}
    return kinds.get(program.partition(" ")[0], "node") if sign == "$" else "words"


def healthy(node: str, layers: Sequence[str] = LAYERS) -> list[Result]:
    """Return two passed tests per layer."""
    return [result(node, layer) for layer in layers for _ in range(2)]


def broken(node: str, layer: str = "runtime", **more: Any) -> list[Result]:
    """Return a node whose layer fails in the second of its two tests."""
    below, above = LAYERS[: LAYERS.index(layer)], LAYERS[LAYERS.index(layer) + 1 :]
    failed = result(node, layer, "failed", finding=finding(**more))
    blocked = [
        result(node, name, "blocked", reason=f"blocked by {layer}", blocked_by=layer)
        for name in above
        for _ in range(2)
    ]
    return [*healthy(node, below), result(node, layer), failed, *blocked]


def replaced(results: Sequence[Result], layer: str, state: str, **more: Any) -> list[Result]:
    """Return the results with all those of one layer in another state."""
    return [{**one, "state": state, **more} if one["layer"] == layer else one for one in results]


def pod(name: str, minutes: int = 23, node: str | None = None) -> WaitingPod:
    """Return a user's pod that waits."""
    return WaitingPod(
        namespace="default",
        name=name,
        state="ContainerCreating",
        age=timedelta(minutes=minutes),
        node=node,
        reason='no runtime for "nvidia" is configured',
    )


def no_pods(cluster: ClusterEvidence, nodes: Collection[str]) -> Sequence[WaitingPod]:
    """Return that no pod waits."""
    return ()


def document(
    results: Sequence[Result], nodes: Sequence[str] | None = None, **changes: Any
) -> dict[str, Any]:
    """Return the verdict document of a made-up run.

    Changes named ``waiting`` and ``cluster`` go to the document, all others to the run.
    """
    names = nodes or list(dict.fromkeys(one["node"] for one in results))
    cluster = changes.pop("cluster", None) or Cluster(dict.fromkeys(names, "v1.31.4"))
    waiting = changes.pop("waiting", no_pods)
    return verdicts.build(
        results, names, run(**changes), cluster, waiting, node_facts=lambda *_: NODE_FACTS
    )
