"""The toolkit's service that makes a CDI spec at every boot failed: noted, or the reason why."""

from __future__ import annotations

import pytest

from pytest_gpu.stack.cdi import check_devices, check_specs
from pytest_gpu.stack.cdi.check_refresh import refresh_fails
from tests.stack.cdi.cdi_machine import (
    CDI_MODE,
    OWN,
    PLUGIN_SPEC,
    TOOLKIT_SPEC,
    CdiMachine,
    by,
    spec,
    toolkit_spec,
)
from tests.stack.kube.kube_machine import cause, told
from tests.stack.units.failing import FULL, MODE, TOO_EARLY, commands, failed, logged

UNIT = "nvidia-cdi-refresh"
ENV = "/etc/nvidia-container-toolkit/nvidia-cdi-refresh.env"
MISSING = "runtime/cdi-device-missing"


def refused(*lines: str, **changes: object) -> CdiMachine:
    """Return a node on which the service failed with these words."""
    return CdiMachine(commands=commands(UNIT, "nvidia-ctk", *lines), **changes)  # type: ignore[arg-type]


def by_handler(*lines: str) -> CdiMachine:
    """Return a node whose handler asks for the devices of the service's own spec, which is gone."""
    return refused(
        *lines,
        files={OWN: CDI_MODE},
        specs={},
        daemonsets=by("envvar"),
        cdi_enabled=False,
    )


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([TOO_EARLY], ["Driver Not Loaded", "After="]),
        (['time="x" level=info msg="Auto-detected mode"', FULL], ["no space left", "df -h"]),
        ([MODE], ["invalid discovery mode: cdi", f"journalctl -u {UNIT}"]),
    ],
)
def test_a_failed_service_is_noted_while_devices_are_there(
    lines: list[str], says: list[str]
) -> None:
    """With its own words, and what follows from them."""
    node = refused(*lines).node()
    assert check_devices.device_missing(node) is None
    finding = refresh_fails(node)
    assert cause(finding) == "runtime/cdi-refresh-failed"
    text = told(finding)
    for each in (*says, "/var/run/cdi/nvidia.yaml", f"systemctl restart {UNIT}.service"):
        assert each in text


def test_its_own_settings_name_the_spec() -> None:
    """As its unit reads them: the last one counts."""
    env = (
        "NVIDIA_CTK_CDI_OUTPUT_FILE_PATH=/x.yaml\n# NVIDIA_CTK_CDI_OUTPUT_FILE_PATH=/y.yaml\n"
        'NVIDIA_CTK_CDI_OUTPUT_FILE_PATH="/etc/cdi/gpus.yaml"\n'
    )
    finding = refresh_fails(refused(MODE, files={ENV: env}).node())
    assert "/etc/cdi/gpus.yaml" in told(finding)


@pytest.mark.parametrize("state", ["inactive (dead)", "active (exited)", "activating (start)"])
def test_the_repaired_service_is_silent(state: str) -> None:
    """Its journal still has the failure of an earlier start."""
    status = failed(UNIT, "nvidia-ctk", TOO_EARLY, state=state)
    log = logged(UNIT, "nvidia-ctk", TOO_EARLY)
    machine = CdiMachine(
        commands=[
            (f"systemctl status -l {UNIT}.service", 3, status, ""),
            (f"journalctl -u {UNIT} --no-pager -n 200", 0, log, ""),
        ]
    )
    assert refresh_fails(machine.node()) is None
    machine.specs = {}
    assert TOO_EARLY not in told(check_devices.device_missing(machine.node()))


def test_nobody_asked() -> None:
    """A recording of an older suite."""
    assert refresh_fails(CdiMachine().node()) is None


@pytest.mark.parametrize(("line", "step"), [(TOO_EARLY, "After="), (MODE, "journalctl")])
def test_its_words_are_why_its_spec_is_missing(line: str, step: str) -> None:
    """It is what makes the spec: to restart it alone would fail in the same way."""
    finding = check_devices.device_missing(by_handler(line).node())
    assert cause(finding) == MISSING
    text = told(finding)
    assert line in text
    assert text.index(step) < text.index(f"systemctl restart {UNIT}")
    assert "nvidia-ctk cdi generate" not in text


def test_a_full_disk_is_why_the_plugins_spec_beside_it_is_missing() -> None:
    """The plugin writes into the same folder: free space first, then restart it."""
    finding = check_devices.device_missing(refused(FULL, specs={}).node())
    assert cause(finding) == MISSING
    text = told(finding)
    assert FULL in text
    assert text.index("df -h") < text.index("kubectl rollout restart")


@pytest.mark.parametrize(
    "line", [TOO_EARLY, MODE, FULL.replace("/var/run/cdi/spec3127.tmp", "/etc/cdi/spec1.tmp")]
)
def test_the_plugins_spec_is_not_the_services(line: str) -> None:
    """What failed for its own reasons says nothing of a spec that the plugin makes."""
    finding = check_devices.device_missing(refused(line, specs={}).node())
    assert cause(finding) == MISSING
    assert line not in told(finding)
    assert UNIT not in told(finding)


def test_its_words_are_why_its_spec_is_stale() -> None:
    """The spec of the service names what is gone; that of the plugin is not the service's."""
    machine = by_handler(TOO_EARLY)
    machine.specs, machine.gone = {TOOLKIT_SPEC: toolkit_spec()}, ("/dev/nvidia1",)
    finding = check_specs.spec_in_use_wrong(machine.node())
    assert cause(finding) == "runtime/cdi-spec-stale"
    assert TOO_EARLY in told(finding)
    assert "After=" in told(finding)
    plugins = check_specs.spec_in_use_wrong(refused(TOO_EARLY, gone=("/dev/nvidia1",)).node())
    assert cause(plugins) == "runtime/cdi-spec-stale"
    assert UNIT not in told(plugins)


def test_the_node_is_well_when_both_are_made() -> None:
    """The repaired twin of a missing spec."""
    machine = refused(FULL, specs={})
    machine.commands, machine.specs = [], {PLUGIN_SPEC: spec()}
    assert check_devices.device_missing(machine.node()) is None
    assert refresh_fails(machine.node()) is None
