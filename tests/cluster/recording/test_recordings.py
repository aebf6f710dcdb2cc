"""Recordings: what a look-up answers, how overlays lie over their base, what nodes share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pytest_gpu.cluster.recording.recorded import RecordedCluster, open_recording
from pytest_gpu.cluster.recording.recorded_node import RecordedNode
from pytest_gpu.cluster.recording.samples import sample_names, sample_path
from pytest_gpu.errors import NotInEvidence, RecordingError
from pytest_gpu.evidence import CommandResult, Entry

HEAD = "format: 1\ntaken: 2026-11-21T10:00:00Z\n"

Write = Callable[..., RecordedCluster]


@pytest.fixture
def recording(tmp_path: Path) -> Write:
    """Write files, given by their paths, and open the recording they make."""

    def write(files: dict[str, str | bytes]) -> RecordedCluster:
        for name, content in {"recording.yaml": HEAD, **files}.items():
            path = tmp_path / "recording" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return open_recording(tmp_path / "recording", "path:recording")

    return write


def node(recording: Write, files: dict[str, str | bytes]) -> RecordedNode:
    """Return the node n of a recording whose files of n these are."""
    return recording({f"nodes/n/{name}": content for name, content in files.items()}).node("n")


def test_title_and_time_are_those_of_the_recording(recording: Write) -> None:
    """Ages count from the moment the evidence was taken."""
    cluster = recording({})
    assert cluster.title == "path:recording"
    assert cluster.taken == datetime(2026, 11, 21, 10, tzinfo=UTC)


def test_file_is_read_at_its_own_path(recording: Write) -> None:
    """A recorded file's folders exist; of their other names nothing is known."""
    found = node(recording, {"files/etc/containerd/config.toml": "version = 2\n"})
    assert found.read("/etc/containerd/config.toml") == b"version = 2\n"
    assert found.entry("/etc/containerd") == Entry(path="/etc/containerd", kind="directory")
    for question in (found.names, found.read, found.entry):
        with pytest.raises(NotInEvidence):
            question("/etc/containerd" if question == found.names else "/etc/containerd/other")


def test_directory_listed_whole_proves_absence(recording: Write) -> None:
    """What a whole directory does not hold is absent, and so is everything below that."""
    found = node(
        recording,
        {
            "listing.yaml": "complete: [/dev]\nentries: {/dev/null: {kind: char, device: [1, 3]}}",
            "files/dev/dri0/x": "",
        },
    )
    assert found.names("/dev") == ("dri0", "null")
    assert found.entry("/dev/nvidia0") is None
    assert found.read("/dev/nvidia0/below/that") is None
    assert found.names("/dev/dri") is None
    with pytest.raises(NotInEvidence):
        found.read("/dev/dri0/y")


def test_absent_path_proves_all_below_it(recording: Write) -> None:
    """A path that was looked for in vain is absent, whatever its directory holds."""
    found = node(recording, {"listing.yaml": "absent: [/opt/nvidia, /etc/x.conf]"})
    assert found.read("/opt/nvidia/toolkit/bin") is None
    assert found.names("/opt/nvidia") is None
    assert found.entry("/etc/x.conf") is None
    with pytest.raises(NotInEvidence):
        found.entry("/opt")


def test_nothing_lies_below_a_file(recording: Write) -> None:
    """ENOTDIR is a proof too."""
    found = node(recording, {"files/etc/x": "", "listing.yaml": "entries: {/s: {kind: socket}}"})
    assert found.read("/etc/x/y") is None
    assert found.entry("/s/t") is None
    assert found.names("/etc/x") is None
    assert found.read("/etc") is None


def test_metadata_without_content_is_no_content(recording: Write) -> None:
    """An entry says that a file exists; what it holds stays unknown."""
    found = node(recording, {"listing.yaml": "entries: {/x: {kind: file, mode: '0640', size: 3}}"})
    assert found.entry("/x") == Entry(path="/x", kind="file", mode=0o640, size=3)
    with pytest.raises(NotInEvidence, match="file /x on n"):
        found.read("/x")


