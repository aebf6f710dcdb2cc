"""Sandboxes on a live node by crictl, without Kubernetes: a control, then one with the GPU."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any, Literal

from pytest_gpu.cluster.crictl.bench import Bench, SandboxOptions
from pytest_gpu.cluster.crictl.ending import ended
from pytest_gpu.cluster.crictl.leftovers import folder_name, is_stopped, remove_sandboxes, sweep
from pytest_gpu.cluster.crictl.tool import (
    CALL_TIME,
    IMAGE_PARTS,
    LOOK_TIME,
    Crictl,
    CrictlFailed,
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
from pytest_gpu.stack.injection.node_refusals import node_refusal
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
from pytest_gpu.stack.sandbox.sandboxes import OTHER_IMAGE, was_reaped

ATTEMPTS = 5
"""Attempts to start one sandbox: every two seconds the kubelet removes what it does not own."""

TIMED_OUT = 124
"""The exit code of ``timeout``."""

FOLDERS = "/run"

Fate = Literal["decided", "reaped", "unknown"]

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
        what = f"the kubelet uses {kubelet_of(node).runtime}, not containerd"
        raise Unproven(f"{what}; an ordinary pod is tried instead")
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
    except CrictlFailed as error:
        if not error.by_runtime:
            raise
        return _refused(crictl, error)
    finally:
        if crictl.argv[0].endswith(f"/{name}/crictl"):
            remove_folders(shell, [crictl.argv[0].removesuffix("/crictl")])


def _refused(crictl: Crictl, error: CrictlFailed) -> dict[str, Any]:
    """Return the outcome where the runtime does not even list: it refuses every start, too."""
    run = {
        "role": "control",
        "handler": "",
        "command": error.command,
        "exit": error.done.exit or 1,
        "stderr": error.done.stderr,
    }
    return {"crictl": crictl.as_json(), "runs": [run]}


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
        helps = OTHER_IMAGE if is_ours else "pull it there, or name another one in your own file"
        raise Unproven(f"{absent}; {helps}")
    return image


def _outcome(bench: Bench) -> dict[str, Any]:
    made = make_folder(bench.shell, bench.folder)
    if made.exit != 0:
        said = (made.stderr or made.stdout).strip()
        raise Unproven(
            f"{bench.folder} cannot be created: {said}; make room there, and write access"
        )
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
    """Start one sandbox, and again if the kubelet ends it; return its part of the outcome.

    An unknown error counts when it comes twice in a row: the kubelet also ends a container amid its
    start, and runc then reports whatever it was doing.
    """
    fates: list[Fate] = []
    while True:
        done, output = _attempt(bench, role, request)
        fates.append(_fate(bench, done, started=output is not None))
        is_told = fates[-1] == "decided" or fates[-2:] == ["unknown", "unknown"]
        if is_told or len(fates) == ATTEMPTS or time.time() > bench.mark.deadline:
            break
    asked = request or Request()
    return {
        "role": role,
        "handler": asked.handler,
        "cdi_devices": list(asked.cdi_devices),
        "exit": done.exit,
        "stdout": done.stdout,
        "stderr": done.stderr,
        "output": output or "",
        "attempts": len(fates),
        "reaped": _lost(fates),
    }


def _lost(fates: Sequence[Fate]) -> int:
    """Return the number of attempts that say nothing: those that the kubelet ended."""
    undecided = sum(fate != "decided" for fate in fates)
    return undecided - 2 if list(fates[-2:]) == ["unknown", "unknown"] else undecided


def _fate(bench: Bench, done: CommandResult, *, started: bool) -> Fate:
    """Return what an attempt says; the kubelet's part is told by the error text, else by the state.

    A known fault is reported as it is, although the kubelet ends that sandbox, too.
    """
    text = messages(f"{done.stdout}\n{done.stderr}")
    known = node_refusal(text) or meanings(text, Where.SANDBOX) or meanings(text, Where.CONTROL)
    if done.exit == 0 or known:
        return "decided"
    if was_reaped(done.exit, text) or is_stopped(bench.crictl, bench.mark.run, bench.name):
        return "reaped"
    return "decided" if started or done.exit == TIMED_OUT else "unknown"


def _attempt(bench: Bench, role: str, request: Request | None) -> tuple[CommandResult, str | None]:
    """Return how one sandbox and its container ended, and what the container listed.

    Without a container there is no list.
    """
    if bench.wishes.stop.is_set():
        raise Unproven("the run was interrupted; run the suite again")
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
        return _in_words(started), None
    return ended(bench, started, f"{logs}/{LOG}")


def _in_words(done: CommandResult) -> CommandResult:
    if done.exit != TIMED_OUT:
        return done
    stderr = f"{done.stderr}\ncrictl timed out after {2 * CALL_TIME:.0f} s".strip()
    return CommandResult(argv=done.argv, exit=done.exit, stdout=done.stdout, stderr=stderr)
