"""The start of a run in the controller: settings, cluster, nodes under test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_gpu.cluster.choose import choose, open_target
from pytest_gpu.cluster.recorded import RecordedCluster
from pytest_gpu.errors import GpuError
from pytest_gpu.evidence import ClusterEvidence
from pytest_gpu.kube.objects import name_of
from pytest_gpu.ledger import new_ledger
from pytest_gpu.selection import Selection, no_gpu_node, select_nodes, shorten
from pytest_gpu.session import GpuSession
from pytest_gpu.settings import Settings


def open_session(config: pytest.Config, settings: Settings) -> GpuSession:
    """Return the controller's session: the cluster is open, its nodes under test are known.

    Raises:
        pytest.UsageError: the cluster cannot be opened, has no node to test, or cannot be
            recorded.
    """
    with blaming(f"--gpu-cluster: {settings.cluster}"):
        cluster = open_target(choose(settings.cluster))
    config.add_cleanup(cluster.close)
    selection = _selected(config, settings, cluster)
    if settings.record is not None:
        _record(cluster, settings.record)
    ledger, remove = new_ledger()
    config.add_cleanup(remove)
    return GpuSession(
        settings=settings,
        folder=cluster.folder,
        title=cluster.title,
        names=selection.names,
        others=selection.others,
        ledger=ledger,
        opened=cluster,
    )


def _record(cluster: RecordedCluster, to: Path) -> None:
    from pytest_gpu.cluster.recorder import record  # noqa: PLC0415 - few runs record

    with blaming(f"--gpu-record: {to}", str(to)):
        record(cluster, to)


@contextmanager
def blaming(source: str, value: str = "") -> Iterator[None]:
    """Turn trouble of ours into a usage error that starts with where the value came from.

    ``value`` is what ``source`` ends with, where the trouble may begin with it as well.
    """
    try:
        yield
    except (GpuError, OSError) as error:
        text = str(error).removeprefix(f"{value}: ")
        raise pytest.UsageError(f"{source}: {text}") from error


def _selected(config: pytest.Config, settings: Settings, cluster: ClusterEvidence) -> Selection:
    with blaming(_nodes_source(settings)):
        selection = select_nodes(cluster, settings.nodes)
    if not selection.names:
        raise pytest.UsageError(f"--gpu-cluster: {settings.cluster}: {no_gpu_node(settings.nodes)}")
    chosen = config.hook.pytest_gpu_select_nodes(config=config, nodes=list(selection.names))
    if chosen is None:
        return selection
    known = {name_of(node) for node in cluster.objects("nodes")}
    if not chosen or not known.issuperset(chosen):
        raise pytest.UsageError(
            f"hook pytest_gpu_select_nodes: {chosen!r}: must name at least one node of this "
            f"cluster, such as {shorten(selection.names)}"
        )
    return Selection(names=tuple(dict.fromkeys(chosen)), others=selection.others)


def _nodes_source(settings: Settings) -> str:
    if settings.nodes is None:
        return f"--gpu-cluster: {settings.cluster}"
    return f"{settings.sources['nodes']}: {settings.nodes}"
