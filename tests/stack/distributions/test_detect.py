"""Which distribution a node runs: facts in, a name with its commands out, and the near misses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pytest_gpu.catalogue import catalogue
from pytest_gpu.causes import Finding, fix_of
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.run.placeholders import filled
from pytest_gpu.stack.distributions.detect import detect
from pytest_gpu.stack.distributions.distribution import Distribution
from pytest_gpu.stack.host.processes import Process
from tests.support.fake_evidence import FakeCluster, FakeNode, node_object

KUBEADM = (
    "/usr/bin/kubelet --bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf"
    " --kubeconfig=/etc/kubernetes/kubelet.conf"
)
RKE2 = "/var/lib/rancher/rke2/data/v1.33/bin/kubelet"
K8S = "/snap/k8s/4155/bin/kubelet"
UNKNOWN = "unknown"


def node(
    labels: tuple[str, ...] = (), annotations: tuple[str, ...] = (), **info: str
) -> dict[str, Any]:
    """Return a Node object with labels and annotations (by name) and this nodeInfo."""
    found = node_object("a", labels=dict.fromkeys(labels, "x"))
    found["metadata"]["annotations"] = dict.fromkeys(annotations, "x")
    found["status"]["nodeInfo"] = info
    return found


def found(
    *argvs: str,
    reported: Mapping[str, Any] | None = None,
    files: tuple[str, ...] = (),
    foreign: bool = False,
) -> Distribution:
    """Return the distribution of a node with these processes; a path before ``:`` is the file."""
    processes = []
    for pid, argv in enumerate(argvs, 10):
        exe, _, words = argv.rpartition("|")
        split = tuple(words.split())
        processes.append(Process(pid=pid, argv=split, exe=exe or None, foreign=foreign))
    evidence = FakeNode(files=dict.fromkeys(files, ""))
    return detect(reported or node(), processes, evidence)


@pytest.mark.parametrize(
    ("reported", "name", "unit"),
    [
        (node(kubeletVersion="v1.33.7+rke2r3"), "rke2", "rke2-agent"),
        (node(kubeletVersion="v1.33.7+k3s1"), "k3s", "k3s-agent"),
        (
            node(("node-role.kubernetes.io/control-plane",), kubeletVersion="v1.33.7+k3s1"),
            "k3s",
            "k3s",
        ),
        (node(kubeletVersion="v1.31.5+k0s"), "k0s", "k0sworker"),
        (node(kubeletVersion="v1.31.7-eks-1", osImage="Amazon Linux 2"), "eks", "kubelet"),
        (
            node(kubeletVersion="v1.31.7-eks-1", osImage="Amazon Linux 2023.8.20250707"),
            "eks-al2023",
            "kubelet",
        ),
        (
            node(kubeletVersion="v1.31.7-eks-1", osImage="Bottlerocket OS 1.40.0 (aws-k8s-1.31)"),
            "bottlerocket",
            "kubelet",
        ),
        (
            node(
                ("eks.amazonaws.com/nodegroup",), kubeletVersion="v1.31.7", osImage="Ubuntu 22.04"
            ),
            "eks-ubuntu",
            "snap.kubelet-eks.daemon",
        ),
        (node(kubeletVersion="v1.32.4-gke.1106006"), "gke", "kubelet"),
        (node(("cloud.google.com/gke-nodepool",), kubeletVersion="v1.32.4"), "gke", "kubelet"),
        (node(osImage="Container-Optimized OS from Google"), "gke", "kubelet"),
        (node(("kubernetes.azure.com/cluster",), kubeletVersion="v1.31.2"), "aks", "kubelet"),
        (node(kubeletVersion="v1.32.0", osImage="Talos (v1.9.2)"), "talos", "kubelet"),
        (node(("k8sd.io/role",)), "k8s-snap", "snap.k8s.kubelet"),
        (node(("microk8s.io/cluster",)), "microk8s", "snap.microk8s.daemon-kubelite"),
        (node(annotations=("kubeadm.alpha.kubernetes.io/cri-socket",)), "kubeadm", "kubelet"),
        (node(kubeletVersion="v1.31.2", osImage="Ubuntu 22.04.5 LTS"), UNKNOWN, "kubelet"),
    ],
)
def test_by_what_a_node_reports(reported: dict[str, Any], name: str, unit: str) -> None:
    """Without any process: a node that nobody visited still reports of itself."""
    distribution = found(reported=reported)
    assert (distribution.name, distribution.kubelet_unit) == (name, unit)


@pytest.mark.parametrize(
    ("argvs", "name", "unit"),
    [
        ((KUBEADM,), "kubeadm", "kubelet"),
        (("/usr/bin/kubelet --kubeconfig=/etc/kubernetes/kubelet.conf",), UNKNOWN, "kubelet"),
        ((f"{RKE2}|kubelet --v=2", "/usr/local/bin/rke2 agent"), "rke2", "rke2-agent"),
        ((f"{RKE2}|kubelet --v=2", "/usr/local/bin/rke2 server"), "rke2", "rke2-server"),
        (("/usr/local/bin/k3s server",), "k3s", "k3s"),
        (("/var/lib/rancher/k3s/data/x/bin/k3s|/usr/local/bin/k3s agent",), "k3s", "k3s-agent"),
        (
            ("/var/lib/k0s/bin/kubelet --v=1", "/usr/local/bin/k0s controller --single"),
            "k0s",
            "k0scontroller",
        ),
        (("/var/lib/k0s/bin/kubelet --v=1", "/usr/local/bin/k0s worker"), "k0s", "k0sworker"),
        ((f"{K8S} --v=1",), "k8s-snap", "snap.k8s.kubelet"),
        (
            ("/snap/microk8s/7394/kubelite --scheduler-args-file=x",),
            "microk8s",
            "snap.microk8s.daemon-kubelite",
        ),
        (("/snap/kubelet-eks/180/kubelet --v=1",), "eks-ubuntu", "snap.kubelet-eks.daemon"),
    ],
)
def test_by_the_program_that_is_the_kubelet(argvs: tuple[str, ...], name: str, unit: str) -> None:
    """Where the kubelet's file lies is a fact, too; a local run has no Node object."""
    distribution = found(*argvs)
    assert (distribution.name, distribution.kubelet_unit) == (name, unit)


