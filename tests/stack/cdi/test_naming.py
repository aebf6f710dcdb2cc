"""GPUs that a CDI spec defines under other names, or as another kind, than they are asked for."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_gpu.stack.cdi import check_devices
from pytest_gpu.stack.cdi.naming import style
from tests.stack.cdi.cdi_machine import (
    CDI_MODE,
    FIRST,
    OWN,
    PLUGIN_SPEC,
    SECOND,
    TOOLKIT_SPEC,
    CdiMachine,
    by,
    device,
    spec,
    uuids,
)
from tests.stack.kube.kube_machine import cause, plugin_pod, pod, told

ENV = "/etc/nvidia-container-toolkit/nvidia-cdi-refresh.env"
UNIT = "/usr/lib/systemd/system/nvidia-cdi-refresh.service"
MIG = [f"MIG-{n}1111111-2222-3333-4444-555555555555" for n in (1, 2)]
NAMES = "runtime/cdi-names-differ"
MISSING = "runtime/cdi-device-missing"


def cdi_mode(*names: str, kind: str = "nvidia.com/gpu", **changes: Any) -> CdiMachine:
    """Return a node whose NVIDIA handler is in cdi mode, with a spec of these names."""
    given: dict[str, Any] = {
        "files": {OWN: CDI_MODE},
        "specs": {TOOLKIT_SPEC: spec(*map(device, names), kind=kind)},
        "daemonsets": by("envvar"),
        "cdi_enabled": False,
    }
    return CdiMachine(**{**given, **changes})


def found(machine: CdiMachine) -> str | None:
    """Return the cause of a device that is not defined."""
    return cause(check_devices.device_missing(machine.node()))


def test_names_by_index_where_uuids_are_asked_for() -> None:
    """To generate the spec again gives the same names: its strategy, or the plugin's, changes."""
    finding = check_devices.device_missing(cdi_mode("0", "1", "all").node())
    assert cause(finding) == NAMES
    text = told(finding)
    assert "GPUs are asked for by UUID" in text
    assert "names them by index" in text
    assert "DEVICE_ID_STRATEGY is not set (default: uuid)" in text
    assert f"{FIRST} and 0 are the same device" in text
    assert "--device-name-strategy=index --device-name-strategy=uuid" in text
    assert "nvidia-device-plugin -n gpu-operator DEVICE_ID_STRATEGY=index" in text


def test_uuids_where_indices_are_asked_for() -> None:
    """The other way round: a plugin that was told to use indices, volume mounts, /etc/cdi."""
    machine = cdi_mode(daemonsets=by("volume-mounts", DEVICE_ID_STRATEGY="index"))
    machine.specs = {"/etc/cdi/gpus.yaml": spec(*map(device, (FIRST, SECOND, "all")),
                                                kind="nvidia.com/gpu")}  # fmt: skip
    finding = check_devices.device_missing(machine.node())
    assert cause(finding) == NAMES
    assert "DEVICE_ID_STRATEGY=index" in told(finding)
    assert "DEVICE_ID_STRATEGY=uuid" in told(finding)
    assert "--output=/etc/cdi/gpus.yaml" in told(finding)


def test_names_by_type_and_index() -> None:
    """The plugin knows no such names, so only the spec can change."""
    finding = check_devices.device_missing(cdi_mode("gpu0", "gpu1", "all").node())
    assert cause(finding) == NAMES
    assert "by type and index" in told(finding)
    assert "Or let the device plugin" not in told(finding)


def test_mig_devices_by_index() -> None:
    """A GPU in two parts: 0:0 and 0:1 are defined, their UUIDs are asked for."""
    split = uuids(mig={"current": 1}, mig_devices=[{"uuid": each} for each in MIG])
    machine = cdi_mode("0:0", "0:1", "1", "all", nvml=split)
    machine.daemonsets = by("envvar", MIG_STRATEGY="mixed")
    assert found(machine) == NAMES
    machine.specs = {TOOLKIT_SPEC: spec(*map(device, ("0", "1", "all")), kind="nvidia.com/gpu")}
    assert found(machine) == NAMES  # the second GPU is whole, and named by index as well
    machine.specs = {
        TOOLKIT_SPEC: spec(*map(device, ("0", FIRST, SECOND, "1", "all")), kind="nvidia.com/gpu")
    }
    assert found(machine) == "runtime/cdi-mig-drift"


def test_a_gpu_that_came_later_changes_nothing() -> None:
    """Of two GPUs the spec has one, by index: the names are wrong for that one, too."""
    assert found(cdi_mode("0", "all")) == NAMES


@pytest.mark.parametrize(
    "names",
    [("0", "1", FIRST, "all"), (FIRST, "all"), ("all",), ("gpu-a", "gpu-b", "all")],
)
def test_near_misses(names: tuple[str, ...]) -> None:
    """A GPU that is not there under any name, or beside others named as they are asked for."""
    assert found(cdi_mode(*names)) == MISSING


def test_the_repaired_twins_are_well() -> None:
    """With both kinds of names, or with the plugin's strategy changed."""
    assert found(cdi_mode("0", "1", FIRST, SECOND, "all")) is None
    by_index = by("envvar", DEVICE_ID_STRATEGY="index")
    assert found(cdi_mode("0", "1", "all", daemonsets=by_index)) is None