@pytest.mark.parametrize("mtime", ["2026-11-20T08:00:00Z", "1795161600", "2026-11-20T08:00:00"])
def test_mtime_is_a_time_or_seconds(recording: Write, mtime: str) -> None:
    """Without a zone a time is UTC."""
    found = node(recording, {"listing.yaml": f"entries: {{/x: {{kind: file, mtime: {mtime}}}}}"})
    entry = found.entry("/x")
    assert entry is not None
    assert entry.mtime == datetime(2026, 11, 20, 8, tzinfo=UTC).timestamp()


LINKS = """
complete: [/run/cdi]
entries:
  /var/run: {kind: symlink, target: /run}
  /etc/a: {kind: symlink, target: ../usr/./b/}
  /loop/1: {kind: symlink, target: '2'}
  /loop/2: {kind: symlink, target: /loop/1}
  /dangling: {kind: symlink, target: /run/cdi/none}
  /proc/1/fd/3: {kind: symlink, target: "socket:[77]"}
"""


def test_links_are_followed(recording: Write) -> None:
    """Files are found through links, and links in the middle of a path."""
    files: dict[str, str | bytes] = {"listing.yaml": LINKS, "files/run/cdi/x.yaml": "kind: k"}
    found = node(recording, {**files, "files/usr/b/c": "c"})
    assert found.read("/var/run/cdi/x.yaml") == b"kind: k"
    assert found.names("/var/run/cdi") == ("x.yaml",)
    assert found.resolve("/etc/a/../b/c") == "/usr/b/c"
    assert found.read("/etc/a/c") == b"c"
    entry = found.entry("/var/run")
    assert entry is not None
    assert (entry.kind, entry.target) == ("symlink", "/run")
    socket = found.entry("/proc/1/fd/3")
    assert socket is not None
    assert socket.target == "socket:[77]"


def test_links_that_loop_or_dangle_are_no_files(recording: Write) -> None:
    """Following ends; what a dangling link names is looked up like any other path."""
    found = node(recording, {"listing.yaml": LINKS})
    assert found.read("/loop/1") is None
    assert found.resolve("/loop/1") == "/loop/1"
    assert found.entry("/loop/1") is not None
    assert found.read("/dangling") is None


def test_what_is_recorded_below_a_link_stands_at_its_target(recording: Write) -> None:
    """A person writes the path they know; both paths lead to the file."""
    found = node(recording, {"listing.yaml": LINKS, "files/var/run/cdi/y.yaml": "y"})
    assert found.names("/run/cdi") == ("y.yaml",)
    assert found.read("/run/cdi/y.yaml") == found.read("/var/run/cdi/y.yaml") == b"y"


def test_links_cannot_leave_the_evidence(recording: Write) -> None:
    """A link to a path of this machine finds nothing of this machine."""
    found = node(recording, {"listing.yaml": "entries: {/x: {kind: symlink, target: /etc/passwd}}"})
    for path in ("/x", "/../../../etc/passwd", "/x/../../../../etc/passwd"):
        with pytest.raises(NotInEvidence):
            found.read(path)


def test_commands_keep_their_order_and_their_words(recording: Write) -> None:
    """A command line may be one text, split as a shell splits it."""
    text = "- {argv: \"sh -c 'a b'\", exit: 2, stderr: no, duration: 1.5}\n- argv: [uname, -r]\n"
    found = node(recording, {"commands.yaml": text.replace("no", "'no'")})
    assert found.commands == (
        CommandResult(argv=("sh", "-c", "a b"), exit=2, stderr="no", duration=1.5),
        CommandResult(argv=("uname", "-r"), exit=0),
    )


def test_answers_nobody_asked_for_are_not_in_evidence(recording: Write) -> None:
    """No file means no answer, never the answer no."""
    found = node(recording, {"node.yaml": "door: ssh"})
    assert found.door.kind == "ssh"
    assert found.commands == ()
    for question in (lambda: found.nvml, lambda: found.outcome("pod"), lambda: found.elf("/x")):
        with pytest.raises(NotInEvidence):
            question()


