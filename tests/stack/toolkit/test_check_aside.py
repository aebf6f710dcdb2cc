"""The toolkit's wrapper starts runc where the kernel module nvidia is not loaded."""

from __future__ import annotations

import pytest

from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.stack.toolkit.check_aside import steps_aside
from tests.stack.containerd.test_merge import CONFIG
from tests.stack.kube.kube_machine import cause, told
from tests.stack.runtime.runtime_machine import HEALTHY, Machine
from tests.stack.toolkit.test_check_programs import TOOLKIT, wrapped
from tests.support.fake_evidence import FakeCluster, FakeNode, node_object

PROGRAM = f"{TOOLKIT}/nvidia-container-runtime"
LOOKS = 'cat /proc/modules | grep -e "^nvidia " >/dev/null 2>&1'
WRAPPER = f"""#! /bin/sh
{LOOKS}
if [ "${{?}}" != "0" ]; then
\techo "nvidia driver modules are not yet loaded, invoking runc directly" >&2
\texec runc "$@"
fi
PATH={TOOLKIT}:$PATH \\
\t{PROGRAM}.real \\
\t\t"$@"
"""
PLAIN = f'#! /bin/sh\nPATH={TOOLKIT}:$PATH \\\n\t{PROGRAM}.real \\\n\t\t"$@"\n'
WSL = "zfs 1 0 - Live\nnvidia_peermem 16384 0 - Live 0x0\nnot nvidia 1\n"
LOADED = "nvidia_uvm 1400832 0 - Live\nnvidia 56000000 1 nvidia_uvm, Live\n"


def machine(wrapper: str = WRAPPER, modules: str | None = WSL) -> Machine:
    """Return a node with this wrapper around the NVIDIA runtime, and these modules."""
    made = wrapped()
    made.host[PROGRAM] = wrapper
    if modules is not None:
        made.files["/proc/modules"] = modules
    return made


@pytest.mark.parametrize("modules", [WSL, "", "xnvidia 1 0 - Live\n", None])
def test_without_the_module_the_wrapper_starts_runc(modules: str | None) -> None:
    """Whatever else is loaded, also on a kernel without modules; its own line is quoted."""
    finding = steps_aside(machine(modules=modules).node())
    assert cause(finding) == "runtime/wrapper-steps-aside"
    text = told(finding)
    assert f"{PROGRAM}:2: {LOOKS}" in text
    assert "/proc/modules" in text
    assert "None" not in text


def test_another_name_and_another_runtime_instead() -> None:
    """A class of the site's own; the installer was told to fall back to crun."""
    made = machine(WRAPPER.replace("runc", "/usr/bin/crun"))
    made.files[CONFIG] = made.files[CONFIG].replace("runtimes.nvidia", "runtimes.gpu-a")
    made.live = ("gpu-a", "runc")
    text = told(steps_aside(made.node()))
    assert "The handler gpu-a starts plain runc here" in text


@pytest.mark.parametrize(
    ("wrapper", "modules"),
    [(WRAPPER, LOADED), (PLAIN, WSL)],
    ids=["module-loaded", "a-wrapper-that-does-not-look"],
)
def test_where_the_runtime_is_started_nothing_is_found(wrapper: str, modules: str) -> None:
    """The module is there, or nobody looks for it."""
    assert steps_aside(machine(wrapper, modules).node()) is None


def test_the_packages_own_runtime_has_no_wrapper() -> None:
    """It is a program, also without the module."""
    made = Machine(files={CONFIG: HEALTHY, "/proc/modules": WSL})
    assert steps_aside(made.node()) is None


def test_modules_that_nobody_listed_convict_nobody() -> None:
    """What is not known is no absence."""
    cluster = FakeCluster(nodes={"gpu-1": FakeNode()}, objects={"nodes": [node_object("gpu-1")]})
    assert steps_aside(GpuNode("gpu-1", cluster)) is None


def test_an_older_recording_does_not_hold_the_wrapper() -> None:
    """What is not known convicts nobody."""
    made = wrapped()
    made.files["/proc/modules"] = WSL
    assert steps_aside(made.node()) is None
