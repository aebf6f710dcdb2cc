"""Healthy clusters of other kinds: distributions, configurations, ways of sharing."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tests.samples.sample_copy import SampleCopy
from tests.support.changes import (
    GPU,
    add_object,
    command,
    containerd_config,
    devices,
    each_object,
    entry,
    gpu_node,
    process_of,
    set_cmdline,
)


def k3s_agent(copy: SampleCopy) -> None:
    """Let k3s do it: the kubelet inside ``k3s agent``, containerd another name of the same file."""
    copy.rename([("rancher/rke2", "rancher/k3s"), ("+rke2r3", "+k3s1"), ("rke2", "k3s")])
    data = "/var/lib/rancher/k3s/data/9d8f43e3/bin/k3s"
    entry(copy, data.replace("bin/k3s", "bin/runc"), kind="file", mode="0755")
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
    toolkit_socket(copy, posixpath.dirname(socket))
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
    template = target.read_text().replace('"/var/lib/', '"${SNAP_COMMON}/var/lib/')
    target.with_name("containerd-template.toml").write_text(template)
    command(copy, "--version", argv=[program, "--version"])


def toolkit_socket(copy: SampleCopy, folder: str) -> None:
    """Let the operator have been told the socket: its folder is what the toolkit's pod mounts."""

    def mount(daemonset: dict[str, Any]) -> None:
        for volume in daemonset["spec"]["template"]["spec"].get("volumes") or ():
            if volume["name"] == "containerd-socket":
                volume["hostPath"]["path"] = folder

    each_object(copy, "daemonsets", mount)


def k0s_worker(copy: SampleCopy) -> None:
    """Let k0s do it: its own file, its own socket, a drop-in folder."""
    copy.rename([("/run/containerd/containerd.sock", "/run/k0s/containerd.sock")])
    toolkit_socket(copy, "/run/k0s")
    home = "/var/lib/k0s/bin"
    argv = (f"{home}/containerd", "--address=/run/k0s/containerd.sock")
    set_cmdline(copy, "containerd", *argv, "--config=/etc/k0s/containerd.toml")
    exe = f"/proc/{process_of(copy, 'containerd')}/exe"
    entry(copy, exe, kind="symlink", target=f"{home}/containerd")
    target = copy.node / "files/etc/k0s/containerd.toml"
    target.parent.mkdir(parents=True)
    containerd_config(copy).rename(target)
    command(copy, "--version", argv=[f"{home}/containerd", "--version"])
    gpu_node(copy, lambda node: node["status"]["nodeInfo"].update(kubeletVersion="v1.31.5+k0s"))


def newer_containerd(copy: SampleCopy) -> None:
    """Let containerd 2.1 read the file of version 2."""
    copy.rename([("1.7.24", "2.1.5")])


def config_version_3(copy: SampleCopy) -> None:
    """Let containerd 2.1 read a file of version 3."""
    newer_containerd(copy)
    text = containerd_config(copy).read_text().replace("version = 2", "version = 3")
    containerd_config(copy).write_text(text.replace("grpc.v1.cri", "cri.v1.runtime"))


def drop_in_of_the_toolkit(copy: SampleCopy) -> None:
    """Let a toolkit of 1.18 or later have written 99-nvidia.toml with the whole CRI section."""
    text = containerd_config(copy).read_text()
    drop_in = copy.node / "files/etc/containerd/conf.d/99-nvidia.toml"
    drop_in.parent.mkdir()
    drop_in.write_text(text)
    bare = re.sub(r"(?s)\n\s*\[plugins\].*?(?=\n\[timeouts\])", "\n", text)
    containerd_config(copy).write_text(f'imports = ["/etc/containerd/conf.d/*.toml"]\n{bare}')
    copy.edit_yaml(
        copy.node / "listing.yaml", lambda it: it["complete"].append("/etc/containerd/conf.d")
    )


def default_runtime_without_class(copy: SampleCopy) -> None:
    """Let nvidia be the default, and neither a RuntimeClass nor a pod that names one."""
    key = "default_runtime_name"
    copy.edit(
        containerd_config(copy), lambda it: it.replace(f'{key} = "runc"', f'{key} = "nvidia"')
    )
    for file in (copy.folder / "kubernetes").iterdir():
        text = re.sub(r"\n *runtimeClassName: nvidia(?=\n)", "", file.read_text())
        file.write_text(text)
    path = copy.node / "outcomes/pod.yaml"
    copy.edit_yaml(path, lambda it: it["pod"]["spec"].pop("runtimeClassName"))
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
    folder = copy.node / "files/run/cdi"
    spec = folder / "nvidia.yaml"
    management = spec.read_text().replace("kind: nvidia.com/gpu", "kind: management.nvidia.com/gpu")
    (folder / "management.nvidia.com-gpu.yaml").write_text(management)
    spec.unlink()
    entry(copy, "/run/cdi/nvidia.yaml")
    asked = {"nvidia.cdi.k8s.io/container.main": "management.nvidia.com/gpu=all"}
    plugin = "nvidia-device-plugin-t8xqp"

    def ask(pod: dict[str, Any]) -> None:
        if pod["metadata"]["name"] == plugin:
            pod["metadata"]["annotations"] = asked

    each_object(copy, "pods", ask)


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


