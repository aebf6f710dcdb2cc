"""What healthy clusters say: warnings, retries at boot, errors that were survived, old events.

The lines are as the components print them: klog of the device plugin, of GFD and of the kubelet
(reflectors, network, back-off), logrus of the toolkit and of containerd.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.evidence import KubeObject
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.stack.host import failed_units
from pytest_gpu.stack.kube.objects import name_of, namespace_of
from pytest_gpu.stack.operands.logs import path_of_log
from pytest_gpu.stack.operands.operands import operands_of
from pytest_gpu.stack.operands.state import containers_in
from tests.samples.sample_copy import SampleCopy
from tests.samples.variants_daemons import says
from tests.support import yaml_text

Object = dict[str, Any]

STARTS = "I0304 09:00:01.000100       1 main.go:235] Starting\n"
ENDED = f"""\
{STARTS}F0304 09:00:02.000100       1 main.go:173] failed to initialize NVML: LIBRARY_NOT_FOUND
panic: runtime error: invalid memory address or nil pointer dereference
"""
SURVIVED = f"""\
{STARTS}W0304 09:00:03.000100       1 client_config.go:659] Neither --kubeconfig nor --master was specified.
W0304 09:00:03.000200       1 mig.go:89] Ignoring error getting device memory: Not Supported
E0304 09:00:04.000300       1 reflector.go:158] "Unhandled Error" err="k8s.io/client-go/informers/factory.go:160: Failed to watch *v1.Node: failed to list *v1.Node: Get \\"https://10.96.0.1:443/api/v1/nodes\\": dial tcp 10.96.0.1:443: connect: connection refused"
E0304 09:00:05.000400       1 leaderelection.go:429] Failed to update lock: etcdserver: request timed out
time="2025-03-04T09:00:06Z" level=warning msg="Could not locate libnvidia-sandboxutils.so.1: pattern libnvidia-sandboxutils.so.1 not found"
time="2025-03-04T09:00:06Z" level=error msg="Failed to load daemon configuration, retrying: open /runtime/config-dir/config.toml: no such file or directory"
time="2025-03-04T09:00:07Z" level=info msg="Completed 'setup'"
I0304 09:00:09.000500       1 server.go:197] Registered device plugin for 'nvidia.com/gpu' with Kubelet
E0304 09:30:09.000600       1 reflector.go:158] "Unhandled Error" err="Failed to watch *v1.Node: the server was unable to return a response in time"
"""  # noqa: E501 - as programs print them

STARTED = "Mar 04 09:00:01 node systemd[1]: Started kubelet.service - Kubernetes Node Agent.\n"
KUBELET = """\
Mar 04 09:00:02 node kubelet[812]: E0304 09:00:02.1 812 reflector.go:158] "Unhandled Error" err="failed to list *v1.Service: connection refused"
Mar 04 09:00:03 node kubelet[812]: E0304 09:00:03.1 812 kubelet.go:2911] "Container runtime network not ready" networkReady="NetworkReady=false reason:NetworkPluginNotReady message:cni plugin not initialized"
Mar 04 09:00:04 node kubelet[812]: E0304 09:00:04.1 812 pod_workers.go:1301] "Error syncing pod, skipping" err="failed to StartContainer: CrashLoopBackOff"
Mar 04 09:00:05 node kubelet[812]: W0304 09:00:05.1 812 manager.go:1169] Failed to process watch event: task not found
""".splitlines(keepends=True)  # noqa: E501 - as programs print them

CONTAINERD = (
    'level=warning msg="failed to load plugin io.containerd.snapshotter.v1.devmapper"'
    ' error="devmapper not configured"',
    'level=error msg="failed to load cni during init, please check CRI plugin status before setting'
    ' up network for pods" error="cni config load failed: no network config found in'
    ' /etc/cni/net.d: cni plugin not initialized: failed to load cni config"',
    'level=error msg="RunPodSandbox for &PodSandboxMetadata{Name:a,} failed, error" error="failed'
    ' to create containerd task: failed to create shim task: OCI runtime create failed: busy"',
    'level=error msg="ContainerStatus for \\"0badcafe\\" failed" error="code = NotFound"',
)
UNITS = """\
cups.service                 loaded failed failed CUPS Scheduler
NetworkManager-wait-online.service loaded failed failed Network Manager Wait Online
"""
EVENTS = (
    ("BackOff", "Back-off restarting failed container"),
    ("Failed", "Error: failed to create containerd task: nvidia-container-cli: device error"),
    ("FailedCreatePodSandBox", 'no runtime for "nvidia" is configured'),
    ("FailedMount", 'MountVolume.SetUp failed for volume "x": object not registered'),
    ("Unhealthy", "Startup probe failed: nvidia-smi: command not found"),
)


def add(copy: SampleCopy) -> None:
    """Let all operands, journals and events of a healthy cluster say what such ones say."""
    with open_recording(copy.folder, "copy") as cluster:
        operands = operands_of(GpuNode(copy.node.name, cluster))
        pods = [each.pod for each in operands if each.pod]
        taken = cluster.taken
    _restarted(copy, [name_of(each) for each in pods])
    _logs(copy, pods)
    _events(copy, pods, taken - timedelta(hours=2))
    _journals(copy)


def _restarted(copy: SampleCopy, names: Sequence[str]) -> None:
    """Let each container that runs have ended twice, last at the node's boot."""
    path = copy.folder / "kubernetes/pods.yaml"
    pods = yaml_text.load(path.read_text())
    for pod in pods["items"]:
        if pod["metadata"]["name"] in names:
            for told in pod["status"].get("containerStatuses") or ():
                _ended_before(told)
    path.write_text(yaml_text.dump(pods))


