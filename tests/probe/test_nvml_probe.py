"""NVML is asked in a child, against the node's own library, and may hang or be missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.stack.gpu import nvml
from tests.probe.probing import OLDEST, Probe, python
from tests.support.fake_evidence import FakeNode

SOURCE = Path(__file__).parent / "mock_nvml.c"
FOLDER = "/usr/lib/x86_64-linux-gnu"
SONAME = f"{FOLDER}/libnvidia-ml.so.1"
FILE = f"{FOLDER}/libnvidia-ml.so.535.161.08"

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")


def library(root: Path, *defines: str) -> Path:
    """Compile the mock into a node's root, as a package lays it out; return the root."""
    file = root / FILE[1:]
    file.parent.mkdir(parents=True, exist_ok=True)
    flags = [f"-D{define}" for define in defines]
    command = ["cc", "-shared", "-fPIC", "-o", str(file), *flags, str(SOURCE)]
    subprocess.run([*command, "-Wl,-soname,libnvidia-ml.so.1"], check=True)
    (root / SONAME[1:]).symlink_to(file.name)
    return root


def asked(root: Path, folder: Path, timeout: float = 10, version: str = "current") -> Any:
    """Return what NVML answers below a root."""
    probe = Probe(folder=folder, python=python(version), options=["--root", str(root)])
    return probe.one(nvml={"timeout": timeout, "libraries": ["/usr/lib64/x.so", SONAME]})["nvml"]


@needs_compiler
@pytest.mark.parametrize("version", ["current", OLDEST])
def test_everything_is_asked(tmp_path: Path, version: str) -> None:
    """Two GPUs, one of which supports nothing beyond its name."""
    found = asked(library(tmp_path / "host"), tmp_path, version=version)
    unsupported = {"error": 3, "message": "Not Supported"}
    assert found == {
        "library": FILE,
        "init": {"error": None, "message": ""},
        "hung": False,
        "driver_version": "535.161.08",
        "cuda_driver_version": "12.2",
        "devices": [
            {
                "index": 0,
                "uuid": "GPU-0",
                "name": "NVIDIA Mock 0",
                "bdf": "00000000:17:00.0",
                "minor": 0,
                "memory": {"total": 42949672960},
                "ecc_uncorrected": 7,
                "remapped_rows": {
                    "correctable": 1,
                    "uncorrectable": 2,
                    "pending": True,
                    "failed": False,
                },
                "mig": {"current": 1, "pending": 1},
                "mig_devices": [{"index": 0, "uuid": "GPU-0", "name": "NVIDIA Mock 0"}],
                "fabric": {"error": 13, "message": "Function Not Found"},
            },
            {
                "index": 1,
                "uuid": "GPU-1",
                "name": "NVIDIA Mock 1",
                "bdf": "00000000:18:00.0",
                "minor": 1,
                "memory": {"total": 42949672960},
                "ecc_uncorrected": unsupported,
                "remapped_rows": unsupported,
                "mig": unsupported,
                "mig_devices": [],
                "fabric": {"error": 13, "message": "Function Not Found"},
            },
        ],
    }


@needs_compiler
@pytest.mark.parametrize(
    ("code", "message"),
    [(9, "Driver Not Loaded"), (18, "Driver/library version mismatch"), (999, "Unknown Error")],
)
def test_init_that_fails(tmp_path: Path, code: int, message: str) -> None:
    """The code is what tells the causes apart."""
    found = asked(library(tmp_path / "host", f"INIT={code}"), tmp_path)
    assert found["init"] == {"error": code, "message": message}
    assert "devices" not in found


@needs_compiler
@pytest.mark.parametrize(("question", "devices"), [("init", None), ("memory", 1)])
def test_nvml_that_hangs_is_left_behind(tmp_path: Path, question: str, devices: int | None) -> None:
    """What was known before is kept, and the facts know that it hangs."""
    root = library(tmp_path / "host", f'HANG="{question}"')
    began = time.monotonic()
    found = asked(root, tmp_path, timeout=1)
    assert time.monotonic() - began < 6
    assert (found["hung"], found["library"]) == (True, FILE)
    assert len(found.get("devices") or ()) == (devices or 0)
    assert nvml.read(FakeNode(nvml=found)).why_not == "it hangs"


