"""The deciding evidence of every failing sample is moved, and the verdict follows it.

Nodes, namespaces, paths, process IDs and versions get other names and lists another order: the
layer and the cause stay, and what the report says names the new things.
"""

from __future__ import annotations

import pytest

from tests.samples.sample_copy import Renames, SampleCopy, renamed
from tests.samples.sample_table import EKS, KUBEADM, RKE2, SAMPLES, SNAP
from tests.samples.test_samples import FAILING, judge, words_of

MOVES: dict[str, Renames] = {
    KUBEADM: [
        ("gpu-1", "worker-gpu-a"),
        ("gpu-operator", "nvidia-stack"),
        ("/proc/48213", "/proc/777"),
        ("48213 (", "777 ("),
        ("1.7.24", "1.6.36"),
        ("cluster-policy", "main-policy"),
    ],
    EKS: [
        ("ip-10-225-49-119.us-west-2.compute.internal", "ip-10-9-8-7.eu-north-1.compute.internal"),
        ("/usr/local/nvidia/toolkit", "/opt/nvidia/toolkit"),
        ("/proc/3391", "/proc/3999"),
        ("3391 (", "3999 ("),
    ],
    RKE2: [
        ("rke2-agent-1", "rack7-node3"),
        ("/var/lib/rancher/rke2/agent/etc", "/data/rancher/rke2/agent/etc"),
        ("gpu-operator", "nvidia-stack"),
        ("/proc/30455", "/proc/888"),
        ("30455 (", "888 ("),
        ("2.1.5", "2.0.7"),
    ],
    SNAP: [
        ("192-18-132-31", "dgx-07"),
        ("/var/lib/k8s-containerd", "/srv/k8s-base"),
        ("/etc/containerd/conf.d", "/etc/containerd/drop-ins.d"),
        ("99-nvidia.toml", "95-gpu.toml"),
        ("gpu-operator-1758912452", "gpus"),
        ("/proc/81422", "/proc/999"),
        ("81422 (", "999 ("),
        ("1.7.28", "1.6.36"),
    ],
}


@pytest.mark.parametrize("sample", FAILING)
def test_verdict_follows_the_moved_evidence(pytester: pytest.Pytester, sample: str) -> None:
    """Other names, paths, versions and order: the same layer and cause, told in the new names."""
    expected = SAMPLES[sample]
    renames = MOVES[expected.base or ""]
    copy = SampleCopy(sample, pytester.mkdir("moving"))
    copy.rename(renames)
    copy.reverse()
    code, document, _ = judge(pytester, copy.spec)
    (node,) = document["nodes"]
    assert (code, node["layer"], node["cause"]) == (1, expected.layer, expected.cause)
    for words in expected.says:
        assert renamed(words, renames) in words_of(document), words_of(document)
    for old, new in renames[:1]:
        assert (node["name"], old) == (new, old)