def _ended_before(told: Object) -> None:
    if "running" in told["state"]:
        ended = {"exitCode": 1, "reason": "Error", "message": "failed to initialize NVML"}
        told |= {"restartCount": 2, "lastState": {"terminated": ended}}


def _logs(copy: SampleCopy, pods: Sequence[KubeObject]) -> None:
    for pod in pods:
        for container in containers_in(pod):
            for number, text in ((0, SURVIVED), (1, ENDED), (2, SURVIVED)):
                path = copy.node / f"files{path_of_log(pod, container, number)}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)


def _events(copy: SampleCopy, pods: Sequence[KubeObject], when: datetime) -> None:
    path = copy.folder / "kubernetes/events.yaml"
    known = yaml_text.load(path.read_text())["items"] if path.exists() else []
    made = [each for pod in pods for each in _warnings(pod, when)]
    path.write_text(yaml_text.dump({"apiVersion": "v1", "kind": "List", "items": [*known, *made]}))


def _warnings(pod: KubeObject, when: datetime) -> Iterator[Object]:
    where = {"name": name_of(pod), "namespace": namespace_of(pod)}
    for number, (reason, message) in enumerate(EVENTS):
        yield {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {**where, "name": f"{where['name']}.old{number}"},
            "type": "Warning",
            "reason": reason,
            "message": message,
            "count": 7,
            "lastTimestamp": when.isoformat(),
            "involvedObject": {"kind": "Pod", **where},
        }


def _journals(copy: SampleCopy) -> None:
    """Let each journal that was read have noise, and that of the kubelet."""
    commands = yaml_text.load((copy.node / "commands.yaml").read_text())
    read = {" ".join(e["argv"]): e for e in commands if e["argv"][0].endswith("journalctl")}
    for argv, each in read.items():
        if each["exit"] == 0 and "-u" in each["argv"]:
            says(copy, argv, each["stdout"] + _journal_of(each["argv"][2]))
    if any(each["argv"][:3] == ["systemctl", "status", "-l"] for each in commands):
        says(copy, " ".join(failed_units.LIST), UNITS)
        if "systemctl status -l kubelet.service" in {" ".join(e["argv"]) for e in commands}:
            says(copy, "journalctl -u kubelet --no-pager -n 200", STARTED + "".join(KUBELET))


def _journal_of(unit: str) -> str:
    """Return the noise of a containerd, or of what runs one and a kubelet in one process."""
    if "containerd" in unit:
        return "".join(_lines("containerd"))
    program = unit.partition("-")[0]
    kubelet = (line.replace("kubelet[", f"{program}[") for line in KUBELET)
    return "".join((*kubelet, *_lines(program)))


def _lines(program: str) -> Iterator[str]:
    for number, words in enumerate(CONTAINERD):
        stamp = f"2025-03-04T09:30:0{number}.1Z"
        yield f'Mar 04 09:30:0{number} node {program}[700]: time="{stamp}" {words}\n'
