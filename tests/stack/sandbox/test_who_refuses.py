"""The control sandbox fails, too: what the node refuses is a failure, what we brought is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.errors import Unproven
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.stack.host.processes import processes_of
from pytest_gpu.stack.kubelet.containerd_runtime import Containerd
from pytest_gpu.stack.kubelet.kubelet import kubelet_of
from pytest_gpu.stack.kubelet.runtime import runtime_of
from pytest_gpu.stack.sandbox import check_sandbox
from pytest_gpu.stack.sandbox.check_files import control
from tests.stack.kube.kube_machine import NVIDIA, Machine, cause, run, sandbox, told

RPC = "FATA[0002] running container: run pod sandbox: rpc error: code = Unknown desc = "
RUNC = (
    'failed to start sandbox "4aaef6805ae4171d2cb5c87818cc5d5dadd83d589ee148bfd85008719d2d1485": '
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc "
    "create failed: unable to start container process: error during container init: "
)
ECR = "602401143452.dkr.ecr.ap-south-1.amazonaws.com/eks/pause:3.5"


def pulled(image: str, why: str) -> str:
    """Return containerd's words about a pause image that it cannot pull."""
    return (
        f'failed to get sandbox image "{image}": failed to pull image "{image}": failed to pull '
        f'and unpack image "{image}": failed to resolve reference "{image}": {why}'
    )


@dataclass(frozen=True)
class Refusal:
    """The words of a refusal, and what comes of it: a cause, or the option that helps."""

    words: str
    found: str = ""
    helps: str = ""
    says: str = ""
    origin: str = "shipped"


