"""What crictl sandboxes may leave on a node when a run is killed, and its removal."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_gpu.cluster.crictl.tool import (
    LOOK_TIME,
    PROGRAM_FOLDERS,
    SANDBOX_PARTS,
    Crictl,
    remove_folders,
)
from pytest_gpu.cluster.recording.owner import is_dead
from pytest_gpu.errors import Unproven
from pytest_gpu.stack.sandbox.config_files import DEADLINE, KIND, OWNER, RUN, SANDBOX, Mark

TRIES = 3

KUBELETS = "io.kubernetes.pod.uid"
"""Label of the sandboxes that the kubelet created. Those of the suite's own pods have the pods'
labels, too: crictl must not remove them."""

FOLDERS = ("/run", *PROGRAM_FOLDERS)
"""Where folders of ours may be on a node."""

_FOLDER = re.compile(r"/pytest-gpu\.\w+\.(?P<deadline>\d{1,12})\.\w+_(?P<owner>[\w.]*)$")

_SECONDS = re.compile(r"\d{1,12}", re.ASCII)


def folder_name(mark: Mark, random: str) -> str:
    """Return the name of a run's folder on a node: it says when it may be swept, and by whom."""
    return f"pytest-gpu.{mark.run}.{mark.deadline}.{random}_{mark.owner}"


def remove_sandboxes(crictl: Crictl, run: str) -> Sequence[str]:
    """Remove every sandbox of a run; return a description of what is left.

    It tries more than once: the kubelet may be stopping the same sandbox at that moment.
    """
    label = f"{RUN}={run}"
    try:
        left = [str(pod["id"]) for pod in _listed(crictl, label)]
        for _ in range(TRIES):
            if not left:
                return ()
            crictl.run("rmp", "--force", *left)
            left = [str(pod["id"]) for pod in _listed(crictl, label)]
    except Unproven as error:
        return (f"sandboxes with the label {label}: {error}",)
    return tuple(f"sandbox {name}" for name in left)


def is_stopped(crictl: Crictl, run: str, uid: str) -> bool:
    """Return whether a sandbox exists and does not run any more."""
    pods = _listed(crictl, f"{RUN}={run}")
    states = [pod.get("state") for pod in pods if (pod.get("metadata") or {}).get("uid") == uid]
    return bool(states) and "SANDBOX_READY" not in states


def sweep(crictl: Crictl) -> None:
    """Remove what killed runs left: sandboxes by their label, folders by their name.

    A sandbox that is no longer ready is of no use to anybody: a run in progress tries again.
    """
    old = [pod for pod in _listed(crictl, f"{KIND}={SANDBOX}") if _is_left(pod)]
    if old:
        crictl.run("rmp", "--force", *(str(pod["id"]) for pod in old))
    if folders := [path for path in _folders(crictl) if _is_old(path)]:
        remove_folders(crictl.shell, folders)


def _folders(crictl: Crictl) -> Sequence[str]:
    """Return the folders of all runs; the shell only expands patterns that are our constants."""
    patterns = " ".join(f"{place}/pytest-gpu.*" for place in FOLDERS)
    return crictl.shell.run(("sh", "-c", f"ls -d {patterns}"), LOOK_TIME).stdout.split()


def _is_old(path: str) -> bool:
    name = _FOLDER.search(path)
    return name is not None and (int(name["deadline"]) < time.time() or is_dead(name["owner"]))


def _is_left(pod: Mapping[str, Any]) -> bool:
    notes = pod.get("annotations") or {}
    deadline = str(notes.get(DEADLINE) or "")
    if pod.get("state") != "SANDBOX_READY" or is_dead(str(notes.get(OWNER) or "")):
        return True
    return _SECONDS.fullmatch(deadline) is not None and int(deadline) < time.time()


def _listed(crictl: Crictl, label: str) -> Sequence[Mapping[str, Any]]:
    found = crictl.listed("items", SANDBOX_PARTS, "pods", "--label", label)
    return [pod for pod in found if KUBELETS not in (pod.get("labels") or {})]
