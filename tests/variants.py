"""Clusters that differ from a healthy sample as real ones do, and still are healthy.

Each function changes a copy; what it is named after is what differs. None of these differences
may be taken for a fault.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from tests.sample_copy import SampleCopy
from tests.sample_table import EKS, KUBEADM, RKE2, SNAP

Change = Callable[[SampleCopy], None]
CDI = "healthy-cdi"
GPU = "nvidia.com/gpu"


def process_of(copy: SampleCopy, program: str) -> str:
    """Return the PID of the process whose first argument names a program."""
    for cmdline in sorted((copy.node / "files/proc").glob("[0-9]*/cmdline")):
        if re.split("[\0\n ]", cmdline.read_text())[0].rpartition("/")[2] == program:
            return cmdline.parent.name
    raise LookupError(program)


def set_cmdline(copy: SampleCopy, program: str, *argv: str) -> None:
    """Give a process another command line."""
    path = copy.node / f"files/proc/{process_of(copy, program)}/cmdline"
    path.write_text("\n".join(argv) + "\n")


def entry(copy: SampleCopy, path: str, **what: Any) -> None:
    """Record an entry of the node's file system; without anything, forget it."""

    def change(listing: dict[str, Any]) -> None:
        listing["entries"].pop(path, None)
        if what:
            listing["entries"][path] = what

    copy.edit_yaml(copy.node / "listing.yaml", change)


