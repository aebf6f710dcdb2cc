"""The runtimeclass-pod layer: the users' pods and the suite's own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.report.next_steps import with_next_step
from pytest_gpu.stack.host.processes import Process
from pytest_gpu.stack.pods import check_pods, check_suite_pod
from tests.stack.kube import kube_machine
from tests.stack.kube.kube_machine import (
    CONTAINERD,
    GPU,
    KUBELET,
    NVIDIA,
    Machine,
    cause,
    event,
    plugin_pod,
    pod,
    report,
    runtime_class,
    told,
    waiting,
)
from tests.stack.kube.test_device_plugin import policy

REFUSED = 'Failed to create pod sandbox: no runtime for "nvidia" is configured'
RKE2 = "v1.31.2+rke2r1"
CREATING: dict[str, Any] = {"phase": "Pending", "statuses": waiting("ContainerCreating")}
CHECKS = (
    check_pods.not_ready,
    check_pods.broken_classes,
    check_pods.without_gpu,
    check_pods.failing_to_start,
    check_suite_pod.not_started,
    check_suite_pod.wrong_number,
    check_suite_pod.unrequested,
    check_suite_pod.miscomputes,
)


def first(machine: Machine) -> str | None:
    """Return the cause that the layer ends with: that of its first failing check."""
    node = machine.node()
    found = (cause(check(node)) for check in CHECKS)
    return next((each for each in found if each), None)


def having(*users: dict[str, Any], **changes: Any) -> Machine:
    """Return a node with these pods beside the device plugin's."""
    return Machine(pods=[plugin_pod(), *users], **changes)


def outcome(**more: Any) -> Machine:
    """Return a node with this outcome of the suite's pod."""
    return Machine(outcomes={"pod": kube_machine.suite_pod(**more)})


def never_started(made: dict[str, Any], *events: dict[str, Any]) -> Machine:
    """Return a node on which the suite's pod did not get so far as to tell anything."""
    return Machine(outcomes={"pod": {"pod": made, "events": list(events), "containers": {}}})


@pytest.mark.parametrize(
    "machine",
    [
        Machine(),
        having(pod(runtime_class="nvidia")),
        having(pod(), default="nvidia"),
        having(pod(gpus=0)),
        having(pod(gpus=0, app="nvidia-dcgm-exporter")),
        having(pod(node="another")),
        having(pod(phase="Succeeded")),
    ],
    ids=["empty", "class", "default", "no-gpu", "operand-that-runs", "elsewhere", "ended"],
)
def test_a_healthy_node_passes(machine: Machine) -> None:
    """With RuntimeClass, without one where the default injects, and with no GPU pods at all."""
    assert first(machine) is None


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("container runtime network not ready: cni plugin not initialized", "cni-not-ready"),
        ("PLEG is not healthy", "node-not-ready-unclaimed"),
        ("", "node-not-ready-unclaimed"),
    ],
)
def test_a_node_that_is_not_ready_is_claimed_here(message: str, found: str) -> None:
    """What no layer below explained."""
    assert first(Machine(ready="False", message=message)) == f"kubernetes/{found}"


def test_a_missing_class_is_seen_while_its_pods_still_run() -> None:
    """They will not start again."""
    machine = having(pod(runtime_class="nvidia"), classes=[])
    assert first(machine) == "runtimeclass/missing"
    text = told(check_pods.broken_classes(machine.node()))
    assert "pod default/train: runtimeClassName: nvidia" in text
    assert "handler: nvidia" in text


def test_classes_of_pods_without_gpus_are_none_of_our_business() -> None:
    """A sandbox of another kind may be missing."""
    assert first(having(pod(gpus=0, runtime_class="gvisor"))) is None


def test_an_unknown_handler_is_seen_while_its_pods_still_run() -> None:
    """By the handlers that are live."""
    machine = Machine(classes=[runtime_class(handler="nvidia-legacy")])
    assert first(machine) == "runtimeclass/handler-unknown"
    machine.live = ("runc", "nvidia-legacy")
    assert first(machine) is None


