"""What a started GPU sandbox lacks is compared with what the host has."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_gpu.causes import Finding
from pytest_gpu.errors import Unproven
from pytest_gpu.stack.sandbox.check_sandbox import missing_devices, missing_libraries
from tests.stack.cdi.cdi_machine import (
    CDI_MODE,
    LIB,
    OWN,
    TOOLKIT_SPEC,
    VERSION,
    CdiMachine,
    device,
    spec,
    toolkit_spec,
)
from tests.stack.kube.kube_machine import NVIDIA, cause, run, sandbox, told

CONTROL = "/dev/nvidiactl\n/dev/nvidia-uvm"
LIBRARIES = f"{LIB}/libcuda.so.{VERSION}\n{LIB}/libnvidia-ml.so.{VERSION}"
INSIDE = f"{CONTROL}\n{LIBRARIES}"
WHOLE = f"/dev/nvidia0\n/dev/nvidia1\n{INSIDE}"
CLI_ROOT = '[nvidia-container-cli]\nroot = "/run/nvidia/driver"\n'


def release(version: str) -> tuple[str, int, str, str]:
    """Return what an NVIDIA runtime of a release prints."""
    return (f"{NVIDIA} --version", 0, f"NVIDIA Container Runtime version {version}\n", "")


def machine(output: str = INSIDE, **changes: Any) -> CdiMachine:
    """Return a node with two GPUs whose sandbox saw this."""
    asked = changes.pop("asked", {})
    runs = [run("control"), run("gpu", changes.pop("handler", "nvidia"), output=output, **asked)]
    made = CdiMachine(outcomes={"sandbox": sandbox(*runs, **changes.pop("files", {}))})
    made.files = {OWN: "", f"{LIB}/libnvidia-ml.so.{VERSION}": ""}
    for name, value in changes.items():
        if name == "own":
            made.files = {**made.files, OWN: value}
        else:
            setattr(made, name, value)
    return made


def lacking(made: CdiMachine) -> Finding | None:
    """Return what the sandbox of a node lacks."""
    return missing_devices(made.node())


NO_NODES = spec(device("all", gpu=7), kind="nvidia.com/gpu")


@pytest.mark.parametrize(
    ("made", "lines", "steps"),
    [
        (
            machine(own="", commands=[release("1.16.2")]),
            [f'{OWN}: mode = "auto" (the default)  (toolkit 1.16.2: nvidia-container-cli injects)'],
            ["nvidia-container-cli list"],
        ),
        (
            machine(own=f'{CLI_ROOT}[{"nvidia-container-runtime"}]\nmode = "legacy"\n'),
            [
                f'{OWN}:4: mode = "legacy"  (toolkit unknown: nvidia-container-cli injects)',
                f'{OWN}:2: root = "/run/nvidia/driver"',
            ],
            ["nvidia-container-cli list"],
        ),
        (
            machine(own="", commands=[release("1.18.0")]),
            ["(toolkit 1.18.0: makes a CDI spec for each container)"],
            ["nvidia-ctk cdi generate | grep"],
        ),
        (
            machine(own='[nvidia-container-runtime]\nmode = "jit-cdi"\n'),
            [f'{OWN}:2: mode = "jit-cdi"  (toolkit unknown: makes a CDI spec'],
            ["nvidia-ctk cdi generate | grep"],
        ),
        (
            machine(own=""),
            ["as the release decides"],
            ["nvidia-container-cli list", "cdi generate"],
        ),
        (
            machine(own=CDI_MODE, specs={TOOLKIT_SPEC: toolkit_spec()}),
            [f"{TOOLKIT_SPEC}: nvidia.com/gpu=all adds device nodes: /dev/nvidiactl, /dev/nvidia0"],
            ["nvidia-ctk cdi list"],
        ),
        (machine(handlers={"runc": None, "nvidia": None}), [], ["nvidia-container-cli list"]),
    ],
    ids=["cli", "cli-root", "own-cdi", "jit", "unknown", "good-spec", "unknown-handler"],
)
def test_the_host_has_what_the_sandbox_lacks(
    made: CdiMachine, lines: list[str], steps: list[str]
) -> None:
    """The driver's nodes are there: the way of injection is told, and how to see what it does."""
    finding = lacking(made)
    assert cause(finding) == "sandbox/host-has-what-is-missing"
    text = flat(finding)
    for line in (
        "injected: /dev/nvidiactl",
        "not injected: /dev/nvidia0",
        "/dev (host): the host has: /dev/nvidia0",
        *lines,
        *steps,
    ):
        assert line in text
    assert "nvidia-modprobe" not in text


def flat(finding: Finding | None) -> str:
    """Return all that a finding says, each piece of evidence in one line."""
    assert finding is not None
    shown = (f"{e.source}{f':{e.line}' if e.line else ''}: {e.text}" for e in finding.evidence)
    return "\n".join((*shown, told(finding)))