def test_no_library(tmp_path: Path) -> None:
    """Code 12, and the facts call it missing; this machine's own library is not taken for it."""
    (tmp_path / "host").mkdir()
    found = asked(tmp_path / "host", tmp_path)
    assert (found["library"], found["init"]["error"]) == (None, 12)
    assert nvml.read(FakeNode(nvml=found)).missing


def test_library_that_is_none(tmp_path: Path) -> None:
    """It is there and cannot be loaded: the loader's own words are kept."""
    file = tmp_path / "host" / SONAME[1:]
    file.parent.mkdir(parents=True)
    file.write_text("no library at all, but a long enough file\n" * 100)
    found = asked(tmp_path / "host", tmp_path)
    assert (found["library"], found["init"]["error"]) == (SONAME, 12)
    assert "invalid ELF header" in found["init"]["message"]


@needs_compiler
def test_library_that_kills_its_process_proves_nothing(tmp_path: Path) -> None:
    """A crash of the child is an answer of the probe, not one of NVML."""
    root = library(tmp_path / "host", "WAIT()=kill(getpid(),11)", 'HANG="init"')
    probe = Probe(folder=tmp_path, options=["--root", str(root)])
    answer = probe.one(nvml={"timeout": 10, "libraries": [SONAME]})
    assert answer["nvml"] is None
    assert "signal 11" in answer["error"]


@needs_compiler
@pytest.mark.skipif(os.getuid() != 0, reason="needs root: chroot(2)")
@pytest.mark.parametrize("driver", ["", "/run/nvidia/driver"])
def test_library_is_loaded_inside_the_root_it_is_made_for(tmp_path: Path, driver: str) -> None:
    """The node's, or that of a driver that runs in a container."""
    library(tmp_path / "host" / driver[1:])
    options = ["--root", str(tmp_path / "host"), "--enter", "root"]
    probe = Probe(folder=tmp_path, options=options)
    answer = probe.one(nvml={"timeout": 10, "libraries": [f"{driver}{SONAME}"]})
    assert answer["nvml"]["library"] == f"{driver}{FILE}"
    assert len(answer["nvml"]["devices"]) == 2


@needs_compiler
@pytest.mark.skipif(os.getuid() != 0, reason="needs root: setns(2) and chroot(2)")
@pytest.mark.parametrize("version", ["current", OLDEST])
def test_node_in_namespaces_of_its_own(tmp_path: Path, version: str) -> None:
    """Files, commands and NVML are the node's, whose root and names only its processes see."""
    root = library(tmp_path / "host" / "gpu").parent
    script = (
        'mount --bind "$0" /mnt && mkdir -p /mnt/marks && hostname the-node && '
        "ln -sfn /mnt/gpu /mnt/link && echo ready && exec sleep 60"
    )
    argv = ["unshare", "--mount", "--uts", "sh", "-c", script, str(root)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as node:
        assert node.stdout is not None
        if node.stdout.readline() != "ready\n":
            pytest.skip("namespaces cannot be made here")
        try:
            answers = _from_outside(node.pid, tmp_path, version)
        finally:
            node.kill()
    hostname, listed, found = answers
    assert hostname["stdout"] == "the-node\n"
    assert sorted(listed["entries"]) == ["gpu", "link", "marks"]
    assert found["nvml"]["library"] == f"/mnt/gpu{FILE}"
    assert len(found["nvml"]["devices"]) == 2


def _from_outside(pid: int, folder: Path, version: str) -> list[dict[str, Any]]:
    options = ["--root", f"/proc/{pid}/root", "--enter", "namespaces", "--pid", str(pid)]
    probe = Probe(folder=folder, python=python(version), options=options)
    listed, hostname, found = probe.ask(
        {
            "list": ["/mnt/"],
            "run": [{"argv": ["uname", "-n"]}],
            "nvml": {"timeout": 10, "libraries": [f"/mnt/gpu{SONAME}"]},
        }
    )
    return [hostname, listed, found]