def each_object(copy: SampleCopy, plural: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change every object of a resource."""

    def change_all(objects: dict[str, Any]) -> None:
        for item in objects["items"]:
            change(item)

    copy.edit_yaml(copy.folder / f"kubernetes/{plural}.yaml", change_all)


def gpu_node(copy: SampleCopy, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the Node object of the GPU node."""

    def if_ours(node: dict[str, Any]) -> None:
        if node["metadata"]["name"] == copy.node.name:
            change(node)

    each_object(copy, "nodes", if_ours)


def add_object(copy: SampleCopy, plural: str, text: str) -> None:
    """Add an object, written as YAML."""

    def add(objects: dict[str, Any]) -> None:
        objects["items"].append(yaml.safe_load(text))

    copy.edit_yaml(copy.folder / f"kubernetes/{plural}.yaml", add)


def command(copy: SampleCopy, word: str, **change: Any) -> None:
    """Change the command that has a word among its arguments; without anything, drop it."""
    path = copy.node / "commands.yaml"
    commands = yaml.safe_load(path.read_text())
    (hit,) = [c for c in commands if word in (" ".join(c["argv"]))]
    if change:
        hit.update(change)
    else:
        commands.remove(hit)
    path.write_text(yaml.safe_dump(commands))


def sample_config(copy: SampleCopy) -> Any:
    """Return the path of the file that containerd reads by default."""
    return copy.node / "files/etc/containerd/config.toml"


def devices(copy: SampleCopy, change: Callable[[dict[str, Any]], None]) -> None:
    """Change NVML's answer on every GPU."""

    def change_all(nvml: dict[str, Any]) -> None:
        for device in nvml["devices"]:
            change(device)

    copy.edit_json(copy.node / "nvml.json", change_all)


def k3s_agent(copy: SampleCopy) -> None:
    """Let k3s do it: the kubelet inside ``k3s agent``, containerd another name of the same file."""
    copy.rename([("rancher/rke2", "rancher/k3s"), ("+rke2r3", "+k3s1"), ("rke2", "k3s")])
    data = "/var/lib/rancher/k3s/data/9d8f43e3/bin/k3s"
    for program in ("k3s", "containerd"):
        entry(copy, f"/proc/{process_of(copy, program)}/exe", kind="symlink", target=data)
    set_cmdline(copy, "kubelet", "sleep", "infinity")
    command(copy, "--version", argv=[data, "--version"], stdout="k3s version v1.33.7+k3s1 (8a2b)\n")


def kubelet_in_kubelite(copy: SampleCopy) -> None:
    """Let MicroK8s do it: the kubelet inside kubelite, all below /snap and /var/snap."""
    base = "/var/snap/microk8s/current/args"
    socket = "/var/snap/microk8s/common/run/containerd.sock"
    containerd = process_of(copy, "containerd")
    copy.rename([("/run/containerd/containerd.sock", socket)])
    home = "/snap/microk8s/7394"
    set_cmdline(copy, "kubelet", f"{home}/kubelite", f"--kubelet-args-file={base}/kubelet")
    entry(
        copy, f"/proc/{process_of(copy, 'kubelite')}/exe", kind="symlink", target=f"{home}/kubelite"
    )
    program = f"{home}/bin/containerd"
    argv = (program, "--config", f"{base}/containerd.toml", "--address", socket)
    set_cmdline(copy, "containerd", *argv)
    entry(copy, f"/proc/{containerd}/exe", kind="symlink", target=program)
    target = copy.node / f"files{base}/containerd.toml"
    target.parent.mkdir(parents=True)
    (copy.node / "files/etc/containerd/config.toml").rename(target)
    command(copy, "--version", argv=[program, "--version"])


def k0s_worker(copy: SampleCopy) -> None:
    """Let k0s do it: its own file, its own socket, a drop-in folder."""
    copy.rename([("/run/containerd/containerd.sock", "/run/k0s/containerd.sock")])
    home = "/var/lib/k0s/bin"
    argv = (f"{home}/containerd", "--address=/run/k0s/containerd.sock")
    set_cmdline(copy, "containerd", *argv, "--config=/etc/k0s/containerd.toml")
    exe = f"/proc/{process_of(copy, 'containerd')}/exe"
    entry(copy, exe, kind="symlink", target=f"{home}/containerd")
    target = copy.node / "files/etc/k0s/containerd.toml"
    target.parent.mkdir(parents=True)
    sample_config(copy).rename(target)
    command(copy, "--version", argv=[f"{home}/containerd", "--version"])
    gpu_node(copy, lambda node: node["status"]["nodeInfo"].update(kubeletVersion="v1.31.5+k0s"))


def newer_containerd(copy: SampleCopy) -> None:
    """Let containerd 2.1 read the file of version 2."""
    copy.rename([("1.7.24", "2.1.5")])


def config_version_3(copy: SampleCopy) -> None:
    """Let containerd 2.1 read a file of version 3."""
    newer_containerd(copy)
    sections = (("grpc.v1.cri", "cri.v1.runtime"), ("version = 2", "version = 3"))
    for old, new in sections:
        copy.edit(sample_config(copy), lambda text, old=old, new=new: text.replace(old, new))


def drop_in_of_the_toolkit(copy: SampleCopy) -> None:
    """Let a toolkit of 1.18 or later have written 99-nvidia.toml with the whole CRI section."""
    text = sample_config(copy).read_text()
    drop_in = copy.node / "files/etc/containerd/conf.d/99-nvidia.toml"
    drop_in.parent.mkdir()
    drop_in.write_text(text)
    bare = re.sub(r"(?s)\n\s*\[plugins\].*?(?=\n\[timeouts\])", "\n", text)
    sample_config(copy).write_text(f'imports = ["/etc/containerd/conf.d/*.toml"]\n{bare}')
    copy.edit_yaml(
        copy.node / "listing.yaml", lambda it: it["complete"].append("/etc/containerd/conf.d")
    )


def default_runtime_without_class(copy: SampleCopy) -> None:
    """Let nvidia be the default, and neither a RuntimeClass nor a pod that names one."""
    new = 'default_runtime_name = "nvidia"'
    copy.edit(sample_config(copy), lambda text: text.replace('default_runtime_name = "runc"', new))
    said = {"runtimeClassName": "nvidia"}
    for file in (copy.folder / "kubernetes").iterdir():
        text = re.sub(r"\n *runtimeClassName: nvidia(?=\n)", "", file.read_text())
        file.write_text(text)
    path = copy.node / "outcomes/pod.yaml"
    copy.edit_yaml(path, lambda it: it["pod"]["spec"].pop(*said))
    path = copy.folder / "kubernetes/runtimeclasses.yaml"
    copy.edit_yaml(path, lambda it: it.update(items=[]))
    path = copy.node / "commands.yaml"
    old = '"defaultRuntimeName": "runc"'
    copy.edit(path, lambda text: text.replace(old, old.replace("runc", "nvidia")))


def nri_mode(copy: SampleCopy) -> None:
    """Let the toolkit's NRI plugin inject: no handler, no class, nothing in containerd's files."""
    add_object(
        copy,
        "clusterpolicies",
        """
apiVersion: nvidia.com/v1
kind: ClusterPolicy
metadata: {name: cluster-policy}
spec: {cdi: {enabled: true, nriPluginEnabled: true}}
""",
    )
    for spec in (copy.node / "files/run/cdi").iterdir():
        spec.unlink()
    entries = copy.node / "listing.yaml"
    copy.edit(entries, lambda text: re.sub(r"  /run/cdi/\S+:(\n    .*)*\n|  /run/cdi/.*\n", "", text) + "\n")


def mps(copy: SampleCopy) -> None:
    """Let MPS share each GPU by four, and the label ask for the configuration by name."""
    path = copy.folder / "kubernetes/configmaps.yaml"
    copy.edit(path, lambda text: text.replace("timeSlicing", "mps"))


def sharing(copy: SampleCopy, old: str, new: str) -> None:
    """Change the plugin's configuration in its ConfigMap."""

    def change(config_map: dict[str, Any]) -> None:
        data = config_map.get("data") or {}
        config_map["data"] = {key: text.replace(old, new) for key, text in data.items()}

    each_object(copy, "configmaps", change)


def renamed_by_default(copy: SampleCopy) -> None:
    """Let shared GPUs be called nvidia.com/gpu.shared."""
    sharing(copy, "renameByDefault: false", "renameByDefault: true")

    def rename(node: dict[str, Any]) -> None:
        for table in ("capacity", "allocatable"):
            node["status"][table]["nvidia.com/gpu.shared"] = node["status"][table][GPU]
            node["status"][table][GPU] = "0"

    gpu_node(copy, rename)


def own_names_in_sharing(copy: SampleCopy) -> None:
    """Let the configuration ask for a name of its own, which the plugin ignores with a warning."""
    sharing(copy, "- name: nvidia.com/gpu", "- rename: slice\n        name: nvidia.com/gpu")


def application_xids(copy: SampleCopy) -> None:
    """Let applications have crashed: their XIDs say nothing about the GPU."""
    xids = "".join(
        f"[ 99.{n}] NVRM: Xid (PCI:0000:17:00): {n}, pid=7, name=python\n" for n in (31, 43)
    )
    path = copy.node / "commands.yaml"
    commands = yaml.safe_load(path.read_text())
    (dmesg,) = [c for c in commands if c["argv"][0] == "dmesg"]
    command(copy, "dmesg", stdout=dmesg["stdout"] + xids)


def old_event(copy: SampleCopy) -> None:
    """Let a pod that runs now have failed to start two hours ago."""
    pods = yaml.safe_load((copy.folder / "kubernetes/pods.yaml").read_text())["items"]
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
    sample_config(copy).rename(target)


def leftover_handler(copy: SampleCopy) -> None:
    """Let a handler of a removed runtime stand in the file; no RuntimeClass leads to it."""
    plugin = 'plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia-experimental'
    text = (
        f'\n[{plugin}]\nruntime_type = "io.containerd.runc.v2"\n[{plugin}.options]\n'
        'BinaryName = "/usr/bin/nvidia-container-runtime-experimental"\n'
    )
    copy.edit(sample_config(copy), lambda before: before + text)
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


def split(copy: SampleCopy, strategy: str, amounts: Mapping[str, str]) -> None:
    """Put every GPU into MIG mode, in two instances each."""
    instances = [{"name": "NVIDIA A100 MIG 3g.20gb"}, {"name": "NVIDIA A100 MIG 2g.10gb"}]
    mode = {"current": 1, "pending": 1}
    devices(copy, lambda it: it.update(mig=mode, mig_devices=instances))
    each_object(copy, "clusterpolicies", lambda it: it["spec"].update(mig={"strategy": strategy}))
    for plural in ("daemonsets", "pods"):
        path = copy.folder / f"kubernetes/{plural}.yaml"
        new = f"name: MIG_STRATEGY\\1value: {strategy}"
        path.write_text(re.sub(r"name: MIG_STRATEGY(\s+)value: \w+", new, path.read_text()))

    def advertise(node: dict[str, Any]) -> None:
        for table in ("capacity", "allocatable"):
            del node["status"][table][GPU]
            node["status"][table] |= amounts

    gpu_node(copy, advertise)


def mig_single(copy: SampleCopy) -> None:
    """Let the instances be called GPUs."""
    split(copy, "single", {GPU: "4"})
    gpu_node(copy, lambda node: node["metadata"]["labels"].update({f"{GPU}.count": "4"}))


def mig_mixed(copy: SampleCopy) -> None:
    """Let the instances be called by their profiles."""
    split(copy, "mixed", {"nvidia.com/mig-3g.20gb": "2", "nvidia.com/mig-2g.10gb": "2"})


def fabric_completed(copy: SampleCopy) -> None:
    """Let the GPUs be joined by NVSwitches, and the fabric be up."""
    devices(copy, lambda device: device.update(fabric={"state": 3, "status": 0}))
    switch = copy.node / "files/sys/bus/pci/devices/0000:05:00.0"
    switch.mkdir()
    for name, text in {"vendor": "0x10de", "device": "0x22a3", "class": "0x068000"}.items():
        (switch / name).write_text(f"{text}\n")


def driver_in_a_container(copy: SampleCopy) -> None:
    """Let the operator's driver container hold libraries and device nodes."""
    root = "/run/nvidia/driver"

    def move(listing: dict[str, Any]) -> None:
        entries = listing["entries"]
        for path in [p for p in entries if "/libcuda" in p or "/libnvidia-" in p]:
            entries[f"{root}{path}"] = entries.pop(path)
        entries |= {f"{root}{p}": e for p, e in entries.items() if p.startswith("/dev/nvidia")}
        folder = "/usr/lib/x86_64-linux-gnu"
        listing["absent"] = [p for p in listing["absent"] if not p.startswith(root)]
        listing["absent"] += [f"{folder}/libcuda.so.1", f"{folder}/libnvidia-ml.so.1"]
        listing["complete"] += [f"{root}/dev"]

    copy.edit_yaml(copy.node / "listing.yaml", move)
    copy.edit(copy.node / "nvml.json", lambda text: text.replace('"/usr/lib', f'"{root}/usr/lib'))


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
        f"kind: {GPU}\ndevices:\n- name: all\n"
        f"  containerEdits: {{mounts: [{{hostPath: {library}, containerPath: {library}}}]}}\n"
    )
    copy.edit_yaml(copy.node / "listing.yaml", lambda it: it["absent"].append(library))


