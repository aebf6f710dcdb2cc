"""Places of a recording whose text is shown, each with every hostile text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_gpu.cluster.recording.samples import sample_path
from tests.hostile.inputs import Input
from tests.hostile.recordings.overlays import KUBEADM, NODES, Content, overlay
from tests.hostile.texts.kinds import TEXTS
from tests.support import yaml_text

SAMPLE = sample_path(KUBEADM)
NODE = SAMPLE / "nodes" / NODES[KUBEADM]
CONTAINERD = "/etc/containerd/config.toml"
RUNTIME = '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.%s]\n'
NVRM = "[ 9.1] NVRM: Xid (PCI:0000:17:00): 79, pid=1, GPU has fallen off the bus. %s\n"
CLI = "/usr/local/nvidia/toolkit/nvidia-container-cli.real"
BEFORE = "absent: [outcomes, crictl-info, runtime-handlers]\n"

Files = Mapping[str, Content]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a text is put, and what is right: the layer that is hurt, and the line before it."""

    files: Callable[[str], Files]
    says: str
    hurt: str = ""
    exit: int = 1
    head: str = ""


def _command(argv: str, text: str) -> Files:
    return {"N/commands.yaml": json.dumps([{"argv": argv.split(), "stdout": text}])}


def _outcome(name: str, change: Callable[[Any], object]) -> Files:
    found = yaml_text.load((NODE / "outcomes" / name).read_text())
    change(found)
    return {f"N/outcomes/{name}": json.dumps(found)}


def _nvml(change: Callable[[Any], object]) -> Files:
    found = json.loads((NODE / "nvml.json").read_bytes())
    change(found)
    return {"N/nvml.json": json.dumps(found)}


def _node(change: Callable[[Any], object]) -> Files:
    items = yaml_text.load((SAMPLE / "kubernetes/nodes.yaml").read_text())["items"]
    (node,) = (each for each in items if each["metadata"]["name"] == NODES[KUBEADM])
    change(node)
    return {"kubernetes/nodes.yaml": json.dumps(node)}


def _not_ready(node: Any, text: str) -> None:
    (ready,) = (each for each in node["status"]["conditions"] if each["type"] == "Ready")
    ready |= {"status": "False", "reason": "KubeletNotReady", "message": text}


def _toml(text: str) -> str:
    """Return a text as a TOML string."""
    return json.dumps(text).replace("\x7f", "\\u007f")


def _sandbox(text: str) -> Files:
    failed = {"exit": 1, "stderr": f"FATA[0000] run pod sandbox: desc = nvidia: {text}"}
    return _outcome("sandbox.yaml", lambda found: found["runs"][1].update(failed))


def _pod_message(text: str) -> Files:
    status = {"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": f"as {text}"}
    return _outcome(
        "pod.yaml", lambda found: (found["pod"].update(status=status), found.pop("containers"))
    )


def _pod_output(text: str) -> Files:
    return _outcome("pod.yaml", lambda found: found["containers"]["gpu"].update(output=text))


PLACES: Mapping[str, Place] = {
    "note": Place(
        files=lambda text: {
            "recording.yaml": json.dumps({"format": 1, "base": f"sample:{KUBEADM}", "note": text})
        },
        says="1 node: conforms",
        exit=0,
    ),
    "unknown-key": Place(
        files=lambda text: {"recording.yaml": json.dumps({"format": 1, text: 1})},
        says="recording.yaml: unknown key",
        exit=4,
    ),
    "kernel-log": Place(
        files=lambda text: _command("dmesg", NVRM % text), says="NVRM: Xid", hurt="hardware"
    ),
    "nvml-message": Place(
        files=lambda text: _nvml(lambda f: f.update(init={"error": 999, "message": text})),
        says="NVML error 999",
        hurt="driver",
    ),
    "nvml-name": Place(
        files=lambda text: _nvml(lambda f: f["devices"][0].update(name=text, memory={"total": 0})),
        says="driver/memory-unreadable",
        hurt="driver",
    ),
    "driver-version": Place(
        files=lambda text: {
            "/proc/driver/nvidia/version": "",
            "/sys/module/nvidia/version": f"5{text}",
        },
        says="a version in /sys/module/nvidia/version on gpu-1 is not in the evidence",
        hurt="driver",
    ),
    "containerd-line": Place(
        files=lambda text: {CONTAINERD: f"version = 2\n[{text}"},
        says=f"{CONTAINERD}:2",
        hurt="runtime",
        head=BEFORE,
    ),
    "containerd-program": Place(
        files=lambda text: {
            CONTAINERD: f"version = 2\n{RUNTIME % 'runc'}runtime_type = 'io.containerd.runc.v2'\n"
            f"{RUNTIME % 'nvidia'}runtime_type = 'io.containerd.runc.v2'\n"
            f"options = {{BinaryName = {_toml('/x' + text)}}}\n"
        },
        says="the handler nvidia starts /x",
        hurt="runtime",
        head=BEFORE,
    ),
    "containerd-import": Place(
        files=lambda text: {CONTAINERD: f"version = 2\nimports = [{_toml('/y/' + text)}]\n"},
        says="file /y/",
        hurt="runtime",
        head=BEFORE,
    ),
    "toolkit-line": Place(
        files=lambda text: {
            "/usr/local/nvidia/toolkit/.config/nvidia-container-runtime/config.toml": f"[{text}"
        },
        says="is not valid TOML",
        hurt="runtime",
    ),
    "elf-error": Place(
        files=lambda text: {
            "N/elf.yaml": json.dumps({CLI: {"machine": "none", "error": f"is damaged: {text}"}})
        },
        says="is damaged",
        hurt="runtime",
    ),
    "sandbox-error": Place(files=_sandbox, says="sandbox/gpu-sandbox-fails", hurt="sandbox"),
    "sandbox-skipped": Place(
        files=lambda text: {"N/outcomes/sandbox.yaml": json.dumps({"skipped": f"why: {text}"})},
        says="1 node: conforms",
        exit=0,
    ),
    "pod-message": Place(
        files=_pod_message, says="UnexpectedAdmissionError", hurt="runtimeclass-pod"
    ),
    "pod-output": Place(files=_pod_output, says="1 node:", hurt="runtimeclass-pod"),
    "not-ready": Place(
        files=lambda text: _node(lambda node: _not_ready(node, f"because {text}")),
        says="because",
        hurt="runtimeclass-pod",
    ),
    "os-image": Place(
        files=lambda text: _node(lambda node: node["status"]["nodeInfo"].update(osImage=text)),
        says="1 node: conforms",
        exit=0,
    ),
    "door": Place(
        files=lambda text: {
            "recording.yaml": json.dumps(
                {"format": 1, "base": f"sample:{KUBEADM}", "absent": [f"nodes/{NODES[KUBEADM]}"]}
            ),
            "N/node.yaml": json.dumps({"door": "none", "reason": f"no door: {text}"}),
        },
        says="no door",
        hurt="hardware",
    ),
}


def _input(name: str, place: Place, kind: str, text: str) -> Input:
    return Input(
        name=f"text-{name}-{kind}",
        family="texts",
        start=overlay(place.files(text), head=place.head),
        exit=place.exit,
        says=place.says,
        hurt=place.hurt,
    )


INPUTS = tuple(
    _input(name, place, kind, text)
    for name, place in PLACES.items()
    for kind, text in TEXTS.items()
)
