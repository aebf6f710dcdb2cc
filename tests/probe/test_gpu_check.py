"""What the suite's pod runs: devices, libraries, and a real computation, on old Pythons too."""

from __future__ import annotations

import array
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.cluster.gpu_pods import program
from pytest_gpu.probe import cuda, gpu_check
from pytest_gpu.stack.pods.pod_object import LOADER
from tests.probe.probing import OLDEST, python

MOCK = Path(__file__).parents[1] / "lab/native/cuda.c"
Check = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def libcuda(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the mock of CUDA's driver library; return the folder it lies in."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler for the mock of libcuda.so.1")
    folder = tmp_path_factory.mktemp("cuda")
    flags = ["-O1", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", "libcuda.so.1"]
    subprocess.run([compiler, *flags, str(MOCK)], check=True, cwd=folder)
    return folder


@pytest.fixture(params=["current", OLDEST])
def check(request: pytest.FixtureRequest, tmp_path: Path, libcuda: Path) -> Check:
    """Return what runs the check against a mock with these settings; ``None``: without library."""
    interpreter = python(request.param)

    def run(*options: str, settings: str | None = "cuda_gpus=1", **env: str) -> dict[str, Any]:
        folder = tmp_path / "usr/lib"
        firmware = folder / "firmware/nvidia/550.90.07/gsp_lab.bin"
        firmware.parent.mkdir(parents=True, exist_ok=True)
        if settings is not None:
            shutil.copy(libcuda / "libcuda.so.1", folder)
            firmware.write_text(settings)
        argv = [interpreter, "-B", "-c", LOADER, program(), *options]
        done = subprocess.run(
            argv,
            env={"LD_LIBRARY_PATH": str(folder), **env},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return run


def test_the_right_result_is_ok(check: Check, tmp_path: Path) -> None:
    """Every GPU that is seen computes."""
    found = check("--compute", settings="cuda_gpus=2", NVIDIA_VISIBLE_DEVICES="void")
    assert found["cuda"] == {"init": 0, "count": 2, "compute": "ok", "driver": 12040}
    assert found["visible"] == "void"
    assert str(tmp_path / "usr/lib/libcuda.so.1") in found["libraries"]


@pytest.mark.parametrize(
    ("settings", "init", "said"),
    [
        ("cuda_init=100", 100, "cuInit: CUDA_ERROR_NO_DEVICE (100)"),
        ("cuda_init=999", 999, "cuInit: CUDA_ERROR_UNKNOWN (999)"),
        ("cuda_gpus=1\ncuda_jit=221", 0, "cuModuleLoadData: CUDA_ERROR_UNKNOWN (221)"),
        (
            "cuda_gpus=1\ncuda_wrong=77",
            0,
            "device 0: 1 of 262144 results are wrong, the first at 77",
        ),
    ],
)
def test_every_fault_is_told(check: Check, settings: str, init: int, said: str) -> None:
    """In the words of CUDA, with its code."""
    found = check("--compute", settings=settings)["cuda"]
    assert found["init"] == init
    assert said in found["compute"]


def test_a_call_that_hangs_is_abandoned(check: Check) -> None:
    """The report says which one, and comes in time."""
    found = check("--compute", "--deadline=1", settings="cuda_hang=1")["cuda"]
    assert found["hung"] == "cuInit"
    assert found["init"] is None
    assert found["compute"] == "cuInit did not return within 1 s"


def test_a_call_that_crashes_is_told(check: Check) -> None:
    """A driver library may take its process along."""
    found = check("--compute", settings="cuda_gpus=1\ncuda_crash=1")["cuda"]
    assert found["died"] == "cuLaunchKernel"
    assert (found["init"], found["count"]) == (0, 1)


def test_a_missing_library_is_no_crash(check: Check) -> None:
    """Neither of the check nor of what it tells."""
    found = check("--compute", settings=None)["cuda"]
    assert (found["init"], found["count"]) == (None, 0)
    assert "libcuda.so.1" in found["compute"]


def test_a_library_of_another_make_is_told(check: Check, tmp_path: Path) -> None:
    """One that loads and is not CUDA."""
    folder = tmp_path / "usr/lib"
    folder.mkdir(parents=True)
    shutil.copy(next(Path("/usr/lib").glob("*-linux-gnu/libm.so.6")), folder / "libcuda.so.1")
    assert "lacks a function" in check("--compute", settings=None)["cuda"]["compute"]


def test_without_a_word_nothing_is_computed(check: Check) -> None:
    """A container that asked for no GPU uses none, even if it sees one."""
    assert check()["cuda"] is None


def test_the_report_goes_where_kubernetes_reads_it(check: Check, tmp_path: Path) -> None:
    """Into the container's termination message, so that no log must be read."""
    message = tmp_path / "termination-log"
    found = check("--compute", f"--message={message}")
    assert json.loads(message.read_text()) == found
    assert message.stat().st_size < 4096, "Kubernetes cuts a longer one off"


def test_what_is_expected_is_what_the_kernel_says() -> None:
    """The closed form against the kernel's own steps, one by one."""
    wanted = cuda.expected()
    for index in (0, 1, 65535, 65536, cuda.COUNT - 1):
        value = index
        for _ in range(cuda.ROUNDS):
            value = (value * cuda.MULTIPLIER + cuda.ADDEND) % 2**32
        assert wanted[index] == (value + 3 * (index % 65536) + 1) % 2**32


def test_the_kernel_is_for_every_driver() -> None:
    """PTX of this version and target is compiled by R470 and everything since."""
    assert b".version 6.0\n.target sm_50\n" in cuda.PTX
    assert cuda.PTX.endswith(b"\0"), "cuModuleLoadData takes text that ends with a zero byte"
    assert cuda.PTX.count(b".param .u") == 5
    assert array.array("I").itemsize == 4


def test_libraries_are_found_where_they_are_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever a runtime puts them, also where no loader looks."""
    for name in ("libcuda.so.1", "libcuda.so.550.54", "libm.so.6"):
        (tmp_path / name).touch()
    monkeypatch.setattr(gpu_check, "FOLDERS", ())
    monkeypatch.setattr(gpu_check, "_mount_points", lambda: [f"{tmp_path}/libcuda.so.550.54"])
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    names = [os.path.relpath(path, tmp_path) for path in gpu_check.libraries()]
    assert names == ["libcuda.so.1", "libcuda.so.550.54"]
