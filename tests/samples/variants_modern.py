"""Faults as a modern Kubernetes shows them: seen on 1.36, containerd 2.x and toolkit 1.20."""

from __future__ import annotations

import shutil
from typing import Any

from tests.samples.sample_copy import SampleCopy
from tests.support import yaml_text
from tests.support.changes import GPU, add_object, command, each_object, gpu_node, process_of

JOURNAL = ["journalctl", "-u", "containerd"]
SOCKET = "/run/containerd/containerd.sock"
CONTAINERD_UNIT = """\
[Unit]
Description=containerd container runtime

[Service]
ExecStart=/usr/local/bin/containerd
Restart=always
"""
LOG_OF_A_FAILED_START = """\
Mar 04 09:50:01 gpu-1 containerd[51022]: containerd: failed to load TOML: config.toml
Mar 04 09:50:01 gpu-1 systemd[1]: containerd.service: Main process exited, code=exited, status=1
"""


def through_ssh(copy: SampleCopy) -> None:
    """Let the node have been read over ssh, and no pod have been tried on it."""
    (copy.node / "node.yaml").write_text("door: ssh\n")
    shutil.rmtree(copy.node / "outcomes")


def no_visit(copy: SampleCopy, reason: str) -> None:
    """Let nobody have been let into the node."""
    folder = copy.node
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "node.yaml").write_text(yaml_text.dump({"door": "none", "reason": reason}))


def condition(copy: SampleCopy, kind: str, status: str, reason: str, message: str) -> None:
    """Give the node a condition."""

    def change(node: dict[str, Any]) -> None:
        others = [each for each in node["status"]["conditions"] if each["type"] != kind]
        new = {"type": kind, "status": status, "reason": reason, "message": message}
        node["status"]["conditions"] = [*others, new]

    gpu_node(copy, change)


def end_process(copy: SampleCopy, program: str) -> None:
    """Let a process have ended."""
    pid = process_of(copy, program)
    shutil.rmtree(copy.node / f"files/proc/{pid}")

    def forget(listing: dict[str, Any]) -> None:
        places = [f"/proc/{pid}", f"/proc/{pid}/"]
        listing["complete"] = [p for p in listing["complete"] if not p.startswith(places[1])]
        for path in [p for p in listing["entries"] if p.startswith(places[1])]:
            del listing["entries"][path]

    copy.edit_yaml(copy.node / "listing.yaml", forget)


def reports_version(copy: SampleCopy, version: str) -> None:
    """Let the kubelet report a version of its runtime."""
    info = {"containerRuntimeVersion": version}
    gpu_node(copy, lambda node: node["status"]["nodeInfo"].update(info))


def log(copy: SampleCopy, lines: str) -> None:
    """Add lines to the end of containerd's journal."""
    path = copy.node / "commands.yaml"
    commands = yaml_text.load(path.read_text())
    (journal,) = [each for each in commands if each["argv"][:3] == JOURNAL]
    journal["stdout"] += lines
    path.write_text(yaml_text.dump(commands))


def containerd_stopped(copy: SampleCopy) -> None:
    """Let containerd be stopped; a modern kubelet then no longer knows its version."""
    through_ssh(copy)
    end_process(copy, "containerd")
    unix = copy.node / "files/proc/net/unix"
    copy.edit(unix, lambda text: "".join(t for t in text.splitlines(True) if SOCKET not in t))
    command(copy, "containerd --version")
    refused = "rpc error: code = Unavailable desc = connect: no such file or directory"
    command(copy, " info", exit=1, stdout="", stderr=refused)
    log(copy, "Mar 04 09:50:00 gpu-1 systemd[1]: Stopped containerd container runtime.\n")
    reports_version(copy, "containerd://Unknown")
    down = "[container runtime is down, PLEG is not healthy]"
    condition(copy, "Ready", "False", "KubeletNotReady", down)