def test_the_toolkits_unit_is_told_in_its_own_file() -> None:
    """It writes the spec at every boot: its setting lasts, and is the evidence."""
    machine = cdi_mode("0", "1", "all")
    line = "NVIDIA_CTK_CDI_GENERATE_DEVICE_NAME_STRATEGIES=index"
    machine.files = {OWN: CDI_MODE, UNIT: "", ENV: f"# names\n{line}\n"}
    text = told(check_devices.device_missing(machine.node()))
    assert f"{ENV}:2: {line}" in text
    assert "$ sudo sed -i" in text
    assert "STRATEGIES=index,uuid" in text
    assert "$ sudo systemctl restart nvidia-cdi-refresh.service" in text
    assert "cdi generate" not in text
    del machine.files[ENV]
    assert f"| sudo tee -a {ENV}" in told(check_devices.device_missing(machine.node()))


def test_what_pods_ask_for_by_themselves_is_not_the_plugins() -> None:
    """Over NRI a pod names a GPU by its UUID: the plugin's strategy has no part in it."""
    machine = CdiMachine(specs={PLUGIN_SPEC: spec(), TOOLKIT_SPEC: spec(
        device("0"), device("1"), device("all"), kind="nvidia.com/gpu")})  # fmt: skip
    machine.daemonsets = by("cdi-cri", DEVICE_ID_STRATEGY="index")
    machine.specs[PLUGIN_SPEC] = spec(device("0"), device("1"))
    machine.objects["clusterpolicies"] = [
        {"metadata": {"name": "p"}, "spec": {"cdi": {"enabled": True, "nriPluginEnabled": True}}}
    ]
    asks = pod("validator")
    asks["metadata"]["annotations"] = {"nvidia.cdi.k8s.io/container.x": f"nvidia.com/gpu={SECOND}"}
    machine.pods = [plugin_pod(), asks]
    finding = check_devices.device_missing(machine.node())
    assert cause(finding) == NAMES
    assert "DEVICE_ID_STRATEGY" not in told(finding)


def test_the_plugins_own_spec_is_made_by_the_plugin() -> None:
    """It has the names that the plugin asks for as soon as the plugin starts again."""
    machine = CdiMachine(specs={PLUGIN_SPEC: spec(device("0"), device("1"))})
    assert found(machine) == MISSING
    assert "rollout restart" in told(check_devices.device_missing(machine.node()))


def management(strategy: str, mode: str = "cdi") -> CdiMachine:
    """Return a node whose handler's default kind is that of the operator's own pods."""
    own = (
        f'[nvidia-container-runtime]\nmode = "{mode}"\n'
        '[nvidia-container-runtime.modes.cdi]\ndefault-kind = "management.nvidia.com/gpu"\n'
    )
    made = spec(device("all"), kind="management.nvidia.com/gpu")
    return cdi_mode(files={OWN: own}, specs={"/var/run/cdi/management.yaml": made},
                    daemonsets=by(strategy))  # fmt: skip


@pytest.mark.parametrize("strategy", ["envvar", "volume-mounts", "envvar,volume-mounts"])
def test_a_kind_that_has_all_gpus_only(strategy: str) -> None:
    """The management spec has one device; each GPU is asked for by its UUID."""
    finding = check_devices.device_missing(management(strategy).node())
    assert cause(finding) == "runtime/cdi-kind-of-management"
    text = told(finding)
    assert f"DEVICE_LIST_STRATEGY={strategy}" in text
    assert "DEVICE_LIST_STRATEGY=cdi-annotations,cdi-cri" in text
    assert '+default-kind = "nvidia.com/gpu"' in text
    assert "cdi generate" not in text


def test_the_operators_own_pods_alone_may_use_that_kind() -> None:
    """A plugin that names CDI devices itself, a handler that is not in cdi mode, no spec at all."""
    well = management("cdi-cri")
    well.cdi_enabled, well.specs = True, {**well.specs, PLUGIN_SPEC: spec()}
    assert found(well) is None
    assert found(management("envvar", mode="legacy")) is None
    none = management("envvar")
    none.specs = {}
    assert found(none) == "runtime/cdi-management-spec-missing"


def test_a_spec_of_another_vendor() -> None:
    """A site that generates with --vendor: the names are there, the kind is another one."""
    machine = cdi_mode("0", "1", FIRST, SECOND, "all", kind="gpu.example.org/node")
    finding = check_devices.device_missing(machine.node())
    assert cause(finding) == "runtime/cdi-kind-differs"
    text = told(finding)
    assert "GPUs are asked for as nvidia.com/gpu" in text
    assert "defines them as gpu.example.org/node" in text
    assert 'default-kind = "gpu.example.org/node"' in text
    own = f'{CDI_MODE}[nvidia-container-runtime.modes.cdi]\ndefault-kind = "gpu.example.org/node"\n'
    machine.files = {OWN: own}
    assert found(machine) is None
    other = cdi_mode("a", "b", kind="gpu.example.org/node")
    assert found(other) == MISSING


def test_the_plugins_kind_is_no_reason_to_ask_for_it() -> None:
    """Where only the plugin's own spec is there, the toolkit's was not generated."""
    assert found(cdi_mode(specs={PLUGIN_SPEC: spec()})) == MISSING


@pytest.mark.parametrize(
    ("name", "expected"),
    [("0", "index"), ("12:3", "index"), ("gpu7", "type-index"), ("mig1:0", "type-index"),
     (FIRST, "uuid"), (MIG[0], "uuid"), ("all", ""), ("gpu", ""), ("1:2:3", ""), ("gpux1", "")],
)  # fmt: skip
def test_strategies_of_names(name: str, expected: str) -> None:
    """As pkg/nvcdi/namer.go makes them."""
    assert style(name) == expected
