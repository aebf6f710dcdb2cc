"""An init container that only waits, and one that fails by itself: told apart by how it ended."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.operands.chain import Culprit, culprit_for, failing
from pytest_gpu.stack.operands.roles import (
    DEVICE_PLUGIN,
    DRIVER,
    GFD,
    MIG_MANAGER,
    NFD,
    TOOLKIT,
    VALIDATOR,
)
from tests.stack.operands.made_up_operands import (
    CRASHED,
    READY,
    Object,
    container,
    log_path,
    node_with,
    pod,
    warning,
    workload,
)
from tests.stack.operands.made_up_overlay import UNSTARTED
from tests.stack.operands.test_chain import DOWN, IMAGES, NO_IMAGE, VALIDATING, operand, waiting
from tests.support.fake_evidence import NOON, FakeNode

# NVIDIA/gpu-operator, cmd/nvidia-validator/main.go: with WITH_WAIT it tries again for ever where
# there is no driver, and ends with 1 where what it does with the driver fails.
LINKS = """\
time="2026-02-10T09:57:51Z" level=info msg="version: 1b5b1ce8-amd64, commit: 1b5b1ce"
time="2026-02-10T09:57:51Z" level=info msg="Attempting to validate a pre-installed driver"
time="2026-02-10T09:57:52Z" level=info msg="Detected a pre-installed driver on the host"
time="2026-02-10T09:57:52Z" level=info msg="creating symlinks under /dev/char that correspond to \
NVIDIA character devices"
time="2026-02-10T09:57:52Z" level=info msg="Error: error validating driver installation: error \
creating symlink creator: failed to create NVIDIA device nodes: failed to create device node \
nvidiactl: failed to determine major: invalid device node\\n\\nFailed to create symlinks under \
/dev/char that point to all possible NVIDIA character devices."
"""
MAJOR = "failed to create device node nvidiactl: failed to determine major: invalid device node"
# The same file: without WITH_WAIT it runs nvidia-smi once.
NO_SMI = """\
time="2026-03-01T08:15:01Z" level=info msg="version: 8472a1cd-amd64, commit: 8472a1c"
toolkit is not ready
time="2026-03-01T08:15:01Z" level=info msg="Error: error validating toolkit installation: exec: \
\\"nvidia-smi\\": executable file not found in $PATH"
"""
SMI = 'exec: "nvidia-smi": executable file not found in $PATH'
STARTED = "driver-validation started 61 min ago"


def validator(at: str, state: Object = DOWN, *, name: str = "validator-x1") -> Object:
    """Return the operator's validator with all its stages: those before one are done."""
    image = "nvcr.io/nvidia/cloud-native/gpu-operator-validator:v25.3.4"
    stages = [f"{each}-validation" for each in ("driver", "toolkit", "cuda", "plugin")]
    done: Object = {"state": {"terminated": {"exitCode": 0}}, "ready": True}
    reached = stages.index(at)
    told = {each: done if n < reached else UNSTARTED for n, each in enumerate(stages)}
    told |= {at: state, "main": UNSTARTED}
    inits = [container(image, name=each) for each in stages]
    owner = ("DaemonSet", "validator")
    labels = {"app": "nvidia-operator-validator"}
    made = pod(container(image), name=name, owner=owner, labels=labels, inits=inits, statuses=told)
    made["spec"]["runtimeClassName"] = "nvidia"
    return made


def culprit(node: Node, role: str) -> Culprit:
    """Return who is to blame."""
    found = culprit_for(node, role)
    assert found is not None
    return found


def lines(found: Culprit) -> list[str]:
    """Return the evidence as text."""
    return [f"{each.source}: {each.text}" for each in found.evidence]


@pytest.mark.parametrize("state", [DOWN, {**DOWN, "state": {"terminated": {"exitCode": 1}}}])
def test_a_driver_validation_that_ends_with_an_error_fails_by_itself(state: Object) -> None:
    """It finds the driver and cannot make the links; its line is the evidence, the others wait."""
    toolkit = waiting(TOOLKIT, "driver-validation", state)
    plugin = waiting(DEVICE_PLUGIN, "toolkit-validation")
    log = {log_path(toolkit, "driver-validation", restarts=4): LINKS}
    for role in (TOOLKIT, DEVICE_PLUGIN):
        found = culprit(node_with(toolkit, plugin, files=log), role)
        assert (found.role, found.fault.fails) == (TOOLKIT, True)
        assert MAJOR in found.fault.said
        assert [each.role for each in found.waiting] == [DEVICE_PLUGIN]
    ready = operand(TOOLKIT, inits=[container(name="driver-validation")])
    assert culprit_for(node_with(ready, operand(DEVICE_PLUGIN), files=log), TOOLKIT) is None


