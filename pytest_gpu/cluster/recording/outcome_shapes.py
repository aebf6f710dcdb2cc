"""The shape of outcomes: what happened to the suite's own sandboxes and to its own pod.

The suite writes them; a person who writes or edits a recording may get them wrong. An outcome that
cannot be read proves nothing, so it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_gpu.cluster.recording import kube_shapes, shapes

SANDBOX, POD = "outcomes/sandbox.yaml", "outcomes/pod.yaml"

_RUN_TEXTS = ("handler", "command", "stdout", "stderr", "output")
_FILES = ("pod_config", "container_config")


def check(name: str, whole: Mapping[str, Any], where: str) -> None:
    """Check an outcome; other files of a node are not checked. Unknown keys may be there.

    Raises:
        RecordingError: a part has another shape than the suite writes; a one-line message.
    """
    if name not in (SANDBOX, POD):
        return
    _texts(whole, ("skipped", "rejected"), where)
    shapes.texts(whole.get("left"), f"{where}: left")
    (_check_sandboxes if name == SANDBOX else _check_pod)(whole, where)


def _check_sandboxes(whole: Mapping[str, Any], where: str) -> None:
    _texts(_part(whole, "crictl", where), ("path", "endpoint", "version"), f"{where}: crictl")
    used = _part(whole, "files", where)
    _texts(used, ("origin",), f"{where}: files")
    for name in _FILES:
        file = _part(used, name, f"{where}: files")
        _texts(file, ("source", "text"), f"{where}: files: {name}")
    for at, each in enumerate(shapes.items(whole.get("runs"), f"{where}: runs"), 1):
        _check_run(each, f"{where}: run {at}")


def _check_run(each: Any, where: str) -> None:
    run = shapes.mapping(each, where)
    shapes.text(run.get("role"), f"{where}: role")
    shapes.integer(run.get("exit"), f"{where}: exit")
    _texts(run, _RUN_TEXTS, where)
    shapes.texts(run.get("cdi_devices"), f"{where}: cdi_devices")
    for key in ("attempts", "reaped"):
        shapes.integer(run.get(key, 0), f"{where}: {key}")


def _check_pod(whole: Mapping[str, Any], where: str) -> None:
    kube_shapes.check("pods", _part(whole, "pod", where), f"{where}: pod")
    for at, each in enumerate(shapes.items(whole.get("events"), f"{where}: events"), 1):
        event = f"{where}: event {at}"
        kube_shapes.check("events", shapes.mapping(each, event), event)
    for name, each in _part(whole, "containers", where).items():
        place = f"{where}: containers: {name}"
        report = shapes.mapping(each, place)
        _texts(report, ("output",), place)
        shapes.integer(report.get("exit", 0), f"{place}: exit")


def _part(whole: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    found = whole.get(key)
    return {} if found is None else shapes.mapping(found, f"{where}: {key}")


def _texts(found: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
    """Check that what is there is text; it may be missing or empty."""
    for key in keys:
        if found.get(key) is not None:
            shapes.text(found[key], f"{where}: {key}")
