"""The outcome of crictl: the suite's own sandboxes, started without Kubernetes.

A sandbox is tried twice: ``control`` with the default handler, ``gpu`` with the one under test.
A failure of both (network, pause image, cgroups) says nothing about the GPU.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from pytest_gpu.errors import Unproven
from pytest_gpu.evidence import NodeEvidence
from pytest_gpu.stack.injection.node_refusals import node_refusal
from pytest_gpu.stack.operands.decisive import shortened
from pytest_gpu.stack.sandbox.logged import messages

# Every two seconds the kubelet kills sandboxes that it does not own; the resulting errors look like
# faults of the runtime but are not.
_REAPED = re.compile(
    r"can't find shim for sandbox|code = NotFound"
    r"|cannot start a (stopped process|container that has stopped)"
    r"|(exit status|exit code|exited with) 137|try(ing)? to find sandbox|failed to find sandbox"
    r"|sandbox container \S+ is not running|no running task found|ttrpc: closed"
    r"|namespace path: lstat /proc/\d+/ns/"
)
_NO_IMAGE = re.compile(r"[Ff]ailed to pull|pull(ing)? image|failed to resolve (image|reference)")
_ID = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{56}\b")
_SILENT = re.compile(r",? ?\bstd(?:out|err):\s*+(?=,|\Z)")
"""Of a hook that failed: an output that holds nothing."""
_LATE = re.compile(r"DeadlineExceeded|context deadline exceeded|timed out")

OTHER_IMAGE = "--gpu-image=IMAGE names another"
RUN_AGAIN = "run the suite again when the node is less busy"


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxFiles:
    """The two JSON files given to crictl; ``origin`` is shipped or admin.

    Attributes:
        pod_source: where the pod's configuration comes from.
        pod_text: the pod's configuration as JSON text.
        container_source: where the container's configuration comes from.
        container_text: the container's configuration as JSON text.
    """

    origin: str
    pod_source: str
    pod_text: str
    container_source: str
    container_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxRun:
    """One sandbox with one container.

    ``output`` holds the injected paths, ``None`` if it was not kept; ``attempts`` is the number of
    all starts, ``reaped`` the number of those that the kubelet ended.

    Attributes:
        role: control or gpu.
        handler: the handler, empty for the default one.
        cdi_devices: the CDI devices that were asked for.
        exit: the exit code of crictl.
        text: what crictl printed.
        called: the short command line, if it was another one than ``crictl run``.
    """

    role: str
    handler: str
    cdi_devices: tuple[str, ...]
    exit: int
    text: str
    output: tuple[str, ...] | None
    attempts: int
    reaped: int
    called: str = ""

    @property
    def command(self) -> str:
        """The short crictl command line for evidence."""
        if self.called:
            return self.called
        runtime = f" --runtime={self.handler}" if self.handler else ""
        return f"crictl run{runtime}"

    @property
    def error(self) -> str:
        """The decisive line of crictl's output: the last one that reports an error.

        It comes without crictl's own prefix, and with shortened IDs of sandboxes.
        """
        return _ID.sub(r"\1…", self._last.rpartition("desc = ")[2])

    @property
    def why(self) -> str:
        """The same, short enough for a title: without outputs of a hook that hold nothing."""
        return shortened(_SILENT.sub("", self.error))

    @property
    def refusal(self) -> str:
        """The decisive line with all that the runtime says: its start may tell who refused."""
        _, told, words = self._last.partition("desc = ")
        return _ID.sub(r"\1…", words if told else self._last)

    @property
    def _last(self) -> str:
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        loud = [line for line in lines if re.search(r"FATA|rror|failed|desc =", line)]
        return next(reversed(loud or lines), f"exit code {self.exit}, no output")

    @property
    def inconclusive(self) -> str | None:
        """Why a failed run proves nothing, and what to do; ``None`` if the run is valid."""
        if self.exit == 0 or node_refusal(self.text):
            return None
        if _NO_IMAGE.search(self.text):
            return f"an image could not be pulled: {self.error}; {OTHER_IMAGE}"
        if self.reaped >= self.attempts or was_reaped(self.exit, self.text):
            tries = f"in {self.attempts} attempts"
            return f"the kubelet removed the sandbox {tries}: {self.error}; {RUN_AGAIN}"
        if _LATE.search(self.text):
            return f"crictl did not finish in time: {self.error}; {RUN_AGAIN}"
        return None


def was_reaped(code: int, text: str) -> bool:
    """Say whether the exit code and output indicate that the kubelet ended a sandbox."""
    return code == 137 or (code != 0 and bool(_REAPED.search(text)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandboxes:
    """All crictl runs on one node; ``endpoint`` has no ``unix://``.

    Attributes:
        crictl: the path of crictl, as it was called.
        files: the two files that crictl was given.
        runs: the sandboxes by role: control and gpu.
    """

    crictl: str
    endpoint: str
    files: SandboxFiles
    runs: Mapping[str, SandboxRun]

    def run(self, role: str) -> SandboxRun:
        """Return the run with a role.

        Raises:
            Unproven: it was not tried.
        """
        if role not in self.runs:
            raise Unproven(f"no {role} sandbox was tried on this node")
        return self.runs[role]


def read(evidence: NodeEvidence) -> Sandboxes:
    """Return the outcome of the sandboxes.

    Raises:
        Unproven: none was tried; the message says why.
    """
    outcome = evidence.outcome("sandbox")
    if "skipped" in outcome:
        raise Unproven(f"no sandbox was tried: {outcome['skipped']}")
    try:
        return _parsed(outcome)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unproven(f"the recorded outcome of the sandboxes cannot be read: {error!r}") from None


def _parsed(outcome: Mapping[str, Any]) -> Sandboxes:
    crictl = outcome.get("crictl") or {}
    runs = (_run(each) for each in outcome.get("runs") or ())
    return Sandboxes(
        crictl=str(crictl.get("path", "crictl")),
        endpoint=str(crictl.get("endpoint") or "").removeprefix("unix://"),
        files=_files(outcome.get("files") or {}),
        runs={run.role: run for run in runs},
    )


def _run(each: Mapping[str, Any]) -> SandboxRun:
    return SandboxRun(
        role=str(each["role"]),
        handler=str(each.get("handler") or ""),
        cdi_devices=tuple(each.get("cdi_devices") or ()),
        exit=int(each["exit"]),
        text=messages(f"{each.get('stdout') or ''}\n{each.get('stderr') or ''}"),
        output=_lines(each.get("output")),
        attempts=int(each.get("attempts", 1)),
        reaped=int(each.get("reaped", 0)),
        called=str(each.get("command") or ""),
    )


def _lines(output: Any) -> tuple[str, ...] | None:
    return None if output is None else tuple(line.strip() for line in str(output).splitlines())


def _files(used: Mapping[str, Any]) -> SandboxFiles:
    pod = used.get("pod_config") or {}
    container = used.get("container_config") or {}
    return SandboxFiles(
        origin=str(used.get("origin", "shipped")),
        pod_source=str(pod.get("source", "pod-config.json")),
        pod_text=str(pod.get("text", "")),
        container_source=str(container.get("source", "container-config.json")),
        container_text=str(container.get("text", "")),
    )


def shipped_files() -> SandboxFiles:
    """Return the files that ship with the package: host network, a systemd slice, short-lived."""
    folder = files("pytest_gpu.fixtures")
    return SandboxFiles(
        origin="shipped",
        pod_source="pod-config.json",
        pod_text=(folder / "pod-config.json").read_text(encoding="utf-8"),
        container_source="container-config.json",
        container_text=(folder / "container-config.json").read_text(encoding="utf-8"),
    )