def test_that_is_so_beside_a_driver_that_fails_too() -> None:
    """Both are told: the wait for a driver never ends with an error."""
    toolkit = waiting(TOOLKIT, "driver-validation", DOWN)
    both = node_with(operand(DRIVER, main=DOWN), toolkit)
    assert [each.role for each in failing(both, DRIVER, TOOLKIT)] == [DRIVER, TOOLKIT]


@pytest.mark.parametrize("role", [GFD, DEVICE_PLUGIN, MIG_MANAGER])
def test_an_image_that_is_missing_is_no_wait(role: str) -> None:
    """An init container that was never started does not wait, whatever its name is."""
    images = {
        GFD: "nvcr.io/nvidia/gpu-feature-discovery:v0.17.0",
        MIG_MANAGER: "nvcr.io/nvidia/cloud-native/k8s-mig-manager:v0.12.0",
        **IMAGES,
    }
    program = {DEVICE_PLUGIN: ["nvidia-device-plugin"]}.get(role, ())
    made = pod(
        container(images[role], run=program),
        inits=[container(name="toolkit-validation")],
        statuses={"toolkit-validation": NO_IMAGE, "main": UNSTARTED},
    )
    found = culprit(node_with(made, operand(TOOLKIT, main=DOWN)), role)
    assert (found.role, found.fault.reason) == (role, "ImagePullBackOff")


@pytest.mark.parametrize("toolkit", [DOWN, NO_IMAGE, {**READY, "ready": False}])
def test_a_validation_that_tries_what_does_not_work_yet_waits(toolkit: Object) -> None:
    """The validator has no other way to wait for the toolkit than to end and to begin again."""
    node = node_with(operand(TOOLKIT, main=toolkit), validator("toolkit-validation"))
    assert not list(failing(node, VALIDATOR))
    assert culprit(node, TOOLKIT).waiting[0].role == VALIDATOR


def test_a_validation_of_what_works_fails_by_itself() -> None:
    """The toolkit is ready, and nvidia-smi is not in the validator's container."""
    tries = validator("toolkit-validation")
    log = {log_path(tries, "toolkit-validation", restarts=4): NO_SMI}
    [found] = failing(node_with(operand(TOOLKIT), tries, files=log), VALIDATOR)
    assert SMI in found.fault.said
    done = validator("plugin-validation", VALIDATING)
    assert not list(failing(node_with(operand(TOOLKIT), done, files=log), VALIDATOR))


def test_a_validator_that_nothing_gives_a_gpu_is_no_culprit() -> None:
    """It names no RuntimeClass and no CDI device: that is judged where pods are."""
    tries = validator("toolkit-validation")
    del tries["spec"]["runtimeClassName"]
    assert not list(failing(node_with(operand(TOOLKIT), tries), VALIDATOR))
    tries["metadata"]["annotations"] = {"nvidia.cdi.k8s.io/container.x": "nvidia.com/gpu=all"}
    assert list(failing(node_with(operand(TOOLKIT), tries), VALIDATOR))


@pytest.mark.parametrize("absent", [True, False])
def test_on_a_node_without_driver_its_validation_waits(*, absent: bool) -> None:
    """Whether it runs or was started again: the driver's layer tells what is missing."""
    ends = waiting(TOOLKIT, "driver-validation", DOWN)
    files = {} if absent else {"/proc/driver/nvidia/version": "NVRM version: x"}
    there = FakeNode(files=files, complete=["/", "/proc", "/proc/driver", "/proc/driver/nvidia"])
    assert (culprit_for(node_with(ends, evidence=there), TOOLKIT) is None) is absent
    runs = waiting(TOOLKIT, "driver-validation")
    assert (culprit_for(node_with(runs, evidence=there), TOOLKIT) is None) is absent


@pytest.mark.parametrize(("tried", "fails"), [(4, False), (1, True)])
def test_a_validation_that_has_not_tried_again_yet_waits(tried: int, *, fails: bool) -> None:
    """The kubelet starts it ever more seldom: the toolkit is ready since three minutes."""
    ready = operand(TOOLKIT)
    since = (NOON - timedelta(minutes=3)).isoformat()
    ready["status"]["conditions"] = [
        {"type": "Ready", "status": "True", "lastTransitionTime": since}
    ]
    began = (NOON - timedelta(minutes=tried)).isoformat()
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "startedAt": began}}
    tries = validator("toolkit-validation", {**DOWN, "lastState": ended})
    plugin = waiting(DEVICE_PLUGIN, "toolkit-validation")
    node = node_with(ready, tries, plugin)
    assert bool(list(failing(node, VALIDATOR))) is fails
    assert (culprit_for(node, DEVICE_PLUGIN) is not None) is fails


