"""The device-plugin layer: why a node does not advertise exactly the GPUs it has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pytest_gpu.causes import Finding
from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.stack.pods import check_count, check_plugin, check_plugin_pod
from tests.stack.kube.kube_machine import (
    GPU,
    Machine,
    cause,
    daemonset,
    event,
    log_of,
    nvml,
    plugin_pod,
    pod,
    runtime_class,
    told,
    waiting,
)
from tests.stack.kube.test_device_plugin import HELM, TIME_SLICING, policy, shared

CREATING: dict[str, Any] = {"phase": "Pending", "statuses": waiting("ContainerCreating")}
CRASHING: dict[str, Any] = {"statuses": waiting("CrashLoopBackOff", restarts=9)}
CHECKS = (
    check_plugin.not_deployed,
    check_plugin.class_broken,
    check_plugin.without_gpu,
    check_plugin_pod.not_scheduled,
    check_plugin_pod.not_running,
    check_count.not_registered,
    check_count.unhealthy,
    check_count.miscounts,
)


def first(machine: Machine) -> str | None:
    """Return the cause that the layer ends with: that of its first failing check."""
    node = machine.node()
    found = (cause(check(node)) for check in CHECKS)
    return next((each for each in found if each), None)


def down(**changes: Any) -> Machine:
    """Return a node whose plugin is not up and which therefore advertises nothing."""
    return Machine(pods=[plugin_pod(**changes)], capacity={})


@pytest.mark.parametrize(
    "machine",
    [
        Machine(),
        Machine(default="nvidia", pods=[plugin_pod(runtime_class=None)]),
        Machine(pods=[plugin_pod(runtime_class=None)]),
        Machine(pods=[], daemonsets=[]),
        shared(),
    ],
    ids=["operator", "default-runtime", "sees-gpus-its-own-way", "a-plugin-outside-pods", "shared"],
)
def test_a_healthy_node_passes(machine: Machine) -> None:
    """With and without RuntimeClass, with and without a plugin that is a pod."""
    machine.capacity = {GPU: "4" if machine.objects else "1"}
    assert first(machine) is None


def test_nobody_offers_the_gpus() -> None:
    """No plugin, no DRA driver."""
    assert first(Machine(pods=[], daemonsets=[], capacity={})) == "device-plugin/not-deployed"


def test_dra_offers_them_without_a_plugin() -> None:
    """As many as there are."""
    devices = [{"name": "gpu-0", "attributes": {"type": {"string": "gpu"}}}]
    slices = [{"spec": {"driver": "gpu.nvidia.com", "nodeName": "gpu-1", "devices": devices}}]
    dra = Machine(pods=[], daemonsets=[], capacity={}, objects={"resourceslices": slices})
    assert first(dra) is None
    dra.nvml = nvml({}, {})
    assert first(dra) == "device-plugin/count-mismatch"


def test_a_missing_class_stops_only_a_plugin_that_has_to_start() -> None:
    """One that runs from before goes on; then the layer above fails."""
    assert first(Machine(classes=[])) is None
    gone = Machine(classes=[], pods=[], capacity={GPU: "0"})
    refused = 'Error creating: pods "x" is forbidden: RuntimeClass "nvidia" not found'
    gone.objects["events"] = [event(daemonset(), "FailedCreate", refused)]
    assert first(gone) == "runtimeclass/missing"
    text = told(check_plugin.class_broken(gone.node()))
    assert refused in text
    assert "kind: RuntimeClass" in text


def test_an_unknown_handler_stops_only_a_plugin_that_has_to_start() -> None:
    """The live handlers decide."""
    wrong = [runtime_class(handler="nvidia-old")]
    assert first(Machine(classes=wrong)) is None
    stuck = Machine(pods=[plugin_pod(**CREATING)], capacity={GPU: "0"}, classes=wrong)
    assert first(stuck) == "runtimeclass/handler-unknown"
    assert "runc" in told(check_plugin.class_broken(stuck.node()))


@pytest.mark.parametrize(
    "changes",
    [CRASHING, {"phase": "Running"}],
    ids=["crashing", "waiting-indefinitely"],
)
def test_a_plugin_under_runc_sees_no_gpu(changes: dict[str, Any]) -> None:
    """Its status alone is no evidence: it may well be Running."""
    machine = down(runtime_class=None, **changes)
    log = "E0402 22:17:31.123456 1 factory.go:112] Incompatible strategy detected auto"
    restarts = machine.pods[0]["status"]["containerStatuses"][0]["restartCount"]
    machine.kubelet_version = "v1.31.2+rke2r1"
    machine.files = {
        "/etc/rancher/rke2/config.yaml": "token: x\ndefault-runtime: nvidia\n",
        **log_of(machine.pods[0], log, restarts),
    }
    assert first(machine) == "runtimeclass/plugin-without-runtimeclass"
    text = told(check_plugin.without_gpu(machine.node()))
    assert "runtimeClassName: (none)" in text
    assert "Incompatible strategy detected auto" in text
    assert "/etc/rancher/rke2/config.yaml:2: default-runtime: nvidia" in text


def test_a_plugin_that_mounts_the_driver_needs_no_class() -> None:
    """It finds the driver's libraries under /driver-root: its crash has another reason."""
    machine = down(runtime_class=None, **CRASHING)
    machine.daemonsets = [daemonset()]
    container = machine.daemonsets[0]["spec"]["template"]["spec"]["containers"][0]
    container["volumeMounts"] = [{"name": "driver-root", "mountPath": "/driver-root"}]
    assert first(machine) == "device-plugin/not-running"


