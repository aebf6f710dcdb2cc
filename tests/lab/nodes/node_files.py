"""The files on a node's disk before it starts: programs, configuration, credentials."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.control_plane.control_plane import INNER, ControlPlane
from tests.lab.nodes import sshd
from tests.lab.nodes.containerd_config import PATH as CONTAINERD_CONFIG
from tests.lab.nodes.containerd_config import SOCKET, ContainerdConfig
from tests.lab.nodes.fake_gpu import FakeGpus
from tests.lab.parts import debian
from tests.lab.parts.containerds import containerd

PATHS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
IMAGES = "/run/lab/images"
INSIDE = "/usr/local/libexec/lab"
CRICTL = "/usr/local/bin/crictl"
TOOLKIT = (
    *("nvidia-container-runtime", "nvidia-container-runtime-hook"),
    *("nvidia-ctk", "nvidia-cdi-hook"),
)
"""What NVIDIA's packages install, without the C part that legacy injection needs."""

PACKAGES = ("runc", "containernetworking-plugins", "openssh-server", "libwrap0", "sudo")

# Imports the images once; containerd must serve first.
_IMPORT = f"""\
#!/bin/sh
[ -e /var/lib/containerd/lab-imported ] && exit 0
for try in $(seq 100); do ctr version >/dev/null 2>&1 && break; sleep 0.1; done
ctr --namespace k8s.io images import {IMAGES}/*.tar && touch /var/lib/containerd/lab-imported
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpec:
    """A node to make.

    Args:
        name: its name in the cluster.
        number: 1 to 200; gives its addresses.
        generation: of containerd, one of ``containerds.GENERATIONS``.
        systemd: whether a real systemd is PID 1.
        gpus: its GPUs; ``None`` for a node without.
    """

    name: str
    number: int
    generation: str
    systemd: bool = False
    gpus: FakeGpus | None = field(default_factory=FakeGpus)

    @property
    def address(self) -> str:
        """Its address in the network of nodes."""
        return f"10.66.0.{self.number + 10}"

    @property
    def pods(self) -> str:
        """The addresses of its pods."""
        return f"10.244.{self.number}.0/24"

    @property
    def config(self) -> ContainerdConfig:
        """The healthy configuration of its containerd."""
        return ContainerdConfig(generation=self.generation, systemd=self.systemd)


def write_files(spec: NodeSpec, control: ControlPlane, upper: Path) -> None:
    """Write the node's own layer over the machine's root."""
    _copy_programs(spec, control, upper)
    texts = {
        "etc/hosts": f"127.0.0.1 localhost\n{spec.address} {spec.name}\n",
        "etc/hostname": f"{spec.name}\n",
        "etc/machine-id": hashlib.sha256(spec.name.encode()).hexdigest()[:32] + "\n",
        "etc/resolv.conf": "nameserver 127.0.0.1\n",
        CONTAINERD_CONFIG: spec.config.text(),
        "etc/cni/net.d/10-bridge.conflist": json.dumps(_network(spec)),
        **_kubelet_files(spec, control),
    }
    for name, text in texts.items():
        write(upper, name, text)
    (upper / "etc/containerd/conf.d").mkdir(exist_ok=True)
    write(upper, f"{INSIDE}/import-images", _IMPORT, 0o755)
    sshd.write_server(upper, sshd.client_folder(control.workplace))
    if spec.gpus:
        spec.gpus.write_files(upper, platform.release())


def write(upper: Path, name: str, text: str, mode: int = 0o644) -> None:
    """Write one file of the layer."""
    file = upper / name.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)


def _copy_programs(spec: NodeSpec, control: ControlPlane, upper: Path) -> None:
    """Copy, never link: a node may break its own programs."""
    root = debian.unpacked("node", "bookworm", *PACKAGES)
    argv = ["/usr/bin/cp", "--archive", "--no-target-directory", str(root), str(upper)]
    subprocess.run(argv, check=True, timeout=120)
    for name in ("containerd", "containerd-shim-runc-v2", "ctr"):
        shutil.copy(containerd(spec.generation) / name, upper / "usr/bin" / name)
    shutil.copy(control.programs.kubernetes / "kubelet", upper / "usr/bin/kubelet")
    (upper / CRICTL.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(control.programs.crictl / "crictl", upper / CRICTL.lstrip("/"))
    for name in TOOLKIT if spec.gpus else ():
        shutil.copy(control.programs.toolkit / name, upper / "usr/bin" / name)


def _network(spec: NodeSpec) -> dict[str, Any]:
    pods = {"ranges": [[{"subnet": spec.pods}]], "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True}
    plugin = {**bridge, "ipam": {"type": "host-local", **pods}}
    return {"cniVersion": "0.4.0", "name": "bridge", "plugins": [plugin]}


def _kubelet_files(spec: NodeSpec, control: ControlPlane) -> dict[str, str]:
    control.pki.issue(
        f"node-{spec.name}",
        f"/O=system:nodes/CN=system:node:{spec.name}",
        f"DNS:{spec.name},IP:{spec.address}",
    )
    folder = control.pki.folder
    return {
        "etc/kubernetes/pki/ca.crt": (folder / "ca.crt").read_text(),
        "etc/kubernetes/pki/kubelet.crt": (folder / f"node-{spec.name}.crt").read_text(),
        "etc/kubernetes/pki/kubelet.key": (folder / f"node-{spec.name}.key").read_text(),
        "etc/kubernetes/kubelet.conf": control.pki.kubeconfig(f"node-{spec.name}", INNER),
        "var/lib/kubelet/config.yaml": json.dumps(_kubelet_config(spec), indent=1),
    }


def _kubelet_config(spec: NodeSpec) -> dict[str, Any]:
    """Return the KubeletConfiguration (JSON is YAML)."""
    authority = {"clientCAFile": "/etc/kubernetes/pki/ca.crt"}
    thresholds = ("nodefs.available", "imagefs.available", "nodefs.inodesFree")
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": authority,
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": "/etc/kubernetes/pki/kubelet.crt",
        "tlsPrivateKeyFile": "/etc/kubernetes/pki/kubelet.key",
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "failCgroupV1": False,
        "clusterDNS": ["10.96.0.10"],
        "clusterDomain": "cluster.local",
        "cgroupDriver": "systemd" if spec.systemd else "cgroupfs",
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "makeIPTablesUtilChains": False,
        "evictionHard": {"memory.available": "50Mi", **dict.fromkeys(thresholds, "1%")},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "nodeStatusUpdateFrequency": "5s",
        "syncFrequency": "5s",
    }


def kubelet_command(spec: NodeSpec) -> list[str]:
    """Return the kubelet's command."""
    return [
        "/usr/bin/kubelet",
        "--config=/var/lib/kubelet/config.yaml",
        "--kubeconfig=/etc/kubernetes/kubelet.conf",
        *(f"--hostname-override={spec.name}", f"--node-ip={spec.address}", "--v=2"),
    ]
