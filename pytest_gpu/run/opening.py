"""The start of a run in the controller: settings, cluster, nodes under test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_gpu.cluster.api.kubeconfig import kube_contexts
from pytest_gpu.cluster.choose import Target, choose, open_target
from pytest_gpu.cluster.reach import LIVE_KINDS, reach_of
from pytest_gpu.cluster.recording.recorded import RecordedCluster
from pytest_gpu.cluster.recording.recorder import refuse_used
from pytest_gpu.errors import GpuError
from pytest_gpu.run.interrupts import interrupts_of
from pytest_gpu.run.ledger import new_ledger
from pytest_gpu.run.look_alikes import refuse_look_alikes
from pytest_gpu.run.project.select_hook import chosen
from pytest_gpu.run.selection import (
    ALL,
    Selection,
    no_gpu_node,
    nodes_of_recording,
    select_nodes,
)
from pytest_gpu.run.session import GpuSession
from pytest_gpu.settings.settings import Settings, shown
from pytest_gpu.stack.kube.objects import name_of


def open_session(config: pytest.Config, settings: Settings) -> GpuSession:
    """Return the controller's session: the cluster is open, its nodes under test are known.

    Raises:
        pytest.UsageError: the cluster cannot be opened, has no node to test, or cannot be
            recorded.
    """
    target = _target(config, settings)
    if target.kind in LIVE_KINDS:
        return _open_live(config, settings, target)
    with blaming(f"--gpu-cluster: {settings.cluster}"):
        cluster = open_target(target, visit=not config.getoption("collectonly"))
        config.add_cleanup(cluster.close)
        if not config.getoption("collectonly"):
            cluster.check()
    selection = _selected(config, settings, cluster)
    if target.kind == "path" and not config.getoption("collectonly"):
        with blaming(f"--gpu-cluster: {settings.cluster}"):
            cluster.check_nodes(selection.names)
    session = _session(config, settings, cluster, selection)
    if warning := cluster.warning:
        session.notes = (warning,)
    if target.kind == "local":
        _keep_at_the_end(config, session, cluster)
    elif settings.record is not None:
        _record(cluster, session, settings.record)
    return session


def _target(config: pytest.Config, settings: Settings) -> Target:
    kubeconfig = settings.live.kubeconfig
    with blaming(f"--gpu-cluster: {settings.cluster}"):
        try:
            target = choose(settings.cluster, lambda: kube_contexts(kubeconfig))
        except GpuError:
            refuse_look_alikes(config, settings, None)
            raise
    refuse_look_alikes(config, settings, target)
    return target


def _keep_at_the_end(config: pytest.Config, session: GpuSession, machine: RecordedCluster) -> None:
    from pytest_gpu.run.local_run import LocalRun  # noqa: PLC0415 - few runs need it

    if (to := session.settings.record) is not None:
        with blaming(f"--gpu-record: {to}", str(to)):
            refuse_used(to)
    config.pluginmanager.register(LocalRun(machine, session), "gpu-local")


def _open_live(config: pytest.Config, settings: Settings, target: Target) -> GpuSession:
    from pytest_gpu.cluster.live import LiveCluster  # noqa: PLC0415 - keeps start-up fast
    from pytest_gpu.run.live_run import LiveRun, last_resort, writer  # noqa: PLC0415 - keeps start-up fast

    if settings.record is not None:
        with blaming(f"--gpu-record: {settings.record}", str(settings.record)):
            refuse_used(settings.record)
    with blaming(f"--gpu-cluster: {settings.cluster}"):
        reach = reach_of(config, target, settings.live.kubeconfig, settings.timeout)
        live = LiveCluster(reach, settings, writer(config))
    interrupts = interrupts_of(config)
    config.add_cleanup(last_resort(live, interrupts))
    if settings.nodes == ALL and not config.getoption("collectonly"):
        # Only the PCI bus shows whether a node without any sign has a GPU.
        with blaming(f"--gpu-cluster: {settings.cluster}"):
            live.visit([name_of(node) for node in live.opened().objects("nodes")])
    cluster = live.opened()
    session = _session(config, settings, cluster, _selected(config, settings, cluster))
    session.door, session.notes = live.door, tuple(live.notes())
    config.pluginmanager.register(LiveRun(live, session, interrupts), "gpu-live")
    return session


def _session(
    config: pytest.Config, settings: Settings, cluster: RecordedCluster, selection: Selection
) -> GpuSession:
    ledger, remove = new_ledger()
    config.add_cleanup(remove)
    if selection.source is not None:
        sources = {**settings.sources, "nodes": selection.source}
        settings = replace(settings, sources=sources)
    return GpuSession(
        settings=settings,
        folder=cluster.folder,
        title=cluster.title,
        names=selection.names,
        others=selection.others,
        ledger=ledger,
        opened=cluster,
    )


def _record(cluster: RecordedCluster, session: GpuSession, to: Path) -> None:
    from pytest_gpu.cluster.recording.copying import record  # noqa: PLC0415 - only who asks

    with blaming(f"--gpu-record: {to}", str(to)):
        record(cluster, to, selected=session.selected)


@contextmanager
def blaming(source: str, value: str = "") -> Iterator[None]:
    """Turn a :class:`GpuError` into a usage error that starts with the value's source.

    ``value`` is the end of ``source``; it is not repeated if the error begins with it.
    """
    try:
        yield
    except (GpuError, OSError) as error:
        text = str(error).removeprefix(f"{value}: ")
        # A prefix alone, such as sample:, ends with a colon itself.
        raise pytest.UsageError(f"{source.removesuffix(':')}: {text}") from error


def _selected(config: pytest.Config, settings: Settings, cluster: RecordedCluster) -> Selection:
    if settings.cluster == "local" and settings.nodes is None:
        # The user named this machine: it is tested even when its GPU is gone.
        return Selection(names=tuple(name_of(node) for node in cluster.objects("nodes")))
    with blaming(_nodes_source(settings)):
        if settings.nodes is None and cluster.selected is not None:
            selection = nodes_of_recording(cluster, cluster.selected)
        else:
            selection = select_nodes(cluster, settings.nodes)
    if not selection.names:
        raise pytest.UsageError(f"--gpu-cluster: {settings.cluster}: {no_gpu_node(settings.nodes)}")
    return chosen(config, selection, [name_of(node) for node in cluster.objects("nodes")])


def _nodes_source(settings: Settings) -> str:
    if settings.nodes is None:
        return f"--gpu-cluster: {settings.cluster}"
    return f"{settings.sources['nodes']}: {shown(settings.nodes)}"