NODE = {
    "pause-dns": Refusal(
        pulled(
            "k8s.gcr.io/pause:3.1",
            'failed to do request: Head "https://k8s.gcr.io/v2/pause/manifests/3.1": dial tcp: '
            "lookup k8s.gcr.io on 10.96.0.10:53: no such host",
        ),
        "sandbox/pause-image-not-reached",
        says="the pause image k8s.gcr.io/pause:3.1 cannot be pulled",
    ),
    "pause-timeout": Refusal(
        pulled("registry.k8s.io/pause:3.9", "context deadline exceeded"),
        "sandbox/pause-image-not-reached",
    ),
    "pause-login": Refusal(
        pulled(ECR, "unexpected status from HEAD request to https://x/v2/eks: 401 Unauthorized"),
        "sandbox/pause-image-refused",
        says=ECR,
    ),
    "pause-name": Refusal(
        pulled("registry.k8s.io/pause:3.99", "registry.k8s.io/pause:3.99: not found"),
        "sandbox/pause-image-not-in-registry",
    ),
    "pause-cri-dockerd": Refusal(
        'failed pulling image "k8s.gcr.io/pause:3.2": Error response from daemon: Get '
        "https://k8s.gcr.io/v2/: dial tcp 74.125.137.82:443: connect: connection refused",
        "sandbox/pause-image-not-reached",
        says="k8s.gcr.io/pause:3.2",
    ),
    "pause-cri-o": Refusal(
        'error creating pod sandbox with name "k8s_etcd-m1_kube-system_271a_0": initializing source'
        " docker://registry.k8s.io/pause:3.6: pinging container registry registry.k8s.io: Get "
        '"https://registry.k8s.io/v2/": dial tcp: i/o timeout',
        "sandbox/pause-image-not-reached",
        says="registry.k8s.io/pause:3.6",
    ),
    "network": Refusal(
        'failed to setup network for sandbox "58b5": plugin type="calico" failed (add): error '
        "getting ClusterInformation: connection is unauthorized: Unauthorized",
        "kubernetes/pod-network-fails",
    ),
    "cni": Refusal("cni plugin not initialized", "kubernetes/pod-network-fails"),
    "apparmor": Refusal(
        f"{RUNC}unable to apply apparmor profile: apparmor failed to apply profile: write "
        "/proc/self/attr/apparmor/exec: no such file or directory: unknown",
        "sandbox/apparmor-refuses",
    ),
    "apparmor-parser": Refusal(
        'failed to create containerd container: get apparmor_parser version: exec: "apparmor_parser'
        '": executable file not found in $PATH',
        "sandbox/apparmor-parser-missing",
    ),
    "selinux-label": Refusal(
        f"{RUNC}write /proc/self/attr/keycreate: invalid argument: unknown",
        "sandbox/selinux-label-unknown",
    ),
    "selinux": Refusal(
        'failed to set file label on "/run/containerd/x": SELinux: setxattr: permission denied',
        "sandbox/selinux-refuses",
    ),
    "seccomp": Refusal(
        f"{RUNC}error adding seccomp filter rule for syscall bdflush: requested action matches "
        "default action of filter: unknown",
        "sandbox/seccomp-refuses",
    ),
    "inotify": Refusal(
        "failed to create fsnotify watcher: too many open files", "sandbox/node-out-of-inotify"
    ),
    "disk": Refusal(
        "failed to create containerd task: mkdir /run/containerd/x: no space left on device",
        "sandbox/node-disk-full",
    ),
    "process-ids": Refusal(
        "failed to start shim: fork/exec /usr/bin/containerd-shim-runc-v2: resource temporarily "
        "unavailable",
        "sandbox/node-out-of-process-ids",
    ),
    "memory": Refusal(
        "fork/exec /usr/bin/runc: cannot allocate memory", "sandbox/node-out-of-memory"
    ),
    "shim-damaged": Refusal(
        'failed to start sandbox "1f": failed to create containerd task: failed to start shim: '
        "start failed: fork/exec /usr/bin/containerd-shim-runc-v2: exec format error",
        "sandbox/containerd-program-unusable",
        says="cannot start /usr/bin/containerd-shim-runc-v2: exec format error",
    ),
    "shim-gone": Refusal(
        "failed to create containerd task: failed to start shim: start failed: fork/exec /var/"
        "lib/rancher/rke2/data/v1.31.4-rke2r1-a1/bin/containerd-shim-runc-v2: no such file or "
        "directory",
        "sandbox/containerd-program-unusable",
        says="v1.31.4-rke2r1-a1/bin/containerd-shim-runc-v2: no such file or directory",
    ),
    "shim-not-installed": Refusal(
        'failed to start shim: failed to resolve runtime path: runtime "io.containerd.runc.v2" '
        'binary not installed "containerd-shim-runc-v2": file does not exist',
        "sandbox/containerd-program-unusable",
        says="cannot start containerd-shim-runc-v2: file does not exist",
    ),
    "runc-gone": Refusal(
        "OCI runtime create failed: unable to retrieve OCI runtime error (open /run/containerd/io."
        "containerd.runtime.v2.task/k8s.io/9c/log.json: no such file or directory): exec: "
        '"runc": executable file not found in $PATH',
        "sandbox/containerd-program-unusable",
        says="cannot start runc: executable file not found",
    ),
    "runc-not-executable": Refusal(
        "unable to retrieve OCI runtime error (open /run/x/log.json: no such file or directory): "
        "fork/exec /usr/local/sbin/runc: permission denied",
        "sandbox/containerd-program-unusable",
        says="cannot start /usr/local/sbin/runc: permission denied",
    ),
    "no-systemd": Refusal(
        f"{RUNC}systemd not running on this host, cannot use systemd cgroups manager: unknown",
        "sandbox/control-fails",
        says="systemd not running on this host",
    ),
    "unknown": Refusal(
        "failed to mount rootfs: quux 0x7f", "sandbox/control-fails", says="quux 0x7f"
    ),
    "admin-and-node": Refusal(
        pulled("registry.local:5000/pause:3.8", "connection refused"),
        "sandbox/pause-image-not-reached",
        says="registry.local:5000/pause:3.8",
        origin="admin",
    ),
}

BROUGHT = {
    "image": Refusal("failed to pull image: failed to resolve reference", helps="--gpu-image"),
    "image-without-shell": Refusal(
        f'{RUNC}exec: "sh": executable file not found in $PATH: unknown', helps="--gpu-image"
    ),
    "image-of-another-architecture": Refusal(
        f"{RUNC}exec /bin/sh: exec format error", helps="--gpu-image"
    ),
    "image-cannot-list": Refusal(
        "the container ended with exit code 127 Error: find: not found", helps="--gpu-image"
    ),
    "cgroup-parent": Refusal(
        'runc create failed: expected cgroupsPath to be of format "slice:prefix:name" for systemd '
        'cgroups, got "/kubepods/besteffort/ID" instead: unknown',
        helps="gpu_sandbox_pod_config",
    ),
    "nameless": Refusal("name or namespace is not in metadata", helps="gpu_sandbox_pod_config"),
    "admins-own": Refusal(
        "something new", helps="leave out gpu_sandbox_pod_config", origin="admin"
    ),
    "kubelet": Refusal("cannot start a stopped process: unknown", helps="run the suite again"),
    "late": Refusal("context deadline exceeded", helps="run the suite again"),
}


