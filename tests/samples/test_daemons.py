"""A kubelet or a containerd that ends at each start is named by its own last words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.stack.host import failed_units
from tests.samples import variants_daemons as daemons
from tests.samples.sample_copy import SampleCopy
from tests.samples.sample_table import EKS, KUBEADM, RKE2, SNAP
from tests.samples.test_modern import Fault, asked, judged
from tests.samples.test_samples import words_of
from tests.stack.units.failing import PERSISTENCED, TOO_EARLY
from tests.support.changes import Change
from tests.support.judging import judge
from tests.survey.test_survey import revisited

FAULTS: Mapping[str, Fault] = {
    "kubelet-refuses-its-file": Fault(
        change=daemons.kubelet_refuses_its_file,
        layer="access",
        cause="access/kubelet-crash-loop",
        says=("code=exited, status=1/FAILURE", "unknown field", "journalctl -u kubelet"),
    ),
    "kubelet-given-up": Fault(
        base=EKS,
        change=daemons.kubelet_given_up,
        layer="access",
        cause="access/kubelet-crash-loop",
        says=("failed (Result: start-limit-hit)", daemons.PANIC, "Kubelet stopped posting"),
    ),
    "rke2-ends-at-each-start": Fault(
        base=RKE2,
        change=daemons.rke2_ends_at_each_start,
        layer="access",
        cause="access/kubelet-crash-loop",
        says=("token CA hash does not match", "activating (start)", "systemctl cat rke2-agent"),
    ),
    "rke2-without-default": Fault(
        base=RKE2,
        change=daemons.rke2_without_default,
        layer="access",
        cause="access/default-runtime-not-found",
        says=(
            "No pod starts here: rke2 ends at each start without its default runtime nvidia",
            daemons.NO_DEFAULT,
            "default-runtime: nvidia",
            "Take default-runtime out of /etc/rancher/rke2/config.yaml",
        ),
    ),
    "rke2-without-flagged-default": Fault(
        base=RKE2,
        change=daemons.rke2_without_flagged_default,
        layer="access",
        cause="access/default-runtime-not-found",
        says=("default runtime crun", "--default-runtime=crun"),
    ),
    "containerd-cannot-write": Fault(
        change=daemons.containerd_cannot_write,
        layer="runtime",
        cause="runtime/containerd-crash-loop",
        says=(daemons.READ_ONLY, "code=exited, status=1/FAILURE", "activating (auto-restart)"),
    ),
    "snap-containerd-panics": Fault(
        base=SNAP,
        change=daemons.snap_containerd_panics,
        layer="runtime",
        cause="runtime/containerd-crash-loop",
        says=("multiple references", "failed (Result: exit-code)", "snap.k8s.containerd"),
    ),
    "containerd-refuses-its-file": Fault(
        change=daemons.containerd_refuses_its_file,
        layer="runtime",
        cause="runtime/config-invalid",
        says=(
            "containerd 1.7.24 cannot read its configuration: /etc/containerd/config.toml, line 12",
            daemons.REFUSED_1,
            "DaemonSet gpu-operator/nvidia-container-toolkit-daemonset",
        ),
    ),
    "file-of-ansible": Fault(
        change=daemons.file_of_ansible,
        layer="runtime",
        cause="runtime/config-invalid",
        says=("# Ansible managed", "in line 1 who maintains it", daemons.REFUSED_1),
    ),
    "containerd-refuses-unseen-file": Fault(
        change=daemons.containerd_refuses_unseen_file,
        layer="runtime",
        cause="runtime/config-invalid",
        says=("/etc/containerd/config.toml, line 12", "unclosed table key"),
    ),
    "snap-refuses-drop-in": Fault(
        base=SNAP,
        change=daemons.snap_refuses_drop_in,
        layer="runtime",
        cause="runtime/config-invalid",
        says=(f"{daemons.DROP_IN}, line 3", "(3, 2): unexpected token", "no containerd listens on"),
    ),
    "snap-toolkit-copies-dockers": Fault(
        base=SNAP,
        change=daemons.snap_toolkit_copies_dockers,
        layer="runtime",
        cause="runtime/config-invalid",
        says=(
            "starts from what another containerd of this node prints",
            "RUNTIME_CONFIG_SOURCE=file (toolkit-values.yaml)",
            '- name: RUNTIME_CONFIG_SOURCE\n    value: "file"',
            "helm upgrade",
        ),
    ),
    "rke2-renders-broken-file": Fault(
        base=RKE2,
        change=daemons.rke2_renders_broken_file,
        layer="runtime",
        cause="runtime/config-invalid",
        says=(
            f"{daemons.RKE2_CONFIG}, line 2",
            "Failure unmarshaling TOML",
            f"{daemons.TEMPLATE}: [plugins",
            f"at every start from {daemons.TEMPLATE}: fix the template",
        ),
    ),
    "rke2-renders-broken-file-unlogged": Fault(
        base=RKE2,
        change=daemons.rke2_renders_broken_file_unlogged,
        layer="runtime",
        cause="runtime/config-invalid",
        says=(f"{daemons.RKE2_CONFIG}, line 2", "containerd exited: exit status 1"),
    ),
    "refuses-what-we-accept": Fault(
        change=daemons.refuses_what_we_accept,
        layer="runtime",
        cause="runtime/config-invalid",
        says=("/etc/containerd/config.toml, line 12", daemons.REFUSED_1),
    ),
    "repaired-but-not-started": Fault(
        change=daemons.repaired_but_not_started,
        layer="runtime",
        cause="runtime/containerd-crash-loop",
        says=(daemons.REFUSED_1, "Then start it again"),
    ),
}

CONFORM: Mapping[str, tuple[str, Change]] = {
    "kubelet-refused-its-file-before": (KUBEADM, daemons.kubelet_refused_its_file_before),
    "refused-before": (KUBEADM, daemons.refused_before),
    "no-systemd": (KUBEADM, daemons.no_systemd),
    "containerd-started-by-hand": (KUBEADM, daemons.containerd_started_by_hand),
}
"""Old errors before the last good start, and a host that has nothing to ask."""


@pytest.mark.parametrize("name", FAULTS)
def test_what_ends_at_each_start_is_named_by_its_last_words(name: str, tmp_path: Path) -> None:
    """Layer, cause, its own line, and a fix for whoever wrote what it refuses."""
    fault = FAULTS[name]
    document = judged(fault.base, fault.change, tmp_path)
    (node,) = document["nodes"]
    assert (node["layer"], node["cause"]) == (fault.layer, fault.cause), node
    for words in fault.says:
        assert words in words_of(document), words_of(document)


@pytest.mark.parametrize(
    "name",
    [
        "kubelet-refuses-its-file",
        "rke2-without-default",
        "containerd-cannot-write",
        "snap-refuses-drop-in",
        "rke2-renders-broken-file",
    ],
)
def test_what_a_visit_brings_is_judged_the_same(name: str, tmp_path: Path) -> None:
    """It asks for all that decides: states, journals, containerd's own log."""
    fault = FAULTS[name]
    copy = SampleCopy(fault.base, tmp_path)
    fault.change(copy)
    with open_recording(revisited(copy.folder, tmp_path / "visited"), name) as cluster:
        document = judge(cluster)
    (node,) = document["nodes"]
    assert (node["layer"], node["cause"]) == (fault.layer, fault.cause), node
    for words in fault.says:
        assert words in words_of(document), words_of(document)


