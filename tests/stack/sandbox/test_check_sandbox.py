"""The sandbox layer: faults that crictl shows, and failures that prove nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_gpu.causes import title_of
from pytest_gpu.errors import Unproven
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.stack.repair.json_diff import edited
from pytest_gpu.stack.sandbox import check_sandbox as diagnose
from pytest_gpu.stack.sandbox.check_files import control, corrected, lint
from pytest_gpu.stack.sandbox.sandboxes import SandboxFiles, read, shipped_files
from tests.stack.kube.kube_machine import Machine, cause, run, sandbox, suite_pod, told
from tests.support.told import full

CALICO = (
    'rpc error: code = Unknown desc = failed to setup network for sandbox "58b5": plugin'
    ' type="calico" failed (add): error getting ClusterInformation: Unauthorized'
)
SLICE = (
    'OCI runtime create failed: runc create failed: expected cgroupsPath to be of format "slice:'
    'prefix:name" for systemd cgroups, got "/kubepods/besteffort/ID" instead: unknown'
)
HOOK = "error running createContainer hook #2: exit status 3"
GOOD = """{
  "metadata": {"name": "t", "namespace": "default"},
  "linux": {
    "cgroup_parent": "kubepods-besteffort.slice",
    "security_context": {"namespace_options": {"network": 2}}
  }
}"""


def node(*runs: dict[str, Any], systemd: bool = True, **more: Any) -> GpuNode:
    """Return a node on which these sandboxes were tried."""
    return Machine(outcomes={"sandbox": sandbox(*runs, **more)}, systemd=systemd).node()


def files(text: str) -> SandboxFiles:
    """Return an admin's files with this pod config."""
    return SandboxFiles(
        origin="admin",
        pod_source="/root/pod.json",
        pod_text=text,
        container_source="/root/container.json",
        container_text="{}",
    )


def gpu(error: str, **more: Any) -> GpuNode:
    """Return a node whose control sandbox starts and whose GPU sandbox ends with an error."""
    return node(run("control"), run("gpu", "nvidia", error, **more))


def test_a_healthy_node_starts_both_sandboxes() -> None:
    """Nothing is found."""
    healthy = node()
    checks = (diagnose.other_socket, control, diagnose.gpu_run, diagnose.missing_devices)
    assert [check(healthy) for check in checks] == [None] * 4
    assert diagnose.missing_libraries(healthy) is None
    assert lint(healthy, files(GOOD)) is None


def test_shipped_files_are_right_on_every_node() -> None:
    """Host network, a slice, name and namespace: with systemd and without."""
    shipped = shipped_files()
    as_if_admins = files(shipped.pod_text)
    assert lint(node(), as_if_admins) is None
    assert lint(node(systemd=False), as_if_admins) is None
    assert json.loads(shipped.container_text)["command"]


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ('"network": 2', '"network": 0', "sandbox/pod-config-asks-for-pod-network"),
        ('"network": 2', '"pid": 2', "sandbox/pod-config-asks-for-pod-network"),
        ("kubepods-besteffort.slice", "/kubepods", "sandbox/cgroup-parent-is-no-slice"),
        ('"cgroup_parent"', '"cgroup"', "sandbox/cgroup-parent-is-no-slice"),
        (', "namespace": "default"', "", "sandbox/pod-config-without-namespace"),
        ('"linux"', "linux", "sandbox/pod-config-is-no-json"),
    ],
)
def test_faults_of_an_admins_file_are_named_with_the_corrected_one(
    old: str, new: str, found: str
) -> None:
    """The diff is what the admin needs."""
    finding = lint(node(), files(GOOD.replace(old, new)))
    assert cause(finding) == found
    assert "/root/pod.json" in told(finding)


def test_the_diff_changes_one_line() -> None:
    """The admin's layout stays."""
    text = told(lint(node(), files(GOOD.replace("kubepods-besteffort.slice", "/kubepods"))))
    assert '-    "cgroup_parent": "/kubepods",' in text
    assert '+    "cgroup_parent": "kubepods-besteffort.slice",' in text
    assert sum(line.lstrip().startswith(("+ ", "- ")) for line in text.splitlines()) == 2


@pytest.mark.parametrize(
    "text", ["{}", '{"linux": {}}', '{"metadata":{"name":"x"},"linux":{"cgroup_parent":"/a"}}']
)
def test_an_edited_file_says_what_is_wanted(text: str) -> None:
    """In any layout."""
    wanted = corrected(json.loads(text), systemd=True)
    assert json.loads(edited(text, wanted)) == wanted


def test_any_cgroup_parent_is_right_without_systemd() -> None:
    """And a slice is, too."""
    plain = GOOD.replace("kubepods-besteffort.slice", "/kubepods/besteffort")
    assert lint(node(systemd=False), files(plain)) is None
    assert lint(node(systemd=False), files(GOOD)) is None


