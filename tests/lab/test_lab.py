"""The lab itself: every part works as it says, and nothing is left behind."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.stack.sandbox.sandboxes import shipped_files
from tests.lab import workplace
from tests.lab.cluster import PODS, LabCluster
from tests.lab.control_plane.gpu_stack import LABEL
from tests.lab.nodes.daemons import wait_for
from tests.lab.nodes.fake_gpu import library_paths
from tests.lab.nodes.node import Node
from tests.lab.nodes.node_init import SYSCTLS
from tests.lab.parts.images import PYTHON
from tests.lab.parts.programs import chosen_kubernetes
from tests.lab.workplace import group_of, open_workplace, sweep

NAMES = ("n16", "n17", "n24", "nsd")
GENERATIONS = {"n16": "1.6.", "n17": "1.7.", "n24": "2.4.", "nsd": "1.7."}
LISTING = "import glob; print(*sorted(glob.glob('/dev/nvidia*')))"
CUDA = "import ctypes; print(ctypes.CDLL('libcuda.so.1').cuInit(0))"
GPU = {"limits": {"nvidia.com/gpu": 1}}
TOOLKIT_CONFIG = "/etc/nvidia-container-runtime/config.toml"


@pytest.fixture(params=NAMES)
def node(request: pytest.FixtureRequest, lab_cluster: LabCluster) -> Node:
    """Return each node of the lab in turn."""
    return lab_cluster.nodes[request.param]


def on(node: Node, script: str, **container: Any) -> dict[str, Any]:
    """Return the spec of a pod that runs a Python script on a node, under the nvidia handler."""
    one = {"command": ["python3", "-c", script], **container}
    return {"nodeName": node.name, "runtimeClassName": "nvidia", "containers": [one]}


def sandbox(node: Node, handler: str) -> str:
    """Run the suite's own sandbox by crictl and return what its container printed."""
    files = shipped_files()
    pod = json.loads(files.pod_text)
    pod["metadata"].update(name=f"lab-{time.monotonic_ns()}", uid=f"lab-{time.monotonic_ns()}")
    parent = "kubepods-besteffort.slice" if node.spec.systemd else "/kubepods/besteffort"
    pod["linux"]["cgroup_parent"] = parent
    node.write("/tmp/lab-pod.json", json.dumps(pod))  # noqa: S108 - of a node
    node.write("/tmp/lab-container.json", files.container_text)  # noqa: S108
    paths = ("/tmp/lab-container.json", "/tmp/lab-pod.json")  # noqa: S108
    name = node.must("crictl", "run", "--no-pull", f"--runtime={handler}", *paths).strip()
    state = wait_for(lambda: _exited(node, name), f"container {name} to exit", node.outer)
    output = node.must("crictl", "logs", name)
    node.must("crictl", "rmp", "--force", state["podSandboxId"])
    return output


def _exited(node: Node, name: str) -> Any:
    listed = json.loads(node.must("crictl", "ps", "--all", "--id", name, "--output", "json"))
    [container] = listed["containers"]
    return container if container["state"] == "CONTAINER_EXITED" else None


def test_node_is_ready_with_its_generation_of_containerd(node: Node) -> None:
    """The cluster sees a kubelet over the real containerd that the node's name promises."""
    assert node.is_ready()
    version = node.object()["status"]["nodeInfo"]["containerRuntimeVersion"]
    assert version.startswith(f"containerd://{GENERATIONS[node.name]}")


def test_every_part_of_kubernetes_is_of_the_chosen_release(
    node: Node, lab_cluster: LabCluster
) -> None:
    """Kubelet and API server tell the version that is pinned for this run."""
    wanted = chosen_kubernetes().version
    assert node.object()["status"]["nodeInfo"]["kubeletVersion"] == wanted
    assert lab_cluster.api.get("/version")["gitVersion"] == wanted


def test_kubelet_tells_the_handlers_of_a_containerd_2(node: Node) -> None:
    """It asks containerd directly; 1.x does not tell its handlers."""
    told = {each["name"] for each in node.object()["status"].get("runtimeHandlers", ())}
    assert told == ({"", "runc", "nvidia"} if node.spec.generation == "2.4" else set())


