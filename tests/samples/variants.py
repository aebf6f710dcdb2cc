"""The variants of healthy samples, and what each must come out as."""

from __future__ import annotations

from collections.abc import Mapping

from tests.samples import variants_clouds as clouds
from tests.samples import variants_gaps as gaps
from tests.samples import variants_kinds as kinds
from tests.samples import variants_pools as pools
from tests.samples import variants_traces as traces
from tests.samples.sample_table import EKS, KUBEADM, RKE2, SNAP
from tests.support.changes import Change

CDI = "healthy-cdi"

HEALTHY: Mapping[str, tuple[str, Change]] = {
    "k3s": (RKE2, kinds.k3s_agent),
    "microk8s": (KUBEADM, kinds.kubelet_in_kubelite),
    "k0s": (KUBEADM, kinds.k0s_worker),
    "eks-al2023": (EKS, clouds.eks_al2023),
    "aks": (EKS, clouds.aks),
    "gke": (EKS, clouds.gke),
    "bottlerocket-own-folders": (EKS, clouds.bottlerocket),
    "talos": (EKS, clouds.talos),
    "version-2-under-2.x": (KUBEADM, kinds.newer_containerd),
    "version-3": (KUBEADM, kinds.config_version_3),
    "toolkit-drop-in": (KUBEADM, kinds.drop_in_of_the_toolkit),
    "default-runtime": (KUBEADM, kinds.default_runtime_without_class),
    "nri": (CDI, kinds.nri_mode),
    "mps": (SNAP, kinds.mps),
    "renamed": (SNAP, kinds.renamed_by_default),
    "own-names": (SNAP, kinds.own_names_in_sharing),
    "application-xids": (KUBEADM, traces.application_xids),
    "old-event": (KUBEADM, traces.old_event),
    "tainted": (KUBEADM, traces.tainted),
    "upgraded": (RKE2, traces.driver_upgrade("upgrade-done")),
    "ended-pods": (KUBEADM, traces.ended_pods),
    "nearly-full": (RKE2, traces.nearly_full),
    "kata": (KUBEADM, traces.kata_beside),
    "upgraded-on-disk": (KUBEADM, traces.upgraded_on_disk),
    "other-config": (KUBEADM, traces.other_config),
    "leftover-handler": (KUBEADM, traces.leftover_handler),
    "config-in-etc": (KUBEADM, traces.config_of_a_package_beside),
    "mig-single": (KUBEADM, kinds.mig_single),
    "mig-mixed": (KUBEADM, kinds.mig_mixed),
    "bottlerocket": (EKS, kinds.bottlerockets_own_runtime),
    "wsl": (KUBEADM, kinds.wsl),
    "jetson": (KUBEADM, kinds.jetson),
    "nvswitch": (KUBEADM, kinds.fabric_completed),
    "driver-container": (KUBEADM, traces.driver_in_a_container),
    "dockers-containerd": (KUBEADM, traces.dockers_own_containerd),
    "kind-beside": (KUBEADM, traces.kind_beside),
    "intel-node": (KUBEADM, traces.intel_node),
    "no-crictl": (KUBEADM, traces.no_crictl),
    "other-vendors-spec": (KUBEADM, traces.other_vendors_broken_spec),
    "classes-elsewhere": (CDI, pools.classes_elsewhere),
    "toolkit-of-another-pool": (EKS, pools.toolkit_of_another_pool),
    "plugin-of-another-pool": (EKS, pools.plugin_of_another_pool),
    "stock-handler-beside-cdi": (CDI, pools.stock_handler_beside_cdi),
    "classes-nobody-names": (KUBEADM, pools.classes_nobody_names),
    "library-of-jetson": (CDI, pools.library_of_jetson),
}

LATENT: Mapping[str, tuple[str, Change, str]] = {
    "stale-spec": (KUBEADM, traces.stale_spec_in_legacy_mode, "runtime/cdi-spec-stale"),
    "cordoned": (KUBEADM, traces.cordoned_and_tainted, "kubernetes/cordoned"),
    "cordoned-rke2": (RKE2, traces.cordoned, "kubernetes/cordoned"),
    "pods-full": (KUBEADM, traces.full, "kubernetes/pods-full"),
    "pods-full-eks": (EKS, traces.full, "kubernetes/pods-full"),
    "upgrade-failed": (KUBEADM, traces.driver_upgrade("upgrade-failed"), "driver/upgrade-failed"),
    "upgrade-drains": (
        SNAP,
        traces.driver_upgrade("drain-required", traces.cordoned),
        "driver/upgrade-unfinished",
    ),
}
"""With the cause that is noted, and fails nothing."""

UNPROVEN: Mapping[str, tuple[str, Change, str]] = {
    "busy": (KUBEADM, gaps.busy, "all GPUs are in use by"),
    "dmesg-forbidden": (KUBEADM, gaps.dmesg_forbidden, "kernel log"),
    "dmesg-cleared": (KUBEADM, gaps.dmesg_cleared, "kernel log"),
    "crictl-not-asked": (KUBEADM, gaps.crictl_not_asked, "crictl info"),
    "crictl-not-found": (KUBEADM, gaps.crictl_not_found, "crictl info"),
    "crictl-cut-off": (KUBEADM, gaps.crictl_cut_off, "crictl info"),
    "cri-o": (KUBEADM, gaps.cri_o, "CRI-O"),
    "kubelet-config-unread": (KUBEADM, gaps.kubelet_config_unread, "/var/lib/kubelet/config.yaml"),
    "link-unknown": (KUBEADM, gaps.link_unknown, "/var/run"),
    "kubelet-unseen": (KUBEADM, gaps.kubelet_unseen, "the kubelet"),
    "specs-unlisted": (CDI, gaps.specs_unlisted, "/var/run/cdi"),
    "policies-unread": (SNAP, gaps.policies_unread, "clusterpolicies"),
    "daemonsets-unread": (CDI, gaps.daemonsets_unread, "daemonsets"),
}
"""With words that a reason must hold: what is missing is named, and nothing else is blamed."""