def other_vendors_broken_spec(copy: SampleCopy) -> None:
    """Let a CDI spec of another vendor be cut off."""
    spec = copy.node / "files/run/cdi/intel.com-gpu.yaml"
    spec.parent.mkdir(parents=True, exist_ok=True)
    spec.write_text("kind: [")


def busy(copy: SampleCopy) -> None:
    """Let all GPUs be in use."""

    def refused(outcome: dict[str, Any]) -> None:
        why = f"Node didn't have enough resource: {GPU}, requested: 1, used: 2, capacity: 2"
        outcome["pod"]["status"] = {
            "phase": "Failed",
            "reason": f"OutOf{GPU}",
            "message": why,
        }
        outcome["containers"] = {}

    copy.edit_yaml(copy.node / "outcomes/pod.yaml", refused)


def dmesg_forbidden(copy: SampleCopy) -> None:
    """Let the kernel not show its log."""
    text = "dmesg: read kernel buffer failed: Operation not permitted\n"
    command(copy, "dmesg", exit=1, stdout="", stderr=text)


def dmesg_cleared(copy: SampleCopy) -> None:
    """Let somebody have cleared the kernel's log."""
    command(copy, "dmesg", stdout="")


def crictl_not_asked(copy: SampleCopy) -> None:
    """Let nobody have asked the running containerd."""
    command(copy, " info")


