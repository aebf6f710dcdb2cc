"""Every healthy sample is broken on every layer, one thing at a time, and that layer turns red."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.samples.sample_copy import SampleCopy
from tests.samples.sample_table import SAMPLES
from tests.samples.test_samples import judge
from tests.support.changes import command

HEALTHY = sorted(name for name in SAMPLES if name.startswith("healthy-"))
Break = Callable[[SampleCopy], None]


def stop_the_kubelet(copy: SampleCopy) -> None:
    """Take the kubelet's process away; containerd goes on, the control plane misses the node."""

    def unknown(objects: dict[str, Any]) -> None:
        for node in objects["items"]:
            for condition in node["status"]["conditions"]:
                condition |= {
                    "status": "Unknown",
                    "message": "Kubelet stopped posting node status.",
                }

    copy.edit_yaml(copy.folder / "kubernetes/nodes.yaml", unknown)
    for cmdline in (copy.node / "files/proc").glob("[0-9]*/cmdline"):
        if "kubelet" in cmdline.read_bytes().decode().split("\0")[0].split("\n")[0]:
            cmdline.write_bytes(b"")


def take_the_gpus_off_the_bus(copy: SampleCopy) -> None:
    """Let every PCI function be another vendor's."""
    for vendor in (copy.node / "files/sys/bus/pci/devices").glob("*/vendor"):
        vendor.write_text("0x8086\n")


def update_the_library_alone(copy: SampleCopy) -> None:
    """Let NVML refuse: the library is newer than the loaded module."""

    def mismatch(nvml: dict[str, Any]) -> None:
        nvml["init"] = {"error": 18, "message": "Driver/library version mismatch"}
        nvml["devices"] = []

    copy.edit_json(copy.node / "nvml.json", mismatch)


def disable_the_cri(copy: SampleCopy) -> None:
    """Put Docker's line into the file that the kubelet's containerd reads, and restart it."""
    files = list((copy.node / "files").rglob("config.toml"))
    roots = [file for file in files if file.parent.name == "containerd"]
    for file in roots:
        # Docker's own containerd may have that line by right.
        if 'disabled_plugins = ["cri"]' not in file.read_text():
            copy.edit(
                file,
                lambda text: (
                    f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n{_without_disabled(text)}'
                ),
            )
    gone = 'validate CRI v1 runtime API: code = Unimplemented desc = unknown service "runtime.v1"'
    command(copy, ".sock info", exit=1, stdout="", stderr=gone)


def _without_disabled(text: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("disabled_plugins"))


def inject_nothing(copy: SampleCopy) -> None:
    """Let the sandbox start, but see no device and no library."""

    def empty(outcome: dict[str, Any]) -> None:
        for run in outcome["runs"]:
            if run["role"] == "gpu":
                run["output"] = ""

    copy.edit_yaml(copy.node / "outcomes/sandbox.yaml", empty)


def advertise_nothing(copy: SampleCopy) -> None:
    """Let the node advertise no GPU."""

    def zero(objects: dict[str, Any]) -> None:
        for node in objects["items"]:
            for key in [k for k in node["status"]["allocatable"] if k.startswith("nvidia.com/")]:
                node["status"]["allocatable"][key] = "0"

    copy.edit_yaml(copy.folder / "kubernetes/nodes.yaml", zero)


def compute_wrong(copy: SampleCopy) -> None:
    """Let the pod's GPU compute something else than it should."""

    def wrong(outcome: dict[str, Any]) -> None:
        output = json.loads(outcome["containers"]["gpu"]["output"])
        output["cuda"]["compute"] = "wrong result at element 17"
        outcome["containers"]["gpu"]["output"] = json.dumps(output)

    copy.edit_yaml(copy.node / "outcomes/pod.yaml", wrong)


BREAKS: dict[str, Break] = {
    "access": stop_the_kubelet,
    "hardware": take_the_gpus_off_the_bus,
    "driver": update_the_library_alone,
    "runtime": disable_the_cri,
    "sandbox": inject_nothing,
    "device-plugin": advertise_nothing,
    "runtimeclass-pod": compute_wrong,
}

CAUSES = {
    "access": {"access/kubelet-stopped"},
    "hardware": {"hardware/gpu-missing"},
    "driver": {"driver/library-module-mismatch"},
    "runtime": {"runtime/cri-disabled"},
    "sandbox": {"sandbox/nothing-injected"},
    "device-plugin": {"device-plugin/unhealthy-devices", "device-plugin/advertises-zero"},
    "runtimeclass-pod": {"runtimeclass-pod/computes-wrongly"},
}


@pytest.mark.parametrize("layer", BREAKS)
@pytest.mark.parametrize("sample", HEALTHY)
def test_broken_layer_turns_red(pytester: pytest.Pytester, sample: str, layer: str) -> None:
    """One thing is broken: that layer fails, those below pass, those above are blocked."""
    copy = SampleCopy(sample, pytester.mkdir("breaking"))
    BREAKS[layer](copy)
    code, document, _ = judge(pytester, copy.spec)
    (node,) = document["nodes"]
    assert (code, node["verdict"], node["layer"]) == (1, "fails", layer)
    assert node["cause"] in CAUSES[layer]
    names = list(BREAKS)
    below, above = names[: names.index(layer)], names[names.index(layer) + 1 :]
    assert [node["layers"][name]["state"] for name in below] == ["passed"] * len(below)
    assert [node["layers"][name]["state"] for name in above] == ["blocked"] * len(above)


@pytest.mark.parametrize("sample", HEALTHY)
def test_flat_copy_of_a_healthy_sample_is_green(pytester: pytest.Pytester, sample: str) -> None:
    """What breaks in the tests above is what they broke, not the copying."""
    copy = SampleCopy(sample, Path(pytester.mkdir("copying")))
    code, document, _ = judge(pytester, copy.spec)
    assert (code, [node["verdict"] for node in document["nodes"]]) == (0, ["conforms"])
