"""What is wrong in a recording is refused once, when it is opened: one line, exit code 4."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import MakeCluster
from tests.support.hostile_text import harmful
from tests.support.runs import QUIET, refused, run_here

BAD_FILES = {
    "node.yaml": {
        "like: gpu-1": "gpu-1/node.yaml: like: is circular",
        "like: gpu-2": "gpu-1/node.yaml: like: is circular",
        "like: nobody": "gpu-1/node.yaml: like: the recording has no node 'nobody'",
        "like: ../../etc": "'../../etc' is not a valid node name",
        "door: 'p\u202eod'": "door is 'p*od', must be one of",
        "- x": "node.yaml: is a list, must be a mapping",
    },
    "commands.yaml": {
        "- {argv: []}": "command 1: argv: is missing",
        "- {argv: ''}": "command 1: argv: is missing",
        "- {argv: ['']}": "command 1: argv: is missing",
        "- {argv: '\"\"'}": "command 1: argv: is missing",
        "- {argv: 'a \"b'}": "command 1: argv: No closing quotation",
        "- {argv: dmesg, stdout: [1]}": "command 1: stdout: is a list, must be text",
    },
    "listing.yaml": {"entries: 1": "listing.yaml"},
    "elf.yaml": {"- 1": "elf.yaml: is a list"},
    "nvml.json": {
        "[]": "nvml.json: is a list, must be a mapping",
        '{"a": [{"b": 1e999}]}': "nvml.json: a[0]: b: must be a number of at most 64 bits",
        '{"a": -Infinity}': "nvml.json: a: must be a number of at most 64 bits",
        '{"a": NaN}': "nvml.json: a: must be a number of at most 64 bits",
        '{"a": 99999999999999999999}': "nvml.json: a: must be a number of at most 64 bits",
    },
    "outcomes/sandbox.yaml": {
        "[]": "sandbox.yaml: is a list, must be a mapping",
        "runs: ok": "sandbox.yaml: runs: is text, must be a list",
        "runs: [ok]": "sandbox.yaml: run 1: is text, must be a mapping",
        "runs: [{role: gpu}]": "run 1: exit: is empty, must be a whole number",
        "runs: [{role: gpu, exit: '0'}]": "run 1: exit: is text, must be a whole number",
        "runs: [{role: gpu, exit: true}]": "run 1: exit: is a boolean, must be a whole number",
        "runs: [{exit: 0}]": "run 1: role: is empty, must be text",
        "runs: [{role: gpu, exit: 0, output: [/dev/nvidia0]}]": "run 1: output: is a list",
        "runs: [{role: gpu, exit: 0, cdi_devices: a}]": "run 1: cdi_devices: is text",
        "crictl: x": "sandbox.yaml: crictl: is text, must be a mapping",
        "crictl: {endpoint: 7}": "crictl: endpoint: is a number, must be text",
        "files: {pod_config: {text: {}}}": "files: pod_config: text: is a mapping, must be text",
        "skipped: [1]": "sandbox.yaml: skipped: is a list, must be text",
    },
    "outcomes/pod.yaml": {
        "pod: []": "pod.yaml: pod: is a list, must be a mapping",
        "events: {}": "pod.yaml: events: is a mapping, must be a list",
        "events: [1]": "pod.yaml: event 1: is a number, must be a mapping",
        "containers: [gpu]": "pod.yaml: containers: is a list, must be a mapping",
        "containers: {gpu: ok}": "containers: gpu: is text, must be a mapping",
        "containers: {gpu: {exit: x}}": "containers: gpu: exit: is text",
        "containers: {gpu: {output: {}}}": "containers: gpu: output: is a mapping, must be text",
    },
}
CASES = [(name, text, says) for name, found in BAD_FILES.items() for text, says in found.items()]


@pytest.fixture
def recording(make_cluster: MakeCluster) -> Path:
    """Return a recording of two nodes; the second is like the first."""
    root = make_cluster("gpu-1", "gpu-2")
    (root / "nodes/gpu-1/files/etc").mkdir(parents=True)
    (root / "nodes/gpu-1/outcomes").mkdir()
    (root / "nodes/gpu-2").mkdir()
    (root / "nodes/gpu-2/node.yaml").write_text("like: gpu-1")
    return root


@pytest.mark.parametrize(("name", "text", "says"), CASES)
def test_a_wrong_file_of_a_node(
    pytester: pytest.Pytester, recording: Path, name: str, text: str, says: str
) -> None:
    """It is named once, not by every test of the node."""
    (recording / "nodes/gpu-1" / name).write_text(text, encoding="utf-8")
    line = refused(run_here(pytester, f"--gpu-cluster=path:{recording}", *QUIET))
    pytest.LineMatcher([line]).fnmatch_lines([f"*{says.replace('[', '[[]')}*"])
    assert not [*harmful(line)]


@pytest.mark.parametrize("link", ["files/etc/passwd", "files/etc", "files", "commands.yaml"])
def test_a_symbolic_link(pytester: pytest.Pytester, recording: Path, link: str) -> None:
    """It might lead to files of the reader's machine."""
    place = recording / "nodes/gpu-1" / link
    if place.is_dir():
        os.renames(place, recording / "elsewhere")
        place.parent.mkdir(exist_ok=True)
    place.symlink_to("/etc/hostname")
    line = refused(run_here(pytester, f"--gpu-cluster=path:{recording}", *QUIET))
    assert f"nodes/gpu-1/{link}: is a symbolic link" in line


@pytest.mark.parametrize("name", ["-rf", "a b", "\x1b[2J", "\u202egpu", ".."[:1] + "x", "a" * 254])
def test_the_name_of_a_nodes_folder(pytester: pytest.Pytester, recording: Path, name: str) -> None:
    """No node of Kubernetes can have it; nothing says which node was meant."""
    (recording / "nodes" / name).mkdir()
    line = refused(run_here(pytester, f"--gpu-cluster=path:{recording}", *QUIET))
    assert "is not a valid node name" in line
    assert not [*harmful(line)]
