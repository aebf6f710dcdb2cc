"""The files that crictl gets for one sandbox: the shipped or the admin's, adapted to one run.

What an admin wrote is kept, with its faults, because the test is whether it starts. Only four
things change: names become unique, marks are added, logs go to a folder of ours, and the command
becomes our listing, so that the output can be checked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_gpu.errors import Unproven
from pytest_gpu.gpu_node import Node
from pytest_gpu.parsing import json_document
from pytest_gpu.stack.cdi.specs import cdi_of
from pytest_gpu.stack.kubelet.kubelet import kubelet_of
from pytest_gpu.stack.kubelet.runtime import runtime_of
from pytest_gpu.stack.sandbox.sandboxes import SandboxFiles, shipped_files

MANAGED_BY = "app.kubernetes.io/managed-by"
SUITE = "pytest-gpu"
KIND = "pytest-gpu/kind"
SANDBOX = "crictl-sandbox"
RUN = "pytest-gpu/sandbox-run"
"""Not a label of the suite's pods: the kubelet copies those to the sandboxes of these pods."""

DEADLINE = "pytest-gpu/deadline"
OWNER = "pytest-gpu/owner"

LOG = "container.log"
END = "pytest-gpu: this was all"
"""The last line of a listing; a log that has it is complete, whatever the kubelet did later."""

SLICE = "kubepods-besteffort.slice"
CGROUP = "/kubepods/besteffort"

GPU_ENVS = ("NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES")
GPU_MOUNTS = "/var/run/nvidia-container-devices/"
"""Mounts below it select GPUs for a toolkit that does not accept requests in variables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The marks on the sandboxes of one run; ``deadline`` is seconds since the epoch."""

    run: str
    owner: str
    deadline: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """How a sandbox asks for GPUs: a handler (``""``: the default one), or CDI devices."""

    handler: str = ""
    cdi_devices: tuple[str, ...] = ()


def gpu_request(node: Node) -> Request:
    """Return how a sandbox gets GPUs on this node.

    Raises:
        Unproven: no known way can be requested by a sandbox.
    """
    runtime = runtime_of(node)
    if runtime.gpu_handlers:
        return Request(handler=runtime.gpu_handlers[0])
    if runtime.cdi_enabled and (devices := cdi_of(node).gpu_devices):
        every = "nvidia.com/gpu=all"
        return Request(cdi_devices=(every if every in devices else min(devices),))
    raise Unproven(
        f"{runtime.name} has no handler that injects GPUs, and no CDI device is known here"
    )


def systemd_cgroups(node: Node) -> bool:
    """Say whether runc gets its cgroups from systemd: by the runtime's setting, else the kubelet's.

    The kubelet's cgroup driver decides only if the runtime's default handler is not known.
    """
    try:
        handler = runtime_of(node).handler(runtime_of(node).default_runtime)
    except Unproven:
        handler = None
    if handler is not None:
        return handler.systemd_cgroup
    return kubelet_of(node).cgroup_driver == "systemd"


def pod_text(files: SandboxFiles, name: str, mark: Mark, folder: str, *, systemd: bool) -> str:
    """Return the pod config of one sandbox.

    Args:
        files: the shipped files or an admin's.
        name: the sandbox's own name; an admin's name is kept before it, shortened if needed.
        mark: written on the sandbox, so that it can be found if this process is killed.
        folder: the folder for logs.
        systemd: whether runc gets its cgroups from systemd.
    """
    pod = _parsed(files.pod_text)
    if pod is None:
        return files.pod_text  # crictl will say what is wrong with it
    names = pod.get("metadata")
    if isinstance(names, dict) and names.get("name"):
        mine = files.origin == "shipped"
        names.update(name=name if mine else f"{names['name']}-{name}"[:63], uid=name)
    pod["log_directory"] = folder
    pod["labels"] = {**_mapping(pod.get("labels")), MANAGED_BY: SUITE, KIND: SANDBOX, RUN: mark.run}
    notes = {OWNER: mark.owner, DEADLINE: str(mark.deadline)}
    pod["annotations"] = {**_mapping(pod.get("annotations")), **notes}
    if files.origin == "shipped":
        pod["linux"]["cgroup_parent"] = SLICE if systemd else CGROUP
    return json.dumps(pod, indent=2)


