"""Which services of the host belong to GPUs, what each is for, and how a failed one ended.

Sources: the units of nvidia-persistenced (init/systemd), Fabric Manager and NVLSM (NVIDIA's Fabric
Manager user guide), nvidia-imex, nvidia-gridd (vGPU user guide), DCGM, mig-parted
(deployments/systemd), nvidia-container-toolkit (deployments/systemd).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.stack.host.failed_units import FailedUnit, failed_units
from pytest_gpu.stack.host.journal import LogLine, journal
from pytest_gpu.stack.kubelet.unit_end import UnitEnd, end_of

CDI_REFRESH = "nvidia-cdi-refresh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Companion:
    """A service that belongs to GPUs.

    Attributes:
        names: what the whole name of its unit matches.
        component: what it is, as the end of a sentence.
        lost: what a node loses while it does not run.
    """

    names: re.Pattern[str]
    component: str
    lost: str


def _companion(names: str, component: str, lost: str) -> Companion:
    return Companion(names=re.compile(names), component=component, lost=lost)


COMPANIONS = (
    _companion(
        r"nvidia-persistenced",
        "the persistence daemon",
        "While no program uses a GPU, the driver gives its state up: the next start takes seconds"
        " longer, and settings such as a power limit are lost.",
    ),
    _companion(
        r"nvidia-fabricmanager|nvlsm|nv-fabricmanager",
        "the Fabric Manager",
        "GPUs behind NVSwitches join no fabric after the next reset or reboot: CUDA then fails"
        " with error 802.",
    ),
    _companion(
        r"nvidia-imex(?:-ctrl)?",
        "the IMEX daemon",
        "Programs on several nodes cannot share the memory of their GPUs over NVLink.",
    ),
    _companion(
        r"nvidia-gridd",
        "the vGPU licence daemon",
        "The vGPU gets no licence, and is slowed down after a while.",
    ),
    _companion(
        r"(?:nvidia-)?dcgm(?:-exporter)?|nv-hostengine",
        "DCGM",
        "Metrics and health checks of the GPUs are missing; pods get GPUs all the same.",
    ),
    _companion(
        r"nvidia-mig-(?:manager|parted)|mig-parted",
        "mig-parted",
        "After a reboot the GPUs do not get the MIG partitions that its configuration asks for.",
    ),
    _companion(
        r"dkms|akmods.*",
        "the builder of kernel modules",
        "The driver's module may be missing for the kernel that is booted next.",
    ),
    _companion(
        r".*(?:kmod|modules?[-_]load|load[-_](?:kernel[-_])?modules?).*",
        "a unit that loads kernel modules",
        "It does not load them at the next boot either.",
    ),
    _companion(
        r"nvidia-(?!powerd|suspend|resume|hibernate|cdi-refresh).+",
        "a service of NVIDIA's",
        "What it does for the GPUs is not done until it runs.",
    ),
)
"""Services that belong to GPUs, the most specific first; not the power management of laptops."""

_OF_MODULES = re.compile(r"dkms|kmod|module")
"""Units that serve other hardware, too: name or words tell whether it is about NVIDIA's."""

_NOT_NEEDED = re.compile(r"NV_WARN_NOTHING_TO_DO")
"""The Fabric Manager's words on a node without NVSwitches (NVIDIA/open-gpu-kernel-modules)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedCompanion:
    """A service for GPUs that failed: its unit, what it is, and how it ended."""

    unit: str
    companion: Companion
    end: UnitEnd


@fact
def failed_companions(node: Node) -> tuple[FailedCompanion, ...]:
    """Return the services that failed and that the GPUs of this node lack."""
    found = (_companion_of(node, unit) for unit in failed_units(node.evidence.commands))
    return tuple(each for each in found if each)


def _companion_of(node: Node, unit: FailedUnit) -> FailedCompanion | None:
    known = next((each for each in COMPANIONS if each.names.fullmatch(unit.name)), None)
    log = logged(node, unit)
    if known is None or _is_of_others(unit, log):
        return None
    return FailedCompanion(unit=unit.name, companion=known, end=end_of(unit.status, log))


def logged(node: Node, unit: FailedUnit) -> Sequence[LogLine]:
    """Return a failed unit's journal, else the last lines that its status shows."""
    return journal(node.evidence.commands, unit.name) or unit.status.log


def _is_of_others(unit: FailedUnit, log: Sequence[LogLine]) -> bool:
    """Say whether a failed unit is about other hardware, or is not needed on this node."""
    words = " ".join(line.message for line in log)
    if _NOT_NEEDED.search(words):
        return True
    return _OF_MODULES.search(unit.name) is not None and "nvidia" not in f"{unit.name} {words}"
