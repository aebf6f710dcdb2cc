"""Overlays tell the truth: what they remove by kind, rename, or change and yet keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pytest_gpu.cluster.recording.copying import record
from pytest_gpu.cluster.recording.kinds import COMMANDS_OF_KIND, KINDS
from pytest_gpu.cluster.recording.recorded import RecordedCluster, open_recording
from pytest_gpu.cluster.recording.samples import sample_names, sample_path
from pytest_gpu.errors import NotInEvidence, RecordingError

HEAD = "format: 1\ntaken: 2026-11-21T10:00:00Z\n"
REFERENCE = Path(__file__).parents[3] / "docs/reference/recordings.md"

Overlay = Callable[..., RecordedCluster]

INFO = "/usr/bin/crictl --runtime-endpoint unix:///run/containerd/containerd.sock info"

BASE = {
    "nodes/a/commands.yaml": f"""
- argv: dmesg
- argv: journalctl -k
- argv: journalctl -u containerd --no-pager -n 200
- argv: systemctl status -l kubelet.service
- argv: /usr/bin/containerd --version
- argv: {INFO}
- argv: k3s crictl --runtime-endpoint unix:///x.sock info
""",
    "nodes/a/nvml.json": '{"library": "/x"}',
    "nodes/a/elf.yaml": "/bin/x: {machine: x86-64}",
    "nodes/a/outcomes/sandbox.yaml": "skipped: no crictl on this node",
    "nodes/a/outcomes/pod.yaml": """
pod: {metadata: {name: gpu-pod, namespace: pytest-gpu}, spec: {nodeName: a}}
events:
- {metadata: {name: gpu-pod.1}, involvedObject: {kind: Pod, name: gpu-pod}, source: {host: a}}
containers: {gpu: {exit: 0, output: a}}
""",
    "nodes/a/files/etc/containerd/config.toml": "version = 2\n",
    "nodes/b/node.yaml": "like: a",
    "kubernetes/nodes.yaml": """
items:
- metadata: {name: a, labels: {kubernetes.io/hostname: a, zone: a}}
  kind: Node
  status:
    runtimeHandlers: [{name: nvidia}]
    addresses: [{type: Hostname, address: a}, {type: InternalIP, address: 10.0.0.1}]
- {kind: Node, metadata: {name: b}}
""",
    "kubernetes/pods.yaml": """
items:
- metadata: {name: proxy-a, namespace: kube-system, ownerReferences: [{kind: Node, name: a}]}
  spec: {nodeName: a}
- metadata: {name: a, namespace: a, labels: {app: a}, ownerReferences: [{kind: Job, name: a}]}
  spec:
    nodeName: b
    containers: [{name: a}]
    nodeSelector: {kubernetes.io/hostname: a, disk: a}
    affinity:
      nodeAffinity:
        requiredDuringSchedulingIgnoredDuringExecution:
          nodeSelectorTerms:
          - matchFields: [{key: metadata.name, operator: In, values: [a]}]
          - matchExpressions: [{key: zone, operator: In, values: [a]}]
""",
    "kubernetes/events.yaml": """
items:
- metadata: {name: a.17d2, namespace: default}
  involvedObject: {kind: Node, name: a}
  source: {component: kubelet, host: a}
  message: a is not ready
- metadata: {name: proxy-a.17d3, namespace: kube-system}
  involvedObject: {kind: Pod, name: proxy-a, namespace: kube-system}
""",
    "kubernetes/leases.yaml": """
items:
- metadata: {name: a, namespace: kube-node-lease, ownerReferences: [{kind: Node, name: a}]}
  spec: {holderIdentity: a}
""",
    "kubernetes/resourceslices.yaml": """
