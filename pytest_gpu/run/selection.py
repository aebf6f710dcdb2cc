"""Which nodes of a cluster are tested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_gpu.errors import GpuError
from pytest_gpu.evidence import ClusterEvidence, KubeObject
from pytest_gpu.settings.selector import Selector, parse_selector
from pytest_gpu.stack.kube.nodes import SIGNS, find_gpu_nodes
from pytest_gpu.stack.kube.objects import labels_of, name_of

ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Nodes under test, sorted, and those that were checked and have no sign of a GPU."""

    names: tuple[str, ...]
    others: tuple[str, ...] = ()


def select_nodes(cluster: ClusterEvidence, asked: str | None) -> Selection:
    """Return the nodes that ``--gpu-nodes`` selects; without it, those with a sign of a GPU.

    Nodes that are named, one by one or by a selector, are GPU nodes because the user says so:
    none of them is dropped because its GPU is gone.

    Raises:
        NotInEvidence: the nodes were not read.
        GpuError: a named node does not exist, or the selector is invalid or matches nothing.
    """
    nodes = cluster.objects("nodes")
    if asked is not None and asked != ALL:
        return Selection(names=_named(nodes, asked))
    names = tuple(node.name for node in find_gpu_nodes(cluster))
    others = sorted({name_of(node) for node in nodes} - set(names))
    return Selection(names=names, others=tuple(others) if asked == ALL else ())


def no_gpu_node(asked: str | None) -> str:
    """Return the message if no node has a sign of a GPU: what was looked for, what to try."""
    hint = "name nodes with --gpu-nodes=NAMES"
    if asked != ALL:
        hint += ", or visit every node with --gpu-nodes=all"
    return f"no GPU node found; looked for {'; '.join(SIGNS)}; {hint}"


def _named(nodes: Sequence[KubeObject], asked: str) -> tuple[str, ...]:
    words = [word.strip() for word in asked.split(",")]
    known = {name_of(node) for node in nodes}
    if known.issuperset(words):
        return tuple(sorted(set(words)))
    if not _is_selector(words, nodes, known):
        unknown = [word for word in words if word not in known]
        raise GpuError(
            f"no node called {', '.join(unknown)} (and no node has such a label); "
            f"nodes are {shorten(sorted(known))}"
        )
    return _matching(nodes, _parsed(asked))


def _is_selector(words: Sequence[str], nodes: Sequence[KubeObject], known: set[str]) -> bool:
    """Return whether words are meant as conditions: by an operator, or by being label keys."""
    if any("=" in word or word.startswith("!") for word in words):
        return True
    keys = {key for node in nodes for key in labels_of(node)}
    return keys.issuperset(words) and known.isdisjoint(words)


def _parsed(text: str) -> Selector:
    try:
        return parse_selector(text)
    except ValueError as error:
        raise GpuError(str(error)) from error


def _matching(nodes: Sequence[KubeObject], selector: Selector) -> tuple[str, ...]:
    found = sorted(name_of(node) for node in nodes if selector.matches(labels_of(node)))
    if not found:
        raise GpuError(f"matches none of the nodes: {shorten(sorted(map(name_of, nodes)))}")
    return tuple(found)


def shorten(names: Sequence[str], limit: int = 8) -> str:
    """Return names as a readable list, however many there are."""
    rest = len(names) - limit
    shown = ", ".join(names[:limit])
    return f"{shown}, … and {rest} more" if rest > 0 else shown
