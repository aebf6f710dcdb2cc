"""The Kubernetes distributions: commands and paths in which they differ, as their documents say.

Sources: kubernetes.io "Configuring each kubelet in your cluster using kubeadm"; docs.rke2.io and
docs.k3s.io "Advanced Options"; documentation.ubuntu.com/canonical-kubernetes "Snap"; microk8s.io
"Configuring services"; docs.k0sproject.io "CRI runtime"; docs.aws.amazon.com/eks and
awslabs.github.io/amazon-eks-ami; bottlerocket.dev "Settings"; learn.microsoft.com "AKS node
access"; docs.cloud.google.com "Customize containerd configuration in GKE nodes";
docs.siderolabs.com "Containerd".
"""

from __future__ import annotations

from dataclasses import dataclass, replace

_SYSTEMCTL = "sudo systemctl restart"


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A distribution's commands and default paths.

    ``config`` and ``socket`` are containerd's; ``source`` is what an admin edits when ``config``
    is rendered at every start of it; ``crictl`` is the command line that starts crictl; ``home``
    is where its programs are installed, if it brings its own. ``kubelet_args`` is the file that a
    snap reads its kubelet's flags from, ``settings`` the folder of a ``config.yaml`` that hands
    flags on. ``family`` is whose fixes serve here, too. ``how`` is what an admin must know before
    a change on the node itself: where its files come from, and how commands get there. In commands
    and in ``how``, NODE stands for the node.
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
    kubelet_args: str | None = None
    settings: str | None = None
    family: str = ""
    how: str = ""


UNKNOWN = Distribution(
    name="unknown",
    restart=f"{_SYSTEMCTL} containerd",
    kubelet_unit="kubelet",
    restart_kubelet=f"{_SYSTEMCTL} kubelet",
)
"""A node that nothing speaks for: treated like one with a plain containerd and kubelet."""

CRICTL_PLACES = (
    ("/usr/local/bin/crictl",),
    ("/usr/bin/crictl",),
    ("/opt/bin/crictl",),
    ("/var/lib/rancher/rke2/bin/crictl",),
    ("/var/lib/rancher/k3s/data/current/bin/crictl",),
    ("/home/kubernetes/bin/crictl",),
    ("/usr/local/bin/k3s", "crictl"),
)
"""Commands that start crictl: as packages, kubeadm, Flatcar, RKE2, k3s and GKE install it.

MicroK8s and k0s bring ctr only, which does not speak the CRI.
"""

KUBEADM = replace(UNKNOWN, name="kubeadm")

EKS = replace(UNKNOWN, name="eks")
EKS_AL2023 = replace(
    EKS,
    name="eks-al2023",
    family="eks",
    how="nodeadm writes containerd's configuration at every boot: put a lasting change into"
    " spec.containerd.config of the NodeConfig in the node's user data.",
)
EKS_UBUNTU = replace(
    EKS,
    name="eks-ubuntu",
    family="eks",
    kubelet_unit="snap.kubelet-eks.daemon",
    restart_kubelet="sudo snap restart kubelet-eks",
)
AKS = replace(
    UNKNOWN,
    name="aks",
    how="AKS makes nodes anew when it scales or upgrades: a change by hand lasts as long as"
    " this node. A shell on it: kubectl debug node/NODE -it --profile=sysadmin"
    " --image=busybox, then chroot /host.",
)
GKE = replace(
    UNKNOWN,
    name="gke",
    crictl=("/home/kubernetes/bin/crictl",),
    how="GKE writes containerd's configuration itself when it makes a node: a change by hand"
    " lasts as long as this node. What may be configured stands in the node pool (gcloud"
    " container node-pools update --containerd-config-from-file); on its"
    " Container-Optimized OS, GKE's own device plugin injects GPUs, without a handler.",
)

BOTTLEROCKET = replace(
    UNKNOWN,
    name="bottlerocket",
    restart="apiclient reboot",
    restart_kubelet="apiclient reboot",
    how="Bottlerocket makes its files of its settings: a change belongs there (apiclient set,"
    " or the user data), and driver, runtime and handler come with its variants for"
    " NVIDIA. Commands with sudo show what is meant; on the node they need its admin"
    " container (apiclient exec admin bash, then sheltie).",
)
"""No shell but in its control and admin containers; its files are made of its settings."""

TALOS = replace(
    UNKNOWN,
    name="talos",
    restart="talosctl --nodes NODE reboot",
    restart_kubelet="talosctl --nodes NODE service kubelet restart",
    config="/etc/cri/containerd.toml",
    how="Talos has no shell, and makes its files of the machine configuration: a change"
    " belongs there (talosctl patch machineconfig --nodes NODE; containerd's is the"
    " machine file /etc/cri/conf.d/20-customization.part, or a CRICustomizationConfig"
    " in newer releases), and the NVIDIA runtime is a system extension of its image."
    " Commands with sudo show what is meant, and do not run there.",
)
"""No shell at all; its files are made of the machine configuration."""

K8S_SNAP = Distribution(
    name="k8s-snap",
    restart="sudo snap restart k8s.containerd",
    kubelet_unit="snap.k8s.kubelet",
    restart_kubelet="sudo snap restart k8s.kubelet",
    containerd_unit="snap.k8s.containerd",
    home="/snap/k8s/",
    kubelet_args="/var/snap/k8s/common/args/kubelet",
)

MICROK8S = Distribution(
    name="microk8s",
    restart="sudo snap restart microk8s.daemon-containerd",
    kubelet_unit="snap.microk8s.daemon-kubelite",
    restart_kubelet="sudo snap restart microk8s.daemon-kubelite",
    config="/var/snap/microk8s/current/args/containerd.toml",
    socket="/var/snap/microk8s/common/run/containerd.sock",
    source="/var/snap/microk8s/current/args/containerd-template.toml",
    containerd_unit="snap.microk8s.daemon-containerd",
    home="/snap/microk8s/",
    kubelet_args="/var/snap/microk8s/current/args/kubelet",
)


def k0s(unit: str) -> Distribution:
    """Return k0s with the unit that its worker runs in: k0sworker, or k0scontroller with one."""
    return Distribution(
        name="k0s",
        restart=f"{_SYSTEMCTL} {unit}",
        kubelet_unit=unit,
        restart_kubelet=f"{_SYSTEMCTL} {unit}",
        config="/etc/k0s/containerd.toml",
        socket="/run/k0s/containerd.sock",
        containerd_unit=unit,
        home="/var/lib/k0s/",
        how="k0s writes /etc/k0s/containerd.toml itself as long as its first line says"
        " k0s_managed=true, and imports /etc/k0s/containerd.d/*.toml: a drop-in there stays.",
    )


def rancher(name: str, unit: str, *, containerd: int) -> Distribution:
    """Return k3s or RKE2, whose template has another name for containerd 1 (its major version)."""
    home = f"/var/lib/rancher/{name}"
    template = "config-v3.toml.tmpl" if containerd >= 2 else "config.toml.tmpl"
    return Distribution(
        name=name,
        restart=f"{_SYSTEMCTL} {unit}",
        kubelet_unit=unit,
        restart_kubelet=f"{_SYSTEMCTL} {unit}",
        config=f"{home}/agent/etc/containerd/config.toml",
        socket="/run/k3s/containerd/containerd.sock",
        source=f"{home}/agent/etc/containerd/{template}",
        crictl=("k3s", "crictl") if name == "k3s" else (f"{home}/bin/crictl",),
        containerd_unit=unit,
        home=f"{home}/",
        settings=f"/etc/rancher/{name}",
    )
