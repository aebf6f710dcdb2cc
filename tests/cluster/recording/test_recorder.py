"""The writer: what it writes is read back the same, redacted, and never over something else."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pytest_gpu.cluster.recording import yaml_io, yaml_writer
from pytest_gpu.cluster.recording.copying import record
from pytest_gpu.cluster.recording.recorded import RecordedCluster, open_recording
from pytest_gpu.cluster.recording.recorder import Recorder
from pytest_gpu.cluster.recording.samples import sample_names, sample_path
from pytest_gpu.errors import NotInEvidence, RecordingError
from pytest_gpu.evidence import CommandResult, Door, ElfSummary, Entry

TAKEN = datetime(2026, 11, 21, 10, tzinfo=UTC)
ANSWERS = ("nvml.json", "outcomes/sandbox.yaml", "outcomes/pod.yaml")


def facts(cluster: RecordedCluster) -> dict[str, object]:
    """Return all that a cluster answers, by question."""
    found: dict[str, object] = {"taken": cluster.taken, "suite": cluster.suite}
    for resource in cluster.resources():
        found[resource] = cluster.objects(resource)
    for name in cluster.node_names():
        node = cluster.node(name)
        found |= {f"{name} door": node.door, f"{name} commands": node.commands}
        found |= {f"{name} {answer}": node.whole(answer) for answer in ANSWERS}
    return found


def paths(cluster: RecordedCluster) -> dict[str, object]:
    """Return what is known of every path that a cluster's nodes have something to say of."""
    found: dict[str, object] = {}
    for name in cluster.node_names():
        node, view = cluster.node(name), cluster.node(name).view
        for path in (*view.files, *view.entries, *view.directories, *view.absent, *view.elves):
            for question in (node.entry, node.names, node.read, node.elf):
                try:
                    found[f"{name} {question.__name__} {path}"] = question(path)
                except NotInEvidence as unknown:
                    found[f"{name} {question.__name__} {path}"] = str(unknown)
    return found


@pytest.mark.parametrize("name", sample_names())
@pytest.mark.parametrize("suffix", ["", ".tar.gz"])
def test_flat_recording_answers_as_the_overlay_did(tmp_path: Path, name: str, suffix: str) -> None:
    """Nothing is lost and nothing that a check needs is redacted."""
    to = tmp_path / f"flat{suffix}"
    with open_recording(sample_path(name), name) as before:
        record(before, to)
        with open_recording(to, "flat") as after:
            assert facts(after) == facts(before)
            known, again = paths(before), paths(after)
            assert {key: again.get(key) for key in known} == known
    assert [path.name for path in tmp_path.iterdir()] == [to.name]


def test_flat_recording_needs_no_base(tmp_path: Path) -> None:
    """It can be sent to somebody who has nothing else."""
    record(sample_path("mixed-fleet"), tmp_path / "flat")
    assert "base" not in (tmp_path / "flat/recording.yaml").read_text()


def test_nodes_that_are_alike_stay_short(tmp_path: Path) -> None:
    """A fleet is written as small as it was."""
    recorder = Recorder(tmp_path / "fleet", taken=TAKEN)
    first = recorder.node("a")
    first.add_file("/etc/x", b"x")
    first.add_nvml({"library": "/l"})
    first.close()
    other = recorder.node("b")
    other.add_door(Door(kind="ssh", reason="by hand"), like="a")
    other.close()
    record(tmp_path / "fleet", tmp_path / "flat")
    written = [path.name for path in (tmp_path / "flat/nodes/b").rglob("*")]
    assert written == ["node.yaml"]
    with open_recording(tmp_path / "flat", "x") as flat:
        assert flat.node("b").read("/etc/x") == b"x"
        assert flat.node("b").door == Door(kind="ssh", reason="by hand")


def test_archive_is_the_same_for_the_same_evidence(tmp_path: Path) -> None:
    """Whoever packs it and whenever: its checksum can be compared."""
    for name in ("one.tar.gz", "two.tgz"):
        record(sample_path("healthy-rke2"), tmp_path / name)
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tgz").read_bytes()


def test_every_kind_of_evidence_is_read_back(tmp_path: Path) -> None:
    """What a live door writes is what a recording answers."""
    recorder = Recorder(tmp_path / "r", taken=TAKEN, suite="9", note="from a bug report")
    recorder.add_objects("runtimeclasses", [])
    node = recorder.node("gpu-1")
    entry = Entry(path="/dev/nvidia0", kind="char", mode=0o666, mtime=1.5, device=(195, 0))
    elf = ElfSummary(path="/l", machine="x86-64", versions={"libc.so.6": ("V",)}, defines=("W",))
    command = CommandResult(argv=("dmesg", ""), exit=3, stdout="a\n  b \n", stderr="\t", duration=2)
    answers = {"library": None, "devices": [{"total": 1, "ok": True}]}
    node.add_door(Door(kind="local"))
    node.add_file("/sys/bus/pci/config", bytes(range(256)))
    node.add_entry(entry)
    node.add_entry(Entry(path="/run", kind="symlink", target="../r"))
    node.add_complete("/dev")
    node.add_absent("/none")
    node.add_command(command)
    node.add_elf(elf)
    node.add_nvml(answers)
    node.add_outcome("pod", {"events": [], "skipped": "no"})
    node.close()
    with open_recording(tmp_path / "r", "x") as cluster:
        assert (cluster.taken, cluster.suite, cluster.note) == (TAKEN, "9", "from a bug report")
        assert cluster.objects("runtimeclasses") == ()
        found = cluster.node("gpu-1")
        assert found.door == Door(kind="local")
        assert found.read("/sys/bus/pci/config") == bytes(range(256))
        assert found.entry("/dev/nvidia0") == entry
        assert found.names("/dev") == ("nvidia0",)
        assert found.resolve("/run/x") == "/r/x"
        assert found.read("/none") is None
        assert found.commands == (command,)
        assert found.elf("/l") == elf
        assert found.whole("nvml.json") == answers
        assert found.outcome("pod") == {"events": [], "skipped": "no"}


