"""What several test modules need: small recordings, and suites of a few lines."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.runs import load_all
from tests.support.timing import Processor

MakeCluster = Callable[..., Path]
MakeSuite = Callable[..., None]

# In the checkout it would warn every run of a project that sets its own norecursedirs.
os.environ.setdefault(
    "HYPOTHESIS_STORAGE_DIRECTORY", f"{tempfile.gettempdir()}/pytest-gpu-hypothesis"
)

RESOURCES = ("pods", "daemonsets", "runtimeclasses", "events", "resourceslices")


def pytest_configure(config: pytest.Config) -> None:
    """Tell at the end what a test cost on average."""
    config.pluginmanager.register(Processor())


@pytest.fixture(scope="session")
def loaded() -> None:
    """All our modules are imported, once and not by each run in this process."""
    load_all()


@pytest.fixture
def pytester(loaded: None, pytester: pytest.Pytester) -> pytest.Pytester:
    """Return pytest's own; what it forgets after each test was imported before."""
    return pytester


@pytest.fixture
def make_cluster(tmp_path: Path) -> MakeCluster:
    """Return a function that writes a recording with these nodes; each has a GPU by its capacity.

    ``plain`` are nodes without any sign of a GPU; ``labels`` are given to every node.
    """

    def make(
        *names: str,
        plain: Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        pods: Sequence[Mapping[str, Any]] = (),
        folder: str = "recording",
    ) -> Path:
        root = tmp_path / folder
        (root / "kubernetes").mkdir(parents=True)
        (root / "recording.yaml").write_text('format: 1\ntaken: 2026-11-21T10:00:00Z\nsuite: "0"\n')
        nodes = [_node(name, {"nvidia.com/gpu": "1"}, labels or {}) for name in names]
        nodes += [_node(name, {}, labels or {}) for name in plain]
        lists = {resource: [] for resource in RESOURCES} | {"nodes": nodes, "pods": list(pods)}
        for resource, items in lists.items():
            # JSON is YAML.
            text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
            (root / "kubernetes" / f"{resource}.yaml").write_text(text)
        return root

    return make


def _node(name: str, capacity: Mapping[str, str], labels: Mapping[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}},
        "status": {
            "capacity": dict(capacity),
            "allocatable": dict(capacity),
            "nodeInfo": {"kubeletVersion": "v1.31.4"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


CAUSE = "runtime/binary-missing"

SUITE_MODULE = """
import os
import pytest
from pytest_gpu import Layer
from pytest_gpu.causes import Evidence, Finding, fail, latent, unproven
from pytest_gpu.errors import GpuError, NotInEvidence

pytestmark = pytest.mark.gpu_layer(Layer.{layer})

def finding(node, cause="runtime/binary-missing"):
    evidence = Evidence(source="/etc/x.toml", line=3, text="it is broken")
    return Finding.of(cause, evidence, handler="nvidia", binary="/opt/gone", patch=())

"""


@pytest.fixture
def make_suite(pytester: pytest.Pytester) -> MakeSuite:
    """Return a function that writes test modules of the ladder: layer name to test code.

    The code may use everything that a conformance test imports, and ``finding(node)``.
    """

    def make(**modules: str) -> None:
        for layer, code in modules.items():
            text = SUITE_MODULE.format(layer=layer.upper()) + code
            (pytester.path / f"test_{layer}.py").write_text(text)

    return make


@pytest.fixture(params=["inline", "xdist"])
def workers(request: pytest.FixtureRequest) -> list[str]:
    """Return the options of a run without and with xdist."""
    return [] if request.param == "inline" else ["-n2"]
