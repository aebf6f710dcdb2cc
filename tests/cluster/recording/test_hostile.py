"""Recordings that are damaged or hostile: one line that says where and what, and no harm."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_gpu.cluster.recording import folder as folders
from pytest_gpu.cluster.recording import yaml_io, yaml_writer
from pytest_gpu.cluster.recording.recorded import RecordedCluster, open_recording
from pytest_gpu.errors import NotInEvidence, RecordingError

HEAD = "format: 1\ntaken: 2026-11-21T10:00:00Z\n"


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    """Write a recording's files and return its folder."""
    for name, content in {"recording.yaml": HEAD, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def judge(cluster: RecordedCluster) -> None:
    """Ask for everything that a recording can be asked for."""
    for resource in cluster.resources():
        cluster.objects(resource)
    for name in cluster.node_names():
        node = cluster.node(name)
        for path in node.view.files:
            node.read(path)
        assert isinstance(node.commands, tuple)
        for kind in ("sandbox", "pod", "nvml"):
            try:
                assert node.nvml if kind == "nvml" else node.outcome(kind)
            except NotInEvidence:
                continue


def complaint(root: Path) -> str:
    """Return what is said about a recording, which must be one line."""
    with pytest.raises(RecordingError) as caught:
        judge(open_recording(root, f"path:{root}"))
    message = str(caught.value)
    assert "\n" not in message
    assert message.isprintable()
    return message


HUGE = "9" * 400
MANIFESTS: list[tuple[str | bytes, str]] = [
    (f"{HEAD}format: 2", "recording.yaml: is not valid YAML (line 1): a key occurs twice"),
    (
        "format: 2\ntaken: whenever\nshape: new",
        "format 2 needs a newer pytest-gpu; this one reads up to 1",
    ),
    ("taken: 2026-11-21T10:00:00Z", "recording.yaml: format is None, must be 1"),
    ("format: '1'", "recording.yaml: format is '1', must be 1"),
    ("format: true", "recording.yaml: format is True, must be 1"),
    ("format: 1", "recording.yaml: taken is missing"),
    ("format: 1\ntaken: now", "taken: is 'now', must be a time like 2026-11-21T10:00:00Z"),
    (f"{HEAD}suite: [9]", "recording.yaml: suite: is a list, must be text"),
    ("format: 1\ntaken: '0001-01-01T00:00:00+23:59'", "must be a time like 2026-11-21"),
    ("format: 1\ntaken: '9999-12-31T23:59:59-23:59'", "must be a time like 2026-11-21"),
    ("format: 1\ntaken: 5", "taken: is a number, must be text"),
    (f"{HEAD}abscent: []", "recording.yaml: unknown key 'abscent'; keys are format, taken,"),
    (f"{HEAD}absent: x", "recording.yaml: absent: is text, must be a list"),
    ("- a", "recording.yaml: is a list, must be a mapping"),
    ("", "recording.yaml: is empty, must be a mapping"),
    ("1: 2", "recording.yaml: the key 1 is not text; quote it"),
    (b"\xff\xfe", "recording.yaml: is not UTF-8 text (byte 0)"),
    ("a: b: c", "recording.yaml: is not valid YAML (line 1): mapping values are not allowed"),
    ("a: !!python/object:os.system x", "is not valid YAML (line 1): could not determine"),
    (f"note: {'9' * 5000}", "(line 1): a number has more than 1,000 digits"),
]
"""Wrong texts of `recording.yaml`, and what is said about each."""


@pytest.mark.parametrize(
    ("head", "says"),
    MANIFESTS,
)
def test_manifest_that_is_wrong_says_where(tmp_path: Path, head: str | bytes, says: str) -> None:
    """The message names the file and what would be right."""
    assert says in complaint(write(tmp_path, {"recording.yaml": head}))


def test_folder_without_manifest_is_no_recording(tmp_path: Path) -> None:
    """The first thing a wrong path meets."""
    with pytest.raises(RecordingError, match=r"is not a recording: it has no recording\.yaml"):
        open_recording(tmp_path, "path:x")
    with pytest.raises(RecordingError, match=r"there is no such folder or \.tar\.gz file"):
        open_recording(tmp_path / "none", "path:none")


BILLION_LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [*{old}, *{old}, *{old}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


BOMBS = [
    (BILLION_LAUGHS, "has an alias (*a); write it in full"),
    ("a: &a [*a]", "has an alias (*a); write it in full"),
    ("[" * 200_000, "is nested deeper than 100 levels"),
    ("- " * 5_000, "is nested deeper than 100 levels"),
    ('{"a":' * 5_000, "is nested deeper than 100 levels"),
    ('{"a":' * 150 + "1" + "}" * 150, "is nested deeper than 100 levels"),
    ("\n".join(f"{' ' * depth}a:" for depth in range(150)), "is nested deeper than 100"),
    ("? [a]\n: 1", "is not valid YAML (line 1): found unhashable key"),
    ("x: \x1b[2J", "is not valid YAML: unacceptable character #x001b"),
]
"""Texts that a reader of YAML must not read to the end."""


@pytest.mark.parametrize(
    ("content", "says"),
    BOMBS,
)
@pytest.mark.parametrize("name", ["recording.yaml", "kubernetes/pods.yaml", "nodes/n/listing.yaml"])
def test_yaml_bomb_is_refused_at_once(tmp_path: Path, name: str, content: str, says: str) -> None:
    """Neither memory nor the stack is spent on it."""
    started = time.process_time()
    message = complaint(write(tmp_path, {name: content}))
    assert f"{name}: {says}" in message
    assert time.process_time() - started < 20


def test_too_many_values_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file can hold millions of empty lists; JSON, which is read faster, may hold more."""
    monkeypatch.setattr(yaml_io, "MAX_YAML_VALUES", 500)
    monkeypatch.setattr(yaml_io, "MAX_VALUES", 1000)
    for text in ("[" + "[]," * 500 + "]", "k:\n" * 300, "-\n" * 501, "k: 1\n" * 251):
        message = complaint(write(tmp_path, {"kubernetes/pods.yaml": text}))
        assert message.endswith(": holds more than 500 values; as JSON it may hold 1,000")
    for text in ('{"a": [' + "[]," * 500 + "[]]}", '{"a":1,' * 334):
        message = complaint(write(tmp_path, {"kubernetes/pods.yaml": text}))
        assert message.endswith("kubernetes/pods.yaml: holds more than 1,000 values")


def test_marks_in_a_text_are_no_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log of many lines is one value."""
    monkeypatch.setattr(yaml_io, "MAX_YAML_VALUES", 500)
    log = "- argv: dmesg\n  stdout: |\n" + "    a: b, c: [d]\n" * 1000
    judge(open_recording(write(tmp_path, {"nodes/n/commands.yaml": log}), "x"))


def test_large_mappings_are_written_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """What we write we can read: YAML may have fewer values than JSON."""
    monkeypatch.setattr(yaml_io, "MAX_YAML_VALUES", 500)
    small, large = ({"items": [{"a": n} for n in range(count)]} for count in (10, 600))
    assert yaml_writer.dump(small).startswith(b"items:\n")
    assert yaml_writer.dump(large).startswith(b"{")
    assert [yaml_io.load(yaml_writer.dump(each), "x") for each in (small, large)] == [small, large]


SHAPES = [
    ("kubernetes/pods.yaml", "", "is empty; a list of no objects is 'items: []'"),
    ("kubernetes/pods.yaml", "- a", "is a list, must be a mapping"),
    ("kubernetes/pods.yaml", "items: {a: 1}", "is a mapping, must be a list"),
    ("kubernetes/pods.yaml", "items: [a]", "is text, must be a mapping"),
    ("kubernetes/pods.yaml", "items: [{}]", "object 1: metadata: is empty, must be a mapping"),
    ("kubernetes/pods.yaml", "metadata: {name: 5}", "metadata.name: is a number, must be text"),
    ("nodes/n/listing.yaml", "complete: [dev]", "complete: 'dev' must be an absolute path"),
    ("nodes/n/listing.yaml", "absent: [/../x]", "absent: '/../x' must be an absolute path"),
    ("nodes/n/listing.yaml", "whole: [/dev]", "unknown key 'whole'; keys are complete, absent"),
    ("nodes/n/listing.yaml", "entries: [/x]", "entries: is a list, must be a mapping"),
    ("nodes/n/listing.yaml", "entries: {/x: {}}", "/x: kind is None, must be one of file,"),
    ("nodes/n/listing.yaml", "entries: {/x: {kind: symlink}}", "/x: only a symlink has"),
    (
        "nodes/n/listing.yaml",
        "entries: {/x: {kind: char, device: [1]}}",
        "/x: device: must be [major, minor]",
    ),
    (
        "nodes/n/listing.yaml",
        "entries: {/x: {kind: file, mode: '0999'}}",
        "/x: mode: is '0999', must be octal like '0666'",
    ),
    ("nodes/n/commands.yaml", "argv: x", "is a mapping, must be a list"),
    ("nodes/n/commands.yaml", "- {exit: 0}", "command 1: argv: is missing"),
    ("nodes/n/commands.yaml", '- {argv: "a \'b"}', "command 1: argv: No closing quotation"),
    ("nodes/n/commands.yaml", "- {argv: a, exit: x}", "command 1: exit: is text, must be a"),
    ("nodes/n/commands.yaml", "- {argv: a, stdout: 5}", "command 1: stdout: is a number"),
    ("nodes/n/elf.yaml", "{/x: {needed: []}}", "/x: machine: is empty, must be text"),
    (
        "nodes/n/node.yaml",
        "door: window",
        "door is 'window', must be one of pod, ssh, local, none",
    ),
    ("nodes/n/commands.yaml", f"- {{argv: a, exit: {HUGE}}}", "exit: is a number of more than 64"),
    ("nodes/n/commands.yaml", f"- {{argv: a, duration: {HUGE}}}", "duration: must be a number of"),
    ("nodes/n/commands.yaml", "- {argv: a, duration: .nan}", "duration: must be a number of"),
    ("nodes/n/listing.yaml", f"entries: {{/x: {{kind: file, mtime: {HUGE}}}}}", "mtime: must be a"),
    ("nodes/n/listing.yaml", "entries: {/x: {kind: file, mtime: .nan}}", "mtime: must be a number"),
    ("nodes/n/listing.yaml", f"entries: {{/x: {{kind: file, size: {HUGE}}}}}", "size: is a number"),
    ("nodes/n/listing.yaml", f"entries: {{/x: {{kind: file, mode: '{'7' * 400}'}}}}", "mode: is a"),
    ("nodes/n/listing.yaml", f"entries: {{/x: {{kind: char, device: [{HUGE}, 1]}}}}", "device: is"),
    (
        "nodes/n/listing.yaml",
        f"entries: {{/x: {{kind: file, size: 0x{'f' * 5000}}}}}",
        "1,000 digits",
    ),
    ("nodes/n/node.yaml", "like: ../a", "'../a' is not a valid node name"),
    ("nodes/n/nvml.json", "[]", "is a list, must be a mapping"),
    ("nodes/n/nvml.json", '{"a": }', "is not valid JSON: Expecting value: line 1 column 7"),
    ("nodes/n/nvml.json", '{"a": 1, "a": 2}', "is not valid JSON: a key occurs twice"),
    ("nodes/n/nvml.json", "{" + '"a":{' * 5000, "is nested deeper than 100 levels"),
    ("nodes/n/outcomes/pod.yaml", "text", "is text, must be a mapping"),
    ("nodes/n/files", "a file", "nodes/n/files: must be a folder"),
]
"""Files of the format that have another shape."""


@pytest.mark.parametrize(
    ("name", "content", "says"),
    SHAPES,
)
def test_file_of_another_shape_says_where(
    tmp_path: Path, name: str, content: str, says: str
) -> None:
    """Each file of the format names itself and what would be right."""
    message = complaint(write(tmp_path, {name: content}))
    assert says in message
    assert name in message or "not a valid node name" in message


def test_control_characters_of_names_are_not_printed(tmp_path: Path) -> None:
    """A name in a recording does not steer the reader's terminal."""
    root = write(tmp_path, {"nodes/n/files/x": ""})
    (root / "nodes/n/files/\x1b[2J\n").symlink_to("x")
    assert "x1b[2J" in complaint(root)


OUTSIDE = "not for recordings"


LINKS = ("recording.yaml", "kubernetes", "kubernetes/pods.yaml", "nodes", "nodes/n",
         "nodes/n/listing.yaml", "nodes/n/files", "nodes/n/files/etc", "nodes/n/files/etc/shadow",
         "nodes/n/nvml.json", "nodes/n/commands.yaml", "nodes/n/outcomes")  # fmt: skip


@pytest.mark.parametrize(
    "link",
    LINKS,
)
def test_links_in_the_folder_are_refused_by_name(tmp_path: Path, link: str) -> None:
    """Nothing outside the folder is ever read through it."""
    outside = write(
        tmp_path / "outside",
        {
            "nodes/n/nvml.json": "{}",
            "nodes/n/files/etc/shadow": OUTSIDE,
            "nodes/n/listing.yaml": "",
            "nodes/n/commands.yaml": "",
            "nodes/n/outcomes/pod.yaml": "{}",
            "kubernetes/pods.yaml": "items: []",
        },
    )
    root = tmp_path / "recording"
    (root / link).parent.mkdir(parents=True)
    if link != "recording.yaml":
        (root / "recording.yaml").write_text(HEAD)
    (root / link).symlink_to(outside / link)
    message = complaint(root)
    assert message.startswith(f"{root}/{link}: is a symbolic link, which a recording must not hold")
    assert OUTSIDE not in message


def test_folder_itself_may_be_reached_by_a_link(tmp_path: Path) -> None:
    """What the user names is the user's choice."""
    (tmp_path / "link").symlink_to(write(tmp_path / "recording", {}))
    assert open_recording(tmp_path / "link", "x").node_names() == ()


@pytest.mark.parametrize("name", ["nodes/n/files/pipe", "nodes/n/nvml.json", "recording.yaml"])
def test_pipes_are_refused_and_never_waited_for(tmp_path: Path, name: str) -> None:
    """Opening a pipe would wait for a writer."""
    root = write(tmp_path, {"nodes/n/files/x": ""})
    (root / name).unlink(missing_ok=True)
    os.mkfifo(root / name)
    assert f"{name}: is not a regular file" in complaint(root)


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        ("MAX_FILE", "is larger than 0 MiB"),
        ("MAX_FILES", "nodes/n/files: more than 3 files"),
        ("MAX_LEVELS", "nodes/n/files: is deeper than 3 folders"),
    ],
)
def test_folders_without_end_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, says: str
) -> None:
    """A file, a node's files and their depth have limits."""
    monkeypatch.setattr(folders, limit, 100 if limit == "MAX_FILE" else 3)
    files: dict[str, dict[str, str | bytes]] = {
        "MAX_FILE": {"nodes/n/files/x": "x" * 101},
        "MAX_FILES": {f"nodes/n/files/{name}": "" for name in "abcd"},
        "MAX_LEVELS": {"nodes/n/files/a/b/c/d/e/f": ""},
    }
    if limit == "MAX_LEVELS":
        monkeypatch.setattr(folders, "MAX_FILES", 100)
    assert says in complaint(write(tmp_path, files[limit]))


