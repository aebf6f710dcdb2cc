"""One cause: its texts, and the placeholders in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_gpu.layers import Layer
from pytest_gpu.steps import Slot, Step, Value
from pytest_gpu.text.shell_places import PLACEHOLDER

COMMON = frozenset(
    {
        "node",
        "distribution",
        "family",
        "how",
        "restart",
        "kubelet_unit",
        "restart_kubelet",
        "containerd_unit",
        "crictl",
    }
)
"""The placeholders that every cause may use; a run fills them in for the node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One root cause.

    Texts contain ``{placeholders}`` for a finding's values. ``layer`` is the lowest layer in which
    the cause is found. ``fix`` maps a distribution (or ``default``) to steps. ``explains`` holds
    patterns of causes that are only consequences of this one. ``example`` has a value for each
    placeholder that is not common.
    """

    id: str
    layer: Layer
    title: str
    why: str
    check: tuple[Step, ...]
    fix: Mapping[str, tuple[Step | Slot, ...]]
    explains: tuple[str, ...] = ()
    example: Mapping[str, Value] = field(default_factory=dict)

    def placeholders(self) -> frozenset[str]:
        """Return the names of all placeholders in the texts."""
        steps = (*self.check, *(step for fix in self.fix.values() for step in fix))
        texts = (self.title, self.why, *map(text_of, steps))
        slots = {step.name for step in steps if isinstance(step, Slot)}
        return frozenset(slots.union(*map(PLACEHOLDER.findall, texts)))


def text_of(step: Step | Slot) -> str:
    """Return the part of a step that may hold placeholders."""
    return step.text if isinstance(step, Step) else step.before
