"""Sandboxes on a live node by crictl, without Kubernetes: a control, then one with the GPU."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any

from pytest_gpu.cluster.crictl.bench import Bench, SandboxOptions
from pytest_gpu.cluster.crictl.ending import ended
from pytest_gpu.cluster.crictl.leftovers import folder_name, is_stopped, remove_sandboxes, sweep
from pytest_gpu.cluster.crictl.tool import (
    CALL_TIME,
    IMAGE_PARTS,
    LOOK_TIME,
    Crictl,
    Shell,
    bring_crictl,
    find_crictl,
    make_folder,
    remove_folders,
)
from pytest_gpu.errors import GpuError, Unproven
from pytest_gpu.evidence import CommandResult
from pytest_gpu.gpu_node import Node
from pytest_gpu.message_file import Where
from pytest_gpu.messages import meanings
from pytest_gpu.stack.distributions.detect import distribution_of
from pytest_gpu.stack.kubelet.kubelet import kubelet_of
from pytest_gpu.stack.sandbox.config_files import (
    LOG,
    Mark,
    Request,
    container_text,
    find_image,
    gpu_request,
    pod_text,
    systemd_cgroups,
    wanted_image,
)
from pytest_gpu.stack.sandbox.logged import messages
from pytest_gpu.stack.sandbox.sandboxes import was_reaped

ATTEMPTS = 5
"""Attempts to start one sandbox: every two seconds the kubelet removes what it does not own."""


FOLDERS = "/run"

_WRITE = 'umask 077; mkdir "$5"; printf %s "$2" >"$1" && printf %s "$4" >"$3"'


def try_sandboxes(node: Node, shell: Shell, wishes: SandboxOptions) -> dict[str, Any]:
    """Try both sandboxes on a node and return the outcome, as a recording holds it.

    Nothing stays on the node; what cannot be removed is listed under ``left``.
    """
    try:
        return _try(node, shell, wishes)
    except (GpuError, OSError) as error:
        return {"skipped": str(error)}


def _try(node: Node, shell: Shell, wishes: SandboxOptions) -> dict[str, Any]:
    if kubelet_of(node).runtime in ("docker", "cri-o"):
        raise Unproven(f"the kubelet uses {kubelet_of(node).runtime}, not containerd")
    until = int(time.time() + wishes.seconds)
    mark = Mark(run=wishes.run, owner=wishes.owner, deadline=until)
    name = folder_name(mark, secrets.token_hex(4))
    crictl = _crictl(node, shell, wishes, name)
    try:
        sweep(crictl)
        image = _image(crictl, wishes)
        folder = f"{FOLDERS}/{name}"
        bench = Bench(
            node=node, crictl=crictl, wishes=wishes, mark=mark, folder=folder, image=image
        )
        return _outcome(bench)
    finally:
        if crictl.argv[0].endswith(f"/{name}/crictl"):
            remove_folders(shell, [crictl.argv[0].removesuffix("/crictl")])


def _crictl(node: Node, shell: Shell, wishes: SandboxOptions, name: str) -> Crictl:
    socket = kubelet_of(node).socket
    found = find_crictl(shell, socket, distribution_of(node), node.evidence.commands)
    if found is not None:
        return found
    if wishes.crictl is None:
        raise Unproven("no crictl on this node; --gpu-crictl=FILE copies one there")
    return bring_crictl(shell, socket, wishes.crictl, name)


def _image(crictl: Crictl, wishes: SandboxOptions) -> str:
    """Return the image for containers: it must be on the node, since none is pulled."""
    wanted = wanted_image(wishes.files, wishes.image)
    image = find_image(crictl.listed("images", IMAGE_PARTS, "images"), wanted)
    if image is None:
        absent = f"the image {wanted} is not on this node, and sandboxes do not pull images"
        is_ours = wanted == wishes.image
        raise Unproven(f"{absent}; --gpu-image=IMAGE names another" if is_ours else absent)
    return image


def _outcome(bench: Bench) -> dict[str, Any]:
    made = make_folder(bench.shell, bench.folder)
    if made.exit != 0:
        raise Unproven(f"{bench.folder} cannot be created: {(made.stderr or made.stdout).strip()}")
    runs: list[dict[str, Any]] = []
    left: Sequence[str] = ()
    try:
        runs.append(_run(bench, "control", None))
        if runs[0]["exit"] == 0 or bench.wishes.files.origin == "shipped":
            runs.append(_run(bench, "gpu", gpu_request(bench.node)))
    except Unproven as error:
        if not runs:
            raise
        runs[0]["stderr"] += f"\n{error}"
    finally:
        left = _clean(bench)
    found = {"crictl": bench.crictl.as_json(), "files": _files(bench), "runs": runs}
    return {**found, "left": list(left)} if left else found


def _clean(bench: Bench) -> Sequence[str]:
    left = remove_sandboxes(bench.crictl, bench.mark.run)
    gone = remove_folders(bench.shell, [bench.folder])
    return left if gone.exit == 0 else [*left, bench.folder]


def _files(bench: Bench) -> dict[str, Any]:
    """Return an outcome's part about the files: an admin's as they are, ours as they were used."""
    files = bench.wishes.files
    pod, container = files.pod_text, files.container_text
    if files.origin == "shipped":
        pod = pod_text(files, "gpu", bench.mark, bench.folder, systemd=systemd_cgroups(bench.node))
        container = container_text(files, bench.image, Request())
    return {
        "origin": files.origin,
        "pod_config": {"source": files.pod_source, "text": pod},
        "container_config": {"source": files.container_source, "text": container},
    }


def _run(bench: Bench, role: str, request: Request | None) -> dict[str, Any]:
    """Start one sandbox, and again if the kubelet ends it; return its part of the outcome."""
    reaped = attempts = 0
    while True:
        attempts += 1
        done, output = _attempt(bench, role, request)
        if not _was_reaped(bench, done):
            break
        reaped += 1
        if attempts == ATTEMPTS or time.time() > bench.mark.deadline:
            break
    asked = request or Request()
    return {
        "role": role,
        "handler": asked.handler,
        "cdi_devices": list(asked.cdi_devices),
        "exit": done.exit,
        "stdout": done.stdout,
        "stderr": done.stderr,
        "output": output,
        "attempts": attempts,
        "reaped": reaped,
    }


def _was_reaped(bench: Bench, done: CommandResult) -> bool:
    """Return whether the kubelet ended a sandbox: by the error text, else by its state.

    A known fault is reported as it is, although the kubelet ends that sandbox, too.
    """
    text = messages(f"{done.stdout}\n{done.stderr}")
    if done.exit == 0 or meanings(text, Where.SANDBOX) or meanings(text, Where.CONTROL):
        return False
    return was_reaped(done.exit, text) or is_stopped(bench.crictl, bench.mark.run, bench.name)


def _attempt(bench: Bench, role: str, request: Request | None) -> tuple[CommandResult, str]:
    """Return how one sandbox and its container ended, and what the container listed."""
    if bench.wishes.stop.is_set():
        raise Unproven("the run was interrupted")
    bench.number += 1
    bench.name = f"pytest-gpu-{bench.mark.run}-{role}-{bench.number}"
    logs = f"{bench.folder}/{bench.number}"
    pod, container = f"{bench.folder}/pod-config.json", f"{bench.folder}/container-config.json"
    files, systemd = bench.wishes.files, systemd_cgroups(bench.node)
    texts = (
        *(pod, pod_text(files, bench.name, bench.mark, logs, systemd=systemd)),
        *(container, container_text(files, bench.image, request)),
    )
    bench.shell.run(("sh", "-c", _WRITE, "sh", *texts, logs), LOOK_TIME)
    runtime = [f"--runtime={request.handler}"] if request and request.handler else []
    started = bench.crictl.run("run", "--no-pull", *runtime, container, pod)
    if started.exit != 0:
        return _in_words(started), ""
    return ended(bench, started, f"{logs}/{LOG}")


def _in_words(done: CommandResult) -> CommandResult:
    if done.exit != 124:
        return done
    stderr = f"{done.stderr}\ncrictl timed out after {2 * CALL_TIME:.0f} s".strip()
    return CommandResult(argv=done.argv, exit=done.exit, stdout=done.stdout, stderr=stderr)
