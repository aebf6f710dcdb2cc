"""What a verdict document says about the run itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """One run of the suite, as the process that reports it knows it.

    ``cluster`` is the value of ``--gpu-cluster``; ``started`` has a time zone; ``duration`` is
    seconds. ``layers_asked`` are the layers of the selected tests: a layer that was asked and
    has no result is unproven, never passed. ``planned`` may hold the number of selected tests
    by node and layer; then tests without a result (a crash, ``-x``, Ctrl-C) are not run.
    ``deselected`` counts conformance tests that ``-k`` and similar options left out. ``ended``
    is why the run stopped before its end, if pytest knows.
    """

    suite_version: str
    cluster: str
    started: datetime
    duration: float
    layers_asked: tuple[str, ...]
    all_layers: bool = False
    allow_unproven: bool = False
    deselected: int = 0
    ended: str | None = None
    planned: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
