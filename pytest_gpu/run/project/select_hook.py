"""Calls the hook ``pytest_gpu_select_nodes`` and checks the nodes that it names."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pytest_gpu.run.selection import Selection
from pytest_gpu.settings.settings import shown
from pytest_gpu.text.naming import listed, natural, nearest

HOOK = "pytest_gpu_select_nodes"


def chosen(config: pytest.Config, selection: Selection, known: Iterable[str]) -> Selection:
    """Return the nodes that the hook names, out of the ``known`` ones of the cluster.

    Raises:
        pytest.UsageError: it names none, or a node that the cluster does not have.
    """
    answer = config.hook.pytest_gpu_select_nodes(config=config, nodes=list(selection.names))
    if answer is None:
        return selection
    names = _names(answer)
    if not names:
        raise _refused(f"must name at least one node, such as {listed(selection.names)}")
    known = set(known)
    if unknown := [name for name in names if name not in known]:
        near = nearest(unknown[0], known)
        raise _refused(f"no node called {listed(unknown)}; the nearest nodes are {near}")
    return Selection(
        names=names,
        others=tuple(name for name in selection.others if name not in names),
        source=selection.source if names == selection.names else f"hook {HOOK}",
    )


def _names(answer: object) -> tuple[str, ...]:
    if isinstance(answer, Iterable) and not isinstance(answer, str | bytes):
        names = list(answer)
        if all(isinstance(name, str) for name in names):
            return tuple(sorted(set(names), key=natural))
        answer = names
    raise _refused(f"{shown(repr(answer))}: must be a list of names of nodes")


def _refused(why: str) -> pytest.UsageError:
    return pytest.UsageError(f"hook {HOOK}: {why}")
