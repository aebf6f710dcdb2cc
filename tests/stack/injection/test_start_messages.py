"""Every message of a start that fails ends in its cause: in crictl's sandbox, in a user's pod."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pytest_gpu.message_file import Row, Where
from pytest_gpu.messages import meanings, table
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.stack.pods import check_pods
from pytest_gpu.stack.sandbox import check_sandbox
from pytest_gpu.stack.sandbox.check_files import named_by
from tests.stack.kube.kube_machine import (
    Machine,
    cause,
    event,
    plugin_pod,
    pod,
    run,
    sandbox,
    told,
    waiting,
)

DENIED = (
    'audit: type=1400 audit(1718.2:91): apparmor="DENIED" operation="signal" class="signal"'
    ' profile="/usr/sbin/runc" pid=5120 comm="runc" requested_mask="receive" signal=kill'
)
LOG = [("dmesg", 0, f"[ 1.0] NVRM: loading NVIDIA UNIX x86_64 Kernel Module\n[ 99.0] {DENIED}", "")]

SECOND = {
    "sandbox/runtime-program-not-executable": (
        "failed to create shim task: OCI runtime create failed: unable to retrieve OCI runtime"
        " error (open /run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/9/log.json: no such"
        " file or directory): fork/exec /usr/local/nvidia/toolkit/nvidia-container-runtime: exec"
        " format error: unknown",
        "/usr/local/nvidia/toolkit/nvidia-container-runtime: exec format error",
    ),
    "sandbox/hook-program-missing": (
        "error running createContainer hook #3: fork/exec /usr/local/nvidia/toolkit/"
        "nvidia-cdi-hook: permission denied: unknown",
        "/usr/local/nvidia/toolkit/nvidia-cdi-hook: permission denied",
    ),
    "sandbox/image-needs-newer-driver": (
        "could not apply required modification to OCI specification: requirements not met:"
        " unsatisfied condition: cuda>=13.0 (cuda=12.4): unknown",
        "needs cuda>=13.0,",
    ),
    "sandbox/gpu-unknown-to-toolkit": (
        "nvidia-container-cli.real: device error: MIG-3c1f7c1e-0d5e-5b0e-8d0e-2f6a: unknown device",
        "MIG-3c1f7c1e-0d5e-5b0e-8d0e-2f6a: unknown device",
    ),
    "sandbox/ldconfig-fails": (
        "nvidia-container-cli.real: ldcache error: open failed: /sbin/ldconfig.real: no such file"
        " or directory: unknown",
        "open failed: /sbin/ldconfig.real",
    ),
    "sandbox/device-cgroup-refused": (
        "nvidia-container-cli: container error: failed to get device cgroup mount path: no cgroup"
        " filesystem mounted for the devices subsytem in mountinfo file: unknown",
        "no cgroup filesystem mounted",
    ),
    "sandbox/driver-file-missing": (
        "nvidia-container-cli: mount error: open failed: /usr/lib64/libcuda.so.570.86: no such file"
        " or directory: unknown",
        "needs /usr/lib64/libcuda.so.570.86,",
    ),
    "sandbox/mount-refused": (
        "nvidia-container-cli: mount error: mount operation failed: /proc/driver/nvidia:"
        " permission denied: unknown",
        "/proc/driver/nvidia: permission denied",
    ),
    "sandbox/cdi-host-device-missing": (
        'CDI device injection failed: failed to inject devices: failed to stat CDI host device "'
        '/dev/nvidia7": no such file or directory',
        "/dev/nvidia7",
    ),
    "sandbox/capabilities-refused": (
        "stderr: unsupported capabilities found in 'compute,vido' (allowed 'compute'): unknown",
        "compute,vido",
    ),
    "sandbox/apparmor-refuses": (
        "apply apparmor profile: apparmor failed to apply profile: write /proc/self/attr/exec:"
        " permission denied: unknown",
        "write /proc/self/attr/exec: permission denied",
    ),
    "sandbox/selinux-refuses": (
        "error during container init: can't set process label: write /proc/self/attr/exec:"
        " permission denied: unknown",
        "write /proc/self/attr/exec: permission denied",
    ),
    "sandbox/seccomp-refuses": (
        "error adding seccomp filter rule for syscall clone3: invalid argument: unknown",
        "clone3",
    ),
    "sandbox/cgroup-refuses": (
        'unable to apply cgroup configuration: unable to start unit "cri-containerd-1.scope"'
        " (properties [{Name:Slice}]): Unit kubepods-burstable.slice not found.: unknown",
        "kubepods-burstable.slice not found",
    ),
}
"""A second text of each kind, as another version or distribution prints it, and what is told."""

NAMED = {f"{row.cause}-{number}": row for number, row in enumerate(table())}


def named(where: Where) -> list[str]:
    """Return the names of the rows whose message may stand in a place."""
    return [name for name, row in NAMED.items() if where in row.where]


def tried(error: str = "", handler: str = "nvidia") -> GpuNode:
    """Return a node whose control sandbox starts and whose GPU sandbox ends with an error."""
    runs = sandbox(run("control"), run("gpu", handler, error))
    return Machine(outcomes={"sandbox": runs}, commands=LOG).node()


def user(text: str, ago: int = 1) -> GpuNode:
    """Return a node with a user's GPU pod, about which this was said some minutes ago."""
    made = pod("train-7", namespace="research", phase="Pending", statuses=CREATING)
    said = event(made, "Failed", f"Error: {text}", timedelta(minutes=ago))
    return Machine(pods=[plugin_pod(), made], objects={"events": [said]}, commands=LOG).node()