def test_pods_under_runc_have_no_gpu() -> None:
    """Nothing tells of it but the evidence: no error, no event."""
    machine = having(pod("a"), pod("b"))
    machine.kubelet_version = RKE2
    machine.files = {"/etc/rancher/rke2/config.yaml": "default-runtime: nvidia\n"}
    assert first(machine) == "runtimeclass/workload-without-runtimeclass"
    text = told(check_pods.without_gpu(machine.node()))
    for line in ("default/a, default/b", "runtimeClassName: (none)", "default-runtime: nvidia"):
        assert line in text
    assert "GPU handlers: nvidia" in text


DROP_IN = "/etc/rancher/rke2/config.yaml.d/50-gpu.yaml"
SETTINGS = "/etc/rancher/rke2/config.yaml"


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({DROP_IN: "# x\ndefault-runtime: nvidia\n"}, f"{DROP_IN}:2: default-runtime: nvidia  ("),
        (
            {SETTINGS: "default-runtime: runc\n", DROP_IN: "default-runtime: nvidia\n"},
            f"{DROP_IN}:1: default-runtime: nvidia  (",
        ),
        (
            {SETTINGS: "# default-runtime: crun\ndefault-runtime: 'nvidia'\n"},
            f"{SETTINGS}:2: default-runtime: 'nvidia'  (",
        ),
        (
            {SETTINGS: "{default-runtime: nvidia}\n"},
            f"{SETTINGS}:1: {{default-runtime: nvidia}}  (",
        ),
    ],
)
def test_the_default_that_was_meant_is_told_wherever_it_stands(
    files: dict[str, str], told: str
) -> None:
    """In the main file or in the folder beside it, whose files count more."""
    machine = having(pod())
    machine.kubelet_version, machine.files, machine.listed = RKE2, files, [f"{SETTINGS}.d"]
    assert f"{told}not live: the default is runc)" in evidence(machine)


def test_the_default_may_be_meant_by_a_flag() -> None:
    """It outranks the files."""
    machine = having(pod())
    agent = Process(pid=1, argv=("/usr/local/bin/rke2", "agent", "--default-runtime=nvidia"))
    machine.kubelet_version, machine.processes = RKE2, (CONTAINERD, KUBELET, agent)
    assert "the command line of rke2: --default-runtime=nvidia  (not live" in evidence(machine)


@pytest.mark.parametrize(
    ("version", "setting"),
    [(RKE2, "default-runtime: runc"), ("v1.31.2", "default-runtime: nvidia")],
)
def test_a_setting_in_force_or_of_another_product_is_not_told(version: str, setting: str) -> None:
    """What was left behind by an RKE2 that is gone means nothing."""
    machine = having(pod())
    machine.kubelet_version, machine.files = version, {SETTINGS: f"{setting}\n"}
    assert "not live" not in evidence(machine)


def evidence(machine: Machine) -> str:
    """Return the evidence of pods without a GPU."""
    return told(check_pods.without_gpu(machine.node()))


def test_a_fleet_of_such_pods_is_counted() -> None:
    """The title stays readable."""
    machine = having(*(pod(f"p{number}") for number in range(9)))
    assert "and 6 more" in told(check_pods.without_gpu(machine.node()))


def test_an_operand_that_does_not_run_is_judged_like_a_pod() -> None:
    """The operator's validator, without operator.runtimeClass."""
    validator = pod(
        "v", gpus=0, app="nvidia-operator-validator", statuses=waiting("CrashLoopBackOff")
    )
    assert first(having(validator)) == "runtimeclass/workload-without-runtimeclass"


def test_a_class_that_leads_to_runc_injects_nothing() -> None:
    """It is the handler that counts, not the name."""
    machine = having(pod(runtime_class="gpu"))
    machine.classes = [runtime_class(), runtime_class("gpu", handler="runc")]
    assert first(machine) == "runtimeclass/workload-without-runtimeclass"


def test_a_handler_that_only_the_running_containerd_has_still_works() -> None:
    """What its files lost shows at the next restart, not now."""
    machine = having(pod(runtime_class="nvidia"), handlers={"runc": None})
    assert first(machine) is None