class OtherRuntime(Machine):
    """A node whose kubelet uses CRI-O or cri-dockerd: its configuration is not judged."""

    def node(self) -> GpuNode:
        """Return the node as it is now."""
        told = super().node()
        node = GpuNode(told.name, told.cluster)
        node.memory.recall(kubelet_of, self._kubelet)
        node.memory.recall(processes_of, lambda: self.processes)
        with pytest.raises(Unproven):
            runtime_of(node)
        return node


def tried(refusal: Refusal, machine: Machine | None = None) -> GpuNode:
    """Return a node where both sandboxes are refused with these words."""
    error = f"{RPC}{refusal.words}"
    runs = [run("control", error=error), run("gpu", "nvidia", error)]
    made = machine or Machine()
    made.outcomes = {"sandbox": sandbox(*runs, origin=refusal.origin, text="{}")}
    return made.node()


@pytest.mark.parametrize("name", NODE)
def test_what_the_node_refuses_is_a_failure_with_its_words(name: str) -> None:
    """Whoever of it refuses: pause image, network, security module, kernel, runtime."""
    refusal = NODE[name]
    finding = control(tried(refusal))
    assert cause(finding) == refusal.found
    text = told(finding)
    assert refusal.says in text
    assert refusal.words.rpartition(": ")[2] in text
    assert "(control): " in text


@pytest.mark.parametrize("name", BROUGHT)
def test_what_we_brought_is_unproven_with_the_option_that_helps(name: str) -> None:
    """The words are told, and the next step."""
    refusal = BROUGHT[name]
    with pytest.raises(Unproven) as error:
        control(tried(refusal))
    assert refusal.helps in str(error.value)
    assert refusal.words.rpartition(": ")[2] in str(error.value)


@pytest.mark.parametrize("name", [*NODE, *BROUGHT])
def test_the_gpu_sandbox_is_then_not_judged(name: str) -> None:
    """What keeps every pod from starting is no fault of the GPU's handler."""
    with pytest.raises(Unproven):
        check_sandbox.gpu_run(tried({**NODE, **BROUGHT}[name]))


@pytest.mark.parametrize("name", [*NODE, *BROUGHT])
def test_the_repaired_node_is_healthy(name: str) -> None:
    """Without the refusal nothing is found."""
    machine = Machine()
    tried({**NODE, **BROUGHT}[name], machine)
    machine.outcomes = {"sandbox": sandbox()}
    assert control(machine.node()) is None


RUNTIMES = pytest.mark.parametrize("runtime", ["cri-o", "docker"])


@RUNTIMES
@pytest.mark.parametrize("name", ["pause-cri-o", "pause-cri-dockerd", "selinux", "unknown"])
def test_a_decided_control_stays_decided_under_any_runtime(name: str, runtime: str) -> None:
    """Its configuration is not judged; what was seen is."""
    finding = control(tried(NODE[name], OtherRuntime(runtime=runtime)))
    assert cause(finding) == NODE[name].found


@RUNTIMES
@pytest.mark.parametrize(
    ("gpu", "check", "found"),
    [
        ({"error": "something new"}, check_sandbox.gpu_run, "sandbox/gpu-sandbox-fails"),
        (
            {"error": "nvidia-container-cli: initialization error: nvml error: driver not loaded"},
            check_sandbox.gpu_run,
            "sandbox/toolkit-cannot-reach-driver",
        ),
        ({"output": ""}, check_sandbox.missing_devices, "sandbox/nothing-injected"),
        (
            {"output": "/dev/nvidia0\n/dev/nvidiactl"},
            check_sandbox.missing_libraries,
            "sandbox/libraries-missing",
        ),
        ({}, check_sandbox.missing_devices, None),
        ({}, check_sandbox.missing_libraries, None),
        ({}, check_sandbox.gpu_run, None),
    ],
)
def test_a_decided_gpu_sandbox_stays_decided_under_any_runtime(
    gpu: dict[str, str], check: Callable[[GpuNode], Finding | None], found: str, runtime: str
) -> None:
    """It failed with words, or lacks something, or is fine."""
    runs = [run("control"), run("gpu", "nvidia", **gpu)]
    node = OtherRuntime(runtime=runtime, outcomes={"sandbox": sandbox(*runs)}).node()
    assert cause(check(node)) == found


