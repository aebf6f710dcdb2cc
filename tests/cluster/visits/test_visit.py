"""A visit: rounds over a stream that may be slow, lie, or break at any moment."""

from __future__ import annotations

import base64
import json
import math
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_gpu.cluster.api import line_buffer
from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.cluster.recording.recorder import Recorder
from pytest_gpu.cluster.visits import seen
from pytest_gpu.cluster.visits import visit as visits
from pytest_gpu.cluster.visits.seen import SeenNode
from pytest_gpu.cluster.visits.streams import ChildStream, LocalStream
from pytest_gpu.cluster.visits.visit import NoAnswer, StreamLate, drive, greet
from pytest_gpu.errors import GpuError, NotInEvidence
from pytest_gpu.evidence import Door, Entry
from pytest_gpu.survey.rounds import Asked
from pytest_gpu.survey.survey import wants
from tests.support.fake_evidence import NOON, FakeCluster, node_object


class Script:
    """A stream that says what it was told to say, round by round; then it breaks."""

    complaint = "the line is dead"

    def __init__(self, *rounds: list[Any], late: bool = False) -> None:
        self.rounds = list(rounds)
        self.sent: list[dict[str, Any]] = []
        self.late = late

    def send(self, line: bytes) -> None:
        """Note what is asked."""
        self.sent.append(json.loads(line))

    def lines(self, deadline: float) -> Iterator[bytes]:
        """Yield the lines of one round."""
        for each in self.rounds.pop(0) if self.rounds else []:
            yield each if isinstance(each, bytes) else json.dumps(each).encode()
        if self.late:
            raise StreamLate("nothing came in time")

    def close(self) -> None:
        """Do nothing."""


def taken(*answers: dict[str, Any]) -> SeenNode:
    """Return what is known after some answers."""
    node = SeenNode("gpu-1", Door(kind="pod"))
    for answer in answers:
        node.take(answer)
    node.settle()
    return node


def cluster() -> FakeCluster:
    """Return a cluster with one node."""
    return FakeCluster(objects={"nodes": [node_object()]})


def read(path: str, data: bytes = b"x", **more: Any) -> dict[str, Any]:
    """Return the answer to a read."""
    found = {"kind": "file", "mode": 0o644, "mtime": 1.0, "size": len(data)}
    return {"read": path, "data": base64.b64encode(data).decode(), "entry": found} | more


def test_links_on_the_way_lead_to_what_was_read() -> None:
    """Under the path that was asked, under the real one, and under every other way there."""
    node = taken(
        read("/var/run/cdi/a.yaml", real="/run/cdi/a.yaml", links={"/var/run": "/run"}),
        {"list": "/run/cdi", "entries": {"a.yaml": {"kind": "file"}}, "truncated": False},
    )
    for path in ("/var/run/cdi/a.yaml", "/run/cdi/a.yaml"):
        assert node.read(path) == b"x"
    assert node.names("/var/run/cdi") == ("a.yaml",)
    assert node.read("/var/run/cdi/b.yaml") is None
    assert node.entry("/var/run") == Entry(path="/var/run", kind="symlink", target="/run")


def test_absent_is_proven_and_unknown_is_not() -> None:
    """Three answers, and an error is none of them."""
    node = taken({"read": "/a", "absent": True}, {"read": "/b", "error": "EACCES: no"})
    assert node.read("/a") is None
    for path in ("/b", "/c"):
        with pytest.raises(NotInEvidence):
            node.read(path)
    assert node.notes == ["/b: EACCES: no"]


def test_what_is_cut_is_known_to_be_there_and_no_more() -> None:
    """Half a configuration must not be judged; the end of a log may."""
    node = taken(read("/etc/x.toml", truncated=True), read("/y") | {"truncated": True})
    with pytest.raises(NotInEvidence):
        node.read("/etc/x.toml")
    assert node.entry("/etc/x.toml") is not None
    assert "left out" in node.notes[0]
    tail = read("/log", b"end", truncated=True)
    assert taken({"tail": "/log", **{k: v for k, v in tail.items() if k != "read"}}).read("/log")


def test_listing_that_is_cut_proves_nothing_absent() -> None:
    """More names than are sent."""
    node = taken({"list": "/dev", "entries": {"null": {"kind": "char"}}, "truncated": True})
    assert node.entry("/dev/null") is not None
    for look in (lambda: node.names("/dev"), lambda: node.entry("/dev/nvidia0")):
        with pytest.raises(NotInEvidence):
            look()