def test_the_fix_names_the_plugins_own_release() -> None:
    """The plugin comes from its own chart."""
    labels = {"helm.sh/chart": "nvidia-device-plugin-0.17.4"}
    machine = down(runtime_class=None, **CRASHING)
    machine.daemonsets = [daemonset(annotations=HELM, labels=labels)]
    text = told(check_plugin.without_gpu(machine.node()))
    assert "helm upgrade gpu nvdp/nvidia-device-plugin" in text


def test_a_plugin_of_no_operator_is_changed_itself() -> None:
    """Applied with kubectl: there is neither a release nor a ClusterPolicy to change."""
    machine = down(runtime_class=None, **CRASHING)
    machine.daemonsets = [daemonset(name="gpu-plugin", namespace="kube-system")]
    text = told(check_plugin.without_gpu(machine.node()))
    assert "$ kubectl patch daemonset gpu-plugin -n kube-system --type merge" in text
    assert '{"runtimeClassName": "nvidia"}' in text
    assert "clusterpolicy" not in text
    machine.objects["clusterpolicies"] = [{"metadata": {"name": "p"}, "spec": {}}]
    assert "$ kubectl patch clusterpolicy p " in told(check_plugin.without_gpu(machine.node()))


@pytest.mark.parametrize(
    ("machine", "found"),
    [
        (down(**CRASHING), "device-plugin/not-running"),
        (down(runtime_class=None, **CREATING), "device-plugin/not-running"),
        (
            replace(down(runtime_class=None, **CRASHING), default="nvidia"),
            "device-plugin/not-running",
        ),
    ],
    ids=["has-its-class", "never-started", "default-injects"],
)
def test_a_plugin_that_is_down_for_another_reason_is_not_blamed_on_its_class(
    machine: Machine, found: str
) -> None:
    """Near misses of the plugin under runc."""
    assert first(machine) == found


def test_nri_needs_no_class() -> None:
    """With NRI the operands carry annotations."""
    machine = down(runtime_class=None, **CRASHING)
    machine.objects["clusterpolicies"] = [policy(cdi={"enabled": True, "nriPluginEnabled": True})]
    assert first(machine) == "device-plugin/not-running"
    annotated = down(runtime_class=None, **CRASHING)
    annotated.pods[0]["metadata"]["annotations"] = {"nvidia.cdi.k8s.io/container.x": "gpu=all"}
    assert first(annotated) == "device-plugin/not-running"


EVICTED = "The node was low on resource: ephemeral-storage. Threshold quantity: 94Gi"
REJECTED = "Pod was rejected: Node didn't have enough resource: pods"


@pytest.mark.parametrize(("reason", "message"), [("Evicted", EVICTED), ("OutOfpods", REJECTED)])
def test_a_plugin_whose_last_pod_was_ended_says_why(reason: str, message: str) -> None:
    """Its status is the evidence, and logs nothing more. A newer pod makes it history."""
    gone = plugin_pod(phase="Failed", statuses=[])
    gone["status"] |= {"reason": reason, "message": message}
    found = check_plugin_pod.not_scheduled(Machine(pods=[gone], capacity={}).node())
    assert cause(found) == "device-plugin/not-running"
    text = told(found)
    assert f"{reason}: {message}" in text
    assert "kubectl delete pod" in text
    assert "All that it has logged" not in text
    newer = plugin_pod()
    newer["metadata"] |= {"name": "nvidia-device-plugin-y"}
    assert check_plugin_pod.not_scheduled(Machine(pods=[gone, newer]).node()) is None
    never = check_plugin_pod.not_scheduled(Machine(pods=[], capacity={}).node())
    assert cause(never) == "device-plugin/not-scheduled"