items:
- {metadata: {name: a-gpu.nvidia.com-x1}, spec: {nodeName: a, pool: {name: a}, driver: a}}
""",
}


@pytest.fixture
def overlay(tmp_path: Path) -> Overlay:
    """Return a function that lays files, given by their paths, over the base."""

    def write(head: str = "", files: Mapping[str, str] | None = None) -> RecordedCluster:
        root = tmp_path / "over"
        texts = {f"base/{name}": text for name, text in BASE.items()}
        texts |= {"base/recording.yaml": HEAD, "recording.yaml": f"{HEAD}base: base\n{head}"}
        for name, text in (texts | dict(files or {})).items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        return open_recording(root, "path:over")

    return write


def programs(cluster: RecordedCluster, node: str) -> list[str]:
    """Return the first and the last word of every command of a node."""
    return [f"{each.argv[0]} {each.argv[-1]}" for each in cluster.node(node).commands]


def test_outcomes_are_removed_by_kind_on_every_node(overlay: Overlay) -> None:
    """Both outcomes, and also on a node that shares them."""
    cluster = overlay("absent: [outcomes]")
    for name in ("a", "b"):
        for kind in ("sandbox", "pod"):
            with pytest.raises(NotInEvidence):
                cluster.node(name).outcome(kind)
        assert cluster.node(name).nvml


def test_a_kind_can_be_removed_of_one_node_alone(overlay: Overlay) -> None:
    """The other one keeps it."""
    cluster = overlay("absent: [nodes/b/outcomes, nodes/b/crictl-info]")
    assert cluster.node("a").outcome("pod")
    assert any(each.endswith(" info") for each in programs(cluster, "a"))
    assert not any(each.endswith(" info") for each in programs(cluster, "b"))
    with pytest.raises(NotInEvidence):
        cluster.node("b").outcome("pod")


@pytest.mark.parametrize(
    ("kind", "gone"),
    [
        ("crictl-info", ["/usr/bin/crictl info", "k3s info"]),
        ("kernel-log", ["dmesg dmesg", "journalctl -k"]),
        ("journals", ["journalctl 200"]),
        ("unit-status", ["systemctl kubelet.service"]),
        ("versions", ["/usr/bin/containerd --version"]),
    ],
)
def test_commands_are_removed_by_kind(overlay: Overlay, kind: str, gone: list[str]) -> None:
    """Those of the kind are as if they had not been run; all others stay in their order."""
    before = programs(overlay(), "a")
    assert set(gone) < set(before)
    assert programs(overlay(f"absent: [{kind}]"), "a") == [x for x in before if x not in gone]


def test_every_kind_of_commands_has_a_command_that_is_of_it(overlay: Overlay) -> None:
    """And every command of the base is of exactly one kind."""
    commands = overlay().node("a").commands
    kinds = [[k for k, is_one in COMMANDS_OF_KIND.items() if is_one(c.argv)] for c in commands]
    assert {kind for [kind] in kinds} == set(COMMANDS_OF_KIND)


def test_nvml_elf_commands_and_events_are_removed_by_kind(overlay: Overlay) -> None:
    """Nobody asked for them."""
    cluster = overlay("absent: [nvml, elf, commands, events]")
    node = cluster.node("a")
    assert node.commands == ()
    for question in (
        lambda: node.nvml,
        lambda: node.elf("/bin/x"),
        lambda: cluster.objects("events"),
    ):
        with pytest.raises(NotInEvidence):
            question()
    assert "events" not in cluster.resources()


@pytest.mark.parametrize("line", ["runtime-handlers", "nodes/a/runtime-handlers"])
def test_handlers_that_a_node_reports_are_removed_by_kind(overlay: Overlay, line: str) -> None:
    """The rest of its status stays, and so does what the overlay itself records."""
    assert "runtimeHandlers" in overlay().objects("nodes")[0]["status"]
    cluster = overlay(f"absent: [{line}]")
    assert set(cluster.objects("nodes")[0]["status"]) == {"addresses"}
    own = "items: [{kind: Node, metadata: {name: a}, status: {runtimeHandlers: []}}]"
    cluster = overlay(f"absent: [{line}]", {"kubernetes/nodes.yaml": own})
    assert cluster.objects("nodes")[0]["status"] == {"runtimeHandlers": []}


def test_what_is_recorded_anew_after_a_removal_by_kind_counts(overlay: Overlay) -> None:
    """``absent:`` removes from the base, not from the overlay."""
    files = {
        "nodes/a/outcomes/sandbox.yaml": "skipped: again",
        "nodes/a/commands.yaml": f"- argv: {INFO}",
    }
    cluster = overlay("absent: [outcomes, crictl-info, runtime-handlers]", files)
    assert cluster.node("a").outcome("sandbox") == {"skipped": "again"}
    assert programs(cluster, "a")[-1] == "/usr/bin/crictl info"


def test_unknown_kind_is_refused_and_the_kinds_are_named(overlay: Overlay) -> None:
    """A typing mistake would leave the overlay without its point."""
    with pytest.raises(RecordingError, match="'outcome' cannot be removed") as caught:
        overlay("absent: [outcome]")
    assert all(kind in str(caught.value) for kind in KINDS)


def test_every_kind_is_documented() -> None:
    """In the table of the reference."""
    text = REFERENCE.read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f"| `{kind}` |" not in text] == []


def names(cluster: RecordedCluster, resource: str) -> list[str]:
    """Return the names of a resource's objects."""
    return [each["metadata"]["name"] for each in cluster.objects(resource)]


