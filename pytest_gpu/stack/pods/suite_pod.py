"""The suite's own pod on a node: one container that asks for a GPU, one that asks for none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_gpu.errors import Unproven
from pytest_gpu.evidence import KubeObject, NodeEvidence
from pytest_gpu.parsing import json_document
from pytest_gpu.stack.operands.state import containers_in
from pytest_gpu.stack.pods.start_refusal import ran

_GPU = re.compile(r"/dev/nvidia\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one container saw.

    ``visible`` is its NVIDIA_VISIBLE_DEVICES; ``cuda`` holds init (the code of cuInit), count and
    compute (``ok``, else what went wrong), empty if CUDA was not tried.

    Attributes:
        exit: the exit code of the container.
        devices: the paths of the NVIDIA device nodes.
        libraries: the paths of the NVIDIA libraries.
    """

    exit: int
    devices: tuple[str, ...]
    libraries: tuple[str, ...]
    visible: str
    cuda: Mapping[str, Any]

    @property
    def gpus(self) -> tuple[str, ...]:
        """The device nodes of GPUs, without control devices."""
        return tuple(device for device in self.devices if _GPU.fullmatch(device))


@dataclass(frozen=True, slots=True, kw_only=True)
class SuitePod:
    """The outcome of the pod; ``rejected`` is the API server's refusal to create it.

    Attributes:
        pod: the Pod object at its end.
        events: the events about the pod, oldest first.
        containers: what each container saw, by its name: gpu and none.
        ended: the exit code of each container that ran, by name, whether it reported or not.
    """

    pod: KubeObject
    events: Sequence[KubeObject]
    rejected: str
    containers: Mapping[str, Seen]
    ended: Mapping[str, int] = field(default_factory=dict)

    def saw(self, container: str) -> Seen:
        """Return what a container saw: ``gpu`` asked for a GPU, ``none`` did not.

        Raises:
            Unproven: it did not run, or reported nothing.
        """
        if container in self.containers:
            return self.containers[container]
        if self.rejected:
            raise Unproven(f"the pod was never created, so its container {container!r} saw nothing")
        if not self._ran(container):
            raise Unproven(f"the container {container!r} of the suite's pod did not start")
        if code := self.ended.get(container):
            how = f"exit code {code}"
            raise Unproven(
                f"the container {container!r} of the suite's pod ended with {how}, and reported"
                " nothing"
            )
        raise Unproven(f"the container {container!r} of the suite's pod reported nothing")

    def _ran(self, container: str) -> bool:
        there = (each for each in containers_in(self.pod) if each.name == container)
        return container in self.ended or any(map(ran, there))


def read(evidence: NodeEvidence) -> SuitePod:
    """Return the outcome of the suite's pod.

    Raises:
        Unproven: no pod was tried; the message says why.
    """
    outcome = evidence.outcome("pod")
    if "skipped" in outcome:
        raise Unproven(f"no pod was tried: {outcome['skipped']}")
    try:
        return _parsed(outcome)
    except (TypeError, ValueError, AttributeError) as error:
        raise Unproven(f"the recorded outcome of the pod cannot be read: {error!r}") from None


def is_report(text: str) -> bool:
    """Say whether a text is a container's report as a whole: a message may have been cut off."""
    try:
        return isinstance(json_document(text), dict)
    except ValueError:
        return False


def _parsed(outcome: Mapping[str, Any]) -> SuitePod:
    reports = outcome.get("containers") or {}
    told = {name: _seen(report) for name, report in reports.items()}
    return SuitePod(
        pod=outcome.get("pod") or {},
        events=tuple(outcome.get("events") or ()),
        rejected=str(outcome.get("rejected") or ""),
        containers={name: seen for name, seen in told.items() if seen is not None},
        ended={name: int(report.get("exit") or 0) for name, report in reports.items()},
    )


def _seen(report: Mapping[str, Any]) -> Seen | None:
    """Return a container's report, ``None`` if its output is not a valid report."""
    try:
        output = json_document(str(report.get("output") or ""))
    except ValueError:
        return None
    if not isinstance(output, dict) or "devices" not in output:
        return None
    return Seen(
        exit=int(report.get("exit", 0)),
        devices=tuple(map(str, output["devices"])),
        libraries=tuple(map(str, output.get("libraries") or ())),
        visible=str(output.get("visible") or ""),
        cuda=dict(output.get("cuda") or {}),
    )
