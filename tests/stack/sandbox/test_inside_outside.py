"""What is inside a sandbox is compared with the host: each GPU that works, the driver's version."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_gpu.errors import Unproven
from pytest_gpu.stack.sandbox.check_sandbox import missing_devices, other_libraries
from tests.stack.cdi.cdi_machine import (
    CDI_MODE,
    LIB,
    TOOLKIT_SPEC,
    VERSION,
    CdiMachine,
    device,
    spec,
    toolkit_spec,
)
from tests.stack.kube.kube_machine import Object, cause, nvml, told
from tests.stack.sandbox.test_lacking import CONTROL, LIBRARIES, flat, machine, release

ALL = {"envs": [{"key": "NVIDIA_VISIBLE_DEVICES", "value": "all"}]}


def gpus(*changes: Object) -> Object:
    """Return NVML's answers for so many GPUs, each with its number."""
    return nvml(*({"minor": at, "mig": {"current": 0}, **each} for at, each in enumerate(changes)))


def asking(output: str, answers: Object, container: Object = ALL, **changes: Any) -> CdiMachine:
    """Return a node whose sandbox asked for this and saw that."""
    config = {"source": "container-config.json", "text": json.dumps(container)}
    made = machine(output, files={"origin": "shipped"}, **changes)
    made.outcomes["sandbox"]["files"] = {"origin": "shipped", "container_config": config}
    made.nvml = answers
    made.devices = {f"/dev/nvidia{at}": (195, at) for at in range(4)}
    return made


def seeing(*numbers: int) -> str:
    """Return what a sandbox with these GPUs prints."""
    return "\n".join((*(f"/dev/nvidia{n}" for n in numbers), CONTROL, LIBRARIES))


@pytest.mark.parametrize(
    ("made", "lost", "gpu"),
    [
        (
            asking(seeing(0), gpus({}, {}, {}, {}), own="", commands=[release("1.16.2")]),
            "/dev/nvidia1, /dev/nvidia2, /dev/nvidia3",
            "GPU 3",
        ),
        (asking(seeing(1), gpus({}, {}), own=""), "/dev/nvidia0", "GPU 0"),
    ],
    ids=["one-of-four", "one-of-two"],
)
def test_a_sandbox_that_asked_for_all_got_some(made: CdiMachine, lost: str, gpu: str) -> None:
    """Its request, what it got, and the GPUs that answer on the host are shown."""
    finding = missing_devices(made.node())
    assert cause(finding) == "sandbox/host-has-what-is-missing"
    text = flat(finding)
    for line in (
        f"not injected: {lost}",
        f"the host has: {lost}",
        "container-config.json: NVIDIA_VISIBLE_DEVICES=all",
        "NVML: answers for GPU",
        gpu,
        "nvidia-container-cli list",
    ):
        assert line in text


def test_a_spec_whose_all_is_not_all_is_the_cause() -> None:
    """It was made when one GPU was not there; asked by name, no variable counts."""
    stale = spec(device("0"), device("all"), kind="nvidia.com/gpu")
    asked = {"cdi_devices": ["nvidia.com/gpu=all"]}
    made = asking(seeing(0), gpus({}, {}), {}, handler="", asked=asked, specs={TOOLKIT_SPEC: stale})
    finding = missing_devices(made.node())
    assert cause(finding) == "sandbox/cdi-spec-lacks-them"
    assert "asks for nvidia.com/gpu=all" in flat(finding)


LOST = {"name": {"error": 15, "message": "GPU is lost"}}
RESET = {"memory": {"error": 16, "message": "GPU requires reset"}}