def containerd_cannot_start(copy: SampleCopy) -> None:
    """Let containerd be down because of its configuration; its unit says which program it is."""
    containerd_stopped(copy)
    unit = copy.node / "files/usr/lib/systemd/system/containerd.service"
    unit.write_text(CONTAINERD_UNIT)
    path = copy.node / "commands.yaml"
    commands = yaml_text.load(path.read_text())
    told = "containerd github.com/containerd/containerd/v2 v2.1.9 88bf19b\n"
    argv = ["/usr/local/bin/containerd", "--version"]
    commands.append({"argv": argv, "exit": 0, "stdout": told})
    path.write_text(yaml_text.dump(commands))
    log(copy, LOG_OF_A_FAILED_START)
    config = copy.node / "files/etc/containerd/config.toml"
    copy.edit(config, lambda text: text.replace("[plugins]", "[plugins", 1))


def _append(copy: SampleCopy, text: str) -> None:
    """Add lines to containerd's file after containerd has started."""
    copy.edit(copy.node / "files/etc/containerd/config.toml", lambda before: before + text)
    path = "/etc/containerd/config.toml"
    later = "2025-03-04T09:30:00Z"
    copy.edit_yaml(copy.node / "listing.yaml", lambda it: it["entries"][path].update(mtime=later))


def invalid_not_loaded(copy: SampleCopy) -> None:
    """Let somebody have broken containerd's file; what runs has not read it yet."""
    _append(copy, "[plugins\n")


def cri_off_not_loaded(copy: SampleCopy) -> None:
    """Let somebody have switched the CRI off; what runs has not read it yet."""
    config = copy.node / "files/etc/containerd/config.toml"
    copy.edit(config, lambda text: f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n{text}')


def default_gone_not_loaded(copy: SampleCopy) -> None:
    """Let the default runtime be one that is not defined; what runs has not read it yet."""
    config = copy.node / "files/etc/containerd/config.toml"
    old = 'default_runtime_name = "runc"'
    copy.edit(config, lambda text: text.replace(old, 'default_runtime_name = "crun"'))


ALL_EVICTED = "Evicted: The node had condition: [DiskPressure]. "
LOW_ON_DISK = (
    "The node was low on resource: ephemeral-storage. Threshold quantity: 10%, available: 8%. "
)
DF = """\
Filesystem     1024-blocks      Used Available Capacity Mounted on
/dev/nvme0n1p2   959786032 886842293  72943739      93% /
/dev/nvme0n1p2   959786032 886842293  72943739      93% /
/dev/nvme1n1     1921802032 57654060 1864147972       3% /var/lib/containerd
"""
INODES = """\
Filesystem       Inodes   IUsed    IFree IUse% Mounted on
/dev/nvme0n1p2 61054976 1221099 59833877    2% /
/dev/nvme0n1p2 61054976 1221099 59833877    2% /
/dev/nvme1n1          0       0        0     - /var/lib/containerd
"""


def under_pressure(copy: SampleCopy, kind: str = "DiskPressure") -> None:
    """Let the kubelet report a pressure, and say so in an event."""
    word = {"DiskPressure": "disk", "PIDPressure": "PID", "MemoryPressure": "memory"}[kind]
    said = f"kubelet has {word} pressure"
    condition(copy, kind, "True", f"KubeletHas{kind}", said)
    lack = {"disk": "ephemeral-storage", "PID": "pids", "memory": "memory"}[word]
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{copy.node.name}.17c", "namespace": "default"},
        "involvedObject": {"kind": "Node", "name": copy.node.name, "uid": copy.node.name},
        "type": "Warning",
        "reason": "EvictionThresholdMet",
        "message": f"Attempting to reclaim {lack}",
        "lastTimestamp": "2025-03-04T09:58:00Z",
    }
    add_object(copy, "events", yaml_text.dump(event))


def suite_pod_evicted(copy: SampleCopy, message: str) -> None:
    """Let the kubelet have refused the suite's GPU pod."""

    def evicted(outcome: dict[str, Any]) -> None:
        status = {"phase": "Failed", "reason": "Evicted", "message": message}
        outcome["pod"]["status"] = status
        outcome["containers"] = {}

    copy.edit_yaml(copy.node / "outcomes/pod.yaml", evicted)