def test_renamed_node_has_the_evidence_of_the_old_one(overlay: Overlay) -> None:
    """The folder is found by the new name; the old one is nobody's, and ``like`` follows."""
    cluster = overlay("nodes: {gpu-7: a}")
    assert cluster.node_names() == ("b", "gpu-7")
    assert cluster.node("gpu-7").read("/etc/containerd/config.toml") == b"version = 2\n"
    assert cluster.node("b").view is cluster.node("gpu-7").view
    assert cluster.node("a").door.kind == "none"


def test_renamed_node_has_its_new_name_wherever_a_node_is_meant(overlay: Overlay) -> None:
    """Objects, owners, events, leases, labels, selectors: what else is called so keeps its name."""
    cluster = overlay("nodes: {gpu-7: a}")
    node, _ = cluster.objects("nodes")
    assert node["metadata"] == {
        "name": "gpu-7",
        "labels": {"kubernetes.io/hostname": "gpu-7", "zone": "a"},
    }
    assert [each["address"] for each in node["status"]["addresses"]] == ["gpu-7", "10.0.0.1"]
    proxy, job = cluster.objects("pods")
    assert proxy["metadata"]["name"] == "proxy-gpu-7"
    assert proxy["metadata"]["ownerReferences"] == [{"kind": "Node", "name": "gpu-7"}]
    assert proxy["spec"]["nodeName"] == "gpu-7"
    assert job["metadata"] == {
        "name": "a",
        "namespace": "a",
        "labels": {"app": "a"},
        "ownerReferences": [{"kind": "Job", "name": "a"}],
    }
    assert job["spec"]["nodeName"] == "b"
    assert job["spec"]["containers"] == [{"name": "a"}]
    assert job["spec"]["nodeSelector"] == {"kubernetes.io/hostname": "gpu-7", "disk": "a"}
    affinity = job["spec"]["affinity"]["nodeAffinity"]
    fields, others = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert fields["matchFields"][0]["values"] == ["gpu-7"]
    assert others["matchExpressions"][0]["values"] == ["a"]


def test_renamed_node_has_its_new_name_in_events_leases_and_slices(overlay: Overlay) -> None:
    """What a message says stays as it was said."""
    cluster = overlay("nodes: {gpu-7: a}")
    of_node, of_pod = cluster.objects("events")
    assert (of_node["metadata"]["name"], of_node["involvedObject"]["name"]) == (
        "gpu-7.17d2",
        "gpu-7",
    )
    assert of_node["source"]["host"] == "gpu-7"
    assert of_node["message"] == "a is not ready"
    assert (of_pod["metadata"]["name"], of_pod["involvedObject"]["name"]) == (
        "proxy-gpu-7.17d3",
        "proxy-gpu-7",
    )
    (lease,) = cluster.objects("leases")
    assert (lease["metadata"]["name"], lease["spec"]["holderIdentity"]) == ("gpu-7", "gpu-7")
    (published,) = cluster.objects("resourceslices")
    assert published["metadata"]["name"] == "gpu-7-gpu.nvidia.com-x1"
    assert published["spec"] == {"nodeName": "gpu-7", "pool": {"name": "gpu-7"}, "driver": "a"}


