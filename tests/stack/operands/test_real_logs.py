"""What the real programs print when something is wrong, and when nothing is: ``real/README.md``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.stack.operands import trouble
from pytest_gpu.stack.operands.container_log import lines_of
from pytest_gpu.stack.operands.decisive import decisive
from pytest_gpu.stack.operands.operands import operands_of
from pytest_gpu.stack.operands.trouble import kind_of
from pytest_gpu.stack.operands.words import words_of
from tests.stack.operands.made_up_operands import (
    CRASHED,
    Object,
    container,
    log_path,
    node_with,
    pod,
)
from tests.stack.operands.test_driver_container import CRASH, Cluster

FOLDER = Path(__file__).parent / "real"

# Line, the part of it that says why, and what kind of trouble that is.
DECISIVE = {
    "toolkit-panics": (66, "panic: runtime error: invalid memory address", trouble.CRASH),
    "toolkit-broken-config": (5, "(2, 2): unexpected token unclosed", trouble.CONFIGURATION),
    "toolkit-version-is-text": (5, "unsupported type for version field", trouble.CONFIGURATION),
    "toolkit-read-only-config": (
        66,
        "mkdir /etc/containerd/conf.d: read-only file system",
        trouble.PERMISSION,
    ),
    "toolkit-read-only-target": (
        9,
        "unlinkat /usr/local/nvidia/toolkit: read-only file system",
        trouble.PERMISSION,
    ),
    "toolkit-full-target": (10, "nvidia-ctk.real: no space left on device", trouble.RESOURCES),
    "toolkit-unknown-runtime": (3, 'invalid runtime "podman"', trouble.CONFIGURATION),
    "toolkit-unknown-source": (5, 'unsupported config source "files"', trouble.CONFIGURATION),
    "toolkit-bad-boolean": (2, 'variable "CDI_ENABLED"', trouble.CONFIGURATION),
    "toolkit-bad-cdi-kind": (3, "invalid CDI vendor name", trouble.CONFIGURATION),
    "toolkit-program-missing": (9, "nvidia-container-cli: not found", trouble.PATH),
    "toolkit-second-instance": (6, "unable to get flock on pidfile", trouble.UNKNOWN),
    "toolkit-no-socket": (73, "dial unix /run/containerd/containerd.sock", trouble.PATH),
    "toolkit-no-nri-socket": (62, "stat /var/run/nri/nri.sock: no such file", trouble.PATH),
    "toolkit-no-device-nodes": (83, "no NVIDIA device nodes found", trouble.PATH),
    "toolkit-ignores-errors": (
        89,
        "invalid restart mode specified: reload",
        trouble.CONFIGURATION,
    ),
    "runtime-broken-config": (1, "(1, 2): unexpected token", trouble.CONFIGURATION),
    "runtime-unknown-mode": (1, 'invalid mode "cdii"', trouble.CONFIGURATION),
    "runtime-no-runc": (1, "from candidate list: [gone]", trouble.PATH),
    "ctk-no-nvml": (7, "failed to initialize NVML: ERROR_LIBRARY_NOT_FOUND", trouble.NVML),
    "ctk-unknown-runtime": (1, "unrecognized runtime 'podman'", trouble.CONFIGURATION),
    "validator-no-component": (2, "invalid -c <component-name> flag", trouble.CONFIGURATION),
    "validator-no-nvidia-smi": (3, '"nvidia-smi": executable file not found', trouble.PATH),
    "validator-waits-without-nvidia-smi": (5, "command failed, retrying", trouble.UNKNOWN),
    "validator-mismatch": (2, "NVML: Driver/library version mismatch", trouble.NVML),
    "validator-waits-for-nvml": (6, "NVML: Driver/library version mismatch", trouble.NVML),
    "validator-no-modprobe": (6, "No such file or directory", trouble.PATH),
    "validator-no-lsmod": (2, "lsmod: command not found", trouble.PATH),
    "validator-no-api-server": (2, "unable to load in-cluster configuration", trouble.UNKNOWN),
    "containerd-broken-config": (1, "toml: expected ']'", trouble.CONFIGURATION),
    "containerd-unknown-version": (1, "config version equal to or less", trouble.CONFIGURATION),
    "containerd-import-gone": (2, "open /etc/containerd/gone.toml: no such file", trouble.PATH),
}
HEALTHY = (
    "toolkit-healthy",
    "toolkit-healthy-with-warnings",
    "validator-healthy",
    "validator-healthy-driver",
)


def log(name: str) -> str:
    """Return what a program printed."""
    return (FOLDER / f"{name}.log").read_text(encoding="utf-8")


def test_every_log_is_judged_and_explained() -> None:
    """None lies around, and the page says where each comes from."""
    names = {path.stem for path in FOLDER.glob("*.log")}
    assert names == {*DECISIVE, *HEALTHY}
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in names)


@pytest.mark.parametrize("name", DECISIVE)
def test_the_decisive_line_of_a_program_that_ends_with_an_error(name: str) -> None:
    """Its number, the words that say why, on one line, and the kind of trouble."""
    number, text, kind = DECISIVE[name]
    found = decisive(lines_of(log(name)))
    assert found is not None
    assert found.number == number
    assert text in found.text
    assert found.text.isprintable()
    assert kind_of("Error", found.text) == kind


@pytest.mark.parametrize("name", [*HEALTHY, *DECISIVE])
def test_an_operand_that_works_is_not_judged_by_what_it_prints(name: str) -> None:
    """Warnings and an earlier run that failed mean nothing while it is ready; else they do."""
    tool = container("nvcr.io/nvidia/k8s/container-toolkit:v1.20.2")
    for state, says in (({"restartCount": 1}, False), ({**CRASHED, "ready": False}, True)):
        made = pod(tool, statuses={"main": state})
        files = {log_path(made, restarts=number): log(name) for number in (0, 1, 4)}
        node = node_with(made, files=files)
        [operand] = operands_of(node)
        assert bool(words_of(node, operand)) is says


@pytest.mark.parametrize("name", HEALTHY)
def test_nothing_that_a_healthy_program_prints_is_called_a_trouble(name: str) -> None:
    """Where such a log is quoted, because the operand is not ready, no story is told of it."""
    found = decisive(lines_of(log(name)))
    assert found is not None
    assert kind_of("", found.text) == trouble.UNKNOWN


TOOLKIT: Object = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "toolkit-4hx7c",
        "namespace": "gpu-operator",
        "labels": {"app": "nvidia-container-toolkit-daemonset"},
        "ownerReferences": [{"kind": "DaemonSet", "name": "toolkit", "controller": True}],
    },
    "spec": {
        "nodeName": "gpu-1",
        "containers": [{"name": "ctr", "image": "nvcr.io/nvidia/k8s/container-toolkit:v1.20.2"}],
    },
    "status": {
        "phase": "Running",
        "containerStatuses": [{"name": "ctr", "state": CRASH, "restartCount": 3, "ready": False}],
    },
}


def latents(broken: str, name: str, folder: Path) -> list[dict[str, Any]]:
    """Return what is latent if this is added to a file, and the toolkit crashes with this log."""
    cluster = Cluster("healthy-kubeadm", folder)
    cluster.add("pods", TOOLKIT)
    path = cluster.copy.node / "files/etc/containerd/config.toml"
    path.write_text(path.read_text() + broken)
    said = cluster.copy.node / "files/var/log/pods/gpu-operator_toolkit-4hx7c/ctr/3.log"
    said.parent.mkdir(parents=True)
    said.write_text(log(name))
    return list(cluster.verdict()["latent"])


@pytest.mark.parametrize(
    ("broken", "causes"),
    [
        ("\n[plugins.x\n", ["runtime/config-invalid", "runtime/operand-fails"]),
        ("\n[metrics\n", ["runtime/config-invalid", "runtime/operand-fails"]),
        ("", ["runtime/operand-fails"]),
    ],
)
def test_a_toolkit_that_crashes_over_a_file_comes_after_that_file(
    broken: str, causes: list[str], tmp_path: Path
) -> None:
    """It says nothing of it: its advice tells no story, and the invalid file is named first."""
    latent = latents(broken, "toolkit-panics", tmp_path)
    assert [each["cause"] for each in latent] == causes
    assert "panic: runtime error" in str(latent[-1]["evidence"])
    assert "does not say over what" in str(latent[-1]["fix"])


@pytest.mark.parametrize(
    ("broken", "name", "causes"),
    [
        ("\n[plugins.x\n", "toolkit-broken-config", ["runtime/config-invalid"]),
        ("\n[metrics\n", "toolkit-broken-config", ["runtime/config-invalid"]),
        (  # it reads something else, or the file was repaired since
            "",
            "toolkit-broken-config",
            ["runtime/operand-fails"],
        ),
        (
            "\n[metrics\n",
            "toolkit-read-only-config",
            ["runtime/config-invalid", "runtime/toolkit-config-folder-read-only"],
        ),
        (
            "\n[metrics\n",
            "toolkit-version-is-text",
            ["runtime/config-invalid", "runtime/operand-fails"],
        ),
    ],
)
def test_an_invalid_file_explains_a_toolkit_that_refuses_it(
    broken: str, name: str, causes: list[str], tmp_path: Path
) -> None:
    """Its line stands with the file's own; one that says something else is not explained."""
    latent = latents(broken, name, tmp_path)
    assert [each["cause"] for each in latent] == causes
    said = str(latent[0]["evidence"])
    assert ("unexpected token unclosed table key" in said) is (name == "toolkit-broken-config")