@pytest.mark.parametrize("mode", ["auto", "jit-cdi", "cdi"])
def test_every_cdi_mode_of_the_runtime_gives_a_gpu(mode: str, lab_cluster: LabCluster) -> None:
    """With a spec on disk, and without: just in time."""
    node = lab_cluster.nodes["n17"]
    node.write(TOOLKIT_CONFIG, f'[nvidia-container-runtime]\nmode = "{mode}"\n')
    try:
        spec = on(node, f"{LISTING}; {CUDA}", resources=GPU)
        phase, log = lab_cluster.run_pod(f"mode-{mode}", spec)
    finally:
        node.remove(TOOLKIT_CONFIG)
    assert phase == "Succeeded", log
    assert "/dev/nvidiactl" in log
    assert log.splitlines()[-1] == "0", "cuInit"


def test_node_gives_away_its_gpus(node: Node) -> None:
    """The device plugin registered and was believed."""
    assert node.allocatable() == 2


def test_node_looks_like_a_gpu_host(node: Node) -> None:
    """PCI functions, driver and device nodes agree with each other."""
    vendors = node.must("sh", "-c", "cat /sys/bus/pci/devices/*/vendor | grep -c 0x10de")
    assert vendors.strip() == "2"
    assert "550.144.03" in node.read("/proc/driver/nvidia/version")
    assert node.must("stat", "--format=%t:%T", "/dev/nvidia1").strip() == "c3:1"


def test_pod_of_the_runtime_class_gets_one_gpu(node: Node, lab_cluster: LabCluster) -> None:
    """Device plugin, kubelet, containerd and the nvidia runtime play together."""
    spec = on(node, f"{LISTING}; {CUDA}", resources=GPU)
    phase, log = lab_cluster.run_pod(f"gpu-{node.name}", spec)
    assert phase == "Succeeded"
    devices, cuda = log.splitlines()
    cards = [path for path in devices.split() if path[-1].isdigit()]
    assert len(cards) == 1
    assert cuda == "0", "cuInit"


def test_pod_without_a_gpu_gets_none(node: Node, lab_cluster: LabCluster) -> None:
    """The nvidia handler alone injects nothing."""
    phase, log = lab_cluster.run_pod(f"none-{node.name}", on(node, LISTING))
    assert (phase, log.strip()) == ("Succeeded", "")


def test_crictl_runs_the_sandbox_of_the_suite(node: Node) -> None:
    """A host-network sandbox starts with either handler; only nvidia's holds GPUs.

    Without the kubelet, which kills sandboxes that it does not own.
    """
    node.stop("kubelet")
    try:
        assert sandbox(node, "") == ""
        assert "/dev/nvidia0" in sandbox(node, "nvidia")
    finally:
        node.start_kubelet()
        # The log folder of the shipped files; the suite itself uses one of its own per run.
        node.must("rm", "-rf", "/tmp/pytest-gpu-sandbox")  # noqa: S108 - of a node


def test_crictl_tells_an_unknown_handler_as_the_runtime_does(node: Node) -> None:
    """The error is containerd's own."""
    node.write("/tmp/lab-pod.json", shipped_files().pod_text)  # noqa: S108 - of a node
    done = node.run(["crictl", "runp", "--runtime=nope", "/tmp/lab-pod.json"])  # noqa: S108
    assert done.returncode == 1
    assert 'no runtime for \\"nope\\" is configured' in done.stderr, "crictl quotes its messages"


def test_live_handlers_follow_the_configuration_after_a_restart(lab_cluster: LabCluster) -> None:
    """Files edited in a node are the ones its containerd reads; the daemon returns by itself."""
    node = lab_cluster.nodes["n16"]
    config = node.spec.config
    other = config.handler("other", "/usr/bin/other-runtime")
    node.write("/etc/containerd/config.toml", config.text() + other)
    assert "/usr/bin/other-runtime" not in node.must("crictl", "info")
    node.restart("containerd")
    wait_for(lambda: node.run(["crictl", "version"]).returncode == 0, "the CRI", node.outer)
    assert "/usr/bin/other-runtime" in node.must("crictl", "info")
    node.reset_containerd_config()
    node.restart("containerd")


