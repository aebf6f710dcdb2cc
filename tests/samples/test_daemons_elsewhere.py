"""A kubelet that ends at each start where another program holds it: k3s, k0s, MicroK8s."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.samples import variants_daemons as daemons
from tests.samples import variants_kinds as kinds
from tests.samples import variants_modern as modern
from tests.samples.sample_copy import SampleCopy
from tests.samples.sample_table import KUBEADM, RKE2
from tests.samples.test_modern import Fault, judged
from tests.samples.test_samples import words_of
from tests.support.changes import gpu_node

GONE = ("Ready", "Unknown", "NodeStatusUnknown", "Kubelet stopped posting")
KUBELITE = "snap.microk8s.daemon-kubelite"


def k3s_ends(copy: SampleCopy, journal: str = daemons.rke2_starts(8)) -> None:
    """Let ``k3s agent`` end before it has told systemd that it is ready."""
    kinds.k3s_agent(copy)
    modern.end_process(copy, "k3s")
    daemons.runtime_down(copy, daemons.RKE2_SOCKET)
    modern.condition(copy, *GONE)
    daemons.status(
        copy, "k3s-agent", "activating (start) since Tue 2026-02-10 08:00:09 UTC; 2s ago"
    )
    daemons.journal(copy, "k3s-agent", journal.replace("rke2", "k3s"))


def k3s_without_default(copy: SampleCopy) -> None:
    """Let it not find the default runtime that its settings name."""
    text = daemons.rke2_starts(8).replace("Error: token CA hash", f"{daemons.NO_DEFAULT} or")
    k3s_ends(copy, text)
    settings = copy.node / "files/etc/rancher/k3s/config.yaml"
    copy.edit(settings, lambda text: f"{text.rstrip()}\ndefault-runtime: nvidia\n")


def k3s_restarted_once(copy: SampleCopy) -> None:
    """Let it have ended once: nobody knows yet how this start ends."""
    k3s_ends(copy, daemons.rke2_starts(1))


def ends(copy: SampleCopy, unit: str, program: str) -> None:
    """Let a unit that holds the kubelet end at each start over the kubelet's file."""
    text = daemons.KUBELET_JOURNAL.replace("kubelet.service", f"{unit}.service")
    daemons.status(copy, unit, daemons.RESTARTS, main=daemons.EXIT_1)
    daemons.journal(copy, unit, text.replace("kubelet[", f"{program}["))
    modern.condition(copy, *GONE)


def microk8s_ends(copy: SampleCopy) -> None:
    """Let kubelite end at each start."""
    kinds.kubelet_in_kubelite(copy)
    gpu_node(copy, lambda node: node["metadata"]["labels"].update({"microk8s.io/cluster": "true"}))
    modern.end_process(copy, "kubelite")
    ends(copy, KUBELITE, "microk8s.daemon-kubelite")


def k0s_ends(copy: SampleCopy) -> None:
    """Let k0s end at each start; its containerd runs on."""
    kinds.k0s_worker(copy)
    modern.end_process(copy, "kubelet")
    ends(copy, "k0sworker", "k0s")


FAULTS: Mapping[str, Fault] = {
    "k3s": Fault(
        base=RKE2,
        change=k3s_ends,
        layer="access",
        cause="access/kubelet-crash-loop",
        says=("token CA hash does not match", "systemctl cat k3s-agent"),
    ),
    "k3s-without-default": Fault(
        base=RKE2,
        change=k3s_without_default,
        layer="access",
        cause="access/default-runtime-not-found",
        says=(daemons.NO_DEFAULT, "Take default-runtime out of /etc/rancher/k3s/config.yaml"),
    ),
    "microk8s": Fault(
        base=KUBEADM,
        change=microk8s_ends,
        layer="access",
        cause="access/kubelet-crash-loop",
        says=("unknown field", f"systemctl cat {KUBELITE}"),
    ),
    "k0s": Fault(
        base=KUBEADM,
        change=k0s_ends,
        layer="access",
        cause="access/kubelet-crash-loop",
        says=("unknown field", "systemctl restart k0sworker"),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_unit_that_holds_the_kubelet_is_named(name: str, tmp_path: Path) -> None:
    """With its own last words, and the distribution's own commands."""
    fault = FAULTS[name]
    document = judged(fault.base, fault.change, tmp_path)
    (node,) = document["nodes"]
    assert (node["layer"], node["cause"]) == (fault.layer, fault.cause), node
    for words in fault.says:
        assert words in words_of(document), words_of(document)


def test_a_start_that_goes_on_is_not_judged(tmp_path: Path) -> None:
    """k3s ended once: no crash loop is told."""
    (node,) = judged(RKE2, k3s_restarted_once, tmp_path)["nodes"]
    assert node["cause"] != "access/kubelet-crash-loop"