def test_all_that_is_written_is_redacted(tmp_path: Path) -> None:
    """The writer is the one way into a recording, so a secret in any place is gone."""
    recorder = Recorder(tmp_path / "r", taken=TAKEN, note="password=hunter2")
    secret = {"kind": "Secret", "metadata": {"name": "s"}, "data": {"x": "hunter2"}}
    env = {"containers": [{"env": [{"name": "NGC_API_KEY", "value": "hunter2"}]}]}
    recorder.add_objects("pods", [secret, {"kind": "Pod", "metadata": {"name": "p"}, "spec": env}])
    node = recorder.node("n")
    node.add_door(Door(kind="none", reason="https://me:hunter2@host refused"))
    node.add_file("/etc/x", b"password = 'hunter2'")
    node.add_file("/proc/1/cmdline", b"a\0--token\0hunter2\0")
    node.add_command(
        CommandResult(argv=("a", "--password", "hunter2"), exit=0, stderr="token=hunter2")
    )
    node.add_nvml({"init": {"message": "password: hunter2"}})
    node.add_outcome("sandbox", {"runs": [{"output": "X_TOKEN=hunter2"}], "pod": secret})
    node.close()
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"hunter2" not in written
    assert written.count(b"<redacted>") >= 8


def test_secrets_are_never_recorded(tmp_path: Path) -> None:
    """Not even as an empty list."""
    with pytest.raises(RecordingError, match="secrets are never recorded"):
        Recorder(tmp_path / "r", taken=TAKEN).add_objects("secrets", [])


@pytest.mark.parametrize("name", ["folder", "file", "archive.tar.gz", "link"])
def test_what_stands_there_is_never_overwritten(tmp_path: Path, name: str) -> None:
    """A recording goes to a new place."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/mine").touch()
    (tmp_path / "file").touch()
    (tmp_path / "archive.tar.gz").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RecordingError, match=f"{name}: is in use; name a path that does not exist"):
        record(sample_path("healthy-rke2"), tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before


def test_empty_folder_is_taken(tmp_path: Path) -> None:
    """As a pipeline makes it."""
    (tmp_path / "to").mkdir()
    record(sample_path("healthy-rke2"), tmp_path / "to")
    assert (tmp_path / "to/recording.yaml").is_file()


def test_recording_that_cannot_be_read_leaves_nothing(tmp_path: Path) -> None:
    """A half-written recording would look like one."""
    bad = tmp_path / "bad/nodes/n"
    bad.mkdir(parents=True)
    (tmp_path / "bad/recording.yaml").write_text("format: 1\ntaken: 2026-11-21T10:00:00Z")
    (bad / "listing.yaml").write_text("[")
    with pytest.raises(RecordingError, match="is not valid YAML"):
        record(tmp_path / "bad", tmp_path / "to")
    assert [path.name for path in tmp_path.iterdir()] == ["bad"]


@pytest.mark.parametrize("path", ["etc/x", "/../x", "/a/../../x", "/a\0b"])
def test_hostile_node_cannot_make_the_writer_leave_its_folder(tmp_path: Path, path: str) -> None:
    """A path comes from the node, which may be anybody's."""
    node = Recorder(tmp_path / "r", taken=TAKEN).node("n")
    with pytest.raises(RecordingError, match="must be an absolute path without"):
        node.add_file(path, b"x")
    with pytest.raises(RecordingError):
        Recorder(tmp_path / "other", taken=TAKEN).node("../n")


def test_path_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """A file where a folder should be."""
    node = Recorder(tmp_path / "r", taken=TAKEN).node("n")
    node.add_file("/a", b"")
    with pytest.raises(RecordingError, match="cannot be recorded: "):
        node.add_file("/a/b", b"")


def test_yaml_that_is_written_is_read_back_the_same() -> None:
    """Whatever characters a log holds."""
    dice = random.Random(20261121)  # noqa: S311 - no secret depends on it
    letters = " \n\t:-#'\"abc{}[]&*!|>%@`\r\x85\u2028\x00\x1b\u00e9,=~?0\\\U0001f600"
    for _ in range(500):
        text = "".join(dice.choices(letters, k=dice.randint(0, 14)))
        value = {"a": [text, {"b": text}], text: None}
        assert yaml_io.load(yaml_writer.dump(value), "x") == value


def test_text_of_several_lines_is_written_as_lines() -> None:
    """A recording is edited by hand."""
    assert yaml_writer.dump({"stdout": "a\nb\n"}) == b"stdout: |\n  a\n  b\n"
    assert json.loads(yaml_writer.dump_json({"a": "\u00e9"})) == {"a": "\u00e9"}