@pytest.mark.parametrize("way", ["cdi", "policy", "nri", "dra", "annotation"])
def test_gpus_come_without_a_handler_where_cdi_brings_them(way: str) -> None:
    """CDI through the CRI, NRI, DRA: a class that is not set is no defect there."""
    machine = having(pod(), cdi_enabled=True, handlers={"runc": None})
    assert first(machine) == "runtimeclass/workload-without-runtimeclass"
    if way == "cdi":
        env = [{"name": "DEVICE_LIST_STRATEGY", "value": "cdi-cri"}]
        machine.pods[0]["spec"]["containers"][0]["env"] = env
    elif way == "dra":
        slices = [{"spec": {"driver": "gpu.nvidia.com", "nodeName": "gpu-1"}}]
        machine.objects["resourceslices"] = slices
    elif way == "annotation":
        machine.pods[1]["metadata"]["annotations"] = {"cdi.k8s.io/x": "nvidia.com/gpu=0"}
    else:
        cdi = {"enabled": True, "nriPluginEnabled": way == "nri"}
        machine.objects["clusterpolicies"] = [policy(cdi=cdi)]
    assert first(machine) is None


def test_cdi_devices_need_a_runtime_that_takes_them() -> None:
    """Off by default in containerd 1.7, unknown to 1.6."""
    machine = having(pod())
    env = [{"name": "DEVICE_LIST_STRATEGY", "value": "cdi-cri"}]
    machine.pods[0]["spec"]["containers"][0]["env"] = env
    assert first(machine) == "runtimeclass/workload-without-runtimeclass"


@pytest.mark.parametrize(
    ("text", "minutes", "found"),
    [
        (REFUSED, 1, "sandbox/handler-refused"),
        (REFUSED, 90, None),
        ("failed to setup network for sandbox: cni", 1, "kubernetes/pod-network-fails"),
        ("MountVolume.SetUp failed for volume", 1, None),
    ],
)
def test_a_start_that_fails_now_is_explained(text: str, minutes: int, found: str | None) -> None:
    """An old event convicts nobody, nor does what is no matter of the GPU."""
    stuck = pod(runtime_class="nvidia", **CREATING)
    machine = having(stuck)
    machine.objects["events"] = [event(stuck, "Failed", text, timedelta(minutes=minutes))]
    assert first(machine) == found


def test_a_container_that_cannot_be_made_tells_by_its_status() -> None:
    """No event is needed."""
    text = "nvidia-container-cli: initialization error: nvml error: driver not loaded"
    stuck = pod(runtime_class="nvidia", statuses=waiting("RunContainerError", text))
    assert first(having(stuck)) == "sandbox/toolkit-cannot-reach-driver"


def test_a_users_program_that_crashes_is_no_fault_of_the_gpu() -> None:
    """Its own business."""
    crashing = pod(runtime_class="nvidia", statuses=waiting("CrashLoopBackOff", "back-off 5m"))
    assert first(having(crashing)) is None


def test_without_a_pod_of_ours_nothing_is_proven() -> None:
    """Not tried, or tried in vain."""
    with pytest.raises(NotInEvidence):
        check_suite_pod.not_started(Machine(outcomes={}).node())
    with pytest.raises(Unproven, match="read-only"):
        check_suite_pod.not_started(Machine(outcomes={"pod": {"skipped": "read-only"}}).node())


@pytest.mark.parametrize(
    "rejected",
    [
        'pods "x" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation',
        'pods "x" is forbidden: exceeded quota: gpu-quota, requested: requests.nvidia.com/gpu=1',
    ],
)
def test_policies_and_quotas_are_no_gpu_faults(rejected: str) -> None:
    """The reason is told."""
    with pytest.raises(Unproven, match="not a GPU fault"):
        check_suite_pod.not_started(Machine(outcomes={"pod": {"rejected": rejected}}).node())


