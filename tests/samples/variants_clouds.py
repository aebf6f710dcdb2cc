"""Healthy nodes of the clouds and of systems without a shell, as their own sources write them.

Sources: nodeadm's config2.template.toml (awslabs/amazon-eks-ami), AgentBaker's template for
containerd (Azure/AgentBaker), GoogleCloudPlatform/container-engine-accelerators, the container
toolkit's extension for Talos (siderolabs/extensions), containerd-config-toml_k8s_nvidia
(bottlerocket-os/bottlerocket).
"""

from __future__ import annotations

import re
from typing import Any

from tests.samples.sample_copy import SampleCopy
from tests.support.changes import containerd_config, each_object, entry, gpu_node

_V2 = 'plugins."io.containerd.grpc.v1.cri"'
_V3 = "plugins.'io.containerd.cri.v1.runtime'"
_RUNC = 'runtime_type = "io.containerd.runc.v2"'


def system(copy: SampleCopy, image: str, kubelet: str) -> None:
    """Let the node report another system and another build of the kubelet."""
    reported = {"osImage": image, "kubeletVersion": kubelet}
    gpu_node(copy, lambda node: node["status"]["nodeInfo"].update(reported))


def labelled(copy: SampleCopy, label: str, value: str) -> None:
    """Let the cloud's own label stand on the node, and none of EKS; no pod is bound to one."""

    def unbound(daemonset: dict[str, Any]) -> None:
        daemonset["spec"]["template"]["spec"].pop("nodeSelector", None)

    each_object(copy, "daemonsets", unbound)

    def change(node: dict[str, Any]) -> None:
        labels = node["metadata"]["labels"]
        kept = {k: v for k, v in labels.items() if "amazonaws" not in k}
        node["metadata"]["labels"] = kept | {label: value}

    gpu_node(copy, change)


def eks_al2023(copy: SampleCopy) -> None:
    """Let nodeadm have written a file of version 3: nvidia is the only handler in it."""
    copy.rename([("1.7.27", "2.1.5"), ("5.10.236-228.935.amzn2", "6.12.37-61.105.amzn2023")])
    system(copy, "Amazon Linux 2023.8.20250721", "v1.33.1-eks-1234567")
    spec = "/etc/containerd/base-runtime-spec.json"
    (copy.node / f"files{spec}").write_text('{"ociVersion": "1.1.0"}\n')
    containerd_config(copy).write_text(f"""version = 3
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
address = "/run/containerd/containerd.sock"

[plugins.'io.containerd.cri.v1.images']
discard_unpacked_layers = true

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "registry.k8s.io/pause:3.10"

[{_V3}]
enable_cdi = false

[{_V3}.containerd]
default_runtime_name = "nvidia"

[{_V3}.containerd.runtimes.nvidia]
{_RUNC}
base_runtime_spec = "{spec}"

[{_V3}.containerd.runtimes.nvidia.options]
BinaryName = "/usr/bin/nvidia-container-runtime"
SystemdCgroup = true

[{_V3}.cni]
bin_dir = "/opt/cni/bin"
conf_dir = "/etc/cni/net.d"
""")


def aks(copy: SampleCopy) -> None:
    """Let AKS have made the node: its handler has the name of NVIDIA's program."""
    name = "nvidia-container-runtime"
    labelled(copy, "kubernetes.azure.com/cluster", "MC_gpu_gpu_westeurope")
    system(copy, "Ubuntu 22.04.5 LTS", "v1.31.7")
    copy.edit(copy.node / "commands.yaml", lambda text: text.replace('"nvidia"', f'"{name}"'))
    outcome = copy.node / "outcomes/sandbox.yaml"
    copy.edit(outcome, lambda text: text.replace("handler: nvidia", f"handler: {name}"))
    containerd_config(copy).write_text(f"""version = 2
oom_score = -999
[{_V2}]
  sandbox_image = "registry.k8s.io/pause:3.10"
  [{_V2}.containerd]
    default_runtime_name = "{name}"
    [{_V2}.containerd.runtimes.{name}]
      {_RUNC}
    [{_V2}.containerd.runtimes.{name}.options]
      BinaryName = "/usr/bin/{name}"
      SystemdCgroup = true
    [{_V2}.containerd.runtimes.untrusted]
      {_RUNC}
    [{_V2}.containerd.runtimes.untrusted.options]
      BinaryName = "/usr/bin/{name}"
  [{_V2}.registry]
    config_path = "/etc/containerd/certs.d"
[metrics]
  address = "0.0.0.0:10257"
""")