def test_nvml_without_library_is_proven_absent(recording: Write) -> None:
    """``library: null`` says that it was looked for."""
    found = node(recording, {"nvml.json": '{"library": null}', "outcomes/pod.yaml": "skipped: x"})
    assert found.nvml is None
    assert found.outcome("pod") == {"skipped": "x"}


def test_elf_summary_is_found_through_links_and_shows_that_the_file_exists(
    recording: Write,
) -> None:
    """A library is asked for by the name of the link to it."""
    elf = "{/lib/libc.so.6.1: {machine: x86-64, versions: {l: [V_1]}, defines: [GLIBC_2.26]}}"
    links = "{/lib64: {kind: symlink, target: lib}, /lib/c: {kind: symlink, target: libc.so.6.1}}"
    found = node(
        recording, {"elf.yaml": elf, "listing.yaml": f"complete: [/lib]\nentries: {links}"}
    )
    summary = found.elf("/lib64/c")
    assert summary is not None
    assert (summary.defines, summary.versions) == (("GLIBC_2.26",), {"l": ("V_1",)})
    assert found.entry("/lib/libc.so.6.1") is not None
    assert found.elf("/lib/other") is None


def test_node_nobody_visited_has_no_door(recording: Write) -> None:
    """Its evidence is unknown, all of it."""
    found = recording({}).node("gpu-9")
    assert found.door.kind == "none"
    with pytest.raises(NotInEvidence):
        found.names("/dev")


@pytest.mark.parametrize("name", ["../n", "a/b", "", ".", "..", "a\n", "x" * 300])
def test_unsafe_node_name_is_refused(recording: Write, name: str) -> None:
    """A Node object's name never becomes a path out of the recording."""
    with pytest.raises(RecordingError, match="is not a valid node name"):
        recording({}).node(name)


def pod(name: str, **more: str) -> str:
    """Return a Pod as YAML."""
    extra = "".join(f", {key}: {value}" for key, value in more.items())
    return f"{{kind: Pod, metadata: {{namespace: default, name: {name}}}{extra}}}"


@pytest.mark.parametrize(
    "text",
    [
        f"apiVersion: v1\nkind: List\nitems: [{pod('a')}, {pod('b')}]",
        f"{pod('a')}\n---\n{pod('b')}\n",
        "kind: PodList\nitems: [{metadata: {namespace: default, name: a}},"
        " {metadata: {namespace: default, name: b}}]",
        '{"kind": "List", "items": [{"kind": "Pod", "metadata": {"name": "a"}},'
        ' {"kind": "Pod", "metadata": {"name": "b"}}]}',
    ],
)
def test_objects_come_as_kubectl_prints_them(recording: Write, text: str) -> None:
    """A List, the API's own list, several documents, or JSON."""
    found = recording({"kubernetes/pods.yaml": text}).objects("pods")
    assert [(each["kind"], each["metadata"]["name"]) for each in found] == [
        ("Pod", "a"),
        ("Pod", "b"),
    ]


def test_resource_without_a_file_was_not_asked_for(recording: Write) -> None:
    """A file with no items is the proof that there are none."""
    cluster = recording({"kubernetes/runtimeclasses.yaml": "kind: List\nitems: []"})
    assert cluster.objects("runtimeclasses") == ()
    with pytest.raises(NotInEvidence, match="pods"):
        cluster.objects("pods")


def test_timestamps_of_objects_stay_text(recording: Write) -> None:
    """As in the API's own JSON, also when a person forgot the quotes."""
    text = "metadata: {name: a, creationTimestamp: 2026-11-20T08:00:00Z}"
    found = recording({"kubernetes/pods.yaml": text}).objects("pods")
    assert found[0]["metadata"]["creationTimestamp"] == "2026-11-20T08:00:00Z"


