"""The nodes under test that a recording names: written, read, overlaid, refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_gpu.cluster.recording.copying import record
from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.errors import RecordingError
from tests.conftest import MakeCluster
from tests.support.runs import QUIET, refused, run_here

TEST = "def test_it(gpu_node): pass\n"


def manifest(folder: Path) -> Any:
    """Return what a recording's manifest says."""
    return yaml.safe_load((folder / "recording.yaml").read_text())


def say(folder: Path, *lines: str) -> None:
    """Add lines to a recording's manifest."""
    with (folder / "recording.yaml").open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def run_on(pytester: pytest.Pytester, where: Path, *args: str) -> tuple[list[str], str]:
    """Return the nodes that a run on a recording tests, and its output."""
    pytester.makepyfile(test_it=TEST)
    report = pytester.path / "out.json"
    options = (f"--gpu-report={report}", "test_it.py::test_it", *QUIET, *args)
    result = run_here(pytester, f"--gpu-cluster=path:{where}", "-v", *options)
    ran = [line.partition("[")[2].partition("]")[0] for line in result.outlines if "PASSED" in line]
    return ran, result.stdout.str()


def test_a_recording_of_chosen_nodes_tests_the_same_again(
    pytester: pytest.Pytester, make_cluster: MakeCluster
) -> None:
    """Also one without any sign of a GPU, and not the others."""
    cluster = make_cluster("gpu-1", "gpu-2", plain=["cpu-1"])
    kept = pytester.path / "kept"
    chosen = ("--gpu-nodes=gpu-2,cpu-1", f"--gpu-record={kept}")
    assert run_on(pytester, cluster, *chosen)[0] == ["cpu-1", "gpu-2"]
    assert manifest(kept)["selected"] == ["cpu-1", "gpu-2"]
    again, output = run_on(pytester, kept)
    assert again == ["cpu-1", "gpu-2"]
    assert "gpu: 2 nodes: cpu-1, gpu-2 (from recording.yaml)" in output
    record(kept, pytester.path / "copy")
    assert manifest(pytester.path / "copy")["selected"] == ["cpu-1", "gpu-2"]


def test_without_a_choice_the_signs_of_a_gpu_decide(
    pytester: pytest.Pytester, make_cluster: MakeCluster
) -> None:
    """As in every recording so far."""
    kept = pytester.path / "kept"
    run_on(pytester, make_cluster("gpu-1"), f"--gpu-record={kept}")
    assert "selected" not in manifest(kept)


def test_the_command_line_comes_first(pytester: pytest.Pytester, make_cluster: MakeCluster) -> None:
    """--gpu-nodes=all asks for every node with a GPU."""
    cluster = make_cluster("gpu-1", "gpu-2")
    say(cluster, "selected: [gpu-1]")
    assert run_on(pytester, cluster)[0] == ["gpu-1"]
    assert run_on(pytester, cluster, "--gpu-nodes=all")[0] == ["gpu-1", "gpu-2"]


def test_an_overlay_has_the_choice_of_its_base(make_cluster: MakeCluster) -> None:
    """Under the new names, without what it removes; or its own."""
    base = make_cluster("a", "b", "c", "d")
    say(base, "selected: [a, b, c]")
    top = base.parent / "top"
    top.mkdir()
    base.rename(top / "base")
    lines = "format: 1\nbase: base\n"
    expected = {
        "": ("a", "b", "c"),
        "nodes: {new: a}\nabsent: [nodes/b]\n": ("new", "c"),
        "absent: [kubernetes/nodes/c]\n": ("a", "b"),
        "selected: [d]\n": ("d",),
    }
    for more, names in expected.items():
        (top / "recording.yaml").write_text(lines + more)
        with open_recording(top, "top") as cluster:
            assert cluster.selected == names


@pytest.mark.parametrize("wrong", ["[]", "gpu-1", "[1]", "[../x]"])
def test_a_choice_that_names_no_nodes_is_refused(make_cluster: MakeCluster, wrong: str) -> None:
    """At opening."""
    cluster = make_cluster("gpu-1")
    say(cluster, f"selected: {wrong}")
    with pytest.raises(RecordingError, match=r"recording\.yaml: selected"):
        open_recording(cluster, "x")


def test_an_unknown_node_is_refused(pytester: pytest.Pytester, make_cluster: MakeCluster) -> None:
    """In one line, with what there is."""
    cluster = make_cluster("gpu-1")
    say(cluster, f"selected: {json.dumps(['gpu-7'])}")
    line = refused(run_here(pytester, f"--gpu-cluster=path:{cluster}", *QUIET))
    assert line.endswith("recording.yaml: selected: no node called gpu-7; nodes: gpu-1")
