"""The lines at the top of a run: what is tested, and where each setting came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields

from pytest_gpu.layers import Layer
from pytest_gpu.report.blocks import Block
from pytest_gpu.report.terminal import plain
from pytest_gpu.run.session import GpuSession
from pytest_gpu.settings.settings import Settings
from pytest_gpu.text.naming import listed

NAMES = 8
"""Names of nodes that a line lists."""

_FIELDS = (
    "node_shell",
    "workloads",
    "allow_unproven",
    "sandbox_pod_config",
    "sandbox_container_config",
)


def header(session: GpuSession, page: Block) -> list[str]:
    """Return the header's lines; every value says where it came from."""
    wrapped = (page.prose(text, hanging=" " * 5) for text in _texts(session))
    return plain([line for lines in wrapped for line in lines])


def _texts(session: GpuSession) -> Sequence[str]:
    settings = session.settings
    taken = session.cluster.taken.strftime("%Y-%m-%d %H:%M %Z")
    return [
        f"gpu: cluster: {settings.cluster} {settings.source('cluster')}, taken {taken}",
        *_nodes(session),
        f"gpu: layers: {_layers(settings)}",
        f"gpu: timeout: {settings.timeout:g} s {settings.source('timeout')}",
        *_given(settings),
        *(f"gpu: {note}" for note in session.notes),
    ]


def _nodes(session: GpuSession) -> Iterator[str]:
    names, others = session.names, session.others
    count = "1 node" if len(names) == 1 else f"{len(names)} nodes"
    yield f"gpu: {count}: {listed(names, NAMES)} {session.settings.source('nodes')}"
    if others:
        yield f"gpu: not a GPU node: {listed(others, NAMES)}"


def _layers(settings: Settings) -> str:
    shown = f"up to {settings.up_to} {settings.source('layers')}"
    if settings.up_to is max(Layer):
        shown = f"all {settings.source('layers')}"
    if settings.all_layers:
        shown += f", climbing on after a failure {settings.source('all_layers')}"
    return shown


def _given(settings: Settings) -> Iterator[str]:
    """Yield a line for each further setting that is not the default."""
    for field in (*_FIELDS, *(each.name for each in fields(settings.live))):
        if settings.sources[field] != "default":
            value = getattr(settings if field in _FIELDS else settings.live, field)
            yield f"gpu: {field.replace('_', '-')}: {value} {settings.source(field)}"
    if settings.record is not None:
        yield f"gpu: record: {settings.record} {settings.source('record')}"
    for path in settings.reports:
        yield f"gpu: report: {path} {settings.source('report')}"