def test_device_plugin_reports_what_it_is_told(lab_cluster: LabCluster) -> None:
    """Health and replicas reach the scheduler."""
    node = lab_cluster.nodes["n17"]
    node.set_plugin(unhealthy=["0"])
    lab_cluster.await_allocatable("n17", 1)
    node.set_plugin(replicas=4)
    lab_cluster.await_allocatable("n17", 8)
    node.set_plugin()
    lab_cluster.await_allocatable("n17", 2)


@pytest.mark.parametrize(("code", "words"), [(9, "Driver Not Loaded"), (18, "version mismatch")])
def test_failing_nvml_fails_the_pod_as_the_toolkit_does(
    code: int, words: str, lab_cluster: LabCluster
) -> None:
    """The container does not start, and the kubelet repeats NVML's words."""
    node, name = lab_cluster.nodes["n24"], f"nvml-{code}"
    node.set_nvml(init=code)
    pod = {"restartPolicy": "Never", **on(node, CUDA, resources=GPU)}
    pod["containers"][0].update(name="main", image=PYTHON)
    lab_cluster.api.create(PODS, {"metadata": {"name": name}, "spec": pod})
    try:
        text = wait_for(lambda: _start_error(lab_cluster, name), "StartError", node.outer)
    finally:
        node.set_nvml()
        lab_cluster.api.delete(f"{PODS}/{name}", seconds=0)
    assert "failed to initialize NVML" in text
    assert words in text


def _start_error(lab_cluster: LabCluster, name: str) -> str | None:
    status = lab_cluster.api.get(f"{PODS}/{name}")["status"]
    for container in status.get("containerStatuses", ()):
        if ended := container["state"].get("terminated"):
            return str(ended["message"])
    return None


def test_nvidia_smi_tells_what_nvml_tells(node: Node) -> None:
    """The GPUs with their UUIDs; where NVML does not start, its words and its code."""
    lines = node.must("nvidia-smi", "-L").splitlines()
    assert [line.partition(": NVIDIA")[0] for line in lines] == ["GPU 0", "GPU 1"]
    assert "(UUID: GPU-fa4e0001-" in lines[1]
    node.set_nvml(init=18)
    failed = node.run(["nvidia-smi", "-L"])
    node.set_nvml()
    said = "Failed to initialize NVML: Driver/library version mismatch\n"
    assert (failed.returncode, failed.stdout) == (18, said)


def test_frozen_nvml_survives_kill(lab_cluster: LabCluster) -> None:
    """A process that asks NVML hangs for good, and not even SIGKILL ends it before the thaw."""
    node = lab_cluster.nodes["n16"]
    ask = "import ctypes; ctypes.CDLL('libnvidia-ml.so.1').nvmlInit_v2()"
    node.freeze_nvml()
    node.must("sh", "-c", f'/usr/bin/python3 -c "{ask}" >/dev/null 2>&1 & echo $! > /tmp/asker')
    frozen = "/sys/fs/cgroup/freezer/lab-frozen/cgroup.procs"
    pid = wait_for(lambda: node.read(frozen).strip(), "the process to freeze", node.outer)
    node.must("kill", "-KILL", pid)
    time.sleep(0.3)
    assert node.run(["test", "-d", f"/proc/{pid}"]).returncode == 0
    node.thaw_nvml()
    wait_for(lambda: node.run(["test", "-d", f"/proc/{pid}"]).returncode, "its end", node.outer)


def test_systemd_is_real(lab_cluster: LabCluster) -> None:
    """Units can be asked and their logs read; pods live in slices."""
    node = lab_cluster.nodes["nsd"]
    assert node.must("systemctl", "is-active", "containerd", "kubelet").split() == ["active"] * 2
    assert "containerd successfully booted" in node.log("containerd", 2000)
    assert node.run(["test", "-d", "/sys/fs/cgroup/memory/kubepods.slice"]).returncode == 0


@pytest.mark.parametrize("name", ["n16", "nsd"])
def test_ssh_leads_into_the_node(name: str, lab_cluster: LabCluster) -> None:
    """The system's OpenSSH client reaches a real sshd, and sudo asks nothing."""
    argv = [
        str(lab_cluster.ssh.path / "ssh"),
        "-oBatchMode=yes",
        name,
        "sudo -n sh -c 'hostname; id -u'",
    ]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == [name, "0"], done.stderr