def test_a_taint_keeps_the_plugin_away() -> None:
    """One that it tolerates does not."""
    taint = {"key": "gpu", "effect": "NoSchedule"}
    machine = Machine(pods=[], capacity={}, taints=[taint])
    assert first(machine) == "device-plugin/not-scheduled"
    text = told(check_plugin_pod.not_scheduled(machine.node()))
    assert "untolerated taint gpu:NoSchedule" in text
    assert "- key: gpu" in text
    template = daemonset()["spec"]["template"]["spec"]
    machine.daemonsets = [daemonset({**template, "tolerations": [{"operator": "Exists"}]})]
    assert "untolerated" not in told(check_plugin_pod.not_scheduled(machine.node()))


@pytest.mark.parametrize(
    "check",
    [
        check_plugin.not_deployed,
        check_plugin.class_broken,
        check_plugin_pod.not_scheduled,
        check_count.not_registered,
    ],
)
def test_a_node_without_any_sign_of_a_gpu_needs_no_plugin(
    check: Callable[[GpuNode], Finding | None],
) -> None:
    """A user may name a node of the control plane: if nobody looked at its bus, it is unproven."""
    machine = Machine(pods=[], capacity={}, nvml=None, classes=[])
    machine.daemonsets = [] if check is check_plugin.not_deployed else [daemonset()]
    with pytest.raises(NotInEvidence, match="/sys/bus/pci/devices"):
        check(machine.node())
    machine.labels = {"nvidia.com/gpu.present": "true"}
    assert check(machine.node()) is not None


def test_a_selector_keeps_the_plugin_away() -> None:
    """The label that is missing is named."""
    template = daemonset()["spec"]["template"]["spec"]
    selector = {"nvidia.com/gpu.deploy.device-plugin": "true"}
    machine = Machine(
        pods=[], capacity={}, daemonsets=[daemonset({**template, "nodeSelector": selector})]
    )
    machine.labels = {"nvidia.com/gpu.deploy.device-plugin": "false"}
    assert "the node has nvidia.com/gpu.deploy.device-plugin=false" in told(
        check_plugin_pod.not_scheduled(machine.node())
    )


def test_a_pod_that_waits_for_the_toolkit_is_told_so() -> None:
    """The init container that waits is at work."""
    machine = down(phase="Pending", statuses=[])
    made = machine.pods[0]
    made["spec"]["initContainers"] = [{"name": "toolkit-validation"}]
    made["status"]["initContainerStatuses"] = [
        {"name": "toolkit-validation", "state": {"running": {}}}
    ]
    assert first(machine) == "device-plugin/waits-for-toolkit"


def test_an_image_that_does_not_come_is_told_so() -> None:
    """It says nothing about the GPU."""
    back_off = {"phase": "Pending", "statuses": waiting("ImagePullBackOff", "Back-off pulling")}
    assert first(down(**back_off)) == "device-plugin/image-not-pulled"


@pytest.mark.parametrize(
    ("ago", "text", "found"),
    [
        (1, 'no runtime for "nvidia" is configured', "sandbox/handler-refused"),
        (90, 'no runtime for "nvidia" is configured', "device-plugin/not-running"),
        (1, "failed to setup network for sandbox", "kubernetes/pod-network-fails"),
        (90, "failed to setup network for sandbox", "device-plugin/not-running"),
        (
            1,
            "no file /run/nvidia/validations/toolkit-ready",
            "device-plugin/waits-for-toolkit",
        ),
        (1, "no file /run/nvidia/validations/driver-ready", "device-plugin/not-running"),
    ],
)
def test_what_is_said_now_explains_a_pod_that_is_down(ago: int, text: str, found: str) -> None:
    """An event of long ago does not."""
    machine = down(**CREATING)
    said = event(machine.pods[0], "FailedCreatePodSandBox", text, timedelta(minutes=ago))
    machine.objects["events"] = [said]
    assert first(machine) == found


