"""Sandboxes on a live node by crictl, without Kubernetes: a control, then one with the GPU."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

from pytest_gpu.cluster.crictl.leftovers import folder_name, is_stopped, remove_sandboxes, sweep
from pytest_gpu.cluster.crictl.tool import (
    CALL_TIME,
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
from pytest_gpu.stack.distributions.detect import distribution_of
from pytest_gpu.stack.injection.start_errors import gpu_error, is_cgroup_error, is_network_error
from pytest_gpu.stack.kubelet.kubelet import kubelet_of
from pytest_gpu.stack.sandbox.config_files import (
    END,
    LOG,
    Mark,
    Request,
    container_text,
    find_image,
    gpu_request,
    listing_of,
    pod_text,
    systemd_cgroups,
    wanted_image,
)
from pytest_gpu.stack.sandbox.sandboxes import SandboxFiles, was_reaped

ATTEMPTS = 5
"""Attempts to start one sandbox: every two seconds the kubelet removes what it does not own."""

END_TIME = 30.0
"""Seconds within which a listing must have ended; it takes a few hundredths of a second."""

LOG_TIME = 5.0
"""Seconds within which the log of a container that succeeded must be complete."""

FOLDERS = "/run"

_WRITE = 'umask 077; mkdir "$5"; printf %s "$2" >"$1" && printf %s "$4" >"$3"'
# Waits up to a second for the listing's end: fewer calls, and none that takes long.
_AWAIT = """\
n=0
until grep -q "$2" "$1" 2>/dev/null || [ $n -ge 20 ]; do
  n=$((n+1))
  sleep 0.05 || sleep 1
done
cat "$1"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the user asked for about sandboxes.

    ``image`` is the suite's image; ``crictl`` a program to copy to a node that has none; ``owner``
    and ``run`` mark what is created, which may be swept ``seconds`` later. Nothing more is
    started once ``stop`` is set.
    """

    files: SandboxFiles
    image: str
    run: str
    owner: str
    crictl: Path | None = None
    seconds: float = 300.0
    stop: Event = field(default_factory=Event)


@dataclass(kw_only=True)
class Bench:
    """What one node's sandboxes need; ``number`` and ``name`` are those of the latest one."""

    node: Node
    crictl: Crictl
    wishes: Wishes
    mark: Mark
    folder: str
    image: str
    number: int = 0
    name: str = ""

    @property
    def shell(self) -> Shell:
        """The node."""
        return self.crictl.shell


def try_sandboxes(node: Node, shell: Shell, wishes: Wishes) -> dict[str, Any]:
    """Try both sandboxes on a node and return the outcome, as a recording holds it.

    Nothing stays on the node; what cannot be removed is listed under ``left``.
    """
    try:
        return _try(node, shell, wishes)
    except (GpuError, OSError) as error:
        return {"skipped": str(error)}


def _try(node: Node, shell: Shell, wishes: Wishes) -> dict[str, Any]:
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


def _crictl(node: Node, shell: Shell, wishes: Wishes, name: str) -> Crictl:
    socket = kubelet_of(node).socket
    found = find_crictl(shell, socket, distribution_of(node), node.evidence.commands)
    if found is not None:
        return found
    if wishes.crictl is None:
        raise Unproven("no crictl on this node; --gpu-crictl=FILE copies one there")
    return bring_crictl(shell, socket, wishes.crictl, name)


def _image(crictl: Crictl, wishes: Wishes) -> str:
    """Return the image for containers: it must be on the node, since none is pulled."""
    wanted = wanted_image(wishes.files, wishes.image)
    image = find_image(crictl.ask("images"), wanted)
    if image is None:
        raise Unproven(f"the image {wanted} is not on this node, and sandboxes do not pull images")
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
    text = f"{done.stdout}\n{done.stderr}"
    if done.exit == 0 or gpu_error(text) or is_network_error(text) or is_cgroup_error(text):
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
    return _ended(bench, started, f"{logs}/{LOG}")


def _in_words(done: CommandResult) -> CommandResult:
    if done.exit != 124:
        return done
    stderr = f"{done.stderr}\ncrictl timed out after {2 * CALL_TIME:.0f} s".strip()
    return CommandResult(argv=done.argv, exit=done.exit, stdout=done.stdout, stderr=stderr)


def _ended(bench: Bench, started: CommandResult, log: str) -> tuple[CommandResult, str]:
    """Wait for a started container's end, and return how it was and what it listed."""
    deadline = time.monotonic() + END_TIME
    container = started.stdout.split()[-1] if started.stdout.split() else ""
    end: CommandResult | None = None
    while True:
        text = bench.shell.run(("sh", "-c", _AWAIT, "sh", log, END), LOOK_TIME).stdout
        output, whole = listing_of(text)
        if whole:
            return CommandResult(argv=started.argv, exit=0), output
        # The end was seen before this reading of the log: nothing more will be added to it.
        if end is not None and end.exit != 0:
            return end, output
        if time.monotonic() > deadline:
            return _late(started, end), output
        if end is None and (end := _state(bench.crictl, container)) is not None:
            deadline = min(deadline, time.monotonic() + LOG_TIME)


def _late(started: CommandResult, end: CommandResult | None) -> CommandResult:
    """Return the result for a listing without its end, which proves nothing about a GPU."""
    text = f"the container timed out: it did not end within {END_TIME:.0f} s"
    if end is not None:
        text = "the container's log timed out: it succeeded, but the end of its listing is missing"
    return CommandResult(argv=started.argv, exit=124, stderr=text)


def _state(crictl: Crictl, container: str) -> CommandResult | None:
    """Return how a container ended, ``None`` if it is not over yet."""
    done = crictl.run("inspect", "--output", "json", container)
    if done.exit != 0:
        return done
    try:
        status: Mapping[str, Any] = json.loads(done.stdout)["status"]
    except (ValueError, KeyError, TypeError):
        return CommandResult(argv=done.argv, exit=1, stderr="crictl inspect printed no status")
    if status.get("state") != "CONTAINER_EXITED":
        return None
    code = int(status.get("exitCode") or 0)
    said = ": ".join(str(status[key]) for key in ("reason", "message") if status.get(key))
    text = f"the container ended with exit code {code} {said}".rstrip()
    return CommandResult(argv=done.argv, exit=code, stderr=text if code else "")
