"""Checks of the JSON files given to crictl: whether they keep a sandbox from starting."""

from __future__ import annotations

import copy
import json
import posixpath
from collections.abc import Mapping
from typing import Any

from pytest_gpu.causes import Evidence, Finding, evidence_at
from pytest_gpu.checks import check
from pytest_gpu.errors import Unproven
from pytest_gpu.gpu_node import Node
from pytest_gpu.message_file import Where
from pytest_gpu.messages import meanings
from pytest_gpu.stack.repair.json_diff import diff
from pytest_gpu.stack.sandbox.config_files import SLICE, systemd_cgroups
from pytest_gpu.stack.sandbox.sandboxes import SandboxFiles, read

NODE = 2
"""NamespaceMode NODE of the CRI: the sandbox shares the host's network."""


_KEYS = {
    "sandbox/pod-config-without-namespace": "namespace",
    "sandbox/pod-config-asks-for-pod-network": "network",
    "sandbox/cgroup-parent-is-no-slice": "cgroup_parent",
}
"""The faults of a pod config that an error may show, and the key that is wrong."""


@check("sandbox/files-ask-for-too-little", visit=False)
def lint(node: Node, files: SandboxFiles) -> Finding | None:
    """Find what in an admin's own files keeps every sandbox from starting, with or without a GPU.

    Of several faults, it reports the one that crictl hit, if crictl ran with these files. The
    suite's own files are not checked.
    """
    if files.origin != "admin":
        return None
    try:
        pod = json.loads(files.pod_text)
    except ValueError as error:
        return _invalid(node, files, str(error))
    if not isinstance(pod, dict):
        return _invalid(node, files, "it does not hold a JSON object")
    faults = _faults(pod, systemd=systemd_cgroups(node))
    if not faults:
        return None
    met = _met(node, files)
    return _finding(node, files, pod, met if met in faults else faults[0])


def _invalid(node: Node, files: SandboxFiles, why: str) -> Finding:
    return Finding.of(
        "sandbox/pod-config-is-no-json",
        Evidence(source=files.pod_source, text=why),
        file=files.pod_source,
    )


def _faults(pod: Mapping[str, Any], *, systemd: bool) -> list[str]:
    """Return the causes in the order in which crictl, CNI and runc would fail."""
    linux = pod.get("linux") or {}
    names = pod.get("metadata") or {}
    found = []
    if not names.get("name") or not names.get("namespace"):
        found.append("sandbox/pod-config-without-namespace")
    if _network(linux) != NODE:
        found.append("sandbox/pod-config-asks-for-pod-network")
    parent = str(linux.get("cgroup_parent") or "")
    if systemd and not posixpath.basename(parent).endswith(".slice"):
        found.append("sandbox/cgroup-parent-is-no-slice")
    return found


def _network(linux: Mapping[str, Any]) -> object:
    context = linux.get("security_context") or {}
    mode = (context.get("namespace_options") or {}).get("network")
    return NODE if mode == "NODE" else mode


def _met(node: Node, files: SandboxFiles) -> str | None:
    """Return the fault that the control sandbox hit, if it was started with these files."""
    try:
        sandboxes = read(node.evidence)
        if sandboxes.files.pod_text.strip() != files.pod_text.strip():
            return None
        return named_by(sandboxes.run("control").text)
    except Unproven:
        return None


def named_by(text: str) -> str | None:
    """Return the fault of the pod config that an error text of crictl shows."""
    causes = (meaning.cause for meaning in meanings(text, Where.CONTROL))
    return next((cause for cause in causes if cause in _KEYS), None)


@check("sandbox/control")
def control(node: Node) -> Finding | None:
    """Find a fault in an admin's file that keeps the control sandbox from starting.

    Raises:
        Unproven: it failed for another reason, which says nothing about the GPU.
    """
    sandboxes = read(node.evidence)
    run = sandboxes.run("control")
    if run.exit == 0:
        return None
    shown = run.inconclusive or run.error
    cause = named_by(run.text)
    if sandboxes.files.origin != "admin" or cause is None:
        raise Unproven(f"control failed: {shown}; this says nothing about the GPU")
    return _finding(node, sandboxes.files, _parsed(sandboxes.files), cause)


def _parsed(files: SandboxFiles) -> Mapping[str, Any]:
    try:
        found = json.loads(files.pod_text)
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}


def _finding(node: Node, files: SandboxFiles, pod: Mapping[str, Any], cause: str) -> Finding:
    return Finding.of(
        cause,
        _line(files, cause),
        *_error(node, cause),
        file=files.pod_source,
        diff=diff(files.pod_source, files.pod_text, corrected(pod, systemd=systemd_cgroups(node))),
    )


def _line(files: SandboxFiles, cause: str) -> Evidence:
    """Return the wrong line of the file, or the key that is missing."""
    key = _KEYS[cause]
    if f'"{key}"' not in files.pod_text:
        return Evidence(source=files.pod_source, text=f'there is no "{key}"')
    return evidence_at(files.pod_source, files.pod_text, f'"{key}"')


def _error(node: Node, cause: str) -> tuple[Evidence, ...]:
    try:
        run = read(node.evidence).run("control")
    except Unproven:
        return ()
    if named_by(run.text) != cause:
        return ()
    return (Evidence(source=f"{run.command} (control)", text=run.error),)


def corrected(pod: Mapping[str, Any], *, systemd: bool) -> dict[str, Any]:
    """Return a pod config with every known fault fixed and everything else unchanged."""
    fixed: dict[str, Any] = copy.deepcopy(dict(pod))
    names = fixed.setdefault("metadata", {})
    names.setdefault("name", "gpu-sandbox")
    names.setdefault("namespace", "default")
    linux = fixed.setdefault("linux", {})
    if systemd and not posixpath.basename(str(linux.get("cgroup_parent") or "")).endswith(".slice"):
        linux["cgroup_parent"] = SLICE
    context = linux.setdefault("security_context", {})
    context.setdefault("namespace_options", {})["network"] = NODE
    return fixed