@pytest.mark.parametrize(
    ("made", "path", "remade"),
    [
        (
            machine(own=CDI_MODE, specs={TOOLKIT_SPEC: NO_NODES}),
            TOOLKIT_SPEC,
            f"nvidia-ctk cdi generate --output={TOOLKIT_SPEC}",
        ),
        (
            machine(
                handler="",
                asked={"cdi_devices": ["nvidia.com/gpu=all"]},
                specs={"/etc/cdi/gpus.yaml": NO_NODES},
            ),
            "/etc/cdi/gpus.yaml",
            "nvidia-ctk cdi generate --output=/etc/cdi/gpus.yaml",
        ),
    ],
    ids=["cdi-mode", "cdi-devices"],
)
def test_a_spec_that_does_not_list_what_the_host_has_is_the_cause(
    made: CdiMachine, path: str, remade: str
) -> None:
    """What it does list is shown; it is made again."""
    finding = lacking(made)
    assert cause(finding) == "sandbox/cdi-spec-lacks-them"
    text = flat(finding)
    shown = f"{path}: nvidia.com/gpu=all adds device nodes: /dev/nvidiactl, /dev/nvidia7"
    for line in (shown, "not injected: /dev/nvidia0", "the host has: /dev/nvidia0", remade):
        assert line in text


def test_a_spec_without_a_library_that_the_host_has_is_the_cause() -> None:
    """Made when the package with that library was not installed yet."""
    output = f"/dev/nvidia0\n{CONTROL}\n{LIB}/libcuda.so.{VERSION}"
    made = machine(output, own=CDI_MODE, specs={TOOLKIT_SPEC: toolkit_spec()})
    made.links = {f"{LIB}/libnvidia-ml.so.1": f"libnvidia-ml.so.{VERSION}"}
    finding = missing_libraries(made.node())
    assert cause(finding) == "sandbox/cdi-spec-lacks-them"
    assert f"the host: has: {LIB}/libnvidia-ml.so.{VERSION}" in flat(finding)


def test_a_library_that_only_the_sandbox_lacks_is_not_installed_again() -> None:
    """The fix is about the injection, not about a package."""
    made = machine(f"/dev/nvidia0\n{CONTROL}", own="", commands=[release("1.17.8")])
    made.links = {
        f"{LIB}/libnvidia-ml.so.1": f"libnvidia-ml.so.{VERSION}",
        f"{LIB}/libcuda.so.1": f"libcuda.so.{VERSION}",
    }
    finding = missing_libraries(made.node())
    assert cause(finding) == "sandbox/host-has-what-is-missing"
    text = flat(finding)
    assert "lacks libcuda.so.1, libnvidia-ml.so.1, which the host has" in text
    assert "Install the driver" not in text


def test_a_library_that_the_host_lacks_is_installed() -> None:
    """The near miss: outside it is missing, too."""
    made = machine(f"/dev/nvidia0\n{CONTROL}\n{LIB}/libcuda.so.{VERSION}")
    made.files = {OWN: ""}
    finding = missing_libraries(made.node())
    assert cause(finding) == "sandbox/libraries-missing"
    assert "Install the driver" in told(finding)


def test_nodes_that_the_host_lacks_are_made() -> None:
    """The near miss: outside they are missing, too, or nobody looked."""
    bare = machine()
    bare.outcomes = {"sandbox": sandbox(run("control"), run("gpu", "nvidia", output=INSIDE))}
    for change in ({"gone": ("/dev/nvidia0", "/dev/nvidia1")}, {"unlisted": ("/dev",)}):
        for name, value in change.items():
            setattr(bare, name, value)
        finding = lacking(bare)
        assert cause(finding) == "sandbox/devices-missing"
        assert "nvidia-modprobe" in told(finding)


@pytest.mark.parametrize("visible", ["none", "void"])
def test_an_admins_file_that_asks_for_no_gpu_proves_nothing(visible: str) -> None:
    """With none, the toolkit adds libraries and control nodes only; near miss: all."""
    asked = {"envs": [{"key": "NVIDIA_VISIBLE_DEVICES", "value": visible}]}
    made = admins(asked)
    with pytest.raises(Unproven, match="set it to all there"):
        lacking(made)
    asked["envs"][0]["value"] = "all"
    assert cause(lacking(admins(asked))) == "sandbox/host-has-what-is-missing"


def admins(container: dict[str, Any]) -> CdiMachine:
    """Return a node on which an admin's container config was tried."""
    made = machine()
    outcome = made.outcomes["sandbox"]
    outcome["files"] |= {
        "origin": "admin",
        "container_config": {"source": "/root/container.json", "text": json.dumps(container)},
    }
    return made


@pytest.mark.parametrize("own", ["", CDI_MODE, '[nvidia-container-runtime]\nmode = "jit-cdi"\n'])
def test_the_repaired_sandbox_lacks_nothing(own: str) -> None:
    """One GPU inside is enough, whichever it is."""
    for output in (WHOLE, WHOLE.replace("/dev/nvidia0\n", "")):
        node = machine(output, own=own, specs={TOOLKIT_SPEC: toolkit_spec()}).node()
        assert missing_devices(node) is None
        assert missing_libraries(node) is None