def disk_pressure_unvisited(copy: SampleCopy) -> None:
    """Let the kubelet evict the visit's pod for want of disk space."""
    under_pressure(copy)
    no_visit(copy, f"the pod did not start within 2 s: {ALL_EVICTED.strip()}")


def disk_pressure_by_ssh(copy: SampleCopy) -> None:
    """Let the kubelet evict every pod; ssh shows which file system is full."""
    under_pressure(copy)
    suite_pod_evicted(copy, ALL_EVICTED.removeprefix("Evicted: "))
    (copy.node / "node.yaml").write_text("door: ssh\n")
    path = copy.node / "commands.yaml"
    commands = yaml_text.load(path.read_text())
    folders = ["/", "/var/lib/kubelet", "/var/lib/containerd"]
    commands.append({"argv": ["df", "-P", *folders], "exit": 0, "stdout": DF})
    commands.append({"argv": ["df", "-Pi", *folders], "exit": 0, "stdout": INODES})
    path.write_text(yaml_text.dump(commands))


def disk_pressure_without_plugin(copy: SampleCopy) -> None:
    """Let the device plugin's pod be evicted, too: the node has no GPU to allocate."""
    disk_pressure_by_ssh(copy)

    def evicted(pod: dict[str, Any]) -> None:
        if "device-plugin" in pod["metadata"]["name"]:
            pod["status"] = {"phase": "Failed", "reason": "Evicted", "message": LOW_ON_DISK}

    each_object(copy, "pods", evicted)
    gpu_node(copy, lambda node: node["status"]["allocatable"].update({GPU: "0"}))


def pid_pressure(copy: SampleCopy) -> None:
    """Let the node have no process IDs left."""
    under_pressure(copy, "PIDPressure")
    suite_pod_evicted(copy, "The node had condition: [PIDPressure]. ")


def evicted_for_memory(copy: SampleCopy) -> None:
    """Let the suite's pod have been evicted because the node has no memory left."""
    under_pressure(copy, "MemoryPressure")
    low = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 61Mi. "
    suite_pod_evicted(copy, low)


def memory_pressure(copy: SampleCopy) -> None:
    """Let the node be low on memory; pods that ask for some, as the suite's does, start."""
    under_pressure(copy, "MemoryPressure")


SWAP = "failed to run Kubelet: running with swap on is not supported, please disable swap"
CRASH_LOOP = f"""\
● kubelet.service - kubelet: The Kubernetes Node Agent
     Loaded: loaded (/usr/lib/systemd/system/kubelet.service; enabled; preset: enabled)
     Active: activating (auto-restart) (Result: exit-code) since Tue 2025-03-04 09:58:41 UTC; 4s ago
    Process: 51022 ExecStart=/usr/bin/kubelet $KUBELET_CONFIG_ARGS (code=exited, status=1/FAILURE)
   Main PID: 51022 (code=exited, status=1/FAILURE)
        CPU: 412ms

Mar 04 09:58:41 n1 kubelet[51022]: E0304 09:58:41.2034 51022 run.go] "command failed" err="{SWAP}"
Mar 04 09:58:41 n1 systemd[1]: kubelet.service: Main process exited, code=exited, status=1/FAILURE
Mar 04 09:58:41 n1 systemd[1]: kubelet.service: Failed with result 'exit-code'.
"""
STARTED_AGAIN = """\
● kubelet.service - kubelet: The Kubernetes Node Agent
     Loaded: loaded (/usr/lib/systemd/system/kubelet.service; enabled; preset: enabled)
     Active: active (running) since Tue 2025-03-04 09:58:51 UTC; 2s ago
   Main PID: 51088 (kubelet)

Mar 04 09:58:41 n1 systemd[1]: kubelet.service: Main process exited, code=exited, status=1/FAILURE
Mar 04 09:58:41 n1 systemd[1]: kubelet.service: Failed with result 'exit-code'.
Mar 04 09:58:51 n1 systemd[1]: kubelet.service: Scheduled restart job, restart counter is at 41.
Mar 04 09:58:51 n1 systemd[1]: Started kubelet: The Kubernetes Node Agent.
"""


