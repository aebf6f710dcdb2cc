"""The result of a run as data: the verdict document, which every report renders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from pytest_gpu.evidence import ClusterEvidence
from pytest_gpu.report import facts, grouping, node_verdict
from pytest_gpu.report.run_info import RunInfo
from pytest_gpu.stack.kube.pods import WaitingPod

VERSION = 1
"""Version of the document; within one version keys are only added."""

WaitingPods = Callable[[ClusterEvidence, Collection[str]], Iterable[WaitingPod]]
"""Returns the users' pods that wait on the named nodes."""

NodeFacts = Callable[[str], Mapping[str, Any]]
"""Returns what else the document says about the named node, by key."""


def build(  # noqa: PLR0913 - each argument is a source of its own
    results: Iterable[Mapping[str, Any]],
    nodes: Sequence[str],
    run: RunInfo,
    cluster: ClusterEvidence,
    waiting: WaitingPods,
    *,
    node_facts: NodeFacts,
) -> dict[str, Any]:
    """Return the verdict document (docs/reference/reports.md) as plain JSON types.

    Args:
        results: the ``report.gpu`` of every test; those of one node in definition order.
        nodes: the nodes under test, in order; one without results is unproven.
        run: what is known of the run.
        cluster: the evidence, asked for the Node objects and handed to the two look-ups.
        waiting: usually :func:`pytest_gpu.stack.kube.pods.waiting_pods`.
        node_facts: returns, by name, a node's distribution and its container runtimes.
    """
    versions = facts.kubelet_versions(cluster)
    judged = [
        _with_facts(entry, node_facts(entry["name"]), versions)
        for entry in _judged(results, nodes, run)
    ]
    labels = facts.node_labels(cluster)
    document: dict[str, Any] = {
        "version": VERSION,
        "run": facts.run_facts(run, cluster),
        "cluster": facts.cluster_facts(cluster, versions),
        "nodes": judged,
        "causes": _causes(judged, labels, cluster, waiting),
        "latent": grouping.latent(judged, labels),
    }
    document["summary"] = _summary(document)
    document["run"]["exit_code"] = exit_code(document, run.allow_unproven)
    return document


def _causes(
    judged: Sequence[dict[str, Any]],
    labels: Mapping[str, Mapping[str, str]],
    cluster: ClusterEvidence,
    waiting: WaitingPods,
) -> list[dict[str, Any]]:
    """Return the causes, each with the pods that wait on its nodes."""
    blamed = {node["name"]: _blamed(node) for node in judged}
    return [
        _with_pods(cause, cluster, waiting, {blamed[name] for name in cause["nodes"]})
        for cause in grouping.causes(judged, labels)
    ]


def exit_code(document: Mapping[str, Any], allow_unproven: bool) -> int:
    """Return pytest's exit code: 0 if every node conforms, 1 if one does not, 4 without nodes.

    ``allow_unproven`` accepts what could not be decided, but a node on which no test passed still
    makes it 1: a run that tested nothing is never a 0.
    """
    if not document["nodes"]:
        return 4
    return int(not all(_is_good(node, allow_unproven) for node in document["nodes"]))


def _is_good(node: Mapping[str, Any], allow_unproven: bool) -> bool:
    tested = any(cell["passed"] for cell in node["layers"].values())
    good = {"conforms", "unproven"} if allow_unproven else {"conforms"}
    return tested and node["verdict"] in good


def _judged(
    results: Iterable[Mapping[str, Any]], nodes: Sequence[str], run: RunInfo
) -> list[dict[str, Any]]:
    by_node: dict[str, list[Mapping[str, Any]]] = {name: [] for name in nodes}
    for result in results:
        by_node.setdefault(result["node"], []).append(result)
    return [node_verdict.judge(name, mine, run) for name, mine in by_node.items()]


def _with_facts(
    entry: dict[str, Any], known: Mapping[str, Any], versions: Mapping[str, str]
) -> dict[str, Any]:
    entry |= known
    entry["kubelet_version"] = versions.get(entry["name"])
    return entry


def _blamed(node: Mapping[str, Any]) -> str:
    """Return whose state is the first line of a node's evidence, such as ``pod a/b``."""
    first = node["evidence"][0] if node["evidence"] else {"source": "", "text": ""}
    return str(first["source"]) if first["text"].startswith("is ") else ""


def _with_pods(
    cause: dict[str, Any], cluster: ClusterEvidence, waiting: WaitingPods, blamed: Collection[str]
) -> dict[str, Any]:
    """Add the pods that wait; one that is to blame itself is none of them."""
    pods = facts.waiting_as_json(lambda: waiting(cluster, cause["nodes"]))
    cause["waiting_pods"] = pods and [
        pod for pod in pods if f"pod {pod['namespace']}/{pod['name']}" not in blamed
    ]
    return cause


def _summary(document: Mapping[str, Any]) -> dict[str, int]:
    count = Counter(node["verdict"] for node in document["nodes"])
    return {
        "nodes": len(document["nodes"]),
        "conform": count["conforms"],
        "fail": count["fails"],
        "error": count["error"],
        "unproven": count["unproven"],
        "causes": len(document["causes"]),
        "latent": len(document["latent"]),
        "not_asked": sum(len(node["not_asked"]) for node in document["nodes"]),
        "not_run": sum(
            cell["missing"] for node in document["nodes"] for cell in node["layers"].values()
        ),
    }
