"""Failed services beside the driver, on a node that works: each with its decisive line."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pytest_gpu.stack.units.check_units import companions_fail
from tests.stack.kube.kube_machine import Machine, told
from tests.stack.units.failing import (
    FABRIC,
    NO_SWITCHES,
    PERSISTENCED,
    commands,
    failed,
    logged,
)
from tests.support.fake_evidence import Command


def latent(made: Sequence[Command]) -> list[str]:
    """Return what is noted of a node, as text, and what the node lacks by it."""
    found = companions_fail(Machine(commands=[*made]).node())
    return [f"{told(each)}\n{each.values['lost']}" for each in found]


@pytest.mark.parametrize(
    ("unit", "program", "lines", "says"),
    [
        (
            "nvidia-persistenced",
            "nvidia-persistenced",
            [
                "Verbose syslog connection opened",
                PERSISTENCED,
                "The daemon no longer has permission to remove its runtime data directory"
                " /var/run/nvidia-persistenced",
                "Shutdown (4711)",
            ],
            [PERSISTENCED, "persistence daemon", "was not ready", "After="],
        ),
        (
            "nvidia-fabricmanager",
            "nv-fabricmanager",
            [FABRIC],
            ["don't match with driver version", "cat /proc/driver/nvidia/version", "802"],
        ),
        (
            "nvidia-imex",
            "nvidia-imex",
            ["[ERROR] failed to open /etc/nvidia-imex/nodes_config.cfg: No such file or directory"],
            ["No such file", "ls -ld /etc/nvidia-imex/nodes_config.cfg", "IMEX"],
        ),
        (
            "nvidia-dcgm",
            "nv-hostengine",
            ["Err: Failed to start DCGM Server: -7"],
            ["Failed to start DCGM Server: -7", "Metrics", "journalctl -u nvidia-dcgm"],
        ),
        (
            "nvidia-mig-manager",
            "nvidia-mig-parted",
            ['level=fatal msg="Error parsing config file: read error: open config.yaml: quux"'],
            ["Error parsing config file", "MIG partitions"],
        ),
        (
            "nvidia-zorp",
            "zorp",
            ["cannot frobnicate the GPU"],
            ["cannot frobnicate the GPU", "a service of NVIDIA's"],
        ),
        (
            "dkms",
            "dkms",
            ["Error! Bad return status for module build on kernel: 6.8.0 (x86_64) nvidia/550.120"],
            ["Bad return status for module build", "booted next"],
        ),
        (
            "systemd-modules-load",
            "systemd-modules-load",
            ["Failed to find module 'nvidia_peermem'"],
            ["nvidia_peermem", "loads kernel modules"],
        ),
    ],
)
def test_a_failed_service_is_noted_with_its_words(
    unit: str, program: str, lines: list[str], says: list[str]
) -> None:
    """What it is, what the node lacks, the line that says why, and what follows from it."""
    (text,) = latent(commands(unit, program, *lines))
    for each in says:
        assert each in text
    assert f"sudo systemctl restart {unit}.service" in text
    assert "Active: failed" in text
    assert "None" not in text


def test_the_journal_has_what_the_status_has_lost() -> None:
    """After some restarts in vain the status shows systemd's own lines only."""
    unit = "nvidia-persistenced"
    made = commands(unit, unit)
    log = logged(unit, unit, PERSISTENCED)
    made.append((f"journalctl -u {unit} --no-pager -n 200", 0, log, ""))
    (text,) = latent(made)
    assert PERSISTENCED in text


@pytest.mark.parametrize(
    ("unit", "program", "line"),
    [
        ("nvidia-powerd", "nvidia-powerd", "SBIOS support not found"),
        ("nvidia-suspend", "nvidia-sleep.sh", "write error: Invalid argument"),
        ("gpu-manager", "gpu-manager", "Error: can't open /lib/modules/6.8/updates/dkms"),
        ("nvidia-fabricmanager", "nvidia-fabricmanager-start.sh", NO_SWITCHES),
        ("systemd-modules-load", "systemd-modules-load", "Failed to find module 'vboxdrv'"),
        ("dkms", "dkms", "Error! Bad return status for module build: zfs/2.2.2"),
        ("nvidia-cdi-refresh", "nvidia-ctk", "judged with CDI"),
        ("containerd", "containerd", "containerd: failed to load nvidia"),
        ("certbot", "certbot", "nvidia"),
    ],
)
def test_what_says_nothing_of_this_nodes_gpus_is_not_noted(
    unit: str, program: str, line: str
) -> None:
    """Power management, other hardware's modules, a Fabric Manager without anything to do."""
    assert latent(commands(unit, program, line)) == []


@pytest.mark.parametrize(
    "state", ["active (running)", "active (exited)", "inactive (dead)", "activating (start)"]
)
def test_the_repaired_service_is_silent(state: str) -> None:
    """What its journal says of earlier starts convicts nobody."""
    unit = "nvidia-persistenced"
    status = failed(unit, unit, PERSISTENCED, state=state)
    made: list[Command] = [
        (f"systemctl status -l {unit}.service", 0, status, ""),
        (f"journalctl -u {unit} --no-pager -n 200", 0, logged(unit, unit, PERSISTENCED), ""),
    ]
    assert latent(made) == []


def test_a_node_that_nobody_asked_is_silent() -> None:
    """An older recording has none of these commands."""
    assert latent([]) == []
