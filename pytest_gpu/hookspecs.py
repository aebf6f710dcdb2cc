"""Hooks that users and other plugins may implement, in a ``conftest.py`` of the directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest


@pytest.hookspec(firstresult=True)
def pytest_gpu_select_nodes(config: pytest.Config, nodes: list[str]) -> list[str] | None:
    """Return the nodes to test, out of ``nodes``: the GPU nodes that were found or named.

    Called once, in the controller, before tests are collected. Stops at the first result that is
    not ``None``. A name that the cluster does not have is a usage error.
    """


@pytest.hookspec
def pytest_gpu_verdict(config: pytest.Config, document: Mapping[str, Any]) -> None:
    """Receive a copy of the verdict document, the one that ``--gpu-report`` writes.

    An exception in it is one line of the summary and ends the run with exit code 3; the reports
    are written all the same. Called once, in the controller, after the last test and before the
    summary is printed; not called when no test of the ladder was selected.
    """


@pytest.hookspec
def pytest_gpu_causes(config: pytest.Config) -> Sequence[str | Path] | None:
    """Return TOML files with causes of your own, or patterns such as ``causes/*.toml``.

    Called once, in the controller, before the cluster is opened; also for ``--gpu-explain``.
    Paths are relative to pytest's root directory. They are added to those of the ini value
    ``gpu_causes``.
    """