@pytest.mark.parametrize(
    "made",
    [
        asking(seeing(0, 1, 2, 3), gpus({}, {}, {}, {})),
        asking(seeing(0), gpus({}, LOST)),
        asking(seeing(0), gpus({}, RESET)),
        asking(seeing(0), gpus({}, {"error": 999, "message": "Unknown Error"})),
        asking(seeing(0), gpus({}, {"mig": {"current": 1, "pending": 1}})),
        asking(seeing(0), gpus({}, {"mig": {"current": 0, "pending": 1}})),
        asking(seeing(0), gpus({})),
        asking(seeing(0), gpus({}, {"minor": None})),
        asking(seeing(0), gpus({}, {"minor": 7})),
        asking(seeing(0), gpus({}, {}), {"envs": [{**ALL["envs"][0], "value": "0"}]}),
        asking(seeing(0), gpus({}, {}), {}),
        asking(
            seeing(0),
            gpus({}, {}),
            handler="",
            asked={"cdi_devices": ["nvidia.com/gpu=0"]},
            specs={TOOLKIT_SPEC: toolkit_spec()},
        ),
        asking(seeing(0), {"library": None}),
    ],
    ids=[
        "all-there",
        "lost",
        "needs-reset",
        "unknown-error",
        "mig",
        "mig-pending",
        "stale-node-of-the-host",
        "number-not-known",
        "no-node-on-the-host",
        "asked-for-one",
        "asked-for-nothing-known",
        "asked-cdi-for-one",
        "nvml-not-asked",
    ],
)
def test_a_gpu_that_no_container_need_get(made: CdiMachine) -> None:
    """It does not work, has instances instead, or nobody asked for it."""
    assert missing_devices(made.node()) is None


OLD = "535.230.02"


def with_libraries(*versions: str, **changes: Any) -> CdiMachine:
    """Return a node whose sandbox got NVML's library of these versions."""
    paths = (f"{LIB}/libnvidia-ml.so.{each}" for each in ("1", *versions))
    libcuda = f"{LIB}/libcuda.so.{VERSION}"
    return machine("\n".join(("/dev/nvidia0", CONTROL, libcuda, *paths)), **changes)


@pytest.mark.parametrize(
    ("made", "lines", "absent"),
    [
        (
            with_libraries(OLD, own="", commands=[release("1.16.2")]),
            [f"injected: {LIB}/libnvidia-ml.so.{OLD}", "nvidia-container-cli list"],
            "cdi generate --output",
        ),
        (
            with_libraries("470.256", own=CDI_MODE, specs={TOOLKIT_SPEC: toolkit_spec()}),
            [f"nvidia-ctk cdi generate --output={TOOLKIT_SPEC}", "so.470.256"],
            "nvidia-container-cli",
        ),
    ],
    ids=["cli", "spec"],
)
def test_libraries_of_another_driver(made: CdiMachine, lines: list[str], absent: str) -> None:
    """Inside, outside, and the way by which they came."""
    finding = other_libraries(made.node())
    assert cause(finding) == "sandbox/libraries-of-another-driver"
    text = flat(finding)
    for line in (*lines, f"Kernel Module  {VERSION}", f"the node runs {VERSION}"):
        assert line in text
    assert absent not in told(finding)


@pytest.mark.parametrize(
    "made",
    [
        with_libraries(VERSION),
        with_libraries(),
        with_libraries(OLD, VERSION),
        machine(seeing(0).replace(f"libcuda.so.{VERSION}", "libcuda.so.575.57.08")),
    ],
    ids=["the-same", "no-version-told", "both", "compat-libcuda-of-an-image"],
)
def test_libraries_that_fit_or_tell_no_version(made: CdiMachine) -> None:
    """Nothing is found."""
    assert other_libraries(made.node()) is None


def test_where_the_loaded_version_is_not_known_nothing_is_compared() -> None:
    """It is another layer's question."""
    made = with_libraries(OLD)
    made.files = {"/proc/driver/nvidia/version": "strange"}
    assert other_libraries(made.node()) is None


def test_an_output_that_was_not_kept_is_unproven() -> None:
    """Nothing was compared."""
    made = machine()
    del made.outcomes["sandbox"]["runs"][1]["output"]
    with pytest.raises(Unproven, match="was not kept"):
        other_libraries(made.node())
