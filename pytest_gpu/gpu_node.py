"""One node, and facts about it: each worked out once, from the evidence and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, update_wrapper
from typing import Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from pytest_gpu.evidence import ClusterEvidence, NodeEvidence
from pytest_gpu.memory import Memory, lazy

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Node:
    """A node as facts and checks see it: its name, its cluster, its evidence.

    ``memory`` holds the facts of this node. A new snapshot of the evidence needs a new node.
    """

    def __init__(self, name: str, cluster: ClusterEvidence) -> None:
        self.name = name
        self.cluster = cluster
        self.memory = Memory()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @lazy
    def evidence(self) -> NodeEvidence:
        """All evidence of this node."""
        return self.cluster.node(self.name)


class fact(Generic[_T]):  # noqa: N801 - used like property
    """A fact of a node, worked out once for each snapshot of its evidence.

    Called with a node, it returns what the decorated function returns; as a class attribute of a
    :class:`Node` it is a property of the same type.
    """

    def __init__(self, function: Callable[[Node], _T]) -> None:
        self._function = function
        update_wrapper(self, function)

    def __call__(self, node: Node) -> _T:
        """Return the fact.

        Raises:
            Unproven: the evidence does not hold it.
        """
        return node.memory.recall(self, partial(self._function, node))

    @overload
    def __get__(self, node: None, owner: type) -> Self: ...

    @overload
    def __get__(self, node: Node, owner: type) -> _T: ...

    def __get__(self, node: Node | None, owner: type) -> Self | _T:
        return self if node is None else self(node)


class cluster_fact(Generic[_P, _T]):  # noqa: N801 - as fact
    """A fact of the Kubernetes objects of a cluster, worked out once for all its nodes.

    It reads :meth:`ClusterEvidence.objects` and nothing else. It is worked out once for each
    combination of further arguments, such as a node's name.
    """

    def __init__(self, function: Callable[Concatenate[ClusterEvidence, _P], _T]) -> None:
        self._function = function
        update_wrapper(self, function)

    def __call__(self, cluster: ClusterEvidence, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Return the fact.

        Raises:
            Unproven: the evidence does not hold it.
        """
        work = partial(self._function, cluster, *args, **kwargs)
        return cluster.memory.recall((self, *args, *kwargs.items()), work)