BASE = {
    "base/recording.yaml": HEAD,
    "base/kubernetes/pods.yaml": f"items: [{pod('a')}, {pod('b')}, {pod('c')}]",
    "base/kubernetes/nodes.yaml": "items: [{kind: Node, metadata: {name: n}}]",
    "base/nodes/n/files/etc/x": "old",
    "base/nodes/n/files/etc/y": "why",
    "base/nodes/n/files/opt/t/1": "1",
    "base/nodes/n/listing.yaml": "complete: [/etc]\nabsent: [/lib/new]\n"
    "entries: {/etc/x: {kind: file, mtime: 5, size: 3}, /l: {kind: symlink, target: /etc}}",
    "base/nodes/n/commands.yaml": "- {argv: uname -r, stdout: old}\n- {argv: dmesg, stdout: d}",
    "base/nodes/n/nvml.json": '{"library": "/x", "devices": []}',
    "base/nodes/n/outcomes/pod.yaml": "skipped: base",
    "base/nodes/n/elf.yaml": "{/opt/t/elf: {machine: x86-64}}",
}


def overlay(recording: Write, files: dict[str, str], more: str = "") -> RecordedCluster:
    """Return an overlay over BASE."""
    return recording({**BASE, "recording.yaml": f"format: 1\nbase: base\n{more}", **files})


def test_overlay_that_says_nothing_is_its_base(recording: Write) -> None:
    """Dropping the overlay is the repair."""
    cluster = overlay(recording, {})
    assert cluster.taken == datetime(2026, 11, 21, 10, tzinfo=UTC)
    assert cluster.node("n").read("/etc/x") == b"old"
    assert len(cluster.objects("pods")) == 3
    assert cluster.node_names() == ("n",)
    assert cluster.resources() == ("nodes", "pods")


def test_overlay_replaces_files_and_keeps_the_rest(recording: Write) -> None:
    """Files go by path, listings by key, and what is recorded is not absent any more."""
    found = overlay(
        recording,
        {
            "nodes/n/files/etc/x": "new!",
            "nodes/n/files/lib/new": "lib",
            "nodes/n/files/l/z": "below a link",
            "nodes/n/listing.yaml": "complete: [/lib]\nabsent: [/etc/y]",
        },
    ).node("n")
    assert found.read("/etc/x") == b"new!"
    assert found.entry("/etc/x") == Entry(path="/etc/x", kind="file", mtime=5)
    assert found.read("/lib/new") == b"lib"
    assert found.read("/etc/y") is None
    assert found.read("/etc/z") == b"below a link"
    assert found.names("/etc") == ("x", "z")
    assert found.names("/lib") == ("new",)


def test_overlay_replaces_commands_by_argv(recording: Write) -> None:
    """The same command is replaced where it stands, another one is added."""
    text = "- {argv: [uname, -r], stdout: new}\n- {argv: lspci}"
    found = overlay(recording, {"nodes/n/commands.yaml": text}).node("n").commands
    assert [(each.argv[0], each.stdout) for each in found] == [
        ("uname", "new"),
        ("dmesg", "d"),
        ("lspci", ""),
    ]


def test_overlay_replaces_answers_whole(recording: Write) -> None:
    """NVML's answers and outcomes are one thing each."""
    found = overlay(
        recording,
        {"nodes/n/nvml.json": '{"hung": true}', "nodes/n/outcomes/pod.yaml": "events: []"},
    ).node("n")
    assert found.nvml == {"hung": True}
    assert found.outcome("pod") == {"events": []}


def test_overlay_replaces_objects_by_name(recording: Write) -> None:
    """An object is replaced where it stands, a new one is added."""
    text = f"items: [{pod('b', spec='{x: 1}')}, {pod('d')}]"
    found = overlay(recording, {"kubernetes/pods.yaml": text}).objects("pods")
    assert [each["metadata"]["name"] for each in found] == ["a", "b", "c", "d"]
    assert found[1]["spec"] == {"x": 1}


def test_overlay_turns_a_file_into_something_else(recording: Write) -> None:
    """A file becomes a link, a directory or nothing a file could be below."""
    found = overlay(
        recording,
        {
            "nodes/n/listing.yaml": "entries: {/etc/x: {kind: symlink, target: y}}",
            "nodes/n/files/etc/y": "target",
            "nodes/n/files/opt/t/1/deep": "d",
        },
    ).node("n")
    assert found.read("/etc/x") == b"target"
    entry = found.entry("/opt/t/1")
    assert entry is not None
    assert entry.kind == "directory"


