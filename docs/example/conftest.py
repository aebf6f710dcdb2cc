"""What this project tells pytest-gpu: one hook each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest


def pytest_gpu_select_nodes(nodes: list[str]) -> list[str]:
    """Leave out the nodes that nobody uses yet."""
    return [name for name in nodes if not name.startswith("spare-")]


def pytest_gpu_causes() -> Sequence[str]:
    """Return where this project's own causes are."""
    return ["causes/*.toml"]


def pytest_gpu_verdict(config: pytest.Config, document: Mapping[str, Any]) -> None:
    """Write a line for each node, for whoever is on duty."""
    lines = [
        f"{node['name']}: {node['verdict']} {node['cause'] or ''}".rstrip()
        for node in document["nodes"]
    ]
    (config.rootpath / "on-duty.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
