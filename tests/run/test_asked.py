"""Recordings that age: what was not asked is neither passed nor unproven, and it is said."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_gpu.asked import question_of, why_not_asked
from pytest_gpu.cluster.recording.copying import record
from pytest_gpu.cluster.recording.recorded import RecordedCluster, open_recording
from pytest_gpu.cluster.recording.recorded_node import RecordedNode
from pytest_gpu.cluster.recording.samples import sample_path
from pytest_gpu.errors import GpuError, RecordingError
from pytest_gpu.layers import Layer
from pytest_gpu.report import terminal
from pytest_gpu.run.suite import questions
from tests.samples.sample_copy import SampleCopy
from tests.support.judging import judge, requirements

ALL = questions(max(Layer))
NVML = "driver/nvml_answers"
KEEPS = "runtime/a_restart_keeps_the_handler"
POD = "runtimeclass-pod/gpu_computes"
OF_RUNTIME = frozenset(name for name in ALL if name.startswith("runtime/"))


def test_questions_are_the_tests_of_the_suite() -> None:
    """None is missing, none too many; ``--gpu-layers`` leaves out the upper ones."""
    of_tests = {
        question_of(layer, each.__name__) for layer in Layer for each in requirements(layer)
    }
    assert of_tests == ALL
    assert {name.partition("/")[0] for name in questions(Layer.DRIVER)} == {
        "access",
        "hardware",
        "driver",
    }


def test_a_parametrized_test_asks_one_question() -> None:
    """Its parameters are no part of the name."""
    assert question_of(Layer.DRIVER, "test_x[a-1]") == "driver/x"


def test_why_something_was_not_asked_names_version_and_question() -> None:
    """And nothing is said of what was asked, or where there is no list."""
    assert why_not_asked(None, NVML, "0.1.0") is None
    assert why_not_asked(frozenset({NVML}), NVML, "0.1.0") is None
    expected = "this recording was taken by 0.1.0, which did not look at driver/nvml_answers"
    assert why_not_asked(frozenset(), NVML, "0.1.0") == expected
    assert "by an unknown version, which" in str(why_not_asked(frozenset(), NVML, ""))


def aged(folder: Path, *left_out: str, sample: str = "healthy-kubeadm") -> Path:
    """Write a recording in which all but these questions were asked."""
    record(sample_path(sample), folder, asked=ALL - set(left_out))
    return folder


def document(folder: Path) -> dict[str, Any]:
    """Judge a recording."""
    with open_recording(folder, "path:aged") as cluster:
        return judge(cluster)


def shown(found: Mapping[str, Any]) -> str:
    """Return what a terminal shows of a verdict document, in one line."""
    return " ".join(" ".join(terminal.plain(terminal.render(found, width=120))).split())


def test_what_was_not_asked_lowers_how_far_a_node_conforms(tmp_path: Path) -> None:
    """The exit code stays 0; the layer is not shown as whole, and all is counted."""
    found = document(aged(tmp_path / "aged", KEEPS, POD))
    (node,) = found["nodes"]
    assert (node["verdict"], node["conforms_up_to"], found["run"]["exit_code"]) == (
        "conforms",
        "driver",
        0,
    )
    assert node["layers"]["runtime"]["state"] == "not-asked"
    assert [node["layers"]["runtime"][key] for key in ("total", "passed", "not_asked")] == [
        17,
        16,
        1,
    ]
    assert [entry["test"] for entry in node["not_asked"]] == [
        "test_a_restart_keeps_the_handler",
        "test_gpu_computes",
    ]
    assert node["unproven"] == []
    assert found["summary"]["not_asked"] == 2


def test_the_terminal_says_what_was_not_asked(tmp_path: Path) -> None:
    """Table, section and last line."""
    text = shown(document(aged(tmp_path / "aged", KEEPS, POD)))
    assert "asked 16/17" in text
    assert "asked n/m: only n of m were asked, and passed" in text
    assert "not asked (the recording was taken by 0.1.0, which did not look at these):" in text
    assert "1 test (runtime): test_a_restart_keeps_the_handler" in text
    assert text.endswith("1 node: conforms up to driver; 2 requirements not asked")


def test_a_layer_of_which_nothing_was_asked_is_not_conforming(tmp_path: Path) -> None:
    """It has no tests that passed, and the table has a dash."""
    found = document(aged(tmp_path / "aged", *OF_RUNTIME))
    (node,) = found["nodes"]
    assert node["layers"]["runtime"]["state"] == "not-asked"
    assert node["layers"]["runtime"]["passed"] == 0
    assert node["conforms_up_to"] == "driver"
    assert re.search(r"gpu-1 ok 3/3 ok 6/6 ok 12/12 - ok 6/6", shown(found))


def test_a_node_of_which_nothing_was_asked_is_unproven(tmp_path: Path) -> None:
    """Nothing tested is never a pass."""
    found = document(aged(tmp_path / "aged", *ALL))
    assert found["run"]["exit_code"] == 1
    assert [entry["reason"] for entry in found["nodes"][0]["unproven"]] == [
        "nothing was asked about this node"
    ]


def test_lowest_question_missing_leaves_no_layer_to_conform_up_to(tmp_path: Path) -> None:
    """The last line does not name a layer then."""
    found = document(aged(tmp_path / "aged", "access/kubernetes_shows_the_node"))
    assert found["nodes"][0]["conforms_up_to"] is None
    assert "1 node: conforms in what was asked; 1 requirement not asked" in shown(found)


def test_a_failure_stays_a_failure(tmp_path: Path) -> None:
    """What was asked decides; what was not is listed beside it."""
    found = document(aged(tmp_path / "aged", NVML, sample="rke2-toolkit-default-paths"))
    (node,) = found["nodes"]
    assert (node["verdict"], node["cause"]) == ("fails", "runtime/toolkit-default-paths")
    assert len(node["not_asked"]) == 1


def test_without_the_list_what_is_missing_is_unproven(tmp_path: Path) -> None:
    """With it, evidence that is missing for what was asked is unproven, too."""
    for asked in (None, ALL):
        folder = tmp_path / f"flat-{asked is None}"
        record(sample_path("healthy-kubeadm"), folder, asked=asked)
        (folder / "nodes/gpu-1/nvml.json").unlink()
        found = document(folder)
        assert found["run"]["exit_code"] == 1
        assert found["summary"]["not_asked"] == 0


def manifest(folder: Path) -> Any:
    """Return what ``recording.yaml`` holds."""
    return yaml.safe_load((folder / "recording.yaml").read_text(encoding="utf-8"))


def test_the_list_is_written_sorted_and_kept_by_copies(tmp_path: Path) -> None:
    """A copy of a recording without a list has none."""
    aged(tmp_path / "aged", NVML)
    assert manifest(tmp_path / "aged")["asked"] == sorted(ALL - {NVML})
    record(tmp_path / "aged", tmp_path / "copy")
    assert manifest(tmp_path / "copy")["asked"] == sorted(ALL - {NVML})
    record(sample_path("healthy-kubeadm"), tmp_path / "other")
    assert "asked" not in manifest(tmp_path / "other")


def opened(root: Path, asked_above: str, asked_below: str) -> RecordedCluster:
    """Return an overlay and its base with these lines in their manifests."""
    for folder, lines in ((root, f"base: base\n{asked_above}"), (root / "base", asked_below)):
        folder.mkdir(parents=True, exist_ok=True)
        head = "format: 1\ntaken: 2026-11-21T10:00:00Z\n"
        (folder / "recording.yaml").write_text(head + lines)
    return open_recording(root, "x")


def test_overlay_has_its_bases_list_unless_it_has_its_own(tmp_path: Path) -> None:
    """An empty list is a list."""
    assert opened(tmp_path, "", "").asked is None
    assert opened(tmp_path, "", "asked: [a/b]").asked == frozenset({"a/b"})
    assert opened(tmp_path, "asked: [c/d]", "asked: [a/b]").asked == frozenset({"c/d"})
    assert opened(tmp_path, "asked: []", "asked: [a/b]").asked == frozenset()


@pytest.mark.parametrize("line", ["asked: all", "asked: [1]", "asked: {a: b}"])
def test_a_list_that_is_none_is_refused(tmp_path: Path, line: str) -> None:
    """A mistake must not make everything count as asked."""
    with pytest.raises(RecordingError, match="asked"):
        opened(tmp_path, line, "")


def test_a_run_shows_skips_with_the_reason(pytester: pytest.Pytester) -> None:
    """Own letter and count; JUnit skips; users' own tests are always asked."""
    aged(pytester.path / "aged", NVML, "driver/memory_is_readable")
    pytester.makepyfile(
        test_ours="""
        import pytest

        @pytest.mark.gpu_layer("driver")
        def test_ours(gpu_node):
            assert gpu_node.name == "gpu-1"
        """
    )
    suite = "conformance/test_driver.py"
    command = ["--gpu-cluster=path:aged", "--junit-xml=out.xml", "--gpu-report=out.json", "-rs"]
    result = pytester.runpytest_subprocess(
        *command, "-p", "no:cacheprovider", suite, "test_ours.py"
    )
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*....n..n.*", "*= 11 passed, 2 not asked in *"])
    cases = ET.parse(pytester.path / "out.xml").getroot().iter("testcase")  # noqa: S314 - our own
    skipped = {case.get("name"): case.find("skipped") for case in cases}
    reason = skipped["test_nvml_answers[gpu-1]"]
    assert reason is not None
    assert reason.get("message") == (
        "not asked: this recording was taken by 0.1.0, which did not look at driver/nvml_answers"
    )
    assert skipped["test_ours[gpu-1]"] is None
    found = json.loads((pytester.path / "out.json").read_text())
    assert found["run"]["taken_by"] == "0.1.0"
    assert [entry["test"] for entry in found["nodes"][0]["not_asked"]] == [
        "test_nvml_answers",
        "test_memory_is_readable",
    ]


