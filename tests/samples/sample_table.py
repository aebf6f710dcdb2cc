"""What every sample comes out as: the table that the product is measured by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

KUBEADM, EKS, RKE2, SNAP = (
    "healthy-kubeadm",
    "healthy-eks",
    "healthy-rke2",
    "healthy-k8s-snap",
)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """A sample's verdict: where climbing stops, and why, for its failing nodes.

    ``says`` are decisive words that its evidence or fix must contain; ``causes`` holds cause by
    node only where a sample has several. ``restart`` are the files and removals of the overlay that
    a restart renews once the fix's patch was applied.
    """

    base: str | None = None
    layer: str | None = None
    cause: str | None = None
    says: tuple[str, ...] = ()
    latent: tuple[str, ...] = ()
    causes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    restart: tuple[str, ...] | None = None


ALL_BUT_FILES = ("commands.yaml", "node.yaml", "outcomes", "nodes.yaml", "pods.yaml", "events.yaml")
SNAP_CONFIG = "/var/lib/k8s-containerd/k8s-containerd/etc/containerd/config.toml"
SNAP_SOCKET = "/var/lib/k8s-containerd/k8s-containerd/run/containerd/containerd.sock"
RKE2_CONFIG = "/var/lib/rancher/rke2/agent/etc/containerd/config.toml"

SAMPLES: Mapping[str, Expected] = {
    "healthy-kubeadm": Expected(),
    "healthy-rke2": Expected(),
    "healthy-k8s-snap": Expected(),
    "healthy-eks": Expected(),
    "healthy-dgx-spark": Expected(),
    "healthy-cdi": Expected(),
    "rke2-workload-without-runtimeclass": Expected(
        base=RKE2,
        layer="runtimeclass-pod",
        cause="runtimeclass/workload-without-runtimeclass",
        says=("runtimeClass", "default-runtime: nvidia"),
    ),
    "rke2-plugin-without-runtimeclass": Expected(
        base=RKE2,
        layer="device-plugin",
        cause="runtimeclass/plugin-without-runtimeclass",
        says=("runtimeClass",),
    ),
    "rke2-crictl-pod-network": Expected(
        base=RKE2,
        layer="sandbox",
        cause="sandbox/pod-config-asks-for-pod-network",
        says=("calico", '"network": 2'),
    ),
    "rke2-crictl-cgroup-parent": Expected(
        base=RKE2,
        layer="sandbox",
        cause="sandbox/cgroup-parent-is-no-slice",
        says=("slice:prefix:name", "kubepods-besteffort.slice"),
    ),
    "rke2-toolkit-default-paths": Expected(
        base=RKE2,
        layer="runtime",
        cause="runtime/toolkit-default-paths",
        says=("/etc/containerd/config.toml", RKE2_CONFIG, "rke2-agent"),
    ),
    "rke2-toolkit-k3s-paths": Expected(
        base=RKE2,
        layer="runtime",
        cause="runtime/toolkit-other-paths",
        says=("/var/lib/rancher/k3s/agent/etc/containerd/config.toml", RKE2_CONFIG),
    ),
    "k8s-snap-two-containerds": Expected(
        base=SNAP,
        layer="runtime",
        cause="runtime/toolkit-configured-other-containerd",
        says=(
            f'CONTAINERD_CONFIG\n    value: "{SNAP_CONFIG}"',
            f'CONTAINERD_SOCKET\n    value: "{SNAP_SOCKET}"',
            'CONTAINERD_RUNTIME_CLASS\n    value: "nvidia"',
            "helm upgrade gpu-operator-1758912452 nvidia/gpu-operator -n gpu-operator",
            "stale",
        ),
    ),
    "k8s-snap-runc-missing": Expected(
        base=SNAP,
        layer="runtime",
        cause="runtime/drop-in-left-no-runc",
        says=(
            "+++ /etc/containerd/conf.d/00-k8s-runc.toml",
            "+++ /etc/containerd/conf.d/99-nvidia.toml",
            "no corresponding runtime configured",
            "snap restart k8s.containerd",
        ),
        restart=ALL_BUT_FILES,
    ),
    "k8s-snap-runc-missing-with-00": Expected(
        base=SNAP,
        layer="runtime",
        cause="runtime/drop-in-left-no-runc",
        says=("+++ /etc/containerd/conf.d/99-nvidia.toml", "snap restart k8s.containerd"),
        restart=ALL_BUT_FILES,
    ),
    "k8s-snap-imports-other-base-dir": Expected(
        base=SNAP,
        layer="runtime",
        cause="runtime/drop-in-outside-imports",
        says=(
            "/var/lib/k8s-containerd/k8s-containerd/etc/containerd/conf.d/99-nvidia.toml",
            "/etc/containerd/conf.d/*.toml",
        ),
        restart=(*ALL_BUT_FILES, "kubernetes/pods/gpu-operator/nvidia-cuda-validator-btjl6"),
    ),
    "k8s-snap-count-mismatch": Expected(
        base=SNAP, layer="device-plugin", cause="device-plugin/count-mismatch"
    ),
    "docker-daemon-no-nvidia": Expected(
        base=SNAP, latent=("docker/runtime-not-configured",), restart=("commands.yaml",)
    ),
    "eks-glibc-too-old": Expected(
        base=EKS, layer="runtime", cause="runtime/toolkit-glibc-too-new", says=("GLIBC_2.27",)
    ),
    "eks-kubelet-died": Expected(
        base=EKS,
        layer="access",
        cause="access/kubelet-stopped-with-containerd",
        says=("kubelet",),
    ),
    "eks-kubelet-for-docker": Expected(
        base=EKS, layer="runtime", cause="runtime/kubelet-uses-docker", says=("docker",)
    ),
    "no-driver": Expected(base=KUBEADM, layer="driver", cause="driver/not-installed"),
    "driver-too-old": Expected(
        base=KUBEADM, layer="driver", cause="driver/too-old", says=("460.", "470")
    ),
    "nouveau": Expected(
        base=KUBEADM, layer="hardware", cause="driver/nouveau-holds-gpu", says=("nouveau",)
    ),
    "gpu-missing": Expected(base=KUBEADM, layer="hardware", cause="hardware/gpu-missing"),
    "runtimeclass-missing": Expected(
        base=KUBEADM, layer="runtimeclass-pod", cause="runtimeclass/missing"
    ),
    "runtimeclass-missing-plugin-down": Expected(
        base=KUBEADM, layer="device-plugin", cause="runtimeclass/missing"
    ),
    "handler-mismatch": Expected(
        base=KUBEADM, layer="runtimeclass-pod", cause="runtimeclass/handler-unknown"
    ),
    "handler-mismatch-plugin-down": Expected(
        base=KUBEADM, layer="device-plugin", cause="runtimeclass/handler-unknown"
    ),
    "mixed-fleet": Expected(base=KUBEADM),
}