def test_commands_that_never_started_say_nothing() -> None:
    """Exit code 127 of a crictl that is not there is no word of the CRI."""
    node = taken(
        {"run": ["crictl", "info"], "exit": 127, "error": "No such file or directory"},
        {"run": ["uname", "-r"], "exit": 0, "stdout": "6.1\n", "duration": 0.1},
        {"run": ["crictl", "info"], "exit": 124, "timeout": True, "stdout": "", "stderr": ""},
    )
    assert [(each.argv[0], each.exit) for each in node.commands] == [("uname", 0), ("crictl", 124)]
    assert "did not end in time" in node.commands[1].stderr
    assert node.notes == ["crictl info: No such file or directory"]


def test_nvml_that_gave_no_answer_is_not_asked() -> None:
    """A child that died says nothing about NVML."""
    node = taken({"nvml": None, "error": "the process that looked died (signal 11)"})
    with pytest.raises(NotInEvidence):
        _ = node.nvml
    assert "signal 11" in node.notes[0]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"read": "/a", "data": "no base64!", "entry": 7},
        {"list": "/a", "entries": [1]},
        {"stat": "/a", "entry": {"kind": "unheard of"}},
        {"stat": "/a", "entry": {"kind": "file", "mode": "x", "size": []}},
        {"stat": "/a", "entry": {"kind": "char", "device": ["x"]}},
        {"stat": "/a", "entry": {"kind": "file", "mtime": math.inf}},
        {"stat": "/a", "entry": {"kind": "file", "mtime": math.nan}},
        {"stat": "/a", "entry": {"kind": "file", "mtime": 10**400}},
        {"stat": "/a", "entry": {"kind": "file", "size": 10**400}},
        {"stat": "/a", "entry": {"kind": "file", "mode": math.inf}},
        {"run": ["x"], "exit": 0, "duration": math.inf},
        {"elf": "/a", "summary": {"versions": 3}},
        {"read": ["/a"], "absent": 1, "links": 7},
        {"elf": "/a", "summary": "x"},
        {"run": ["x"]},
        {"nvml": "x"},
        {"error": "these are no questions"},
    ],
)
def test_answers_without_sense_do_no_harm(answer: dict[str, Any]) -> None:
    """A node that was taken over may say anything."""
    node = taken(answer)
    with pytest.raises(NotInEvidence):
        node.read("/a")


@pytest.mark.parametrize("number", [math.inf, math.nan, 10**400], ids=["inf", "nan", "long"])
def test_numbers_without_sense_are_not_in_evidence(number: float) -> None:
    """Neither as NVML's answer nor as an exit code, and the note says which."""
    node = taken({"run": ["x"], "exit": 10**400}, {"nvml": {"devices": [{"index": number}]}})
    assert node.commands == ()
    with pytest.raises(NotInEvidence):
        _ = node.nvml
    assert "NVML: devices[0]: index: must be a number of at most 64 bits" in node.notes


def test_notes_of_a_node_are_few_and_short() -> None:
    """Each invalid answer gives one."""
    node = taken(*({"error": "x" * 10_000} for _ in range(seen.MAX_NOTES + 5)))
    assert len(node.notes) == seen.MAX_NOTES
    assert {len(note) for note in node.notes} == {seen.MAX_NOTE}