HEALTHY = ("healthy-kubeadm", "healthy-rke2", "healthy-cdi", "healthy-dgx-spark")

HARMLESS: Mapping[str, str] = {
    r"kubernetes/clusterpolicies\.yaml": "whether the operator has one is told by its DaemonSets",
    r"kubernetes/deployments\.yaml": "pods tell what fails; one that makes none is noted, no fault",
    r"kubernetes/events\.yaml": "events explain a failure, they convict nobody",
    r"kubernetes/resourceslices\.yaml": "the node's capacity already shows who offers its GPUs",
    r".*/outcomes/sandbox\.yaml": "the suite's pod passed through the same handler: proves more",
    r".*/files/proc/(\d+/)?stat": "only ages: when a daemon was started, in words of findings",
    r".*/files/proc/modules": "NVML answers, which it does not without the module",
    r".*/files/proc/net/unix": "who listens where is told by the daemons' command lines, too",
    r".*/files/proc/driver/nvidia/version": "NVML tells the driver's version, too",
    r".*/files/sys/bus/pci/devices/.*/(current|max)_link_width": "fewer lanes are noted, no fault",
    r".*/(kubelet\.service|00-rke2-defaults\.conf)": "a running kubelet's flags decide",
    r".*/files/etc/containerd/config\.toml": "DGX Spark's kubelet has another containerd",
    r".*/files/etc/docker/daemon\.json": "Docker beside it is noted, no fault",
    r".*/elf\.yaml": "with CDI no program of NVIDIA's is started",
}
"""Files that are read and yet can be missing, by pattern, and why nothing is passed over then."""