def test_a_rejection_for_a_missing_class_is_one() -> None:
    """Users' pods would be rejected, too."""
    said = 'pods "x" is forbidden: pod rejected: RuntimeClass "nvidia" not found'
    found = check_suite_pod.not_started(Machine(outcomes={"pod": {"rejected": said}}).node())
    assert cause(found) == "runtimeclass/missing"


def test_a_busy_cluster_is_not_a_broken_one() -> None:
    """Who holds the GPUs is told."""
    message = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    scheduled = {"type": "PodScheduled", "status": "False", "message": message}
    machine = never_started(pod("suite", node=None, phase="Pending", conditions=[scheduled]))
    machine.pods.append(pod("holder", runtime_class="nvidia"))
    with pytest.raises(Unproven, match=r"in use by default/holder \(nvidia.com/gpu: 1\)"):
        check_suite_pod.not_started(machine.node())


@pytest.mark.parametrize(
    ("reason", "message", "fails"),
    [
        ("OutOfnvidia.com/gpu", "requested: 1, used: 1, capacity: 1", False),
        ("OutOfnvidia.com/gpu", "requested: 1, used: 0, capacity: 0", True),
        ("UnexpectedAdmissionError", "Allocate failed: unavailable for nvidia.com/gpu", True),
        ("TopologyAffinityError", "Resources cannot be allocated", False),
    ],
)
def test_the_kubelets_refusal(reason: str, message: str, fails: bool) -> None:
    """Of a GPU that is not there, or for lack of room."""
    machine = never_started(pod("suite", phase="Failed", reason=reason, message=message))
    if fails:
        assert cause(check_suite_pod.not_started(machine.node())) == "device-plugin/admission-fails"
        return
    with pytest.raises(Unproven):
        check_suite_pod.not_started(machine.node())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (REFUSED, "sandbox/handler-refused"),
        ("failed to setup network for sandbox", "kubernetes/pod-network-fails"),
        ("Failed to pull image", None),
        ("something new", "runtimeclass-pod/start-refused"),
    ],
)
def test_a_pod_that_does_not_start(text: str, found: str | None) -> None:
    """A known fault of the stack, the network's, the node's words; an image proves nothing."""
    made = pod("suite", runtime_class="nvidia", **CREATING)
    machine = never_started(made, event(made, "FailedCreatePodSandBox", text))
    if found is None:
        with pytest.raises(Unproven):
            check_suite_pod.not_started(machine.node())
    else:
        assert cause(check_suite_pod.not_started(machine.node())) == found


@pytest.mark.parametrize(
    ("devices", "found"),
    [
        (["/dev/nvidiactl"], "runtimeclass-pod/pod-without-gpu"),
        (["/dev/nvidia0", "/dev/nvidia1"], "runtimeclass-pod/sees-more-gpus"),
        (["/dev/nvidia5", "/dev/nvidiactl"], None),
    ],
)
def test_a_pod_gets_exactly_one_gpu(devices: list[str], found: str | None) -> None:
    """Control devices are no GPUs."""
    cuda = {"init": 0, "count": 0, "compute": "ok"}
    seen = report(devices=devices, visible="GPU-1", cuda=cuda)
    assert cause(check_suite_pod.wrong_number(outcome(gpu=seen).node())) == found


def test_a_pod_without_its_gpu_shows_what_it_was_told() -> None:
    """The variable still names the GPU where nothing was injected."""
    found = check_suite_pod.wrong_number(
        outcome(gpu=report(devices=[], visible="GPU-1", cuda={})).node()
    )
    assert "NVIDIA_VISIBLE_DEVICES=GPU-1" in told(found)


def test_a_container_that_asked_for_none_sees_none() -> None:
    """Control devices alone do no harm."""
    leak = outcome(none=report(cuda={})).node()
    assert cause(check_suite_pod.unrequested(leak)) == "runtimeclass-pod/sees-unrequested-gpus"
    assert (
        check_suite_pod.unrequested(outcome(none=report(devices=["/dev/nvidiactl"])).node()) is None
    )