@pytest.mark.parametrize(
    ("capacity", "found"),
    [
        ({}, "device-plugin/not-registered"),
        ({GPU: "0"}, "device-plugin/advertises-zero"),
        ({"hugepages-2Mi": "0"}, "device-plugin/not-registered"),
        ({GPU: "2"}, "device-plugin/count-mismatch"),
        ({GPU: "1", "nvidia.com/gpu.shared": "0"}, None),
        ({GPU: "0", "nvidia.com/gpu.shared": "4"}, "device-plugin/count-mismatch"),
        ({GPU: "1", "nvidia.com/hostdev": "8"}, None),
    ],
)
def test_absent_zero_and_wrong_are_three_things(
    capacity: dict[str, str], found: str | None
) -> None:
    """Never registered, registered and gone, miscounted."""
    assert first(Machine(capacity=capacity, labels={GPU: "true"})) == found


def test_a_withdrawn_gpu_is_told() -> None:
    """The capacity stays, the allocatable drops."""
    machine = Machine(capacity={GPU: "8"}, allocatable={GPU: "7"}, nvml=nvml(*[{}] * 8))
    assert first(machine) == "device-plugin/unhealthy-devices"
    assert "capacity 8, allocatable 7" in told(check_count.unhealthy(machine.node()))


@pytest.mark.parametrize(("amount", "found"), [("4", None), ("1", "device-plugin/count-mismatch")])
def test_time_slicing_multiplies(amount: str, found: str | None) -> None:
    """One GPU and four replicas."""
    machine = shared()
    machine.capacity = {GPU: amount}
    assert first(machine) == found


def test_the_deciding_lines_of_a_miscount() -> None:
    """What is advertised, what is there, what was configured, what to do."""
    text = told(check_count.miscounts(shared().node()))
    for line in ("capacity: nvidia.com/gpu: 1", "1 GPU: GPU 0", "replicas: 4", "rollout restart"):
        assert line in text


def test_renamed_replicas_are_counted_under_their_new_name() -> None:
    """nvidia.com/gpu then is 0, rightly."""
    machine = shared(
        TIME_SLICING.replace("timeSlicing:", "timeSlicing:\n    renameByDefault: true")
    )
    machine.capacity = {GPU: "0", "nvidia.com/gpu.shared": "4"}
    assert first(machine) is None


@pytest.mark.parametrize(
    ("strategy", "capacity"),
    [
        ("none", {GPU: "2"}),
        ("single", {GPU: "3"}),
        ("mixed", {GPU: "1", "nvidia.com/mig-1g.10gb": "1", "nvidia.com/mig-3g.40gb.me": "1"}),
    ],
)
def test_mig_splits_by_strategy(strategy: str, capacity: dict[str, str]) -> None:
    """One GPU in two instances beside a whole one."""
    instances = [{"profile": "1g.10gb"}, {"name": "NVIDIA A100 MIG 3g.40gb+me"}]
    split = {"mig": {"current": 1, "pending": 1}, "mig_devices": instances}
    machine = Machine(nvml=nvml(split, {"mig": {"current": 0, "pending": 0}}), capacity=capacity)
    machine.objects["clusterpolicies"] = [policy(mig={"strategy": strategy})]
    assert first(machine) is None
    machine.capacity = {GPU: "7"}
    assert first(machine) == "device-plugin/count-mismatch"


def test_a_missing_configuration_is_told() -> None:
    """The ConfigMap exists, its key does not."""
    assert first(shared(default="other")) == "device-plugin/config-missing"


def test_plugins_that_count_by_other_rules_are_not_judged() -> None:
    """Neither green nor red."""
    machine = Machine(capacity={GPU: "10"})
    machine.pods[0]["spec"]["containers"][0] |= {
        "image": "projecthami/hami",
        "command": ["nvidia-device-plugin"],
    }
    with pytest.raises(Unproven, match="its own rules"):
        check_count.miscounts(machine.node())
    with pytest.raises(Unproven, match="unknown rules"):
        check_count.miscounts(Machine(pods=[], daemonsets=[], capacity={GPU: "3"}).node())


def test_a_plugin_told_to_see_some_gpus_offers_these() -> None:
    """NVIDIA_VISIBLE_DEVICES of its own container."""
    machine = Machine(nvml=nvml({}, {}), capacity={GPU: "1"})
    env = [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "GPU-1"}]
    machine.pods[0]["spec"]["containers"][0]["env"] = env
    assert first(machine) is None


def test_users_pods_are_no_plugins() -> None:
    """Only what does a plugin's work is judged in this layer."""
    assert first(Machine(pods=[plugin_pod(), pod(**CREATING)])) is None
