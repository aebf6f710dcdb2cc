"""A node whose shell is this machine's own and whose crictl is made up, for tests of sandboxes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_gpu.evidence import CommandResult
from pytest_gpu.stack.sandbox.config_files import END

IMAGE = "docker.io/library/python:3-slim"
DEVICES = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm")
LIBRARIES = ("/usr/lib64/libcuda.so.1", "/usr/lib64/libnvidia-ml.so.1")
TIME = "2026-11-21T10:00:00.000000000Z"
NO_SHIM = (
    "FATA[0000] running container: rpc error: code = Unknown desc = can't find shim for sandbox"
)

Start = Callable[["CrictlNode", dict[str, Any], dict[str, Any]], CommandResult]


def answer(argv: Sequence[str], code: int = 0, stdout: str = "", stderr: str = "") -> CommandResult:
    """Return how a command ended."""
    return CommandResult(argv=tuple(argv), exit=code, stdout=stdout, stderr=stderr)


@dataclass(kw_only=True)
class CrictlNode:
    """A shell on a node; ``starts`` decide, one after the other, how sandboxes fare (else well).

    ``programs`` are the crictls that are there, by command; ``ran`` is every crictl call, without
    its endpoints; ``pods`` are the sandboxes there now, by ID. ``asked`` is called whenever the
    state of a container is asked for.
    """

    programs: Sequence[str] = ("crictl",)
    images: Sequence[str] = (IMAGE,)
    starts: list[Start] = field(default_factory=list)
    pods: dict[str, dict[str, Any]] = field(default_factory=dict)
    ran: list[tuple[str, ...]] = field(default_factory=list)
    configs: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    ends: dict[str, dict[str, Any]] = field(default_factory=dict)
    sticky: bool = False
    asked: Callable[[], None] = lambda: None

    def run(self, argv: Sequence[str], timeout: float = 60.0) -> CommandResult:
        """Run a command; all but crictl is real."""
        for words in (1, 2):
            command = " ".join(argv[:words])
            if command in self.programs or command.endswith("/crictl"):
                if not (command in self.programs or Path(command).exists()):
                    break
                return self._crictl(argv, list(argv[words:]))
        if argv[0] not in ("sh", "rm"):
            return answer(argv, 127, stderr="not found")
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=timeout, check=False, env=os.environ
        )
        return answer(argv, done.returncode, done.stdout, done.stderr)

    def _crictl(self, argv: Sequence[str], rest: list[str]) -> CommandResult:
        if rest == ["--version"]:
            return answer(argv, stdout="crictl version v1.31.1\n")
        assert rest[:5:2] == ["--runtime-endpoint", "--image-endpoint", "--timeout"]
        words = tuple(rest[6:])
        self.ran.append(words)
        return {
            "images": self._images,
            "pods": self._pods,
            "run": self._run,
            "rmp": self._rmp,
            "inspect": self._inspect,
        }[words[0]](argv, words)

    def _images(self, argv: Sequence[str], _: Sequence[str]) -> CommandResult:
        listed = [{"id": f"sha256:{n}", "repoTags": [tag]} for n, tag in enumerate(self.images)]
        return answer(argv, stdout=json.dumps({"images": listed}))

    def _pods(self, argv: Sequence[str], words: Sequence[str]) -> CommandResult:
        key, _, value = words[words.index("--label") + 1].partition("=")
        items = [pod for pod in self.pods.values() if pod["labels"].get(key) == value]
        return answer(argv, stdout=json.dumps({"items": items}))

    def _rmp(self, argv: Sequence[str], words: Sequence[str]) -> CommandResult:
        for pod in words[2:]:
            if not self.sticky:
                self.pods.pop(pod, None)
        return answer(argv, 1 if self.sticky else 0)

    def _inspect(self, argv: Sequence[str], words: Sequence[str]) -> CommandResult:
        self.asked()
        status = self.ends.get(words[-1])
        if status is None:
            text = 'FATA[0000] getting the status of the container "c": rpc error: code = NotFound'
            return answer(argv, 1, stderr=text)
        return answer(argv, stdout=json.dumps({"status": status}))

    def _run(self, argv: Sequence[str], words: Sequence[str]) -> CommandResult:
        container, pod = (json.loads(Path(path).read_text()) for path in words[-2:])
        self.configs.append((pod, container))
        name = f"p{len(self.configs)}"
        self.pods[name] = {
            "id": name,
            "state": "SANDBOX_READY",
            **{key: pod.get(key) or {} for key in ("metadata", "labels", "annotations")},
        }
        start = self.starts.pop(0) if self.starts else fine
        return start(self, pod, container)

    def log(self, pod: dict[str, Any], container: dict[str, Any], *lines: str) -> None:
        """Write a container's log."""
        path = Path(pod["log_directory"]) / container["log_path"]
        path.write_text("".join(f"{TIME} stdout F {line}\n" for line in lines))


def fine(node: CrictlNode, pod: dict[str, Any], container: dict[str, Any]) -> CommandResult:
    """Start well; what asks for GPUs sees them."""
    wishes = {env["key"]: env["value"] for env in container["envs"]}
    asks = wishes["NVIDIA_VISIBLE_DEVICES"] == "all"
    node.log(pod, container, *((*DEVICES, *LIBRARIES) if asks else ()), END)
    return answer((), stdout="c1\n")


def ending_well(*lines: str, later: tuple[str, ...] = ()) -> Start:
    """Return a start after which the container ends well, its log at first lacking ``later``."""

    def start(node: CrictlNode, pod: dict[str, Any], container: dict[str, Any]) -> CommandResult:
        node.log(pod, container, *lines)
        node.ends["c0"] = {"state": "CONTAINER_EXITED", "exitCode": 0, "reason": "Completed"}
        if later:
            node.asked = lambda: node.log(pod, container, *lines, *later)
        return answer((), stdout="c0\n")

    return start


def failing(stderr: str, *, pod_stays: bool = True, state: str = "SANDBOX_READY") -> Start:
    """Return a start that fails; the sandbox is gone or in this state afterwards."""

    def start(node: CrictlNode, *_: object) -> CommandResult:
        last = list(node.pods)[-1]
        if pod_stays:
            node.pods[last]["state"] = state
        else:
            del node.pods[last]
        return answer((), 1, stderr=stderr)

    return start


def ending(code: int, *lines: str, reason: str = "Error") -> Start:
    """Return a start after which the container ends early, with this exit code."""

    def start(node: CrictlNode, pod: dict[str, Any], container: dict[str, Any]) -> CommandResult:
        node.log(pod, container, *lines)
        node.ends["c9"] = {"state": "CONTAINER_EXITED", "exitCode": code, "reason": reason}
        return answer((), stdout="c9\n")

    return start