def crictl_not_found(copy: SampleCopy) -> None:
    """Let the shell not find crictl: that says nothing of the CRI."""
    command(copy, " info", exit=127, stdout="", stderr="bash: crictl: command not found\n")


def crictl_cut_off(copy: SampleCopy) -> None:
    """Let the answer be cut off."""
    command(copy, " info", stdout='{"config": {"containerd": {"runtimes": {"run')


def cri_o(copy: SampleCopy) -> None:
    """Let the kubelet use CRI-O."""
    set_cmdline(
        copy,
        "kubelet",
        "/usr/bin/kubelet",
        "--config=/var/lib/kubelet/config.yaml",
        "--container-runtime-endpoint=unix:///var/run/crio/crio.sock",
    )
    said = {"containerRuntimeVersion": "cri-o://1.31.2"}
    gpu_node(copy, lambda node: node["status"]["nodeInfo"].update(said))


def kubelet_config_unread(copy: SampleCopy) -> None:
    """Let nobody have read the file that says the cgroup driver."""
    (copy.node / "files/var/lib/kubelet/config.yaml").unlink()
    entry(copy, "/var/lib/kubelet/config.yaml", kind="file")


def link_unknown(copy: SampleCopy) -> None:
    """Let nobody have looked whether /var/run is a link."""
    entry(copy, "/var/run")


