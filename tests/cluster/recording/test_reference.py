"""The reference of the format says what is read: its examples are read here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.errors import NotInEvidence

REFERENCE = Path(__file__).parents[3] / "docs/reference/recordings.md"


def block(heading: str) -> str:
    """Return the first block of code behind a text of the reference."""
    text = REFERENCE.read_text(encoding="utf-8")
    match = re.search(r"^```\w+\n(.*?)^```$", text[text.index(heading) :], re.M | re.S)
    assert match, heading
    return match[1]


def write(root: Path, files: dict[str, str]) -> Path:
    """Write files and return their folder."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def test_worked_example_differs_from_its_base_in_two_files(tmp_path: Path) -> None:
    """What it says, and nothing else."""
    names = {
        "recording.yaml": "\n`recording.yaml`:",
        "kubernetes/runtimeclasses.yaml": "\n`kubernetes/runtimeclasses.yaml`, as",
        "nodes/gpu-1/files/etc/containerd/config.toml": "`nodes/gpu-1/files/etc/containerd",
    }
    files = {name: block(heading) for name, heading in names.items()}
    with open_recording(write(tmp_path, files), "example") as cluster:
        (runtime_class,) = cluster.objects("runtimeclasses")
        assert runtime_class["handler"] == "nvidia-legacy"
        config = cluster.node("gpu-1").read("/etc/containerd/config.toml")
        assert config == files["nodes/gpu-1/files/etc/containerd/config.toml"].encode()
        assert cluster.node("gpu-1").commands


def test_example_of_every_file_is_read(tmp_path: Path) -> None:
    """A person copies them."""
    outcomes = ("outcomes/sandbox.yaml", "outcomes/pod.yaml")
    names = ("listing.yaml", "commands.yaml", "elf.yaml", "nvml.json", *outcomes)
    files = {f"nodes/n/{name}": block(f"### `nodes/NAME/{name}`") for name in names}
    head = "format: 1\ntaken: 2026-11-21T10:00:00Z\n"
    with open_recording(write(tmp_path, {"recording.yaml": head, **files}), "x") as cluster:
        node = cluster.node("n")
        assert node.names("/dev") == ("nvidia0",)
        assert [each.exit for each in node.commands] == [0, 1]
        assert node.elf("/usr/local/nvidia/toolkit/nvidia-container-cli.real")
        assert node.nvml
        assert [run["role"] for run in node.outcome("sandbox")["runs"]] == ["control", "gpu"]
        assert set(node.outcome("pod")) == {"pod", "events", "containers"}
        with pytest.raises(NotInEvidence):
            node.read("/etc/containerd/config.toml")