REMOVED = """
absent:
  - nodes/n/files/etc/x
  - nodes/n/files/opt
  - nodes/n/commands/uname -r
  - nodes/n/nvml.json
  - nodes/n/outcomes/pod.yaml
  - kubernetes/pods/default/b
  - kubernetes/nodes.yaml
"""


def test_absent_removes_from_the_base(recording: Write) -> None:
    """A removed file or object is proven absent; a removed answer was never asked for."""
    cluster = overlay(recording, {}, REMOVED)
    found = cluster.node("n")
    assert found.read("/etc/x") is None
    assert found.names("/etc") == ("y",)
    assert found.read("/opt/t/1") is None
    assert found.elf("/opt/t/elf") is None
    assert [each.argv for each in found.commands] == [("dmesg",)]
    assert [each["metadata"]["name"] for each in cluster.objects("pods")] == ["a", "c"]
    for question in (
        lambda: found.nvml,
        lambda: found.outcome("pod"),
        lambda: cluster.objects("nodes"),
    ):
        with pytest.raises(NotInEvidence):
            question()


def test_absent_and_recorded_again_is_recorded(recording: Write) -> None:
    """``absent:`` removes from what lies below, not from the overlay itself."""
    files = {"nodes/n/files/opt/t/2": "2", "nodes/n/commands.yaml": "- {argv: uname -r}"}
    found = overlay(recording, files, REMOVED).node("n")
    assert found.read("/opt/t/2") == b"2"
    assert found.commands[-1].argv == ("uname", "-r")
    with pytest.raises(NotInEvidence):
        found.read("/opt/t/1")


def test_absent_node_was_not_visited(recording: Write) -> None:
    """Its evidence is gone, its Node object stays."""
    cluster = overlay(recording, {}, "absent: [nodes/n]")
    assert cluster.node("n").door.kind == "none"
    assert cluster.node_names() == ()
    assert len(cluster.objects("nodes")) == 1


@pytest.mark.parametrize(
    "line",
    ["nodes", "node/n", "nodes/n/listing.yaml", "nodes/n/files", "nodes/n/files/../x", "x",
     "kubernetes/pods", "kubernetes/pods/a/b/c", "nodes/../files/x", "kubernetes/../x.yaml"],
)  # fmt: skip
def test_absent_line_that_can_remove_nothing_is_refused(recording: Write, line: str) -> None:
    """A typing mistake would leave the overlay without its point."""
    with pytest.raises(RecordingError, match=r"recording\.yaml: absent: "):
        overlay(recording, {}, f"absent: [{line}]")


LIKE = {
    "nodes/a/files/etc/x": "a",
    "nodes/a/listing.yaml": "complete: [/etc]",
    "nodes/a/commands.yaml": "- {argv: dmesg, stdout: a}",
    "nodes/a/nvml.json": '{"library": "/x"}',
    "nodes/a/node.yaml": "{door: ssh, reason: by hand}",
    "nodes/b/node.yaml": "like: a",
    "nodes/c/node.yaml": "{like: b, door: pod}",
    "nodes/c/files/etc/z": "c",
    "nodes/c/commands.yaml": "- {argv: dmesg, stdout: c}",
}


def test_like_shares_the_evidence_of_another_node(recording: Write) -> None:
    """What is shared is parsed once, however many nodes are alike."""
    cluster = recording({**LIKE})
    a, b = cluster.node("a"), cluster.node("b")
    assert b.read("/etc/x") == b"a"
    assert b.view is a.view
    assert b.commands == a.commands
    assert b.nvml is a.nvml
    assert b.door == a.door


def test_like_but_for_what_stands_at_the_node_itself(recording: Write) -> None:
    """A difference of one node stays with that node."""
    cluster = recording({**LIKE})
    c = cluster.node("c")
    assert c.names("/etc") == ("x", "z")
    assert cluster.node("a").names("/etc") == ("x",)
    assert [each.stdout for each in c.commands] == ["c"]
    assert (c.door.kind, c.door.reason) == ("pod", "")


