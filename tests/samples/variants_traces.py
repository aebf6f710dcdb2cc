"""Healthy clusters with traces of the past, of other vendors, of software that was removed."""

from __future__ import annotations

from typing import Any

from tests.samples.sample_copy import SampleCopy
from tests.support import yaml_text
from tests.support.changes import (
    GPU,
    Change,
    add_object,
    command,
    containerd_config,
    entry,
    gpu_node,
    process_of,
    set_cmdline,
)


def application_xids(copy: SampleCopy) -> None:
    """Let applications have crashed: their XIDs say nothing about the GPU."""
    xids = "".join(
        f"[ 99.{n}] NVRM: Xid (PCI:0000:17:00): {n}, pid=7, name=python\n" for n in (31, 43)
    )
    path = copy.node / "commands.yaml"
    commands = yaml_text.load(path.read_text())
    (dmesg,) = [c for c in commands if c["argv"][0] == "dmesg"]
    command(copy, "dmesg", stdout=dmesg["stdout"] + xids)


def old_event(copy: SampleCopy) -> None:
    """Let a pod that runs now have failed to start two hours ago."""
    pods = yaml_text.load((copy.folder / "kubernetes/pods.yaml").read_text())["items"]
    pod = next(each for each in pods if each["spec"].get("runtimeClassName"))
    name, namespace = pod["metadata"]["name"], pod["metadata"].get("namespace", "default")
    add_object(
        copy,
        "events",
        f"""
apiVersion: v1
kind: Event
metadata: {{name: old, namespace: {namespace}}}
type: Warning
reason: FailedCreatePodSandBox
message: 'no runtime for "nvidia" is configured'
lastTimestamp: "2020-01-01T00:00:00Z"
involvedObject: {{kind: Pod, name: {name}, namespace: {namespace}}}
""",
    )


def tainted(copy: SampleCopy) -> None:
    """Let the node be kept for who tolerates it."""
    taints = [{"key": "dedicated", "value": "ml", "effect": "NoSchedule"}]
    gpu_node(copy, lambda node: node["spec"].update(taints=taints))


def cordoned(copy: SampleCopy) -> None:
    """Let the node be cordoned since a time that its taint tells."""
    taint = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    taints = [{**taint, "timeAdded": "2026-02-09T16:00:00Z"}]
    gpu_node(copy, lambda node: node["spec"].update(unschedulable=True, taints=taints))


def full(copy: SampleCopy) -> None:
    """Let the node have as many pods as its kubelet takes; those that have ended do not count."""
    gpu_node(copy, lambda node: node["status"]["allocatable"].update(pods=str(_running(copy))))
    ended_pods(copy)


def nearly_full(copy: SampleCopy) -> None:
    """Let the node have room for one more pod."""
    gpu_node(copy, lambda node: node["status"]["allocatable"].update(pods=str(_running(copy) + 1)))
    ended_pods(copy)


def _running(copy: SampleCopy) -> int:
    """Return the number of pods on the GPU node that have not ended."""
    pods = yaml_text.load((copy.folder / "kubernetes/pods.yaml").read_text())["items"]
    here = [each for each in pods if each["spec"].get("nodeName") == copy.node.name]
    return sum(each["status"]["phase"] not in {"Succeeded", "Failed"} for each in here)


def driver_upgrade(state: str, *more: Change) -> Change:
    """Return a change that leaves the operator's upgrade of the driver in a state."""
    label = {"nvidia.com/gpu-driver-upgrade-state": state}

    def change(copy: SampleCopy) -> None:
        gpu_node(copy, lambda node: node["metadata"]["labels"].update(label))
        for each in more:
            each(copy)

    return change


