"""A version 1 file with the CRI's section under its old and its new name."""

from __future__ import annotations

import pytest

from pytest_gpu.stack.runtime.check_sections import section_twice
from tests.stack.containerd.test_merge import CONFIG
from tests.stack.kube.kube_machine import cause, told
from tests.stack.runtime.runtime_machine import NVIDIA, Machine

RUNC = """
[plugins.{name}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
"""
GPU = f"""
[plugins.{{name}}.containerd.runtimes.nvidia]
  runtime_type = "io.containerd.runc.v2"
[plugins.{{name}}.containerd.runtimes.nvidia.options]
  BinaryName = "{NVIDIA}"
"""
OLD, NEW = "cri", '"io.containerd.grpc.v1.cri"'
BOTH = RUNC.format(name=OLD) + RUNC.format(name=NEW) + GPU.format(name=NEW)


def machine(text: str, version: str = "2.1.4") -> Machine:
    """Return a node with this configuration of containerd."""
    return Machine(files={CONFIG: text}, version=version, live=("nvidia", "runc"))


@pytest.mark.parametrize("head", ["", "version = 1\n", "version = 0\n"])
@pytest.mark.parametrize("version", ["2.0.5", "2.1.4", "2.3.1"])
def test_two_sections_that_become_one(head: str, version: str) -> None:
    """Lines and handlers of both are shown."""
    finding = section_twice(machine(head + BOTH, version).node())
    assert cause(finding) == "runtime/cri-section-twice"
    text = told(finding)
    assert "(handlers: runc)" in text
    assert "(handlers: runc, nvidia)" in text
    assert "plugins.cri" in text


def test_one_of_them_has_other_settings_only() -> None:
    """A toolkit's old entry beside a bootstrap's image."""
    old = '[plugins.cri]\nsandbox_image = "registry.local/pause:3.9"\n' + GPU.format(name=OLD)
    new = f'[plugins.{NEW}]\nsandbox_image = "registry.k8s.io/pause:3.10"\n'
    text = told(section_twice(machine(old + new).node()))
    assert "(handlers: nvidia)" in text
    assert "(handlers: none)" in text


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("version = 2\n" + BOTH, "2.1.4"),
        ("version = 3\n" + BOTH, "2.1.4"),
        (BOTH, "1.7.27"),
        (BOTH, "1.6.38"),
        (RUNC.format(name=OLD) + GPU.format(name=OLD), "2.1.4"),
        (RUNC.format(name=NEW) + GPU.format(name=NEW), "2.1.4"),
        (RUNC.format(name=OLD) + RUNC.format(name=NEW), "2.1.4"),
    ],
    ids=["version-2", "version-3", "1.7", "1.6", "old-only", "new-only", "both-alike"],
)
def test_what_is_not_left_to_chance(text: str, version: str) -> None:
    """Another version, a containerd that reads one name only, one section, two equal ones."""
    assert section_twice(machine(text, version).node()) is None


def test_the_repaired_twin() -> None:
    """One version, one name."""
    text = "version = 2\n" + RUNC.format(name=NEW) + GPU.format(name=NEW)
    assert section_twice(machine(text).node()) is None