def test_a_file_of_a_node_that_is_too_large_is_refused_at_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, and not by every test that reads it."""
    monkeypatch.setattr(folders, "MAX_FILE", 100)
    root = write(tmp_path, {"nodes/n/files/etc/x": "x" * 101})
    with pytest.raises(RecordingError, match="nodes/n/files/etc/x: is larger than 0 MiB"):
        assert open_recording(root, "x").node("n").view.files


def test_nothing_is_read_before_it_is_asked_for(tmp_path: Path) -> None:
    """Opening costs the same for one node and for a thousand."""
    root = write(tmp_path, {"nodes/n/listing.yaml": "[", "kubernetes/pods.yaml": "["})
    cluster = open_recording(root, "x")
    questions: list[Callable[[], object]] = [
        lambda: cluster.objects("pods"),
        lambda: cluster.node("n").read("/etc/x"),
    ]
    for question in questions:
        with pytest.raises(RecordingError, match="is not valid YAML"):
            question()


OBJECTS = [
    ("nodes", "metadata: {name: a, labels: {x: 5}}", "a.metadata.labels.x: is a number"),
    ("nodes", "{metadata: {name: a}, status: 5}", "a.status: is a number, must be a mapping"),
    (
        "nodes",
        "{metadata: {name: a}, status: {capacity: {nvidia.com/gpu: many}}}",
        "a.status.capacity.nvidia.com/gpu: is 'many', must be a whole number",
    ),
    *(
        (
            "nodes",
            f"{{metadata: {{name: a}}, status: {{capacity: {{nvidia.com/gpu: {amount}}}}}}}",
            "a.status.capacity.nvidia.com/gpu: is ",
        )
        for amount in (HUGE, f"'{HUGE}'", "'-1'", "1e400", ".nan", "'\u0662'", "1" + ":10" * 100)
    ),
    (
        "jobs",
        "{metadata: {name: a}, spec: {completions: [8]}}",
        "a.spec.completions: is a list, must be a whole number",
    ),
    (
        "jobs",
        "{metadata: {name: a}, status: {active: true}}",
        "a.status.active: is a boolean, must be a whole number",
    ),
    (
        "pods",
        "{metadata: {name: a}, status: {containerStatuses: [{restartCount: 1e999}]}}",
        "a.status.containerStatuses[0].restartCount: is text, must be a whole number",
    ),
    (
        "pods",
        "{metadata: {name: a}, spec: {containers: [{}, null]}}",
        "a.spec.containers[1]: is empty, must be a mapping",
    ),
    (
        "pods",
        "{metadata: {name: a}, spec: {volumes: [{hostPath: {path: /}}]}}",
        "a.spec.volumes[0].name: is empty, must be text; quote it",
    ),
    ("runtimeclasses", "metadata: {name: a}", "a.handler: is empty, must be text; quote it"),
]
"""Objects that have another shape than those of the API."""


@pytest.mark.parametrize(
    ("plural", "content", "says"),
    OBJECTS,
)
def test_objects_of_another_shape_than_the_apis(
    tmp_path: Path, plural: str, content: str, says: str
) -> None:
    """The file, the object and the part are named."""
    root = write(tmp_path, {f"kubernetes/{plural}.yaml": content})
    assert f"kubernetes/{plural}.yaml: {says}" in complaint(root)


def test_what_is_empty_may_be_null_or_missing(tmp_path: Path) -> None:
    """As the API leaves it out."""
    empty = "{metadata: {name: a, labels: null}, spec: {containers: null}, status: null}"
    root = write(tmp_path, {"kubernetes/pods.yaml": empty, "kubernetes/nodes.yaml": empty})
    judge(open_recording(root, "path:x"))