def test_settings_that_are_in_force_are_not_advised(tmp_path: Path) -> None:
    """The toolkit of this sample starts from the file already."""
    document = judged(SNAP, daemons.snap_refuses_drop_in, tmp_path)
    assert "RUNTIME_CONFIG_SOURCE" not in words_of(document)


def test_an_older_reason_is_not_told(tmp_path: Path) -> None:
    """Only the last start counts."""
    document = judged(KUBEADM, daemons.kubelet_refuses_its_file, tmp_path)
    assert "an older reason" not in words_of(document)


@pytest.mark.parametrize("name", CONFORM)
def test_old_errors_convict_nobody(name: str, tmp_path: Path) -> None:
    """What runs now conforms, and nothing is noted."""
    document = judged(*CONFORM[name], tmp_path)
    (node,) = document["nodes"]
    assert (node["verdict"], node["unproven"]) == ("conforms", []), node
    assert document["latent"] == []


def test_a_containerd_that_was_just_restarted_is_noted(tmp_path: Path) -> None:
    """It works at the moment."""
    document = judged(KUBEADM, daemons.containerd_just_restarted, tmp_path)
    (node,) = document["nodes"]
    assert node["verdict"] == "conforms", node
    assert [each["id"] for each in document["latent"]] == ["runtime/containerd-crash-loop"]
    assert daemons.READ_ONLY in str(document["latent"])


