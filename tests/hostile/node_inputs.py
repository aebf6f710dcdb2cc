"""What a node may answer: through its pod, over ssh, to crictl, and in its GPU pod."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.hostile import hostile_nodes
from tests.hostile.inputs import Input
from tests.hostile.live import ONE_BAD_NODE, serving
from tests.hostile.stub_api import BAD

QUICK = "--gpu-timeout=1"


def by_pod() -> Iterator[Input]:
    for name, make in hostile_nodes.hostile_nodes().items():
        yield Input(
            name=f"pod: {name}",
            family="nodes",
            start=serving(QUICK, nodes={BAD: make}),
            exit=1,
            says="unproven",
            nodes_judged=ONE_BAD_NODE,
        )


def node_inputs() -> tuple[Input, ...]:
    """Return all inputs of this family."""
    return tuple(by_pod())
