"""The merge as a library: the documented example runs; the fixture returns the node's merge."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_gpu.stack.kubelet.containerd import effective_config
from tests.stack.containerd.test_merge import CONFIG
from tests.support.runs import run_here

PAGE = Path(__file__).parents[3] / "docs/reference/containerd.md"


def test_the_documented_example_runs() -> None:
    """Word by word, as a reader copies it."""
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    exec(compile(example, str(PAGE), "exec"), {})  # noqa: S102 - our own page


def test_version_is_text_or_numbers() -> None:
    """And nothing else."""
    files = {CONFIG: b"version = 2\n"}
    assert effective_config(files, "1.7.24").path == effective_config(files, (1, 7, 24)).path
    with pytest.raises(ValueError, match="'new' is no version of containerd"):
        effective_config(files, "new")


def test_another_root_file() -> None:
    """What the process was started with."""
    files = {"/etc/k0s/containerd.toml": "version = 2\nimports = ['containerd.d/*.toml']\n"}
    files["/etc/k0s/containerd.d/a.toml"] = "disabled_plugins = ['io.containerd.grpc.v1.cri']\n"
    config = effective_config(files, "1.7.24", root="/etc/k0s/containerd.toml")
    assert config.cri_disabled
    assert len(config.files) == 2


def test_fixture_gives_the_configuration_of_the_node(pytester: pytest.Pytester) -> None:
    """With its lines."""
    pytester.makepyfile(
        """
        def test_handler(containerd_config):
            handler = containerd_config.runtimes["nvidia"]
            assert handler.binary.endswith("nvidia-container-runtime")
            origin = containerd_config.origin("runtimes", "nvidia", "options", "BinaryName")
            assert origin.source.endswith(".toml")
            assert handler.binary in origin.text
        """
    )
    modules = pytester.path.glob("test_*.py")
    result = run_here(pytester, "--gpu-cluster=sample:healthy-kubeadm", *modules)
    result.assert_outcomes(passed=1)
