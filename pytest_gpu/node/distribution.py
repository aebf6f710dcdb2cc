"""Which Kubernetes distribution a node runs, with the paths and commands that differ.

Hints for reading and for fixes only: no verdict rests on a name. Sources: the distributions'
own documentation (docs.rke2.io, docs.k3s.io, documentation.ubuntu.com/canonical-kubernetes,
microk8s.io, docs.k0sproject.io, docs.aws.amazon.com/eks).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pytest_gpu.evidence import KubeObject
from pytest_gpu.kube.objects import labels_of, node_info
from pytest_gpu.node.processes import Process


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A distribution's commands and default paths.

    ``config`` and ``socket`` are containerd's; ``source`` is what an admin edits when ``config``
    is rendered at every start; ``crictl`` is the command line that starts crictl; ``home`` is
    where its programs are installed, if it brings its own.
    """

    name: str
    restart: str
    kubelet_unit: str
    restart_kubelet: str
    config: str = "/etc/containerd/config.toml"
    socket: str = "/run/containerd/containerd.sock"
    source: str | None = None
    crictl: tuple[str, ...] = ("crictl",)
    containerd_unit: str = "containerd"
    home: str | None = None


_PLAIN = Distribution(
    name="kubeadm",
    restart="sudo systemctl restart containerd",
    kubelet_unit="kubelet",
    restart_kubelet="sudo systemctl restart kubelet",
)


def _rancher(name: str, unit: str) -> Distribution:
    home = f"/var/lib/rancher/{name}"
    crictl = ("k3s", "crictl") if name == "k3s" else (f"{home}/bin/crictl",)
    return Distribution(
        name=name,
        restart=f"sudo systemctl restart {unit}",
        kubelet_unit=unit,
        restart_kubelet=f"sudo systemctl restart {unit}",
        config=f"{home}/agent/etc/containerd/config.toml",
        socket="/run/k3s/containerd/containerd.sock",
        source=f"{home}/agent/etc/containerd/config-v3.toml.tmpl",
        crictl=crictl,
        containerd_unit=unit,
        home=f"{home}/",
    )


_K8S_SNAP = Distribution(
    name="k8s-snap",
    restart="sudo snap restart k8s.containerd",
    kubelet_unit="snap.k8s.kubelet",
    restart_kubelet="sudo snap restart k8s.kubelet",
    containerd_unit="snap.k8s.containerd",
    home="/snap/k8s/",
)

_MICROK8S = Distribution(
    name="microk8s",
    restart="sudo snap restart microk8s.daemon-containerd",
    kubelet_unit="snap.microk8s.daemon-kubelite",
    restart_kubelet="sudo snap restart microk8s.daemon-kubelite",
    config="/var/snap/microk8s/current/args/containerd.toml",
    socket="/var/snap/microk8s/common/run/containerd.sock",
    source="/var/snap/microk8s/current/args/containerd-template.toml",
    containerd_unit="snap.microk8s.daemon-containerd",
    home="/snap/microk8s/",
)

_K0S = Distribution(
    name="k0s",
    restart="sudo systemctl restart k0sworker",
    kubelet_unit="k0sworker",
    restart_kubelet="sudo systemctl restart k0sworker",
    config="/etc/k0s/containerd.toml",
    socket="/run/k0s/containerd.sock",
    containerd_unit="k0sworker",
)


def detect(node: KubeObject, processes: Sequence[Process]) -> Distribution:
    """Return the distribution, by the kubelet's version suffix, the cloud, or the snap it runs in.

    What nothing speaks for is taken as a plain kubeadm-like node.
    """
    version = str(node_info(node).get("kubeletVersion", ""))
    for name in ("rke2", "k3s"):
        if f"+{name}" in version or (not version and _runs(processes, name)):
            return _rancher(name, _rancher_unit(name, node, processes))
    if "+k0s" in version or (not version and _runs(processes, "k0s")):
        return _K0S
    for snap, distribution in (("k8s", _K8S_SNAP), ("microk8s", _MICROK8S)):
        if any(_from_snap(process, snap) for process in processes):
            return distribution
    return replace(_PLAIN, name="eks") if "-eks-" in version else _PLAIN


def _runs(processes: Sequence[Process], program: str, word: str = "") -> bool:
    """Say whether a program runs, with a word among its arguments if one is given."""
    lines = (process.words for process in processes)
    return any(
        line and line[0].rpartition("/")[2] == program and word in ("", *line) for line in lines
    )


def _rancher_unit(name: str, node: KubeObject, processes: Sequence[Process]) -> str:
    labels = labels_of(node)
    server = any(label.startswith("node-role.kubernetes.io/control-plane") for label in labels)
    server = server or _runs(processes, name, "server")
    if name == "rke2":
        return "rke2-server" if server else "rke2-agent"
    return "k3s" if server else "k3s-agent"


def _from_snap(process: Process, snap: str) -> bool:
    program = process.exe or (process.argv[0] if process.argv else "")
    return program.startswith(f"/snap/{snap}/")