def specs_unlisted(copy: SampleCopy) -> None:
    """Let nobody have listed the directory of CDI specs."""
    copy.edit_yaml(copy.node / "listing.yaml", lambda it: it["complete"].remove("/run/cdi"))
    for spec in (copy.node / "files/run/cdi").iterdir():
        spec.unlink()


def policies_unread(copy: SampleCopy) -> None:
    """Let nobody have been allowed to read the ClusterPolicy, which says how GPUs are shared."""
    (copy.folder / "kubernetes/clusterpolicies.yaml").unlink()


def daemonsets_unread(copy: SampleCopy) -> None:
    """Let nobody have read the DaemonSets, which say that the plugin names CDI devices."""
    (copy.folder / "kubernetes/daemonsets.yaml").unlink()


def kubelet_unseen(copy: SampleCopy) -> None:
    """Let the kubelet be a process that nobody recognises; the node is Ready all the same."""
    set_cmdline(copy, "kubelet", "/usr/bin/vendor-agent")
    exe = f"/proc/{process_of(copy, 'vendor-agent')}/exe"
    entry(copy, exe, kind="symlink", target="/usr/bin/vendor-agent")


HEALTHY: Mapping[str, tuple[str, Change]] = {
    "k3s": (RKE2, k3s_agent),
    "microk8s": (KUBEADM, kubelet_in_kubelite),
    "k0s": (KUBEADM, k0s_worker),
    "version-2-under-2.x": (KUBEADM, newer_containerd),
    "version-3": (KUBEADM, config_version_3),
    "toolkit-drop-in": (KUBEADM, drop_in_of_the_toolkit),
    "default-runtime": (KUBEADM, default_runtime_without_class),
    "nri": (CDI, nri_mode),
    "mps": (SNAP, mps),
    "renamed": (SNAP, renamed_by_default),
    "own-names": (SNAP, own_names_in_sharing),
    "application-xids": (KUBEADM, application_xids),
    "old-event": (KUBEADM, old_event),
    "cordoned": (KUBEADM, cordoned_and_tainted),
    "ended-pods": (KUBEADM, ended_pods),
    "kata": (KUBEADM, kata_beside),
    "upgraded-on-disk": (KUBEADM, upgraded_on_disk),
    "other-config": (KUBEADM, other_config),
    "leftover-handler": (KUBEADM, leftover_handler),
    "config-in-etc": (KUBEADM, config_of_a_package_beside),
    "mig-single": (KUBEADM, mig_single),
    "mig-mixed": (KUBEADM, mig_mixed),
    "nvswitch": (KUBEADM, fabric_completed),
    "driver-container": (KUBEADM, driver_in_a_container),
    "dockers-containerd": (KUBEADM, dockers_own_containerd),
    "intel-node": (KUBEADM, intel_node),
    "stale-spec": (KUBEADM, stale_spec_in_legacy_mode),
    "other-vendors-spec": (KUBEADM, other_vendors_broken_spec),
}

UNPROVEN: Mapping[str, tuple[str, Change, str]] = {
    "busy": (KUBEADM, busy, "all GPUs are in use by"),
    "dmesg-forbidden": (KUBEADM, dmesg_forbidden, "kernel log"),
    "dmesg-cleared": (KUBEADM, dmesg_cleared, "kernel log"),
    "crictl-not-asked": (KUBEADM, crictl_not_asked, "crictl info"),
    "crictl-not-found": (KUBEADM, crictl_not_found, "crictl info"),
    "crictl-cut-off": (KUBEADM, crictl_cut_off, "crictl info"),
    "cri-o": (KUBEADM, cri_o, "CRI-O"),
    "kubelet-config-unread": (KUBEADM, kubelet_config_unread, "/var/lib/kubelet/config.yaml"),
    "link-unknown": (KUBEADM, link_unknown, "/var/run"),
    "kubelet-unseen": (KUBEADM, kubelet_unseen, "the kubelet"),
    "specs-unlisted": (CDI, specs_unlisted, "/var/run/cdi"),
    "policies-unread": (SNAP, policies_unread, "clusterpolicies"),
    "daemonsets-unread": (CDI, daemonsets_unread, "daemonsets"),
}
"""With words that a reason must hold: what is missing is named, and nothing else is blamed."""
