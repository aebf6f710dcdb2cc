"""The fixture ``sandbox_files``: whose files a sandbox is judged by."""

from __future__ import annotations

import pytest

from tests.runs import run_here

BAD = '{"metadata": {"name": "a", "namespace": "b"}, "linux": {"cgroup_parent": "x.slice"}}'
TEST = """
import pytest
from pytest_gpu.layers import Layer
pytestmark = pytest.mark.gpu_layer(Layer.SANDBOX)
def test_files(gpu_node, sandbox_files):
    assert (sandbox_files.origin, sandbox_files.pod_source.rpartition("/")[2]) == {wanted!r}
"""


@pytest.fixture
def mine(pytester: pytest.Pytester) -> None:
    """An admin's own pod config, named in the configuration."""
    pytester.makefile(".json", mine=BAD)
    pytester.makeini("[pytest]\ngpu_sandbox_pod_config = mine.json")


def files_are(pytester: pytest.Pytester, *wanted: str) -> None:
    """Check which files a test gets on a sample whose sandboxes came from the shipped ones."""
    pytester.makepyfile(test_files=TEST.format(wanted=wanted))
    result = run_here(pytester, "--gpu-cluster=sample:healthy-rke2", "test_files.py")
    result.assert_outcomes(passed=1)


def test_the_files_that_were_used(pytester: pytest.Pytester) -> None:
    """Without a word from the admin."""
    files_are(pytester, "shipped", "pod-config.json")


@pytest.mark.usefixtures("mine")
def test_an_admins_file_comes_first(pytester: pytest.Pytester) -> None:
    """It replaces the one that was used."""
    files_are(pytester, "admin", "mine.json")


@pytest.mark.usefixtures("mine")
def test_an_admins_file_is_judged(pytester: pytest.Pytester) -> None:
    """A sandbox of a healthy cluster would fail with it."""
    result = run_here(pytester, "--gpu-cluster=sample:healthy-rke2")
    result.stdout.fnmatch_lines(["*cause: sandbox/pod-config-asks-for-pod-network*"])
    assert result.ret == 1


OUTCOMES = """
import pytest
from pytest_gpu.layers import Layer
@pytest.mark.gpu_layer(Layer.SANDBOX)
def test_sandbox(crictl_sandbox):
    assert "/dev/nvidia-uvm" in crictl_sandbox.run("gpu").output
@pytest.mark.gpu_layer(Layer.RUNTIMECLASS_POD)
def test_pod(gpu_pod):
    assert gpu_pod.saw("gpu").cuda["compute"] == "ok"
"""


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (("--gpu-cluster=sample:healthy-rke2",), {"passed": 2}),
        (("--gpu-cluster=sample:no-driver", "--gpu-all-layers"), {"skipped": 2}),
        ((), {"skipped": 2}),
    ],
    ids=["recorded", "not-recorded", "inactive"],
)
def test_outcomes_are_looked_up(
    pytester: pytest.Pytester, options: tuple[str, ...], wanted: dict[str, int]
) -> None:
    """Those of the recording; nothing is started for one, and what it lacks is unproven."""
    pytester.makepyfile(test_outcomes=OUTCOMES)
    result = run_here(pytester, *options, "test_outcomes.py")
    found = result.parseoutcomes()
    skipped = sum(found.get(word, 0) for word in ("skipped", "unproven"))
    assert {"passed": found.get("passed", 0), "skipped": skipped} == {
        "passed": 0,
        "skipped": 0,
        **wanted,
    }