@pytest.mark.parametrize(
    ("cuda", "found", "words"),
    [
        ({"init": 100}, "cuda-does-not-start", "cuInit: error 100, CUDA_ERROR_NO_DEVICE"),
        ({"init": 7}, "cuda-does-not-start", "cuInit: error 7, see cuda.h"),
        ({"init": None}, "cuda-does-not-start", "cuInit: libcuda.so.1 could not be loaded"),
        ({"init": 0, "count": 0, "compute": "ok"}, "computes-wrongly", "CUDA sees 0 GPUs"),
        ({"init": 0, "count": 1, "compute": "wrong sum"}, "computes-wrongly", "1 GPU; the comp"),
        ({"init": 0, "count": 1}, "computes-wrongly", "the computation: no answer"),
    ],
)
def test_cuda_must_start_and_compute(cuda: dict[str, Any], found: str, words: str) -> None:
    """Devices alone prove little."""
    finding = check_suite_pod.miscomputes(outcome(gpu=report(cuda=cuda)).node())
    assert cause(finding) == f"runtimeclass-pod/{found}"
    assert finding is not None
    assert words in finding.evidence[0].text


def test_what_the_pod_did_not_tell_is_unproven() -> None:
    """A report that nobody can read, none of a container that ran, or CUDA left out."""
    ended = [{"name": "gpu", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}]
    silent = never_started(pod("suite", phase="Succeeded", statuses=ended))
    garbled = outcome(gpu={"exit": 0, "output": "Segmentation fault"})
    for machine in (silent, garbled):
        for check in (check_suite_pod.wrong_number, check_suite_pod.miscomputes):
            with pytest.raises(Unproven, match="reported nothing"):
                check(machine.node())
    with pytest.raises(Unproven, match="CUDA"):
        check_suite_pod.miscomputes(outcome(gpu=report(cuda={})).node())


@pytest.mark.parametrize(
    ("code", "helps"),
    [
        (127, "the pod's image must have Python: --gpu-image"),
        (1, "the pod's image must have Python: --gpu-image"),
        (139, "run the suite again"),
        (137, "run the suite again"),
    ],
)
def test_a_container_that_ended_without_a_report_has_its_exit_code_told(
    code: int, helps: str
) -> None:
    """A program that was killed or crashed is no image without Python."""
    made = outcome(gpu={"exit": code, "output": "Killed"})
    with pytest.raises(Unproven, match=f"ended with exit code {code}, and reported") as raised:
        check_suite_pod.miscomputes(made.node())
    assert with_next_step(str(raised.value)).endswith(f"; {helps}")


NEVER_RAN = [
    {
        "name": name,
        "state": {"terminated": {"exitCode": 128, "reason": "StartError", "message": "no"}},
    }
    for name in ("gpu", "none")
]


@pytest.mark.parametrize(
    ("machine", "reason"),
    [
        (outcome(rejected="exceeded quota: team", containers={}), "the pod was never created"),
        (never_started(pod("suite", phase="Pending", statuses=[])), "did not start"),
        (never_started(pod("suite", phase="Failed", statuses=NEVER_RAN)), "did not start"),
        (
            never_started(
                pod("suite", phase="Failed", statuses=[], reason="OutOfcpu", message="full")
            ),
            "did not start",
        ),
    ],
    ids=["rejected", "pending", "start-error", "refused-by-kubelet"],
)
def test_a_container_that_never_ran_is_not_told_to_have_reported_nothing(
    machine: Machine, reason: str
) -> None:
    """Its image is not to blame; what helps stands where the pod's own start is told."""
    for check in (
        check_suite_pod.wrong_number,
        check_suite_pod.unrequested,
        check_suite_pod.miscomputes,
    ):
        with pytest.raises(Unproven, match=reason) as raised:
            check(machine.node())
        told = with_next_step(str(raised.value))
        assert "--gpu-image" not in told
        assert told.endswith("see why the suite's pod does not start")


def test_constants_of_the_machine_are_what_the_tests_rely_on() -> None:
    """The default handler of the made-up node injects nothing, its class does."""
    machine = Machine()
    assert machine.handlers == {"runc": None, "nvidia": NVIDIA}
    assert machine.capacity == {GPU: "1"}