def split(
    copy: SampleCopy, strategy: str, profiles: Sequence[str], amounts: Mapping[str, str]
) -> None:
    """Put every GPU into MIG mode, in these instances."""
    instances = [{"name": f"NVIDIA A100-PCIE-40GB MIG {profile}"} for profile in profiles]
    mode = {"current": 1, "pending": 1}
    devices(copy, lambda it: it.update(mig=mode, mig_devices=instances))
    for file in (copy.folder / "kubernetes").iterdir():
        text = re.sub(
            r"(MIG_STRATEGY\s+value|strategy): single", rf"\1: {strategy}", file.read_text()
        )
        file.write_text(text)

    def advertise(node: dict[str, Any]) -> None:
        for table in ("capacity", "allocatable"):
            del node["status"][table][GPU]
            node["status"][table] |= amounts

    gpu_node(copy, advertise)


def mig_single(copy: SampleCopy) -> None:
    """Let the instances be called GPUs."""
    split(copy, "single", ["3g.20gb", "3g.20gb"], {GPU: "4"})
    labels = {f"{GPU}.count": "4", f"{GPU}.product": "NVIDIA-A100-PCIE-40GB-MIG-3g.20gb"}
    gpu_node(copy, lambda node: node["metadata"]["labels"].update(labels))


def mig_mixed(copy: SampleCopy) -> None:
    """Let the instances be called by their profiles."""
    amounts = {"nvidia.com/mig-3g.20gb": "2", "nvidia.com/mig-2g.10gb": "2"}
    split(copy, "mixed", ["3g.20gb", "2g.10gb"], amounts)


def fabric_completed(copy: SampleCopy) -> None:
    """Let the GPUs be joined by NVSwitches, and the fabric be up."""
    devices(copy, lambda device: device.update(fabric={"state": 3, "status": 0}))
    switch = copy.node / "files/sys/bus/pci/devices/0000:05:00.0"
    switch.mkdir()
    for name, text in {"vendor": "0x10de", "device": "0x22a3", "class": "0x068000"}.items():
        (switch / name).write_text(f"{text}\n")


def platform(copy: SampleCopy, nodes: Sequence[str], libraries: Sequence[str]) -> None:
    """Let the GPU be the platform's own: on no PCI bus, behind device nodes of its own."""
    for vendor in (copy.node / "files/sys/bus/pci/devices").glob("*/vendor"):
        vendor.write_text("0x8086\n")
    for path in ("proc/driver/nvidia/version", "sys/module/nvidia/version"):
        (copy.node / f"files/{path}").unlink()
    modules = copy.node / "files/proc/modules"
    modules.write_text(re.sub(r"nvidia.*\n", "", modules.read_text()))

    def own_nodes(listing: dict[str, Any]) -> None:
        entries = listing["entries"]
        kept = {p: e for p, e in entries.items() if not p.startswith("/dev/nvidia")}
        listing["entries"] = kept | {p: {"kind": "char", "device": [10, 60]} for p in nodes}

    def in_sandbox(outcome: dict[str, Any]) -> None:
        outcome["runs"][1]["output"] = "\n".join([*nodes, *libraries])

    def in_pod(outcome: dict[str, Any]) -> None:
        seen = json.loads(outcome["containers"]["gpu"]["output"]) | {"devices": list(nodes)}
        outcome["containers"]["gpu"]["output"] = json.dumps(seen)

    def one_gpu(node: dict[str, Any]) -> None:
        node["metadata"]["labels"][f"{GPU}.count"] = "1"
        for table in ("capacity", "allocatable"):
            node["status"][table][GPU] = "1"

    copy.edit_yaml(copy.node / "listing.yaml", own_nodes)
    copy.edit_yaml(copy.node / "outcomes/sandbox.yaml", in_sandbox)
    copy.edit_yaml(copy.node / "outcomes/pod.yaml", in_pod)
    copy.edit_json(copy.node / "nvml.json", lambda nvml: nvml["devices"].pop())
    gpu_node(copy, one_gpu)


def wsl(copy: SampleCopy) -> None:
    """Let Windows drive the GPU."""
    platform(copy, ["/dev/dxg"], ["libcuda.so.1", "libnvidia-ml.so.1"])


def jetson(copy: SampleCopy) -> None:
    """Let it be a Tegra, whose driver comes without NVML."""
    platform(copy, ["/dev/nvhost-ctrl", "/dev/nvmap"], ["libcuda.so.1"])

    def no_nvml(listing: dict[str, Any]) -> None:
        entries = listing["entries"]
        listing["entries"] = {p: e for p, e in entries.items() if "libnvidia-ml" not in p}
        listing["absent"].append("/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1")

    copy.edit_yaml(copy.node / "listing.yaml", no_nvml)
    missing: dict[str, Any] = {
        "library": None,
        "init": {"error": 12, "message": "Not Found"},
        "devices": [],
    }
    copy.edit_json(copy.node / "nvml.json", lambda nvml: nvml.update(missing))


def bottlerockets_own_runtime(copy: SampleCopy) -> None:
    """Let the handler start nvidia-oci, as older variants of Bottlerocket for NVIDIA have it."""
    path = containerd_config(copy)
    path.write_text(path.read_text().replace("/usr/bin/nvidia-container-runtime", "nvidia-oci"))
    entry(copy, "/usr/bin/nvidia-oci", kind="symlink", target="shimpei")
    entry(copy, "/usr/bin/shimpei", kind="file", mode="0755")
    command(copy, " info")
    gpu_node(copy, _of_bottlerocket)


def _of_bottlerocket(node: dict[str, Any]) -> None:
    node["status"]["nodeInfo"]["osImage"] = "Bottlerocket OS 1.30.0 (aws-k8s-1.31-nvidia)"