def test_a_start_that_goes_on_is_not_judged(tmp_path: Path) -> None:
    """RKE2 ended once and starts at the moment: no crash loop, the missing runtime is told."""
    document = judged(RKE2, daemons.rke2_restarted_once, tmp_path)
    (node,) = document["nodes"]
    assert node["cause"] == "runtime/containerd-not-running", node


def test_a_visit_asks_for_units_and_their_journals(tmp_path: Path) -> None:
    """Those of the kubelet and of containerd, once where they are one, and what failed."""
    kubeadm = asked(KUBEADM, daemons.persistence_daemon_failed, tmp_path / "kubeadm")
    assert [*failed_units.LIST] in kubeadm
    for unit in ("kubelet", "containerd"):
        assert ["systemctl", "status", "-l", f"{unit}.service"] in kubeadm
        assert ["journalctl", "-u", unit, "--no-pager", "-n", "200"] in kubeadm
    assert ["systemctl", "status", "-l", "nvidia-persistenced.service"] in kubeadm
    assert ["systemctl", "status", "-l", "cups.service"] not in kubeadm
    journal = ["journalctl", "-u", "nvidia-persistenced", "--no-pager", "-n", "200"]
    assert journal in kubeadm
    rke2 = asked(RKE2, lambda copy: None, tmp_path / "rke2")
    assert sum(argv[:2] == ["systemctl", "status"] for argv in rke2) == 1


def test_a_unit_that_should_have_loaded_the_module_is_quoted(tmp_path: Path) -> None:
    """Whatever the image calls it; the cause is what it was."""
    document = judged("no-driver", daemons.module_unit_failed, tmp_path)
    (node,) = document["nodes"]
    assert node["layer"] == "driver", node
    assert "modprobe: FATAL: Module nvidia not found" in words_of(document)


FAILED = "failed (Result: exit-code) since Tue"


def persistence_daemon_told(copy: SampleCopy) -> None:
    """Let the persistence daemon have failed, and systemd have shown it."""
    unit = "nvidia-persistenced"
    said = f"Jun 03 07:11:21 h {unit}[811]: {PERSISTENCED}\n"
    daemons.status(copy, unit, FAILED, main=daemons.EXIT_1, log=said)


def cdi_refresh_told(copy: SampleCopy) -> None:
    """Let the toolkit's service have failed, and systemd have shown it."""
    said = f"Jun 03 07:11:21 h nvidia-ctk[880]: {TOO_EARLY}\n"
    daemons.status(copy, "nvidia-cdi-refresh", FAILED, main=daemons.EXIT_1, log=said)


def others_told(copy: SampleCopy) -> None:
    """Let units have failed that say nothing of the GPUs, with NVIDIA's name in their words."""
    for unit in ("nvidia-powerd", "cups", "systemd-modules-load"):
        daemons.status(copy, unit, FAILED, main=daemons.EXIT_1, log="Jun 03 07:11:21 h x[8]: no\n")


@pytest.mark.parametrize("sample", [KUBEADM, RKE2, "healthy-cdi", "healthy-eks"])
@pytest.mark.parametrize(
    ("change", "found", "words"),
    [
        (persistence_daemon_told, ["driver/companion-failed"], PERSISTENCED),
        (cdi_refresh_told, ["runtime/cdi-refresh-failed"], "Driver Not Loaded"),
        (others_told, [], ""),
    ],
)
def test_a_failed_service_on_a_node_that_works_is_latent(
    tmp_path: Path, sample: str, change: Change, found: list[str], words: str
) -> None:
    """In the layer that it belongs to, with its own words; other services are nobody's business."""
    document = judged(sample, change, tmp_path)
    (node,) = document["nodes"]
    assert node["verdict"] == "conforms", node
    assert [each["id"] for each in document["latent"]] == found
    assert words in " ".join(e["text"] for each in document["latent"] for e in each["evidence"])