def test_of_two_faults_the_one_that_crictl_met_is_named() -> None:
    """An older crictl takes a file without a namespace: the network is what failed."""
    text = GOOD.replace(', "namespace": "default"', "").replace('"network": 2', '"network": 0')
    tried = node(run("control", error=CALICO), text=text, origin="admin")
    assert cause(lint(node(), files(text))) == "sandbox/pod-config-without-namespace"
    assert cause(lint(tried, files(text))) == "sandbox/pod-config-asks-for-pod-network"


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (CALICO, "sandbox/pod-config-asks-for-pod-network"),
        (SLICE, "sandbox/cgroup-parent-is-no-slice"),
        ("name or namespace is not in metadata", "sandbox/pod-config-without-namespace"),
    ],
)
def test_a_failing_control_convicts_an_admins_file(error: str, found: str) -> None:
    """By what containerd and runc say."""
    finding = control(node(run("control", error=error), origin="admin", text=GOOD))
    assert cause(finding) == found


def test_an_unknown_error_of_the_control_convicts_nobody() -> None:
    """Where an admin's files were tried: they may be what is refused, or may not."""
    with pytest.raises(Unproven, match="leave out gpu_sandbox_pod_config"):
        control(node(run("control", error="something new"), origin="admin"))


@pytest.mark.parametrize(
    ("error", "found", "says"),
    [
        (
            'failed to get sandbox runtime: no runtime for "nvidia" is configured',
            "sandbox/handler-refused",
            '"nvidia"',
        ),
        (
            "fork/exec /usr/bin/nvidia-container-runtime: no such file or directory",
            "sandbox/runtime-program-missing",
            "/usr/bin/nvidia-container-runtime",
        ),
        (
            "/usr/local/nvidia/toolkit/nvidia-container-cli.real: /lib64/libc.so.6: version"
            " `GLIBC_2.27' not found (required by /usr/local/nvidia/toolkit/libnvidia-container."
            "so.1): unknown",
            "sandbox/toolkit-needs-newer-glibc",
            "GLIBC_2.27",
        ),
        (
            "failed to inject CDI devices: unresolvable CDI devices nvidia.com/gpu=all",
            "sandbox/cdi-device-unresolvable",
            "nvidia.com/gpu=all",
        ),
        (
            'failed to generate CDI spec for mode "auto": failed to initialize NVML: Driver/library'
            " version mismatch",
            "sandbox/toolkit-cannot-reach-driver",
            "Driver/library version mismatch",
        ),
        (
            "nvidia-container-cli: initialization error: nvml error: driver not loaded: unknown",
            "sandbox/toolkit-cannot-reach-driver",
            "driver not loaded",
        ),
        (
            "nvidia-container-cli.real: initialization error: nvml error: insufficient"
            " permissions: unknown",
            "sandbox/device-access-refused",
            "insufficient permissions",
        ),
        (
            "/usr/bin/nvidia-container-runtime did not terminate successfully: exit status 1",
            "sandbox/runtime-program-fails",
            "nvidia-container-runtime",
        ),
        (
            "error running prestart hook #0: nvidia-container-cli: mount error: file not found",
            "sandbox/toolkit-hook-fails",
            "mount error",
        ),
        (SLICE, "sandbox/handler-cgroup-driver", "SystemdCgroup"),
        ("something new", "sandbox/gpu-sandbox-fails", "something new"),
    ],
)
def test_the_error_of_the_gpu_sandbox_names_the_cause(error: str, found: str, says: str) -> None:
    """Only where the control sandbox starts."""
    finding = diagnose.gpu_run(gpu(error))
    assert cause(finding) == found
    assert says in told(finding)
    with pytest.raises(Unproven, match="control"):
        diagnose.gpu_run(node(run("control", error=error), run("gpu", "nvidia", error)))


NO_CONFIG = (
    'time="2026-11-30T19:40:43Z" level=warning msg="Config \\"/etc/crictl.yaml\\" does not exist,'
    ' trying next: \\"/usr/local/bin/crictl.yaml\\""\n'
)
QUOTED = (
    f'{NO_CONFIG}time="2026-11-30T19:40:43Z" level=fatal msg="running container: run pod sandbox:'
    " rpc error: code = Unknown desc = failed to get sandbox runtime: no runtime for"
    ' \\"nope\\" is configured"\n'
)


def test_a_quoted_message_names_the_cause_in_the_runtimes_own_words() -> None:
    """Where its output is no terminal, as in every run of the suite, crictl quotes its messages."""
    said = 'failed to get sandbox runtime: no runtime for "nope" is configured'
    tried = gpu(QUOTED)
    finding = diagnose.gpu_run(tried)
    assert cause(finding) == "sandbox/handler-refused"
    assert read(tried.evidence).run("gpu").error == said


@pytest.mark.parametrize(
    "error",
    [
        "can't find shim for sandbox",
        "cannot start a stopped process: unknown",
        "OCI runtime start failed: cannot start a container that has stopped: unknown",
        "rpc error: code = NotFound desc = an error occurred when try to find sandbox: not found",
        "context deadline exceeded",
        "failed to pull image: failed to resolve reference",
    ],
)
def test_sandboxes_that_the_kubelet_removed_prove_nothing(error: str) -> None:
    """They look like faults of the runtime, and are none."""
    with pytest.raises(Unproven):
        diagnose.gpu_run(gpu(error))


