"""A made-up node whose GPUs are CDI devices: healthy by default and easy to break."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_gpu.stack.containerd.merge import CDI_DIRS
from pytest_gpu.stack.kubelet.containerd_runtime import Containerd
from tests.stack.kube.kube_machine import Machine, Object, daemonset, plugin_pod, pod
from tests.support.fake_evidence import FakeNode

LIB = "/usr/lib/x86_64-linux-gnu"
VERSION = "560.35.03"
FIRST, SECOND = (f"GPU-0000000{n}-1111-2222-3333-444444444444" for n in (1, 2))
PLUGIN_KIND = "k8s.device-plugin.nvidia.com/gpu"
PLUGIN_SPEC = "/var/run/cdi/k8s.device-plugin.nvidia.com-gpu.json"
TOOLKIT_SPEC = "/var/run/cdi/nvidia.yaml"
HOOK = "/usr/bin/nvidia-cdi-hook"
OWN = "/etc/nvidia-container-runtime/config.toml"
CDI_MODE = '[nvidia-container-runtime]\nmode = "cdi"\n'


def device(name: str, gpu: int = 0, **node: Any) -> Object:
    """Return a device of a spec that brings one GPU's node."""
    edits = {"deviceNodes": [{"path": f"/dev/nvidia{gpu}", **node}]}
    return {"name": name, "containerEdits": edits}


def spec(*devices: Object, kind: str = PLUGIN_KIND, **changes: Any) -> Object:
    """Return a spec; by default that of a device plugin for two GPUs."""
    edits = {
        "env": ["NVIDIA_VISIBLE_DEVICES=void"],
        "deviceNodes": [{"path": "/dev/nvidiactl"}],
        "mounts": [
            {"hostPath": f"{LIB}/libcuda.so.{VERSION}", "containerPath": "/usr/lib/libcuda.so.1"}
        ],
        "hooks": [{"hookName": "createContainer", "path": HOOK, "args": ["x", "update-ldcache"]}],
    }
    found = list(devices or (device(FIRST), device(SECOND, 1)))
    return {
        "cdiVersion": "0.5.0",
        "kind": kind,
        "devices": found,
        "containerEdits": edits,
        **changes,
    }


def toolkit_spec(*more: Object, kind: str = "nvidia.com/gpu") -> Object:
    """Return the spec that nvidia-ctk makes: by index, by UUID, and all."""
    every = [device("0"), device("1", 1), device(FIRST), device(SECOND, 1), device("all")]
    return spec(*every, *more, kind=kind)


def uuids(**first: Any) -> Object:
    """Return NVML's answers of the two GPUs."""
    gpus = [
        {"index": at, "name": "A10", "uuid": uuid, "mig_devices": [], "mig": {"current": 0}}
        for at, uuid in enumerate((FIRST, SECOND))
    ]
    gpus[0].update(first)
    return {"library": f"{LIB}/libnvidia-ml.so.1", "init": {"error": None}, "devices": gpus}


def by(strategy: str, **env: str) -> list[Object]:
    """Return the plugin's DaemonSet with a strategy of naming devices."""
    made = daemonset()
    told = {"DEVICE_LIST_STRATEGY": strategy, **env}
    container = made["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": name, "value": value} for name, value in told.items()]
    return [made]


@dataclass
class CdiMachine(Machine):
    """The plugin names CDI devices to containerd's CRI; ``specs`` are files by their path."""

    cdi_enabled: bool = True
    specs: dict[str, Any] = field(default_factory=lambda: {PLUGIN_SPEC: spec()})
    dirs: tuple[str, ...] = CDI_DIRS
    daemonsets: list[Object] = field(default_factory=lambda: by("cdi-cri"))
    pods: list[Object] = field(default_factory=lambda: [plugin_pod(), pod()])
    nvml: Object | None = field(default_factory=uuids)
    links: dict[str, str] = field(default_factory=dict)
    devices: dict[str, tuple[int, int]] = field(default_factory=dict)
    unlisted: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    version: tuple[int, ...] = (2, 1, 9)

    def _containerd(self) -> Containerd:
        found = super()._containerd()
        config = replace(found.config, cdi_dirs=self.dirs)
        return replace(found, tell_config=lambda: config, tell_version=lambda: self.version)

    def _evidence(self) -> FakeNode:
        nodes = {f"/dev/nvidia{at}": (195, at) for at in (0, 1)}
        nodes |= {"/dev/nvidiactl": (195, 255), **self.devices}
        files = {
            f"{LIB}/libcuda.so.{VERSION}": "",
            HOOK: "",
            "/proc/driver/nvidia/version": f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  "
            f"{VERSION}  Wed\n",
            **self.files,
            **{path: _text(each) for path, each in self.specs.items()},
        }
        directories = (
            "/dev",
            LIB,
            "/usr/bin",
            "/etc",
            "/var/run",
            "/run",
            *CDI_DIRS,
            "/run/cdi",
            "/opt/cdi",
        )
        return FakeNode(
            files={path: text for path, text in files.items() if path not in self.gone},
            links=self.links,
            devices={path: n for path, n in nodes.items() if path not in self.gone},
            complete=[each for each in directories if each not in self.unlisted],
            absent=["/usr/local/nvidia", "/usr/lib/systemd", "/lib/systemd", "/run/nvidia"],
            commands=self.commands,
            nvml=self.nvml,
            outcomes=self.outcomes,
            door=self.door,
        )


def _text(each: str | Mapping[str, Any]) -> str:
    return each if isinstance(each, str) else json.dumps(each)