def test_too_many_paths_cost_the_node_its_visit(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came before stays known; the reason says that it was cut off."""
    monkeypatch.setattr(seen, "MAX_ENTRIES", 2)
    many = {"list": "/a", "entries": {name: {"kind": "file"} for name in "bcd"}}
    node = SeenNode("gpu-1", Door(kind="pod"))
    drive(Script([{"stat": "/x", "absent": True}, many]), node, FakeCluster())
    assert any("incomplete: cut off after 2 paths" in note for note in node.notes)
    assert node.read("/x") is None


def test_an_answer_with_too_many_parts_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty megabytes of brackets would need gigabytes."""
    monkeypatch.setattr(visits, "MAX_PARTS", 3)
    with pytest.raises(GpuError, match="cut off: an answer has more than 3 parts"):
        visits.parse(b"[[],[],[]]")


def test_a_line_buffer_has_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a line without an end, and for lines without end."""
    monkeypatch.setattr(line_buffer, "LINE_BYTES", 8)
    monkeypatch.setattr(line_buffer, "ROUND_BYTES", 12)
    buffer = line_buffer.LineBuffer()
    assert buffer.take(b"ab\nc") == [b"ab"]
    assert buffer.take(b"d\n\ne") == [b"cd", b""]
    assert buffer.rest == b"e"
    with pytest.raises(GpuError, match="cut off after 0 MiB"):
        buffer.take(b"\n" * 6)
    buffer.renew()
    with pytest.raises(GpuError, match="an answer is longer than"):
        buffer.take(b"x" * 8)


def test_names_that_lead_elsewhere_are_left_out() -> None:
    """No name of a listing may climb out of it."""
    odd = {"..": {"kind": "file"}, "a\0b": {"kind": "file"}, "c": {"kind": "file"}}
    assert taken({"list": "/a", "entries": odd}).names("/a") == ("c",)


def test_visit_is_written_redacted_and_reads_the_same(tmp_path: Any) -> None:
    """The spool folder answers as the visit did, without secrets."""
    elf = {"machine": "x86-64", "needed": ["libc.so.6"], "versions": {"libc.so.6": ["GLIBC_2.2"]}}
    node = taken(
        read("/etc/rancher/k3s/config.yaml", b"token: s3cr3t-s3cr3t\n"),
        {"stat": "/dev/nvidia0", "entry": {"kind": "char", "device": [195, 0], "mode": 438}},
        {"elf": "/bin/x", "entry": {"kind": "file"}, "summary": elf},
        {"run": ["uname", "-r"], "exit": 0, "stdout": "6.1\n"},
        {"nvml": {"library": "/lib/x", "init": {"error": None}}},
        {"read": "/none", "absent": True},
        {"read": "/dark", "error": "EACCES: Permission denied"},
    )
    recorder = Recorder(tmp_path / "spool", taken=NOON)
    node.save(recorder.node("gpu-1"))
    with open_recording(tmp_path / "spool", "spool") as opened:
        written = opened.node("gpu-1")
        assert written.door == Door(kind="pod", reason="/dark: EACCES: Permission denied")
        assert b"s3cr3t" not in (written.read("/etc/rancher/k3s/config.yaml") or b"")
        assert written.entry("/dev/nvidia0") == node.entry("/dev/nvidia0")
        assert written.elf("/bin/x") == node.elf("/bin/x")
        assert written.nvml == node.nvml
        assert written.read("/none") is None
        assert written.commands == node.commands


def test_stream_that_breaks_leaves_what_came_before() -> None:
    """The visit ends, what came is kept, and the reason is noted."""
    stream = Script([b"Welcome!", read("/etc/x")])
    node = SeenNode("gpu-1", Door(kind="pod"))
    drive(stream, node, cluster())
    assert node.read("/etc/x") == b"x"
    assert node.notes == ["round 1 of the visit is incomplete: the line is dead"]


def test_stream_that_is_late_ends_the_visit() -> None:
    """A deadline of ours is no fault of the node."""
    node = SeenNode("gpu-1", Door(kind="pod"))
    drive(Script([{"done": 1}], [], late=False), node, cluster())
    assert "round 2" in node.notes[0]
    late = SeenNode("gpu-1", Door(kind="pod"))
    drive(Script([], late=True), late, cluster())
    assert "in time" in late.notes[0]


def test_visit_says_that_it_is_over() -> None:
    """So the probe ends before its deadline."""
    stream = Script(*[[{"done": number}] for number in range(1, 5)])
    drive(stream, SeenNode("gpu-1", Door(kind="pod")), cluster())
    assert stream.sent[-1] == {"end": True}


def test_hello_may_come_after_a_banner() -> None:
    """Login shells print what they like."""
    assert greet(Script([b"Last login: never", b"{}", {"hello": 1}]))["hello"] == 1
    with pytest.raises(NoAnswer, match="the line is dead"):
        greet(Script([b"no hello"]))
    with pytest.raises(NoAnswer, match="no answer within 1 s"):
        greet(Script([], late=True), 1)


def test_time_of_a_round_covers_what_it_asks() -> None:
    """Commands and NVML have their own time on top."""
    first = wants(SeenNode("a", Door(kind="pod")), Asked(), cluster())
    assert first is not None
    assert visits.time_for(first) == visits.ROUND_TIME + sum(first.run.values())


def test_child_that_cannot_be_started() -> None:
    """The message names the program."""
    with pytest.raises(GpuError, match="/no/such/program cannot be started"):
        ChildStream(["/no/such/program"])


def test_child_that_dies_says_why() -> None:
    """Its standard error is the reason."""
    stream = ChildStream([sys.executable, "-c", "raise SystemExit('no such host')"])
    try:
        with pytest.raises(NoAnswer, match="no such host"):
            greet(stream)
    finally:
        stream.close()


def test_child_that_is_silent_is_ended() -> None:
    """With everything that it started."""
    code = "import subprocess; subprocess.run(['sleep', '60'])"
    stream = ChildStream([sys.executable, "-c", code])
    began = time.monotonic()
    with pytest.raises(NoAnswer, match=r"no answer within 0\.3 s"):
        greet(stream, 0.3)
    stream.close()
    assert time.monotonic() - began < 10


def test_this_machine_can_be_visited() -> None:
    """The whole way: a real probe, a real machine."""
    stream = LocalStream()
    try:
        assert greet(stream)["hello"] == 1
        node = SeenNode("here", Door(kind="local"))
        drive(stream, node, FakeCluster(objects={"nodes": [node_object("here")]}))
    finally:
        stream.close()
    assert node.read("/proc/version")
    assert "null" in (node.names("/dev") or ())
    assert node.commands[0].argv == ("uname", "-r")
