"""Who manages the cgroups of a node: systemd or the kubelet itself, and who says so.

Sources: KubeletConfiguration v1beta1 (``cgroupDriver``, default cgroupfs; kubeadm has written
systemd since 1.22), KEP-4033 (gate KubeletCgroupDriverFromCRI: alpha in 1.28, on by default from
1.31, locked in 1.34), containerd 2.x ``internal/cri/server/runtime_config_linux.go``, sd_booted(3).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial

from pytest_gpu.causes import Evidence
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import KubeObject, NodeEvidence
from pytest_gpu.known import known
from pytest_gpu.parsing import LimitError, MalformedError, yaml_document
from pytest_gpu.stack.host.processes import Process, flag
from pytest_gpu.stack.kube.objects import node_info
from pytest_gpu.stack.kubelet.kubelet import Kubelet

BOOTED = "/run/systemd/system"
"""Where this directory is, systemd is the init system: runc asks for nothing else."""

GATE = "KubeletCgroupDriverFromCRI"
_GATE_ON, _GATE_LOCKED = (1, 31), (1, 34)


def lacks_systemd(evidence: NodeEvidence, processes: Sequence[Process]) -> Evidence | None:
    """Return what shows that systemd does not run the node, ``None`` if it does.

    Raises:
        NotInEvidence: nobody looked, and PID 1 does not tell either.
    """
    first = next((process for process in processes if process.pid == 1), None)
    name = first.program if first else ""
    if name == "systemd":
        return None
    try:
        entry = evidence.entry(BOOTED)
    except NotInEvidence:
        if name in {"", "init"}:
            raise
        return Evidence(source="/proc/1/exe", text=f"PID 1 is {name}, not systemd")
    if entry and entry.kind == "directory":
        return None
    return Evidence(source=BOOTED, text="is not there: systemd does not run this node")


def asks_runtime(node: KubeObject, kubelet: Kubelet, evidence: NodeEvidence) -> bool:
    """Say whether this kubelet takes the driver from a runtime that tells it."""
    match = re.match(r"v?(\d+)\.(\d+)", str(node_info(node).get("kubeletVersion", "")))
    version = (int(match[1]), int(match[2])) if match else _GATE_ON
    if version >= _GATE_LOCKED:
        return True
    return _gate(kubelet, evidence, default=version >= _GATE_ON)


def _gate(kubelet: Kubelet, evidence: NodeEvidence, *, default: bool) -> bool:
    told = re.search(rf"\b{GATE}=(\w+)", flag(kubelet.argv, "--feature-gates") or "")
    if told:
        return told[1].lower() == "true"
    for path, text in _files(kubelet, evidence):
        gates = _yaml(evidence, path, text).get("featureGates")
        if isinstance(gates, dict) and GATE in gates:
            return bool(gates[GATE])
    return default


def _yaml(evidence: NodeEvidence, path: str, text: str) -> dict[str, object]:
    if GATE not in text:
        return {}
    try:
        found = yaml_document(text.encode())
    except LimitError as error:
        raise NotInEvidence(
            evidence.name, f"the kubelet's configuration {path} ({error})"
        ) from None
    except MalformedError:
        found = None
    if not isinstance(found, dict):
        raise NotInEvidence(evidence.name, f"the kubelet's configuration {path}")
    return found


def _files(kubelet: Kubelet, evidence: NodeEvidence) -> Iterator[tuple[str, str]]:
    """Yield path and text of the kubelet's configuration, what counts most first."""
    for path in reversed(kubelet.config_files):
        content = known(partial(evidence.read, path))
        if content is not None:
            yield path, content.decode(errors="replace")


def kubelet_says(kubelet: Kubelet, evidence: NodeEvidence) -> Evidence:
    """Return where the kubelet was told its driver: a flag, or a line of its configuration."""
    told = flag(kubelet.argv, "--cgroup-driver")
    if told:
        pid = kubelet.process.pid if kubelet.process else 0
        where = f"/proc/{pid}/cmdline" if pid else "the kubelet's unit"
        return Evidence(source=where, text=f"--cgroup-driver={told}")
    for path, text in _files(kubelet, evidence):
        for number, line in enumerate(text.splitlines(), 1):
            if re.match(r"""\s*["']?cgroupDriver["']?\s*:""", line):
                return Evidence(source=path, line=number, text=line.strip())
    return Evidence(source="kubelet", text="nothing sets cgroupDriver: cgroupfs, its default")


def kubelet_driver(kubelet: Kubelet, evidence: NodeEvidence) -> str | None:
    """Return the driver the kubelet uses by itself, ``None`` where it runs inside another program.

    k3s and MicroK8s set it for the kubelet inside them.

    Raises:
        NotInEvidence: it was told to read it where nobody looked.
    """
    if kubelet.cgroup_driver is not None:
        return kubelet.cgroup_driver
    if kubelet.unread:
        raise NotInEvidence(evidence.name, f"the kubelet's configuration {kubelet.unread}")
    own = kubelet.process is not None and kubelet.process.is_program("kubelet")
    return "cgroupfs" if own else None