def test_outcome_of_the_pod_is_on_the_renamed_node(overlay: Overlay) -> None:
    """What its containers printed stays."""
    outcome = overlay("nodes: {gpu-7: a}").node("gpu-7").outcome("pod")
    assert outcome["pod"]["spec"]["nodeName"] == "gpu-7"
    assert outcome["events"][0]["source"]["host"] == "gpu-7"
    assert outcome["containers"] == {"gpu": {"exit": 0, "output": "a"}}


def test_overlay_speaks_of_a_renamed_node_by_its_new_name(overlay: Overlay) -> None:
    """Its own files, and what it removes."""
    removed = "nodes/gpu-7/nvml.json, kubernetes/pods/kube-system/proxy-gpu-7"
    head = f"nodes: {{gpu-7: a}}\nabsent: [{removed}]"
    files = {"nodes/gpu-7/files/etc/x": "new"}
    cluster = overlay(head, files)
    node = cluster.node("gpu-7")
    assert node.read("/etc/x") == b"new"
    assert node.read("/etc/containerd/config.toml") == b"version = 2\n"
    assert names(cluster, "pods") == ["a"]
    with pytest.raises(NotInEvidence):
        assert node.nvml


def test_two_nodes_can_change_their_names(overlay: Overlay) -> None:
    """Each has the other's evidence and objects."""
    cluster = overlay("nodes: {a: b, b: a}")
    assert names(cluster, "nodes") == ["b", "a"]
    assert cluster.node("a").head.like == "b"
    assert cluster.node("b").head.like is None
    assert cluster.node_names() == ("a", "b")


def test_names_change_at_every_step_of_a_chain(overlay: Overlay) -> None:
    """The recording in the middle has its own names."""
    files = {
        "recording.yaml": f"{HEAD}base: base\nnodes: {{top: mid}}\n",
        "base/recording.yaml": f"{HEAD}base: low\nnodes: {{mid: deep}}\nabsent: [nodes/mid/nvml]\n",
        "base/nodes/c/node.yaml": "like: mid",
        "base/low/recording.yaml": HEAD,
        "base/low/nodes/deep/files/etc/x": "x",
        "base/low/nodes/deep/nvml.json": '{"library": "/x"}',
        "base/low/kubernetes/nodes.yaml": "items: [{kind: Node, metadata: {name: deep}}]",
    }
    cluster = overlay(files=files)
    assert cluster.node("top").read("/etc/x") == b"x"
    assert cluster.node("c").read("/etc/x") == b"x"
    assert names(cluster, "nodes") == ["top", "a", "b"]
    with pytest.raises(NotInEvidence):
        assert cluster.node("top").nvml


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("nodes: {gpu-7: c}", r"nodes: the base has no node 'c'; the nearest are a, b"),
        ("nodes: {b: a}", r"nodes: the base already has a node 'b'"),
        ("nodes: {x: a, y: a}", r"nodes: gives two names to one node"),
        ("nodes: {../x: a}", r"is not a valid node name"),
        ("nodes: {x: 1}", r"must be text"),
        ("nodes: [a]", r"must be a mapping"),
    ],
)
def test_renaming_that_cannot_be_meant_is_refused(
    overlay: Overlay, head: str, message: str
) -> None:
    """A typing mistake would rename nothing, unnoticed."""
    with pytest.raises(RecordingError, match=message):
        overlay(head)


def test_recording_without_a_base_renames_nothing(tmp_path: Path) -> None:
    """There is nobody to rename."""
    (tmp_path / "recording.yaml").write_text(f"{HEAD}nodes: {{x: a}}\n")
    with pytest.raises(RecordingError, match="there is no base"):
        open_recording(tmp_path, "x")


def test_flat_copy_of_a_renamed_recording_has_the_new_names(
    overlay: Overlay, tmp_path: Path
) -> None:
    """It needs no base and no ``nodes:`` any more."""
    record(overlay("nodes: {gpu-7: a}"), tmp_path / "flat")
    with open_recording(tmp_path / "flat", "flat") as cluster:
        assert cluster.node_names() == ("b", "gpu-7")
        assert names(cluster, "nodes") == ["b", "gpu-7"]