def gke(copy: SampleCopy) -> None:
    """Let Google's plugin mount devices and driver on Container-Optimized OS: no handler."""
    home = "/home/kubernetes/bin"
    copy.rename(
        [
            ("/usr/bin/crictl", f"{home}/crictl"),
            *driver_in(f"{home}/nvidia/lib64"),
            ("nvcr.io/nvidia/k8s-device-plugin:v0.17.1", "gke.gcr.io/nvidia-gpu-device-plugin:1"),
        ]
    )
    labelled(copy, "cloud.google.com/gke-nodepool", "gpu")
    system(copy, "Container-Optimized OS from Google", "v1.31.7-gke.1265000")

    def without_toolkit(listing: dict[str, Any]) -> None:
        entries = listing["entries"]
        gone = [path for path in entries if "nvidia-c" in path and path.startswith("/usr")]
        gone += [path for path in entries if "libnvidia-container" in path]
        listing["entries"] = {p: e for p, e in entries.items() if p not in gone}
        missing = [*gone, "/etc/nvidia-container-runtime"]
        kept = [path for path in listing["absent"] if path != "/home/kubernetes"]
        listing["absent"] = sorted({*kept, *missing})

    copy.edit_yaml(copy.node / "listing.yaml", without_toolkit)
    not_in_lib64(copy)

    def without_headers(elf: dict[str, Any]) -> None:
        for path in [path for path in elf if "nvidia-c" in path]:
            del elf[path]

    copy.edit_yaml(copy.node / "elf.yaml", without_headers)
    (copy.node / "files/etc/nvidia-container-runtime/config.toml").unlink()
    text = containerd_config(copy).read_text()
    table = r"(?s)\[[^\n]*runtimes\.nvidia[^\n]*\]\n.*?(?=\n\[)"
    text = re.sub(table, "", text).replace('"nvidia"', '"runc"')
    containerd_config(copy).write_text(text)
    copy.edit(copy.node / "commands.yaml", _runc_alone)


def _runc_alone(text: str) -> str:
    text = text.replace('defaultRuntimeName": "nvidia"', 'defaultRuntimeName": "runc"')
    return re.sub(r'"nvidia": \{[^{}]*\},\s*', "", text)


def driver_in(folder: str) -> list[tuple[str, str]]:
    """Return the renames that move the driver's libraries into another folder."""
    libraries = ("libcuda.so", "libnvidia-ml.so", "libnvidia-ptxjitcompiler.so")
    return [(f"/usr/lib64/{name}", f"{folder}/{name}") for name in libraries]


def not_in_lib64(copy: SampleCopy) -> None:
    """Let it have been looked for the driver's libraries where they are elsewhere."""
    missing = [f"/usr/lib64/{name}" for name in ("libcuda.so.1", "libnvidia-ml.so.1")]
    copy.edit_yaml(copy.node / "listing.yaml", lambda it: it["absent"].extend(missing))


def bottlerocket(copy: SampleCopy) -> None:
    """Let Bottlerocket's program stand before runc; it looks for it on containerd's own PATH."""
    copy.rename(driver_in("/usr/lib/nvidia/tesla"))
    not_in_lib64(copy)
    system(copy, "Bottlerocket OS 1.20.0 (aws-k8s-1.30-nvidia)", "v1.30.0-eks-fff26e3")
    entry(copy, "/usr/bin/nvidia-oci", kind="symlink", target="shimpei")
    entry(copy, "/usr/bin/shimpei", kind="file", mode="0755")
    own = {"machine": "x86-64", "needed": []}
    copy.edit_yaml(copy.node / "elf.yaml", lambda it: it.update({"/usr/bin/nvidia-oci": own}))
    spec = "/etc/containerd/cri-base.json"
    (copy.node / f"files{spec}").write_text('{"ociVersion": "1.1.0"}\n')
    containerd_config(copy).write_text(f"""version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
    "io.containerd.internal.v1.opt",
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.devmapper",
]

[grpc]
address = "/run/containerd/containerd.sock"

[{_V2}]
enable_selinux = true
sandbox_image = "registry.k8s.io/pause:3.10"

[{_V2}.containerd]
default_runtime_name = "nvidia"

[{_V2}.containerd.runtimes.nvidia]
{_RUNC}
base_runtime_spec = "{spec}"

[{_V2}.containerd.runtimes.nvidia.options]
SystemdCgroup = true
BinaryName = "nvidia-oci"
""")


def talos(copy: SampleCopy) -> None:
    """Let the runtime be Talos' extension: below /usr/local, with a C library of its own."""
    glibc = "/usr/local/glibc"
    programs = ("nvidia-container-runtime-hook", "nvidia-container-runtime", "nvidia-container-cli")
    copy.rename(
        [
            ("etc/nvidia-container-runtime", "usr/local/etc/nvidia-container-runtime"),
            *((f"/usr/bin/{name}", f"/usr/local/bin/{name}") for name in programs),
            ("@/sbin/ldconfig", f"@{glibc}/sbin/ldconfig"),
            *driver_in(f"{glibc}/usr/lib"),
        ]
    )
    not_in_lib64(copy)
    system(copy, "Talos (v1.10.5)", "v1.33.2")
    labelled(copy, "extensions.talos.dev/nvidia-container-toolkit-production", "570-v1.17.8")
    entry(copy, f"{glibc}/sbin/ldconfig", kind="file", mode="0755")
    entry(copy, "/usr/sbin/ldconfig")
    for program in programs[:2]:
        path = f"/usr/local/bin/{program}"
        entry(copy, f"{path}.real", kind="file", mode="0755")
    copy.edit_yaml(
        copy.node / "listing.yaml",
        lambda it: it["absent"].extend(["/etc/nvidia-container-runtime", "/usr/sbin/ldconfig"]),
    )