def test_stopped_kubelet_stays_stopped(lab_cluster: LabCluster) -> None:
    """The supervisor leaves a daemon alone that a test stopped, and starts it when asked."""
    node = lab_cluster.nodes["n17"]
    node.stop("kubelet")
    time.sleep(1)
    assert node.pids("kubelet") == []
    node.start_kubelet()
    lab_cluster.await_allocatable("n17", 2)


def test_cluster_marks_gpu_nodes(node: Node) -> None:
    """The label of GPU feature discovery is there."""
    assert node.object()["metadata"]["labels"][LABEL] == "true"


KILLED = """
import subprocess, sys
from pathlib import Path
from tests.lab.nodes.daemons import new_network
from tests.lab.workplace import open_workplace
place = open_workplace(Path(sys.argv[1]))
new_network(place)
print(place.folder.name, flush=True)
sys.stdin.read()
"""


def test_killed_lab_is_swept(tmp_path: Path) -> None:
    """Processes, cgroups and files of a lab whose run got SIGKILL are gone after the next start."""
    base = tmp_path / "labs"
    argv = [sys.executable, "-c", KILLED, str(base)]
    options: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(argv, cwd=Path(__file__).parents[2], **options) as run:
        assert run.stdout
        folder = base / run.stdout.readline().strip()
        group = group_of(folder)
        assert sweep(base) == (), "a lab that runs is left alone"
        run.kill()
    assert group.pids(), "the daemons outlive the run"
    place = open_workplace(base)
    assert not folder.exists()
    assert not any(path.exists() for path in group.folders)
    place.close()
    assert [path.name for path in base.iterdir()] == ["sweep.lock"]


def test_machine_shows_nothing_of_the_lab(lab_cluster: LabCluster) -> None:
    """Mounts and network devices of the nodes are in namespaces of the nodes only."""
    assert str(lab_cluster.workplace.folder) not in Path("/proc/self/mounts").read_text()
    own = {path.name for path in Path("/sys/class/net").iterdir()}
    assert not own & {"br0", "cni0", *(f"v-{name}" for name in NAMES)}


def test_sysctls_of_the_machine_are_out_of_reach(node: Node) -> None:
    """What kubelet and systemd set for a whole machine, they set for the node only."""
    for name in SYSCTLS:
        path = Path("/proc/sys") / name
        before = path.read_text()
        own = node.read(str(path))
        node.write(str(path), "lab\n")
        assert (node.read(str(path)), path.read_text()) == ("lab\n", before)
        node.write(str(path), own)


BROKEN = "rm -rf /dev/nvidia0 /sys/bus/pci/devices/0000:17:00.0 /etc/cni/net.d/* /etc/cdi"


@pytest.mark.parametrize("name", ["n24", "nsd"])
def test_broken_node_is_healed(name: str, lab_cluster: LabCluster) -> None:
    """Whatever the lab wrote comes back, daemons and images included."""
    node = lab_cluster.nodes[name]
    libraries = library_paths("550.144.03")
    node.remove_image(PYTHON)
    assert node.run(["crictl", "pull", PYTHON]).returncode == 1
    node.set_nvml(init=18)
    node.stop("kubelet")
    node.write("/etc/containerd/conf.d/99-nvidia.toml", "version = 2\n")
    node.must("sh", "-c", f"{BROKEN} /usr/bin/nvidia-container-runtime")
    node.remove(*(path for path in libraries if "libcuda" in path))
    node.heal()
    assert node.run(["ls", *libraries, "/etc/cdi/nvidia.json"]).returncode == 0
    lab_cluster.await_allocatable(name, 2)
    spec = on(node, f"{LISTING}; {CUDA}", resources={"limits": {"nvidia.com/gpu": 2}})
    phase, log = lab_cluster.run_pod(f"healed-{name}", spec)
    assert (phase, "/dev/nvidia0 /dev/nvidia1" in log) == ("Succeeded", True)
    assert log.splitlines()[-1] == "0", "cuInit"


def test_base_of_labs_is_private() -> None:
    """Nobody else can put files where root's daemons read them."""
    if workplace.BASE.exists():
        assert workplace.BASE.stat().st_mode & 0o077 == 0