class Watched:
    """Notes which files of a recording are read while it is judged."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read: set[str] = set()
        read, objects, whole = RecordedNode.read, RecordedCluster.objects, RecordedNode.whole

        def noted_read(node: RecordedNode, path: str) -> bytes | None:
            self.read.add(f"nodes/{node.name}/files{node.resolve(path)}")
            return read(node, path)

        def noted_objects(cluster: RecordedCluster, resource: str) -> Any:
            self.read.add(f"kubernetes/{resource}.yaml")
            return objects(cluster, resource)

        def noted_whole(node: RecordedNode, name: str) -> Any:
            self.read.add(f"nodes/{node.name}/{name}")
            return whole(node, name)

        monkeypatch.setattr(RecordedNode, "read", noted_read)
        monkeypatch.setattr(RecordedCluster, "objects", noted_objects)
        monkeypatch.setattr(RecordedNode, "whole", noted_whole)


def verdict(folder: Path) -> Mapping[str, Any]:
    """Return all of a verdict document but its times; a run that cannot be judged exits with 4."""
    try:
        found = document(folder)
    except GpuError:
        return {"run": {"exit_code": 4}}
    for key in ("started", "duration"):
        del found["run"][key]
    return found


ALWAYS_READ = ("commands.yaml", "listing.yaml", "elf.yaml")


@pytest.mark.parametrize("sample", HEALTHY)
def test_no_file_of_a_healthy_recording_can_go_unnoticed(
    tmp_path: Path, sample: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One file after another is removed: the exit code is 0 only where nothing rests on it.

    Either no check reads the file at all (then nothing of the verdict may change), or it is one of
    the harmless ones above.
    """
    copy = SampleCopy(sample, tmp_path)
    watched = Watched(monkeypatch)
    whole = verdict(copy.folder)
    assert whole["run"]["exit_code"] == 0
    read = frozenset(watched.read)
    decisive = 0
    for file in sorted(path for path in copy.folder.rglob("*") if path.is_file()):
        name = file.relative_to(copy.folder).as_posix()
        content = file.read_bytes()
        file.unlink()
        found = verdict(copy.folder)
        file.write_bytes(content)
        if found["run"]["exit_code"]:
            decisive += 1
        elif name in read or name.endswith(ALWAYS_READ):
            assert any(re.fullmatch(pattern, name) for pattern in HARMLESS), name
        else:
            assert found == whole, name
    assert decisive > 20


def test_every_harmless_file_is_one_of_a_healthy_recording(tmp_path: Path) -> None:
    """A pattern that matches nothing would excuse something else one day."""
    names: list[str] = []
    for sample in HEALTHY:
        (tmp_path / sample).mkdir()
        root = SampleCopy(sample, tmp_path / sample).folder
        names += [path.relative_to(root).as_posix() for path in root.rglob("*")]
    for pattern in HARMLESS:
        assert any(re.fullmatch(pattern, name) for name in names), pattern
