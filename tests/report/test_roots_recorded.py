"""A latent finding that explains a failure above becomes its cause: whole verdicts.

A CDI spec that nothing on the node seems to use names a device node that is not there; a sandbox
that does get a device from it says so. Same node of a GPU, same cause; another node: none.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.cluster.recording.recorded import open_recording
from tests.samples.sample_copy import SampleCopy
from tests.support import yaml_text
from tests.support.judging import judge

STALE = Path(__file__).parents[1] / "recordings/rt-cdi-spec-stale-device-node"
TOOLKIT = "files/usr/local/nvidia/toolkit/.config/nvidia-container-runtime/config.toml"
SPEC = "/etc/cdi/nvidia.yaml"
REFUSED = (
    "FATA[0002] running container: creating container failed: rpc error: code = Unknown desc = "
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: "
    "failed to inject CDI devices: failed to inject devices: failed to stat CDI host device "
    '"{device}": no such file or directory: unknown\n'
)


def render_node(folder: Path) -> SampleCopy:
    """Return a kubeadm node whose spec at rest names a render node of before the last boot."""
    copy = SampleCopy(STALE, folder)
    copy.edit(copy.node / TOOLKIT, lambda text: text.replace('mode = "cdi"', 'mode = "legacy"'))
    return copy


def fewer_gpus(folder: Path) -> SampleCopy:
    """Return an RKE2 node whose spec at rest names the node of a GPU that was taken out."""
    copy = SampleCopy("healthy-rke2", folder)
    path = copy.node / f"files{SPEC}"
    path.parent.mkdir(parents=True, exist_ok=True)
    device = {"name": "7", "containerEdits": {"deviceNodes": [{"path": "/dev/nvidia7"}]}}
    spec = {"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": [device]}
    path.write_text(yaml_text.dump(spec))

    def listed(listing: dict[str, Any]) -> None:
        listing.setdefault("complete", []).append("/etc/cdi")
        listing["absent"] = [each for each in listing.get("absent", ()) if each != "/etc/cdi"]
        listing["absent"].append("/dev/nvidia7")

    copy.edit_yaml(copy.node / "listing.yaml", listed)
    return copy


RECORDINGS = [(render_node, "/dev/dri/renderD129"), (fewer_gpus, "/dev/nvidia7")]
OTHERS = [(render_node, "/dev/dri/renderD12"), (fewer_gpus, "/dev/nvidia77")]


def refuse(copy: SampleCopy, device: str) -> None:
    """Let the GPU sandbox fail at a device node."""

    def failed(outcomes: dict[str, Any]) -> None:
        for run in outcomes["runs"]:
            if run["role"] == "gpu":
                run.update(exit=1, stderr=REFUSED.format(device=device), output="")

    copy.edit_yaml(copy.node / "outcomes/sandbox.yaml", failed)


def verdict(copy: SampleCopy) -> Mapping[str, Any]:
    """Return the verdict on the only node."""
    with open_recording(copy.folder, "copy") as cluster:
        [node] = judge(cluster)["nodes"]
    assert isinstance(node, dict)
    return node


def causes(findings: list[Mapping[str, Any]]) -> list[str]:
    """Return the causes of findings."""
    return [each["cause"] for each in findings]


@pytest.mark.parametrize(("recorded", "device"), RECORDINGS)
def test_the_node_that_the_sandbox_misses(recorded: Any, device: str, tmp_path: Path) -> None:
    """The spec is the cause, with its file; the layer stays where climbing stopped."""
    copy = recorded(tmp_path)
    refuse(copy, device)
    node = verdict(copy)
    assert (node["layer"], node["cause"]) == ("sandbox", "runtime/cdi-spec-stale")
    first, *others = [(each["source"], each["text"]) for each in node["evidence"]]
    assert first == (SPEC, f"names {device}: not there")
    assert any("failed to stat CDI host device" in text for _, text in others)
    assert causes(node["consequences"]) == ["sandbox/cdi-host-device-missing"]
    assert node["latent"] == []


@pytest.mark.parametrize(("recorded", "device"), OTHERS)
def test_another_node(recorded: Any, device: str, tmp_path: Path) -> None:
    """Near miss: what the sandbox misses is not what the spec names, although it begins so."""
    copy = recorded(tmp_path)
    refuse(copy, device)
    node = verdict(copy)
    assert node["cause"] == "sandbox/cdi-host-device-missing"
    assert causes(node["latent"]) == ["runtime/cdi-spec-stale"]


@pytest.mark.parametrize("recorded", [render_node, fewer_gpus])
def test_nothing_fails(recorded: Any, tmp_path: Path) -> None:
    """Without the failure above it stays latent; without the spec the node is sound."""
    copy = recorded(tmp_path)
    node = verdict(copy)
    assert (node["verdict"], causes(node["latent"])) == ("conforms", ["runtime/cdi-spec-stale"])
    (copy.node / f"files{SPEC}").unlink()
    node = verdict(copy)
    assert (node["verdict"], node["latent"]) == ("conforms", [])
