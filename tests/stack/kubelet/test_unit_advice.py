"""What is advised about a unit follows from its last words, and from who configures it."""

from __future__ import annotations

import pytest

from pytest_gpu.stack.distributions.distribution import Distribution
from pytest_gpu.stack.kubelet.unit_advice import kind_of, settings_of, table, unit_advice
from pytest_gpu.stack.kubelet.unit_end import LONGEST_LINE
from tests.stack.kubelet.test_unit_end import BEGIN, END, LOOPING, OOM, end, own

META = "/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db"


@pytest.mark.parametrize(
    ("words", "advised"),
    [
        (own(f"containerd: write {META}: no space left on device"), f"df -h {META}"),
        (own("panic: assertion failed: Page expected to be: 8812"), "itself crashed"),
        (own("containerd: mkdir /run/x: read-only file system"), "findmnt -T /run/x"),
        (own("containerd: open /etc/x.toml: no such file or directory"), "ls -ld /etc/x.toml"),
        (own("containerd: accept: too many open files"), "LimitNOFILE"),
        (own('level=fatal msg="cannot allocate memory"'), "MemoryMax"),
        (OOM, "MemoryMax"),
        (own("containerd: listen tcp :1: bind: address already in use"), "ss -lntp"),
        (own("containerd: dial tcp 10.0.0.1:6443: i/o timeout"), "name resolution"),
        (own('level=fatal msg="unknown flag: --frob"'), "refuses. Correct it in /etc/a.toml"),
        (own("containerd: frobbed the glim"), "Fix what they name, in /etc/a.toml"),
        (own("containerd: there is space left, and no panic"), "Fix what they name"),
    ],
)
def test_the_advice_follows_from_the_words(words: str, advised: str) -> None:
    """Disk, crash, permission and so on; what nobody knows is to be fixed as it says."""
    found = end(LOOPING, BEGIN + words + END)
    assert found is not None
    steps = unit_advice(found, "containerd", "/etc/a.toml")
    assert advised in "\n".join(step.shown for step in steps)


def test_each_kind_has_its_steps() -> None:
    """None is advised nothing, and what helps operands only is not advised for a unit."""
    assert all(table().values())
    assert kind_of("E: Unable to locate package x") == "unknown"


SEEN = Distribution(name="x", restart="", kubelet_unit="x", restart_kubelet="")


@pytest.mark.parametrize(
    ("files", "place"),
    [
        (("/var/lib/rancher/rke2/agent/etc/kubelet.conf.d/00-rke2-defaults.conf",), False),
        (("/var/lib/rancher/rke2/agent/etc/kubelet.conf.d/50-own.conf",), True),
    ],
)
def test_a_file_that_is_made_at_each_start_is_not_the_place(
    files: tuple[str, ...], *, place: bool
) -> None:
    """RKE2 and k3s have their own settings; a drop-in of an admin's stays."""
    rke2 = Distribution(
        name="rke2",
        restart="",
        kubelet_unit="rke2-agent",
        restart_kubelet="",
        settings="/etc/rancher/rke2",
    )
    said = settings_of(rke2, files)
    assert said.startswith("/etc/rancher/rke2/config.yaml or a file in /etc/rancher/rke2/config")
    assert (files[0] in said) is place
    assert settings_of(SEEN, files).startswith(files[0])


def test_a_long_line_of_the_journal_keeps_its_reason() -> None:
    """The kubelet's words on a file that it cannot read are longer than a report shows."""
    klog = (
        'E0304 09:59:31.911122   99120 run.go:72] "command failed" err="failed to load kubelet'
        " config file, path: /var/lib/kubelet/config.yaml, error: failed to load Kubelet config"
        " file /var/lib/kubelet/config.yaml, error failed to decode: no kind"
        r" \"KubeletConfiguration\" is registered for version \"kubelet.config.k8s.io/v1beta2\" in"
        r' scheme \"k8s.io/kubernetes/pkg/kubelet/apis/config/scheme/scheme.go:33\""'
    )
    found = end(LOOPING, BEGIN + own(klog) + END)
    assert found is not None
    shown = found.evidence[-1]
    assert len(shown.text) <= LONGEST_LINE
    assert shown.text.startswith("Mar 04 09:50:01 n1 containerd[7]: command failed: ")
    assert 'is registered for version "kubelet.config.k8s.io/v1beta2"' in shown.text
    assert found.words is not None
    assert (shown.line, shown.source) == (found.words.line, found.words.source)
    assert klog in found.words.text