def cordoned_and_tainted(copy: SampleCopy) -> None:
    """Let the node be cordoned, and kept for who tolerates it."""
    taints = [
        {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"},
        {"key": "dedicated", "value": "ml", "effect": "NoSchedule"},
    ]
    gpu_node(copy, lambda node: node["spec"].update(unschedulable=True, taints=taints))


def ended_pods(copy: SampleCopy) -> None:
    """Let GPU pods without a RuntimeClass have ended long ago, well and badly."""
    for phase in ("Succeeded", "Failed"):
        add_object(
            copy,
            "pods",
            f"""
apiVersion: v1
kind: Pod
metadata: {{name: old-{phase.lower()}, namespace: default}}
spec:
  nodeName: {copy.node.name}
  containers: [{{name: main, resources: {{limits: {{{GPU}: "1"}}}}}}]
status: {{phase: {phase}}}
""",
        )


def kata_beside(copy: SampleCopy) -> None:
    """Let there be a RuntimeClass of another runtime, which this node does not even have."""
    text = "{apiVersion: node.k8s.io/v1, kind: RuntimeClass, handler: kata, metadata: {name: kata}}"
    add_object(copy, "runtimeclasses", text)


def upgraded_on_disk(copy: SampleCopy) -> None:
    """Let a package upgrade have replaced containerd's file, not yet the process."""
    exe = f"/proc/{process_of(copy, 'containerd')}/exe"
    entry(copy, exe, kind="symlink", target="/usr/local/bin/containerd (deleted)")
    command(copy, "--version", stdout="containerd github.com/containerd/containerd/v2 v2.2.0 x\n")


def other_config(copy: SampleCopy) -> None:
    """Let containerd read a file at another place."""
    set_cmdline(copy, "containerd", "/usr/local/bin/containerd", "--config=/srv/containerd.toml")
    target = copy.node / "files/srv/containerd.toml"
    target.parent.mkdir()
    containerd_config(copy).rename(target)


def leftover_handler(copy: SampleCopy) -> None:
    """Let a handler of a removed runtime stand in the file; no RuntimeClass leads to it."""
    plugin = 'plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia-experimental'
    text = (
        f'\n[{plugin}]\nruntime_type = "io.containerd.runc.v2"\n[{plugin}.options]\n'
        'BinaryName = "/usr/bin/nvidia-container-runtime-experimental"\n'
    )
    copy.edit(containerd_config(copy), lambda before: before + text)
    copy.edit_yaml(
        copy.node / "listing.yaml",
        lambda it: it["absent"].append("/usr/bin/nvidia-container-runtime-experimental"),
    )


def config_of_a_package_beside(copy: SampleCopy) -> None:
    """Let the runtime of a removed package have left its configuration in /etc."""
    path = copy.node / "files/etc/nvidia-container-runtime/config.toml"
    path.parent.mkdir(parents=True)
    path.write_text('[nvidia-container-cli]\nroot = "/run/nvidia/gone"\n')
    copy.edit_yaml(
        copy.node / "listing.yaml",
        lambda it: it.update(
            absent=[p for p in it["absent"] if p != "/etc/nvidia-container-runtime"]
            + ["/run/nvidia"]
        ),
    )


def driver_in_a_container(copy: SampleCopy) -> None:
    """Let the operator's driver container hold libraries and device nodes."""
    root = "/run/nvidia/driver"

    def move(listing: dict[str, Any]) -> None:
        entries = listing["entries"]
        for path in [p for p in entries if "/libcuda" in p or "/libnvidia-" in p]:
            entries[f"{root}{path}"] = entries.pop(path)
        nodes = {p: dict(e) for p, e in entries.items() if p.startswith("/dev/nvidia")}
        entries |= {
            f"{root}{path}": node | {"device": [*node.get("device", ())]}
            for path, node in nodes.items()
            if node["kind"] == "char"
        }
        folder = "/usr/lib/x86_64-linux-gnu"
        listing["absent"] = [p for p in listing["absent"] if not p.startswith(root)]
        listing["absent"] += [f"{folder}/libcuda.so.1", f"{folder}/libnvidia-ml.so.1"]
        listing["complete"] += [f"{root}/dev"]

    copy.edit_yaml(copy.node / "listing.yaml", move)
    copy.edit(copy.node / "nvml.json", lambda text: text.replace('"/usr/lib', f'"{root}/usr/lib'))
    own = "files/usr/local/nvidia/toolkit/.config/nvidia-container-runtime/config.toml"
    copy.edit(copy.node / own, lambda text: text.replace('root = "/"', f'root = "{root}"'))


def dockers_own_containerd(copy: SampleCopy) -> None:
    """Let Docker run a containerd of its own, without the CRI and without NVIDIA."""
    folder = copy.node / "files/proc/6001"
    folder.mkdir()
    config = "/var/run/docker/containerd/containerd.toml"
    (folder / "cmdline").write_text(f"containerd\n--config\n{config}\n")
    entry(copy, "/proc/6001/exe", kind="symlink", target="/usr/bin/containerd")
    path = copy.node / "files/run/docker/containerd/containerd.toml"
    path.parent.mkdir(parents=True)
    path.write_text('disabled_plugins = ["io.containerd.grpc.v1.cri"]\n')


def kind_beside(copy: SampleCopy) -> None:
    """Let a node of kind run in a container: kubelet and containerd with the usual paths.

    The containerd of kind reads a file of its own under the name of the node's, which it would not
    start with here.
    """
    for pid, argv in ((7001, "/usr/bin/kubelet"), (7002, "/usr/local/bin/containerd")):
        folder = copy.node / f"files/proc/{pid}"
        folder.mkdir()
        (folder / "cmdline").write_text(f"{argv}\n")
        entry(copy, f"/proc/{pid}/exe", kind="symlink", target=argv)
        entry(copy, f"/proc/{pid}/ns/net", kind="symlink", target="net:[4026532871]")
    entry(copy, "/proc/1/ns/net", kind="symlink", target="net:[4026531840]")


def intel_node(copy: SampleCopy) -> None:
    """Let another node have a GPU of another vendor."""
    add_object(
        copy,
        "nodes",
        """
apiVersion: v1
kind: Node
metadata: {name: intel-1, labels: {gpu.intel.com/product: Flex_170}}
status: {capacity: {gpu.intel.com/i915: "4"}, allocatable: {gpu.intel.com/i915: "4"}}
""",
    )


def stale_spec_in_legacy_mode(copy: SampleCopy) -> None:
    """Let somebody have made a CDI spec before the last driver update; nobody reads it."""
    spec = copy.node / "files/run/cdi/nvidia.yaml"
    spec.parent.mkdir(parents=True, exist_ok=True)
    library = "/usr/lib/x86_64-linux-gnu/libcuda.so.535.1"
    spec.write_text(
        f"cdiVersion: 0.5.0\nkind: {GPU}\ndevices:\n- name: all\n"
        f"  containerEdits: {{mounts: [{{hostPath: {library}, containerPath: {library}}}]}}\n"
    )
    copy.edit_yaml(copy.node / "listing.yaml", lambda it: it["absent"].append(library))


def other_vendors_broken_spec(copy: SampleCopy) -> None:
    """Let a CDI spec of another vendor be cut off."""
    spec = copy.node / "files/run/cdi/intel.com-gpu.yaml"
    spec.parent.mkdir(parents=True, exist_ok=True)
    spec.write_text("kind: [")


def no_crictl(copy: SampleCopy) -> None:
    """A host without crictl: its kubelet gets answers, and containerd has read its files."""
    command(copy, " info")
