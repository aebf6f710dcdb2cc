"""Units of systemd that failed and belong to GPUs, to the container runtime or to the kubelet.

Source: ``systemctl list-units`` (``src/systemctl/systemctl-list-units.c``): with ``--plain`` and
``--no-legend`` a line is ``UNIT LOAD ACTIVE SUB DESCRIPTION``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_gpu.causes import Evidence
from pytest_gpu.evidence import CommandResult
from pytest_gpu.stack.host.systemd_status import UnitStatus, unit_status

LIST = (
    "systemctl",
    "list-units",
    "--type=service",
    "--state=failed,auto-restart",
    "--plain",
    "--full",
    "--no-legend",
    "--no-pager",
)
"""The command that lists the services that failed or are about to be started again."""

MOST = 12
"""Most units of a node that are looked at."""

# Drivers and their companions; what builds or loads a module at boot, whoever named the unit.
_OF_GPUS = re.compile(
    r"nvidia|(?<![a-z])gpu|cuda|dcgm|nvlsm|fabricmanager|dkms|akmods|kmod|modules?[-_]load"
    r"|load[-_](?:kernel[-_])?modules?"
)
OF_THE_FABRIC = re.compile(r"fabricmanager|nvlsm")
"""Units that join GPUs to the NVLink fabric."""

OF_DEVICE_NODES = re.compile(r"persistenced|\A(?:nvidia|gpu)(?>.*?(?:mod|load))")
"""Units that load NVIDIA's modules and make their device nodes at boot."""

_OF_THE_RUNTIME = re.compile(
    r"containerd|docker|cri-?o\b|cri-dockerd|kubelet|kubelite|\bk3s\b|rke2|\bk0s|nodeadm"
    r"|snap\.(?:microk8s|k8s)\."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedUnit:
    """A unit that failed: its name without ``.service``, and what systemd shows of it."""

    name: str
    status: UnitStatus

    @property
    def for_gpus(self) -> bool:
        """Whether it belongs to the driver, its companions, or what builds and loads modules."""
        return _OF_GPUS.search(self.name) is not None


def listed(commands: Sequence[CommandResult]) -> tuple[str, ...]:
    """Return the failed units of the stack that systemd listed, none if nobody asked."""
    names = [name for result in commands if result.argv == LIST for name in _names(result.stdout)]
    return tuple(dict.fromkeys(name for name in names if _belongs(name)))[:MOST]


def listed_for_gpus(commands: Sequence[CommandResult]) -> tuple[str, ...]:
    """Return those that belong to GPUs: of them the journal is read, too."""
    return tuple(name for name in listed(commands) if _OF_GPUS.search(name))


def _names(text: str) -> Iterator[str]:
    for line in text.splitlines():
        words = line.removeprefix("●").split(maxsplit=4)
        if len(words) >= 4 and words[0].endswith(".service"):
            yield words[0].removesuffix(".service")


def _belongs(name: str) -> bool:
    return bool(_OF_GPUS.search(name) or _OF_THE_RUNTIME.search(name))


def failed_units(commands: Sequence[CommandResult]) -> tuple[FailedUnit, ...]:
    """Return the units of the stack that failed, or that systemd is about to start again."""
    asked = (r.argv[-1] for r in commands if r.argv[:2] == ("systemctl", "status"))
    found = []
    for name in dict.fromkeys(unit.removesuffix(".service") for unit in asked):
        status = unit_status(commands, name) if _belongs(name) else None
        if status is not None and (status.failed or status.restarts):
            found.append(FailedUnit(name=name, status=status))
    return tuple(found)


def failed_gpu_units(
    commands: Sequence[CommandResult], named: re.Pattern[str] = _OF_GPUS
) -> Iterator[Evidence]:
    """Yield the state and the last words of each unit for GPUs that failed and is named so."""
    for unit in failed_units(commands):
        if unit.for_gpus and named.search(unit.name):
            yield from unit.status.evidence