def test_of_the_two_sandboxes_only_the_control_fails() -> None:
    """Then it is not every pod that cannot start."""
    words = f"{RPC}failed to mount rootfs: quux"
    node = Machine(
        outcomes={"sandbox": sandbox(run("control", error=words), run("gpu", "nvidia"))}
    ).node()
    text = told(control(node))
    assert 'No pod with the handler "runc" can start on this node' in text
    assert "No pod can start" not in text


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (
            f"fork/exec {NVIDIA}: no such file or directory: unknown",
            "sandbox/runtime-program-missing",
        ),
        (
            "nvidia-container-cli: initialization error: nvml error: driver not loaded: unknown",
            "sandbox/toolkit-cannot-reach-driver",
        ),
    ],
)
def test_a_broken_default_handler_of_nvidias_keeps_every_pod_from_starting(
    words: str, found: str
) -> None:
    """It is told as the reason for that."""
    finding = control(tried(Refusal(words), Machine(default="nvidia")))
    assert cause(finding) == found
    assert 'default runtime "nvidia": no pod can start on this node' in told(finding)


@pytest.mark.parametrize("name", ["shim-damaged", "shim-gone", "runc-gone"])
def test_containerds_own_programs_are_not_nvidias(name: str) -> None:
    """Also where NVIDIA's handler is the default one: its program is another file."""
    text = told(control(tried(NODE[name], Machine(default="nvidia"))))
    assert "toolkit pod" not in text
    assert "install the toolkit" not in text
    assert "No pod can start on this node: containerd cannot start" in text


def test_the_line_that_names_the_pause_image_is_shown() -> None:
    """With the file and the line, where they are known."""
    text = told(control(tried(NODE["pause-dns"])))
    assert "sandbox_image" in text


def with_line(monkeypatch: pytest.MonkeyPatch, image: str, asked: str) -> str:
    """Return what is told of a refused pause image while a file names an image."""
    line = Evidence(source="/etc/x.toml", line=7, text=f'sandbox_image = "{image}"')
    monkeypatch.setattr(Containerd, "origin", lambda *_: line)
    return told(control(tried(Refusal(pulled(asked, "401 Unauthorized")))))


@pytest.mark.parametrize("image", ["registry.k8s.io/pause:3.10", "602401143452/eks/pause:3.10"])
def test_a_file_that_names_another_pause_image_by_now_is_said_to_be_newer(
    monkeypatch: pytest.MonkeyPatch, image: str
) -> None:
    """The running containerd asks for one, the file names another: a restart makes it count."""
    text = with_line(monkeypatch, image, ECR)
    assert f'"{image}"  (not live: the running one asks for {ECR})' in text
    assert "makes the file count" in text


@pytest.mark.parametrize("image", ["registry.k8s.io/pause:3.10", "docker.io/rancher/pause:3.6"])
def test_a_file_that_names_this_pause_image_is_quoted_as_it_is(
    monkeypatch: pytest.MonkeyPatch, image: str
) -> None:
    """Also where it leaves out the usual registry."""
    short = image.removeprefix("docker.io/")
    text = with_line(monkeypatch, short, image)
    assert f'/etc/x.toml:7: sandbox_image = "{short}"' in text
    assert "not live" not in text
    assert "makes the file count" not in text


def test_the_kernels_line_about_a_denial_is_shown() -> None:
    """The newest one that is about the module that refused."""
    log = (
        '[ 10.1] audit: type=1400 apparmor="DENIED" operation="change_onexec" name="cri-containerd"'
    )
    machine = Machine(commands=[("dmesg", 0, log, "")])
    assert 'apparmor="DENIED"' in told(control(tried(NODE["apparmor"], machine)))
    assert 'apparmor="DENIED"' not in told(control(tried(NODE["disk"], machine)))


LETTERS = st.text("bcdfghjklmnpqrstvwxz", min_size=4, max_size=12)
"""Words without vowels: none of them is one that a component really says."""


@given(st.lists(LETTERS, min_size=2, max_size=5))
def test_any_words_of_a_refusal_are_quoted(words: list[str]) -> None:
    """Both of the control's and of the GPU sandbox: the layer fails with exactly that line."""
    line = f"failed to {' '.join(words)}: zq{words[0]}"
    both = control(tried(Refusal(line)))
    assert line in told(both)
    runs = [run("control"), run("gpu", "nvidia", f"{RPC}{line}")]
    alone = check_sandbox.gpu_run(Machine(outcomes={"sandbox": sandbox(*runs)}).node())
    assert line in told(alone)
    assert cause(alone) == "sandbox/gpu-sandbox-fails"