def kubelet_crashes(copy: SampleCopy) -> None:
    """Let the kubelet be in a crash loop; each start posts a status, so the Node stays Ready."""
    end_process(copy, "kubelet")
    command(copy, "status -l kubelet", exit=3, stdout=CRASH_LOOP)


def kubelet_dies_while_visited(copy: SampleCopy) -> None:
    """Let the kubelet have run when the processes were listed, and have ended right after."""
    command(copy, "status -l kubelet", exit=3, stdout=CRASH_LOOP)


def kubelet_just_restarted(copy: SampleCopy) -> None:
    """Let the kubelet run at the moment, between two crashes."""
    command(copy, "status -l kubelet", stdout=STARTED_AGAIN)


def kubelet_started_by_hand(copy: SampleCopy) -> None:
    """Let somebody have stopped the crash loop, and started a kubelet that works."""
    by_hand = STARTED_AGAIN.replace(
        "Mar 04 09:58:51 n1 systemd[1]: Started",
        "Mar 04 09:58:59 n1 systemd[1]: Stopping kubelet.service...\n"
        "Mar 04 09:59:00 n1 systemd[1]: Started",
    )
    command(copy, "status -l kubelet", stdout=by_hand)


def kubelet_waits_for_containerd(copy: SampleCopy) -> None:
    """Let the kubelet end again and again because its runtime is stopped."""
    containerd_stopped(copy)
    kubelet_crashes(copy)


def rke2_crashes(copy: SampleCopy) -> None:
    """Let the service around the kubelet and containerd end again and again."""
    end_process(copy, "kubelet")
    path = copy.node / "commands.yaml"
    commands = yaml_text.load(path.read_text())
    commands = [each for each in commands if "systemctl" not in each["argv"]]
    told = CRASH_LOOP.replace("kubelet.service", "rke2-agent.service").replace(
        'kubelet[51022]: E0304 09:58:41.2034 51022 run.go] "command failed" err="',
        'rke2[51022]: time="2025-03-04T09:58:41Z" level=fatal msg="',
    )
    argv = ["systemctl", "status", "-l", "rke2-agent.service"]
    commands.append({"argv": argv, "exit": 3, "stdout": told})
    path.write_text(yaml_text.dump(commands))


def _version_unknown(copy: SampleCopy) -> None:
    """Let neither the kubelet nor containerd's program have told the version."""
    command(copy, "containerd --version")
    reports_version(copy, "containerd://Unknown")


def cri_silent(copy: SampleCopy) -> None:
    """Let containerd run without its CRI, so that the kubelet does not know its version."""
    through_ssh(copy)
    _version_unknown(copy)
    gone = "validate CRI v1 runtime API: code = Unimplemented desc = unknown service"
    command(copy, " info", exit=1, stdout="", stderr=gone)
    condition(copy, "Ready", "False", "KubeletNotReady", "container runtime is down")


def kubelet_stopped(copy: SampleCopy) -> None:
    """Let the kubelet be stopped while containerd, whose version nobody knows, serves."""
    through_ssh(copy)
    _version_unknown(copy)
    end_process(copy, "kubelet")
    silent = "Kubelet stopped posting node status."
    condition(copy, "Ready", "Unknown", "NodeStatusUnknown", silent)


def runtime_down_unvisited(copy: SampleCopy) -> None:
    """Let the kubelet report that its runtime is down; nobody is let in to see why."""
    no_visit(copy, "the pod did not start within 31 s: NodeNotReady: Node is not ready")
    reports_version(copy, "containerd://Unknown")
    down = "[container runtime is down, PLEG is not healthy: pleg was last seen active 5m ago]"
    condition(copy, "Ready", "False", "KubeletNotReady", down)
