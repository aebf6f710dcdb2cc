"""Overlays over healthy samples in which some operands do not come up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.cluster.recording.samples import sample_path
from pytest_gpu.stack.kube.objects import name_of, namespace_of
from pytest_gpu.stack.operands.logs import path_of_log
from pytest_gpu.stack.operands.state import containers_in
from tests.stack.operands.made_up_operands import Object
from tests.support import yaml_text
from tests.support.judging import judge

TOOLKIT = "nvidia-container-toolkit-daemonset"
PLUGIN = "nvidia-device-plugin-daemonset"
VALIDATOR = "nvidia-operator-validator"
OTHERS = (PLUGIN, "gpu-feature-discovery", "nvidia-dcgm-exporter")
"""What the names of the operator's pods begin with."""

UNSTARTED: Object = {"state": {"waiting": {"reason": "PodInitializing"}}, "ready": False}
WITHOUT = ["outcomes", "crictl-info", "runtime-handlers"]
"""What a recording with other files of containerd must not keep."""


class Overlay:
    """A recording that changes some pods of a healthy sample, and files of its only node."""

    def __init__(self, sample: str, folder: Path) -> None:
        self.sample, self.folder = sample, folder
        with open_recording(sample_path(sample), sample) as cluster:
            self.taken = cluster.taken
            self.pods = {name_of(each): dict(each) for each in cluster.objects("pods")}
            [self.node] = (name_of(each) for each in cluster.objects("nodes") if _has_gpus(each))
        self.objects: dict[str, list[Object]] = {"pods": []}
        self.absent: list[str] = []

    def ago(self, minutes: int) -> str:
        """Return the time some minutes before the recording was taken."""
        return (self.taken - timedelta(minutes=minutes)).isoformat()

    def pod(self, start: str) -> Object:
        """Return the pod whose name starts so; it is part of the overlay from now on."""
        found = next(pod for name, pod in self.pods.items() if name.startswith(start))
        if found not in self.objects["pods"]:
            self.objects["pods"].append(found)
        return found

    def initializing(self, start: str, stage: str, status: Object, log: str = "") -> None:
        """Let a pod stand at one of its init containers, all others not begun or done."""
        pod = self.pod(start)
        inits = [each["name"] for each in pod["spec"]["initContainers"]]
        done: Object = {"state": {"terminated": {"exitCode": 0}}, "ready": True}
        before = inits[: inits.index(stage)]
        told = [{"name": name, **(done if name in before else UNSTARTED)} for name in inits]
        told[inits.index(stage)] |= status
        main = [{"name": each["name"], **UNSTARTED} for each in pod["spec"]["containers"]]
        pod["status"] |= {
            "phase": "Pending",
            "initContainerStatuses": told,
            "containerStatuses": main,
            "conditions": [{"type": "Ready", "status": "False"}],
        }
        if log:
            self.log(pod, stage, status.get("restartCount", 0), log)

    def log(self, pod: Object, name: str, number: int, text: str) -> None:
        """Add the log of one run of a container."""
        container = next(each for each in containers_in(pod) if each.name == name)
        self.file(path_of_log(pod, container, number), text)

    def file(self, path: str, text: str) -> None:
        """Add a file of the node."""
        where = self.folder / f"nodes/{self.node}/files{path}"
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(text)

    def others_wait(self) -> None:
        """Let all that wait for the toolkit do so."""
        running: Object = {"state": {"running": {"startedAt": self.ago(60)}}, "ready": False}
        for start in OTHERS:
            self.initializing(start, "toolkit-validation", running)
        self.offers_nothing()

    def offers_nothing(self) -> None:
        """Take the GPUs from what the node offers, as without a plugin."""
        with open_recording(sample_path(self.sample), self.sample) as cluster:
            nodes = [dict(each) for each in cluster.objects("nodes")]
        for each in nodes:
            each["status"]["allocatable"].pop("nvidia.com/gpu", None)
        self.objects["nodes"] = nodes
        self.absent.append("outcomes")

    def no_handlers(self) -> None:
        """Take NVIDIA's handlers out of containerd's file."""
        path = "/etc/containerd/config.toml"
        before = (sample_path(self.sample) / f"nodes/{self.node}/files{path}").read_text()
        kept, skip = list[str](), False
        for line in before.splitlines():
            skip = "runtimes.nvidia" in line if line.strip().startswith("[") else skip
            kept += [] if skip else [line]
        self.file(path, "\n".join(kept) + "\n")
        self.absent += WITHOUT

    def event(self, about: Object, reason: str, message: str, minutes: int) -> None:
        """Add a warning about a pod."""
        where = {"name": name_of(about), "namespace": namespace_of(about)}
        said = {"type": "Warning", "reason": reason, "message": message}
        self.objects.setdefault("events", []).append(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {**where, "name": f"{where['name']}.1"},
                **said,
                "lastTimestamp": self.ago(minutes),
                "involvedObject": {"kind": "Pod", **where},
            }
        )

    def verdict(self) -> Mapping[str, Any]:
        """Write the overlay and return the verdict on its GPU node."""
        about = {"format": 1, "suite": "0.1.0", "base": f"sample:{self.sample}"}
        about |= {"absent": sorted({*self.absent})} if self.absent else {}
        (self.folder / "recording.yaml").write_text(yaml_text.dump(about))
        (self.folder / "kubernetes").mkdir(exist_ok=True)
        for resource, items in self.objects.items():
            # JSON is YAML, without aliases for what several pods share.
            text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, default=str)
            (self.folder / f"kubernetes/{resource}.yaml").write_text(text)
        with open_recording(self.folder, "overlay") as cluster:
            [node] = judge(cluster)["nodes"]
        assert isinstance(node, dict)
        assert node["errors"] == []
        return node


def _has_gpus(node: Object | Any) -> bool:
    return "nvidia.com/gpu" in node["status"]["capacity"]