def container_text(files: SandboxFiles, image: str, request: Request | None) -> str:
    """Return the container config; without a ``request`` it does not ask for a GPU."""
    container = _parsed(files.container_text)
    if container is None:
        return files.container_text
    listing = json_document(shipped_files().container_text)
    container["command"] = listing["command"]
    container["args"] = [f"{listing['args'][0]}\necho '{END}'"]
    container["image"] = {**_mapping(container.get("image")), "image": image}
    container["log_path"] = LOG
    if request is None:
        _ask_for_none(container)
    elif request.cdi_devices:
        _ask_for_cdi(container, request.cdi_devices)
    return json.dumps(container, indent=2)


def _ask_for_none(container: dict[str, Any]) -> None:
    """Remove everything that asks for GPUs, because the default handler may be NVIDIA's."""
    envs = [each for each in container.get("envs") or () if each.get("key") not in GPU_ENVS]
    container["envs"] = [*envs, {"key": GPU_ENVS[0], "value": "void"}]
    mounts = container.get("mounts") or ()
    container["mounts"] = [
        each for each in mounts if not str(each.get("container_path", "")).startswith(GPU_MOUNTS)
    ]


def _ask_for_cdi(container: dict[str, Any], devices: tuple[str, ...]) -> None:
    """Name CDI devices in the field and in an annotation.

    An old crictl ignores the field. containerd accepts both and injects a device that is named
    twice only once.
    """
    container["CDI_devices"] = [{"name": name} for name in devices]
    notes = {"cdi.k8s.io/pytest-gpu": ",".join(devices)}
    container["annotations"] = {**_mapping(container.get("annotations")), **notes}


def wanted_image(files: SandboxFiles, suite: str) -> str:
    """Return the image of an admin's container config, else the suite's."""
    container = _parsed(files.container_text) if files.origin == "admin" else None
    named = _mapping((container or {}).get("image")).get("image")
    return str(named or suite)


def full_name(image: str) -> str:
    """Return an image's name as containerd stores it: with registry host and a tag or digest.

    Of a name with both only the digest counts.
    """
    first, slash, _ = image.partition("/")
    if not slash:
        image = f"docker.io/library/{image}"
    elif "." not in first and ":" not in first and first != "localhost":
        image = f"docker.io/{image}"
    tagged, at, digest = image.partition("@")
    folder, slash, last = tagged.rpartition("/")
    name, colon, _ = last.partition(":")
    if at:
        return f"{folder}{slash}{name}@{digest}"
    return image if colon else f"{image}:latest"


def find_image(listed: Iterable[Mapping[str, Any]], wanted: str) -> str | None:
    """Return the name of an image in the list of ``crictl images``, ``None`` if it is missing."""
    name = full_name(wanted)
    for image in listed:
        if name in (*(image.get("repoTags") or ()), *(image.get("repoDigests") or ())):
            return name
        if wanted == image.get("id"):
            return wanted
    return None


def listing_of(log: str) -> tuple[str, bool]:
    """Return the sorted lines that a container printed, and whether the listing is complete.

    The log has the CRI's format: ``TIME STREAM TAG TEXT``; tag P marks a part of a line.
    """
    pieces: list[str] = []
    for line in log.splitlines():
        _, _, tagged = line.partition(" std")
        parts = tagged.split(" ", 2)
        if len(parts) == 3:
            pieces += parts[2], "" if parts[1].startswith("P") else "\n"
    listed, end, _ = "".join(pieces).partition(f"{END}\n")
    return "".join(f"{line}\n" for line in sorted(set(listed.splitlines()))), bool(end)


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        found = json_document(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _mapping(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}
