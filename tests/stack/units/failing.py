"""Failed services for GPUs, as systemd and their own programs print it.

The words are those of the programs' sources, or of the logs in public reports about them.
"""

from __future__ import annotations

from pytest_gpu.stack.host.failed_units import LIST
from tests.support.fake_evidence import Command

AT = "Jun 03 07:11:21 gpu-node-7"
PERSISTENCED = (
    "Failed to query NVIDIA devices. Please ensure that the NVIDIA device files (/dev/nvidia*)"
    " exist, and that user 116 has read and write permissions for those files."
)
FABRIC = (
    "fabric manager NVIDIA GPU driver interface version 550.127.05 don't match with driver version"
    " 550.120. Please update with matching NVIDIA driver package."
)
NO_SWITCHES = (
    "request to query NVSwitch device information from NVSwitch driver failed with"
    " error:WARNING Nothing to do [NV_WARN_NOTHING_TO_DO]"
)
TOO_EARLY = (
    'time="2026-01-25T00:45:43+11:00" level=error msg="failed to generate CDI spec: failed to'
    " create device CDI specs: failed to construct device spec generators: failed to initialize"
    ' NVML: Driver Not Loaded"'
)
FULL = (
    'time="2026-01-25T00:45:43Z" level=error msg="failed to write spec: failed to write Spec file:'
    ' write /var/run/cdi/spec3127.tmp: no space left on device"'
)
MODE = 'time="2025-10-23T10:22:21+08:00" level=error msg="invalid discovery mode: cdi"'


def logged(unit: str, program: str, *lines: str) -> str:
    """Return the journal of a start that fails."""
    own = "".join(f"{AT} {program}[4711]: {line}\n" for line in lines)
    return (
        f"{AT} systemd[1]: Starting {unit}.service...\n{own}"
        f"{AT} systemd[1]: {unit}.service: Main process exited, code=exited, status=1/FAILURE\n"
        f"{AT} systemd[1]: {unit}.service: Failed with result 'exit-code'.\n"
        f"{AT} systemd[1]: Failed to start {unit}.service - of NVIDIA.\n"
    )


def failed(unit: str, program: str, *lines: str, state: str = "failed (Result: exit-code)") -> str:
    """Return what ``systemctl status`` shows of a unit."""
    return (
        f"\N{MULTIPLICATION SIGN} {unit}.service - of NVIDIA\n"
        f"     Loaded: loaded (/usr/lib/systemd/system/{unit}.service; enabled)\n"
        f"     Active: {state} since Tue 2025-06-03 07:11:21 UTC; 3h ago\n"
        "   Main PID: 4711 (code=exited, status=1/FAILURE)\n\n" + logged(unit, program, *lines)
    )


def commands(unit: str, program: str, *lines: str) -> list[Command]:
    """Return what a visit finds of a node on which a unit failed."""
    return [
        (" ".join(LIST), 0, f"{unit}.service loaded failed failed of NVIDIA\n", ""),
        (f"systemctl status -l {unit}.service", 3, failed(unit, program, *lines), ""),
    ]