def test_like_takes_what_is_removed_of_a_node_from_it_alone(recording: Write) -> None:
    """``absent:`` names one node; those that are like it lose it too, others do not."""
    head = f"{HEAD}absent: [nodes/b/files/etc/x, nodes/b/nvml.json]"
    cluster = recording({**LIKE, "recording.yaml": head})
    assert cluster.node("b").read("/etc/x") is None
    assert cluster.node("c").read("/etc/x") is None
    assert cluster.node("a").read("/etc/x") == b"a"
    with pytest.raises(NotInEvidence):
        assert cluster.node("c").nvml
    assert cluster.node("a").nvml


@pytest.mark.parametrize(
    ("like", "message"),
    [("b", "leads back to 'a'"), ("a", "leads back to 'a'"), ("gone", "has no node 'gone'")],
)
def test_like_that_leads_nowhere_is_refused(recording: Write, like: str, message: str) -> None:
    """Circles, the node itself, and nodes that are not there."""
    cluster = recording({"nodes/a/node.yaml": f"like: {like}", "nodes/b/node.yaml": "like: a"})
    with pytest.raises(RecordingError, match=message):
        assert cluster.node("a").view


def test_chain_of_three_is_read_and_four_refused(recording: Write) -> None:
    """An overlay over a failing sample over a healthy one is enough."""
    below = {f"{'base/' * depth}recording.yaml": f"{HEAD}base: base" for depth in (0, 1)}
    assert recording({**below, "base/base/recording.yaml": HEAD})
    with pytest.raises(RecordingError, match="more than 3 recordings build on each other"):
        recording(
            {
                **below,
                "base/base/recording.yaml": f"{HEAD}base: base",
                "base/base/base/recording.yaml": HEAD,
            }
        )


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("../other", "must be sample:NAME or a folder inside this recording"),
        ("/etc", "must be sample:NAME or a folder inside this recording"),
        ("a/../../b", "must be sample:NAME or a folder inside this recording"),
        (".", "must be sample:NAME or a folder inside this recording"),
        ("nowhere", "there is no .*nowhere"),
        ("nodes", "is not a recording: it has no recording.yaml"),
        ("sample:no-such", "'no-such' is not a sample"),
    ],
)
def test_base_stays_inside_the_recording(recording: Write, base: str, message: str) -> None:
    """Nothing leaves the folder."""
    with pytest.raises(RecordingError, match=message):
        recording({"recording.yaml": f"{HEAD}base: {base}", "nodes/n/files/x": ""})


def test_samples_that_build_on_each_other_in_a_circle_are_refused(
    recording: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A circle ends with a message, not with a hang."""
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "recording.yaml").write_text(f"{HEAD}base: sample:{other}")
    monkeypatch.setattr(
        "pytest_gpu.cluster.recording.overlay.sample_path", lambda name: tmp_path / name
    )
    with pytest.raises(RecordingError, match="base: sample:a is circular"):
        recording({"recording.yaml": f"{HEAD}base: sample:a"})


def test_every_sample_can_be_read() -> None:
    """Every file of every sample has the shape of the format."""
    for name in sample_names():
        with open_recording(sample_path(name), f"sample:{name}") as cluster:
            for resource in cluster.resources():
                assert cluster.objects(resource) is not None
            for each in cluster.node_names():
                assert cluster.node(each).view.files
                assert isinstance(cluster.node(each).commands, tuple)


def test_unknown_sample_is_answered_with_the_nearest_names() -> None:
    """The nearest names, and how many more there are."""
    with pytest.raises(RecordingError) as caught:
        sample_path("healthy-kubeadmin")
    assert "is not a sample; the nearest are healthy-kubeadm, " in str(caught.value)
    rest = f" and {len(sample_names()) - 5} more; --gpu-cluster=sample: lists all"
    assert str(caught.value).endswith(rest)