@pytest.mark.parametrize(
    ("error", "title"),
    [
        (f"{HOOK}, stdout: , stderr: quux", f"{HOOK}, stderr: quux"),
        (f"{HOOK}, stdout: quux, stderr: ", f"{HOOK}, stdout: quux"),
        (f"{HOOK}, stdout: quux, stderr: quuz", f"{HOOK}, stdout: quux, stderr: quuz"),
        (f"failed to start: {'runc: ' * 60}quux 0x7f", "failed to start: ...: runc: quux 0x7f"),
    ],
)
def test_a_title_has_the_words_that_decide_and_the_evidence_has_all(error: str, title: str) -> None:
    """Outputs that hold nothing, and what only wraps the error, are left out of it."""
    found = diagnose.gpu_run(gpu(error))
    assert found is not None
    said = title_of(full(found))
    assert all(part in said for part in title.split("..."))
    assert len(said) < 300
    assert found.evidence[0].text == error.strip()


@pytest.mark.parametrize("end", [{"exit": 137}, {"attempts": 5, "reaped": 5}])
def test_what_the_kubelet_killed_says_nothing(end: dict[str, int]) -> None:
    """By its exit code, or by what was seen in every attempt; one loss of five is none."""
    with pytest.raises(Unproven, match="kubelet"):
        diagnose.gpu_run(gpu("something new", **end))
    assert diagnose.gpu_run(gpu("something new", attempts=5, reaped=1)) is not None


def test_crictl_on_another_socket_is_told() -> None:
    """A link to the same socket is the same one."""
    other = {"path": "/usr/bin/crictl", "endpoint": "unix:///run/docker/containerd.sock"}
    found = diagnose.other_socket(node(crictl=other))
    assert cause(found) == "sandbox/crictl-other-socket"
    assert "/run/docker/containerd.sock" in told(found)
    with pytest.raises(Unproven):
        diagnose.other_socket(node(crictl={"path": "crictl"}))


@pytest.mark.parametrize(
    ("output", "found"),
    [
        ("", "sandbox/nothing-injected"),
        ("/dev/nvidiactl\n/lib/libcuda.so.1", "sandbox/host-has-what-is-missing"),
        ("/dev/nvidia0\n/lib/libcuda.so.1", "sandbox/host-has-what-is-missing"),
        ("/dev/nvidia3\n/dev/nvidiactl", None),
    ],
)
def test_devices_must_be_in_the_container(output: str, found: str | None) -> None:
    """Which of the GPUs it is does not matter."""
    tried = node(run("control"), run("gpu", "nvidia", output=output))
    assert cause(diagnose.missing_devices(tried)) == found


@pytest.mark.parametrize(
    ("output", "missing"),
    [
        ("/lib/libnvidia-ml.so.1", "libcuda.so.1"),
        ("/lib/libcuda.so.535.1\n/lib/libcudadebugger.so.1", "libnvidia-ml.so.1"),
        ("/lib/libcuda.so.535.1\n/lib/libnvidia-ml.so.535.1", None),
    ],
)
def test_libraries_must_be_in_the_container(output: str, missing: str | None) -> None:
    """The NVML library alone lets nvidia-smi work and nothing compute."""
    found = diagnose.missing_libraries(node(run("control"), run("gpu", "nvidia", output=output)))
    assert cause(found) == ("sandbox/libraries-missing" if missing else None)
    assert missing is None or f"not injected: {missing}" in told(found)


@pytest.mark.parametrize(
    "outcome", [{"skipped": "no crictl on this node"}, {"runs": "ok"}, {"runs": [{"exit": 0}]}]
)
def test_what_was_not_read_is_unproven_even_if_a_pod_got_its_gpu(outcome: dict[str, Any]) -> None:
    """Hosts without a shell can be green: their sandboxes are implied, never passed."""
    shown = Machine(outcomes={"sandbox": outcome, "pod": suite_pod()}).node()
    for check in (diagnose.other_socket, diagnose.gpu_run, diagnose.missing_devices, control):
        with pytest.raises(Unproven, match=r"no sandbox was tried|cannot be read"):
            check(shown)


def test_what_was_not_tried_is_unproven() -> None:
    """A control alone proves nothing about the GPU."""
    only = node(run("control"))
    for check in (diagnose.gpu_run, diagnose.missing_devices, diagnose.missing_libraries):
        with pytest.raises(Unproven, match="no gpu sandbox"):
            check(only)


def test_the_decisive_line_is_short() -> None:
    """Without crictl's wrapping, IDs cut."""
    error = f'FATA[0002] run: rpc error: code = Unknown desc = failed to start "{"ab" * 32}"'
    tried = read(gpu(f"WARN[0000] x\n{error}\n").evidence)
    assert tried.run("gpu").error == 'failed to start "abababab…"'