@pytest.mark.parametrize(
    ("argvs", "name"),
    [
        # Another snap whose name begins alike, and a snap that is there beside kubeadm's kubelet.
        ((KUBEADM, "/snap/k8s-tools/12/bin/k8s-tools"), "kubeadm"),
        ((KUBEADM, "/snap/microk8s/7394/bin/containerd"), "kubeadm"),
        # A server of k3s that somebody runs beside, as a tool that is no kubelet.
        ((KUBEADM, "/usr/local/bin/k3s kubectl get pods"), "kubeadm"),
        # An agent and a tool of the same name on one node.
        ((f"{RKE2}|kubelet", "/usr/local/bin/rke2 agent", "/opt/rke2 etcd-snapshot"), "rke2"),
    ],
)
def test_what_lies_or_runs_beside_says_nothing(argvs: tuple[str, ...], name: str) -> None:
    """The kubelet decides, not the first program with a known name."""
    assert found(*argvs).name == name


def test_a_node_inside_the_node_is_none_of_it() -> None:
    """A kind or k3d node runs on this machine, with a network of its own."""
    assert found("/usr/local/bin/k3s server", foreign=True).name == UNKNOWN


def test_kubeadms_files_speak_for_a_kubelet_that_does_not_run() -> None:
    """Before a snap's containerd that happens to run beside."""
    snap = "/snap/microk8s/7394/bin/containerd --config /x"
    assert found(snap, files=("/var/lib/kubelet/kubeadm-flags.env",)).name == "kubeadm"
    assert found(snap).name == "microk8s"
    assert found("/usr/bin/containerd").name == UNKNOWN


def test_the_templates_name_goes_with_containerds_version() -> None:
    """``config-v3.toml.tmpl`` since containerd 2 (docs.k3s.io, docs.rke2.io)."""
    old = node(kubeletVersion="v1.30.2+k3s1", containerRuntimeVersion="containerd://1.7.17-k3s1")
    new = node(kubeletVersion="v1.33.7+rke2r3", containerRuntimeVersion="containerd://2.1.5-k3s1")
    sources = [(found(reported=each).source or "").rpartition("/")[2] for each in (old, new)]
    assert sources == ["config.toml.tmpl", "config-v3.toml.tmpl"]


def test_a_fix_for_a_distribution_serves_its_family() -> None:
    """What is written for EKS reaches Amazon Linux 2023; what is not, is the common one."""
    values = {"node": "a", "restart": "r", "restart_kubelet": "k"}
    cause = catalogue()["runtime/kubelet-uses-docker"]

    def first(**more: str) -> str:
        finding = Finding(cause=cause.id, evidence=(), values={**values, **more})
        return fix_of(finding)[0]

    assert first(distribution="eks-al2023", family="eks") == cause.fix["eks"][0].shown
    assert first(distribution="aks", family="") == cause.fix["default"][0].shown
    assert first() == cause.fix["default"][0].shown


@pytest.mark.parametrize(
    ("reported", "restart", "words"),
    [
        (
            node(osImage="Talos (v1.9.2)"),
            "$ talosctl --nodes a reboot",
            ["machineconfig --nodes a", "no shell"],
        ),
        (
            node(kubeletVersion="v1.31.7-eks-1", osImage="Bottlerocket OS 1.40.0 (aws-k8s-1.31)"),
            "$ apiclient reboot",
            ["settings", "sheltie"],
        ),
        (
            node(kubeletVersion="v1.32.4-gke.1106006"),
            "$ sudo systemctl restart containerd",
            ["--containerd-config-from-file"],
        ),
        (
            node(kubeletVersion="v1.31.7-eks-1", osImage="Amazon Linux 2023.8"),
            "$ sudo systemctl restart containerd",
            ["NodeConfig"],
        ),
        (
            node(kubeletVersion="v1.31.7+k0s"),
            "$ sudo systemctl restart k0sworker",
            ["containerd.d"],
        ),
        (
            node(("kubernetes.azure.com/cluster",)),
            "$ sudo systemctl restart containerd",
            ["chroot"],
        ),
    ],
)
def test_a_fix_begins_with_what_an_admin_can_do_there(
    reported: dict[str, Any], restart: str, words: list[str]
) -> None:
    """On hosts without a shell, or whose files are made by somebody else, before any command."""
    gpu_node = GpuNode("a", FakeCluster(objects={"nodes": [reported]}))
    finding = Finding.of("runtime/not-restarted", handler="nvidia")
    first, *steps = fix_of(filled(finding, gpu_node))
    assert restart in steps
    assert [word for word in words if word not in first] == []
    elsewhere = Finding.of("runtimeclass/missing", create="kubectl create -f x")
    assert first not in fix_of(filled(elsewhere, gpu_node))


def test_a_plain_node_needs_no_such_words() -> None:
    """The files of a kubeadm node are the admin's own, and sudo works."""
    gpu_node = GpuNode("a", FakeCluster(objects={"nodes": [node()]}))
    finding = Finding.of("runtime/not-restarted", handler="nvidia")
    assert fix_of(filled(finding, gpu_node))[0] == "Restart it:"