def test_who_waits_for_the_toolkit_waits_for_its_validation() -> None:
    """The validator writes the file that they wait for, so its failure is theirs."""
    tries = validator("toolkit-validation")
    log = {log_path(tries, "toolkit-validation", restarts=4): NO_SMI}
    plugin = waiting(DEVICE_PLUGIN, "toolkit-validation")
    found = culprit(node_with(operand(TOOLKIT), plugin, tries, files=log), DEVICE_PLUGIN)
    assert found.role == VALIDATOR
    assert SMI in found.fault.said
    assert "what waits for it: device-plugin-x1 (Init:0/1)" in lines(found)
    later = validator("plugin-validation")
    assert culprit_for(node_with(operand(TOOLKIT), plugin, later), DEVICE_PLUGIN) is None


def test_a_validation_of_a_plugin_that_does_not_work_waits() -> None:
    """``GPU resources are not discovered by the node`` is the plugin's fault."""
    plugin = operand(DEVICE_PLUGIN, main=DOWN)
    node = node_with(operand(TOOLKIT), plugin, validator("plugin-validation"))
    assert not list(failing(node, VALIDATOR))
    works = node_with(operand(TOOLKIT), operand(DEVICE_PLUGIN), validator("plugin-validation"))
    assert [each.role for each in failing(works, VALIDATOR)] == [VALIDATOR]


def test_a_pod_that_has_not_begun_does_not_wait_for_the_driver() -> None:
    """Its init container was never made. An old warning explains that, and has its age."""
    toolkit = waiting(TOOLKIT, "driver-validation", UNSTARTED)
    volume = 'MountVolume.SetUp failed for volume "entrypoint" : configmap "x" not found'
    old = warning(toolkit, "FailedMount", volume, minutes=35)
    found = culprit(node_with(toolkit, events=[old]), TOOLKIT)
    assert not found.fault.fails
    assert lines(found) == [
        "pod gpu-stack/toolkit-x1: is Init:0/1",
        f"event of pod gpu-stack/toolkit-x1, 35 min ago: FailedMount: {volume}",
    ]
    assert not list(failing(node_with(toolkit, events=[old]), TOOLKIT))


@pytest.mark.parametrize("driver", [(), (operand(DRIVER),)], ids=["host", "container"])
def test_a_wait_for_a_driver_that_nobody_fails_to_bring(driver: tuple[Object, ...]) -> None:
    """The toolkit's own validation hangs; whoever waits for the toolkit waits for that."""
    since = (NOON - timedelta(minutes=61)).isoformat()
    hangs: Object = {"state": {"running": {"startedAt": since}}, "ready": False}
    toolkit = waiting(TOOLKIT, "driver-validation", hangs)
    plugin = waiting(DEVICE_PLUGIN, "toolkit-validation")
    for role in (TOOLKIT, DEVICE_PLUGIN):
        found = culprit(node_with(*driver, toolkit, plugin), role)
        assert (found.role, found.fault.fails) == (TOOLKIT, False)
        assert f"pod gpu-stack/toolkit-x1: is Init:0/1; {STARTED}" in lines(found)
        assert "what waits for it: device-plugin-x1 (Init:0/1)" in lines(found)


def test_a_wait_for_a_driver_that_does_not_come_up_is_one() -> None:
    """The driver builds; the toolkit is not to blame, and the driver is not yet either."""
    builds = operand(DRIVER, main=VALIDATING)
    node = node_with(builds, waiting(TOOLKIT, "driver-validation"))
    found = culprit(node, TOOLKIT)
    assert (found.role, found.fault.fails) == (DRIVER, False)


def test_the_feature_discovery_of_another_node_is_none_of_this_one() -> None:
    """A DaemonSet that lacks a pod somewhere has one here; on the node without one it is told."""
    here = pod(container("registry.k8s.io/nfd/node-feature-discovery:v0.17.3", run=["nfd-worker"]))
    counts = {"desiredNumberScheduled": 9, "currentNumberScheduled": 8}
    lacks = workload(here, status=counts)
    assert not list(failing(node_with(here, daemonsets=[lacks]), NFD))
    assert culprit_for(node_with(here, daemonsets=[lacks]), DEVICE_PLUGIN) is None
    found = culprit(node_with(daemonsets=[lacks]), DEVICE_PLUGIN)
    assert lines(found) == ["daemonset gpu-stack/x: has no pod on this node"]
    elsewhere = workload(here, status=counts)
    elsewhere["spec"]["template"]["spec"]["nodeSelector"] = {"pool": "b"}
    assert culprit_for(node_with(daemonsets=[elsewhere]), DEVICE_PLUGIN) is None


def test_the_last_end_of_one_that_is_ready_again_convicts_nobody() -> None:
    """Restarts and an old error of an init container that is done now."""
    done: Object = {**CRASHED, "state": {"terminated": {"exitCode": 0}}, "ready": True}
    init = container(name="driver-validation")
    told = {"driver-validation": done}
    made = pod(container(IMAGES[TOOLKIT]), inits=[init], statuses=told)
    assert not list(failing(node_with(made), TOOLKIT))