CREATING = waiting("ContainerCreating")


def says_all(row: Row, text: str) -> bool:
    """Say whether a message holds the values of a row, and no word that stands for none."""
    values = meanings(row.match, sorted(row.where)[0])[0].values
    return "None" not in text and all(value in text for value in values.values())


@pytest.mark.parametrize("name", named(Where.SANDBOX))
def test_the_sandbox_ends_in_the_rows_cause(name: str) -> None:
    """With crictl's line as evidence beside the control that starts; its near miss does not."""
    row = NAMED[name]
    finding = check_sandbox.gpu_run(tried(row.match))
    assert cause(finding) == row.cause
    assert finding is not None
    assert [item.source for item in finding.evidence[:2]] == [
        "crictl run --runtime=nvidia",
        "crictl run",
    ]
    assert says_all(row, told(finding))
    assert cause(check_sandbox.gpu_run(tried(row.near_miss))) not in {row.cause, None}


@pytest.mark.parametrize("name", named(Where.POD))
def test_a_users_pod_ends_in_the_rows_cause(name: str) -> None:
    """With the event as evidence; what was said an hour and a half ago convicts nobody."""
    row = NAMED[name]
    finding = check_pods.failing_to_start(user(row.match))
    assert cause(finding) == row.cause
    assert finding is not None
    assert finding.evidence[0].source == "event of pod research/train-7"
    assert says_all(row, told(finding))
    assert check_pods.failing_to_start(user(row.match, ago=90)) is None
    assert cause(check_pods.failing_to_start(user(row.near_miss))) != row.cause


@pytest.mark.parametrize("name", SECOND)
def test_other_words_of_the_same_kind_end_there_too(name: str) -> None:
    """As other versions print them, under other handlers, with other names and numbers."""
    text, says = SECOND[name]
    for finding in (
        check_sandbox.gpu_run(tried(text, "nvidia-legacy")),
        check_pods.failing_to_start(user(text)),
    ):
        assert cause(finding) == name
        assert says in told(finding)


def test_where_nothing_is_refused_nothing_is_found() -> None:
    """The repaired twin of all of them."""
    assert check_sandbox.gpu_run(tried()) is None
    assert check_pods.failing_to_start(Machine(commands=LOG).node()) is None


def test_a_signal_that_nobody_is_shown_to_deny_is_no_fault_of_apparmor() -> None:
    """The kernel's log has the denial, or another row counts: here the program that failed."""
    text = (
        "nvidia-container-runtime did not terminate successfully: exit status 1: unable to signal"
        " init: permission denied"
    )
    shown = check_sandbox.gpu_run(tried(text))
    assert cause(shown) == "sandbox/apparmor-refuses"
    assert DENIED in told(shown)
    runs = sandbox(run("control"), run("gpu", "nvidia", text))
    other = LOG[0][2].replace("DENIED", "ALLOWED")
    for commands in ([], [("dmesg", 0, other, "")]):
        silent = Machine(outcomes={"sandbox": runs}, commands=commands).node()
        assert cause(check_sandbox.gpu_run(silent)) == "sandbox/runtime-program-fails"


def test_a_control_that_the_node_refuses_says_nothing_about_an_admins_file() -> None:
    """The node's own refusals are no fault of the pod config."""
    error = "unable to apply cgroup configuration: no space left on device"
    assert meanings(error, Where.CONTROL)[0].cause == "sandbox/cgroup-refuses"
    assert named_by(error) is None
