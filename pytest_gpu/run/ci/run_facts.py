"""What JUnit and Allure say about the run as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version

from pytest_gpu.report.names import fold
from pytest_gpu.run.session import GpuSession


def run_facts(session: GpuSession) -> Mapping[str, str]:
    """Return cluster, when its evidence was taken, nodes, layers and version of the suite."""
    return {
        "cluster": session.settings.cluster,
        "taken": session.cluster.taken.isoformat(),
        "nodes": str(len(session.names)),
        "node_names": ", ".join(fold(session.names)),
        "layers": f"up to {session.settings.up_to}",
        "suite": f"pytest-gpu {version('pytest-gpu')}",
    }
