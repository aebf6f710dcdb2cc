"""Which nodes of a cluster are tested."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pytest_gpu.cluster.recording.manifest import FILE
from pytest_gpu.errors import GpuError
from pytest_gpu.evidence import ClusterEvidence, KubeObject
from pytest_gpu.settings.node_words import is_pattern, names_of, parse_nodes
from pytest_gpu.settings.selector import Selector, parse_selector
from pytest_gpu.stack.kube.nodes import SIGNS, find_gpu_nodes
from pytest_gpu.stack.kube.objects import labels_of, name_of
from pytest_gpu.text.naming import listed, natural, nearest

ALL = "all"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Nodes under test, sorted, and those that were checked and have no sign of a GPU.

    ``source`` is the hook or the recording that chose them, ``None`` if the settings did.
    """

    names: tuple[str, ...]
    others: tuple[str, ...] = ()
    source: str | None = None


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
    others = sorted({name_of(node) for node in nodes} - set(names), key=natural)
    return Selection(names=names, others=tuple(others) if asked == ALL else ())


def nodes_of_recording(cluster: ClusterEvidence, selected: Sequence[str]) -> Selection:
    """Return the nodes that a recording names: those that its run was asked to test.

    Raises:
        NotInEvidence: the nodes were not read.
        GpuError: a named node does not exist.
    """
    known = {name_of(node) for node in cluster.objects("nodes")}
    if unknown := [name for name in selected if name not in known]:
        near = nearest(unknown[0], known)
        raise GpuError(f"{FILE}: selected: no node called {listed(unknown)}; nodes: {near}")
    return Selection(names=tuple(sorted(set(selected), key=natural)), source=FILE)


def no_gpu_node(asked: str | None) -> str:
    """Return the message if no node has a sign of a GPU: what was looked for, what to try."""
    hint = "name nodes with --gpu-nodes=NAMES"
    if asked != ALL:
        hint += ", or visit every node with --gpu-nodes=all"
    return f"no GPU node found; looked for {'; '.join(SIGNS)}; {hint}"


def _named(nodes: Sequence[KubeObject], asked: str) -> tuple[str, ...]:
    wanted = _parsed(parse_nodes, asked)
    if isinstance(wanted, Selector):
        return _matching(nodes, wanted)
    known = {name_of(node) for node in nodes}
    named = {word: names_of(word, known) for word in wanted}
    unknown = [word for word, names in named.items() if not names]
    keys = {key for node in nodes for key in labels_of(node)}
    if len(unknown) == len(wanted) and keys.issuperset(wanted):
        return _matching(nodes, _parsed(parse_selector, asked))
    if unknown:
        raise GpuError(_unknown(unknown, known, keys))
    found = tuple(sorted(set().union(*named.values()), key=natural))
    if keys.issuperset(wanted) and _matching(nodes, _parsed(parse_selector, asked)) != found:
        raise GpuError(_ambiguous(wanted[0]))
    return found


def _parsed(parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise GpuError(str(error)) from error


def _matching(nodes: Sequence[KubeObject], selector: Selector) -> tuple[str, ...]:
    found = [name_of(node) for node in nodes if selector.matches(labels_of(node))]
    if not found:
        names = sorted(map(name_of, nodes), key=natural)
        raise GpuError(f"matches none of the nodes: {listed(names)}")
    return tuple(sorted(found, key=natural))


def _unknown(unknown: Sequence[str], known: Iterable[str], keys: Container[str]) -> str:
    if ALL in unknown:
        return f"{ALL} must stand alone: leave it out, or the other names"
    if labels := [word for word in unknown if word in keys]:
        return f"{labels[0]} is a label, not a node; name either nodes or labels"
    near = f"the nearest nodes are {nearest(unknown[0], known)}"
    if is_pattern(unknown[0]):
        return f"no node's name matches {listed(unknown)}; {near}"
    return f"no node called {listed(unknown)} (and no node has such a label); {near}"


def _ambiguous(word: str) -> str:
    return (
        f"{word} is both a node and a label of nodes; write kubernetes.io/hostname={word} for the "
        f"node, {word}=VALUE for the label"
    )