CONFIG = {"nodes/a/files/etc/containerd/config.toml": "version = 3\n"}


def test_changed_runtime_file_with_the_bases_outcomes_is_warned_of(overlay: Overlay) -> None:
    """One line names the file, the outcomes, and what to write."""
    warning = overlay(files=CONFIG).warning
    assert warning is not None
    assert "\n" not in warning
    for words in (
        "nodes/a/files/etc/containerd/config.toml",
        "nodes/a/outcomes/sandbox.yaml",
        "nodes/a/outcomes/pod.yaml",
        "crictl info",
        "absent: [outcomes, crictl-info, runtime-handlers]",
    ):
        assert words in warning


@pytest.mark.parametrize(
    ("head", "files"),
    [
        ("", {"nodes/a/files/proc/driver/nvidia/version": "x"}),
        ("", {"nodes/a/files/var/lib/rancher/rke2/agent/etc/containerd/config.toml": "x"}),
        ("", {"nodes/a/files/var/snap/microk8s/1/args/containerd-template.toml": "x"}),
        ("", {"nodes/a/files/etc/cdi/nvidia.yaml": "x"}),
        ("", {"nodes/a/listing.yaml": "absent: [/dev/nvidia0]"}),
        ("", {"nodes/a/nvml.json": "{}"}),
        ("", {"kubernetes/daemonsets.yaml": "items: []"}),
        ("absent: [nodes/a/files/usr/local/nvidia/toolkit]", {}),
        ("absent: [kubernetes/runtimeclasses/nvidia]", {}),
        ("nodes: {gpu-7: a}", {"nodes/gpu-7/files/etc/containerd/config.toml": "x"}),
    ],
)
def test_driver_toolkit_and_plugin_count_too(
    overlay: Overlay, head: str, files: dict[str, str]
) -> None:
    """However the change is written."""
    assert overlay(head, files).warning


@pytest.mark.parametrize(
    ("head", "files"),
    [
        ("", {}),
        ("absent: [outcomes]", CONFIG),
        ("", {"nodes/a/files/etc/os-release": "x"}),
        ("", {"nodes/a/files/var/log/containerd.toml": "x"}),
        ("", {"nodes/a/outcomes/sandbox.yaml": "skipped: x", "nodes/a/outcomes/pod.yaml": "{}"}),
        ("", {**CONFIG, "nodes/a/outcomes/sandbox.yaml": "{}", "nodes/a/outcomes/pod.yaml": "{}"}),
        ("", {"nodes/a/commands.yaml": "- argv: dmesg"}),
        ("", {**CONFIG, "nodes/a/listing.yaml": "entries: [broken]"}),
    ],
)
def test_overlay_that_keeps_nothing_stale_is_not_warned_of(
    overlay: Overlay, head: str, files: dict[str, str]
) -> None:
    """Nothing that outcomes rest on was changed, or they were recorded anew."""
    assert overlay(head, files).warning is None


def test_samples_are_not_warned_of() -> None:
    """What came with the package is as it is meant to be; its verdicts are tested."""
    for name in sample_names():
        with open_recording(sample_path(name), name) as cluster:
            assert cluster.warning is None


def test_the_warning_is_in_the_header_and_no_failure(pytester: pytest.Pytester) -> None:
    """Once."""
    folder = pytester.mkdir("report") / "nodes/gpu-1/files/etc/containerd"
    folder.mkdir(parents=True)
    (pytester.path / "report/recording.yaml").write_text(f"{HEAD}base: sample:healthy-kubeadm\n")
    (folder / "certs.toml").write_text("")
    command = ["--gpu-cluster=path:report", "-p", "no:cacheprovider", "--gpu-layers=access"]
    result = pytester.runpytest_subprocess(*command)
    assert result.ret == 0
    text = " ".join(result.stdout.str().split())
    assert text.count("gpu: warning: ") == 1
    warning = text.partition("gpu: warning: ")[2].partition(" rootdir: ")[0]
    assert "nodes/gpu-1/outcomes/sandbox.yaml" in warning
