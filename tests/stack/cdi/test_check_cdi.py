"""CDI: specs that cannot be used, devices that are missing, and which containers notice."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.evidence import Door
from pytest_gpu.stack.cdi import check_absent_gpus, check_devices, check_specs
from pytest_gpu.stack.cdi.requests import ways
from pytest_gpu.stack.containerd.live_config import LiveConfig
from pytest_gpu.survey.wishes import wishes
from tests.stack.cdi.cdi_machine import (
    CDI_MODE,
    FIRST,
    HOOK,
    LIB,
    OWN,
    PLUGIN_KIND,
    PLUGIN_SPEC,
    SECOND,
    TOOLKIT_SPEC,
    CdiMachine,
    by,
    device,
    spec,
    toolkit_spec,
    uuids,
)
from tests.stack.kube.kube_machine import cause, plugin_pod, pod, told


def found(machine: CdiMachine) -> tuple[str | None, str | None]:
    """Return what fails of the specs, and of the devices."""
    node = machine.node()
    devices = check_devices.not_taken(node) or check_devices.device_missing(node)
    return cause(check_specs.spec_in_use_wrong(node)), cause(devices)


def noted(machine: CdiMachine) -> tuple[str | None, str | None]:
    """Return what is noted of specs and devices that nothing asks for now."""
    node = machine.node()
    return cause(check_specs.spec_at_rest_wrong(node)), cause(
        check_absent_gpus.names_absent_gpu(node)
    )


def cdi_mode(**changes: Any) -> CdiMachine:
    """Return a node whose NVIDIA handler is in cdi mode, under a plugin that sets a variable."""
    given: dict[str, Any] = {
        "files": {OWN: CDI_MODE},
        "specs": {TOOLKIT_SPEC: toolkit_spec()},
        "daemonsets": by("envvar"),
        "cdi_enabled": False,
    }
    return CdiMachine(**{**given, **changes})


def legacy(**changes: Any) -> CdiMachine:
    """Return a node on which nothing asks for CDI devices."""
    return CdiMachine(**{"daemonsets": by("envvar"), "cdi_enabled": False, **changes})


def test_healthy_machines_show_nothing() -> None:
    """By the plugin through containerd, by an NVIDIA handler in cdi mode, and without CDI."""
    for machine in (CdiMachine(), cdi_mode(), legacy()):
        assert found(machine) == (None, None)
        assert noted(machine) == (None, None)


def test_who_asks_for_what() -> None:
    """The plugin asks containerd for each GPU, a handler in cdi mode is asked for all, too."""
    (plugins,) = ways(CdiMachine().node())
    assert (plugins.reader, plugins.devices) == (
        "containerd",
        (f"{PLUGIN_KIND}={FIRST}", f"{PLUGIN_KIND}={SECOND}"),
    )
    (handlers,) = ways(cdi_mode().node())
    assert handlers.reader == "nvidia"
    assert handlers.devices == tuple(f"nvidia.com/gpu={name}" for name in ("all", FIRST, SECOND))
    assert ways(legacy().node()) == ()
    by_index = CdiMachine(daemonsets=by("cdi-cri", DEVICE_ID_STRATEGY="index"))
    assert ways(by_index.node())[0].devices == (f"{PLUGIN_KIND}=0", f"{PLUGIN_KIND}=1")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"gone": ("/dev/nvidia1",)}, "runtime/cdi-spec-stale"),
        ({"gone": (f"{LIB}/libcuda.so.560.35.03",)}, "runtime/cdi-spec-stale"),
        ({"gone": (HOOK,)}, "runtime/cdi-hook-missing"),
        ({"links": {"/dev/nvidia1": "nvidia0"}, "devices": {}}, "runtime/cdi-spec-stale"),
        (
            {"specs": {PLUGIN_SPEC: spec(device(FIRST, type="c", major=195, minor=7))}},
            "runtime/cdi-node-numbers",
        ),
        ({"specs": {PLUGIN_SPEC: spec(device(FIRST, type="b"))}}, "runtime/cdi-node-numbers"),
        ({"specs": {PLUGIN_SPEC: spec(cdiVersion="0.9.0")}}, "runtime/cdi-spec-invalid"),
        ({"specs": {PLUGIN_SPEC: "kind: ["}}, "runtime/cdi-spec-invalid"),
        (
            {"specs": {PLUGIN_SPEC: spec(), "/var/run/cdi/x.json": spec()}},
            "runtime/cdi-device-conflict",
        ),
    ],
)
def test_a_spec_in_use_that_cannot_be_used(change: dict[str, Any], expected: str) -> None:
    """One thing broken: that cause, where containers get their devices from it."""
    assert found(CdiMachine(**change))[0] == expected


def test_the_same_in_a_spec_that_nobody_asks_for_is_noted() -> None:
    """It breaks whoever asks one day: no failure, and not hidden either."""
    for change in ({"gone": (HOOK,)}, {"specs": {PLUGIN_SPEC: "{"}}):
        machine = legacy(**change)
        assert found(machine) == (None, None)
        assert noted(machine)[0] in {"runtime/cdi-hook-missing", "runtime/cdi-spec-invalid"}


def test_a_library_of_another_driver() -> None:
    """It is there still, and is not that of the loaded module."""
    old = f"{LIB}/libcuda.so.550.54.15"
    edits = {"mounts": [{"hostPath": old, "containerPath": "/usr/lib/libcuda.so.1"}]}
    machine = CdiMachine(specs={PLUGIN_SPEC: spec(containerEdits=edits)}, files={old: ""})
    finding = check_specs.spec_in_use_wrong(machine.node())
    assert cause(finding) == "runtime/cdi-library-of-other-driver"
    assert "550.54.15" in told(finding)
    assert "560.35.03" in told(finding)
    machine.gone = (old,)
    assert "the loaded driver is 560.35.03" in told(check_specs.spec_in_use_wrong(machine.node()))


def test_numbers_that_are_told_and_true() -> None:
    """A node whose type and numbers stand in the spec is right if they are the host's."""
    machine = CdiMachine(
        specs={PLUGIN_SPEC: spec(device(FIRST, type="c", major=195), device(SECOND))}
    )
    assert found(machine) == (None, None)


def test_a_stale_copy_behind_a_fresh_one_harms_nobody() -> None:
    """Of two files in two directories the later one counts; the other is noted."""
    old = toolkit_spec()
    old["containerEdits"] = {"deviceNodes": [{"path": "/dev/gone"}]}
    machine = cdi_mode(specs={"/etc/cdi/nvidia.yaml": old, TOOLKIT_SPEC: toolkit_spec()})
    assert found(machine) == (None, None)
    assert noted(machine)[0] == "runtime/cdi-spec-stale"
    machine.specs = {"/etc/cdi/nvidia.yaml": old}
    assert found(machine)[0] == "runtime/cdi-spec-stale"


def test_the_unit_of_the_toolkit_is_the_fix_where_it_is_installed() -> None:
    """nvidia-cdi-refresh writes /var/run/cdi: a copy in /etc/cdi is to be removed."""
    unit = {"/etc/systemd/system/nvidia-cdi-refresh.service": ""}
    machine = cdi_mode(gone=("/dev/nvidiactl",))
    assert "$ sudo nvidia-ctk cdi generate" in told(check_specs.spec_in_use_wrong(machine.node()))
    machine.files = {OWN: CDI_MODE, **unit}
    text = told(check_specs.spec_in_use_wrong(machine.node()))
    assert "$ sudo systemctl restart nvidia-cdi-refresh.service" in text
    machine.specs = {"/etc/cdi/nvidia.yaml": toolkit_spec()}
    assert "$ sudo rm /etc/cdi/nvidia.yaml" in told(check_specs.spec_in_use_wrong(machine.node()))


def test_the_plugins_own_spec_is_made_by_the_plugin() -> None:
    """The fix of its file is to start it anew."""
    text = told(check_specs.spec_in_use_wrong(CdiMachine(gone=(HOOK,)).node()))
    assert "$ kubectl rollout restart daemonset/nvidia-device-plugin" in text


def test_no_spec_at_all() -> None:
    """The plugin's directory is empty after a reboot."""
    finding = check_devices.device_missing(CdiMachine(specs={}).node())
    assert cause(finding) == "runtime/cdi-device-missing"
    assert f"unresolvable CDI devices {PLUGIN_KIND}={FIRST}" in told(finding)
    assert found(cdi_mode(specs={}))[1] == "runtime/cdi-device-missing"


def test_a_gpu_that_the_spec_does_not_know() -> None:
    """One of two GPUs has no device."""
    finding = check_devices.device_missing(
        CdiMachine(specs={PLUGIN_SPEC: spec(device(FIRST))}).node()
    )
    assert cause(finding) == "runtime/cdi-device-missing"
    assert f"{PLUGIN_KIND}={SECOND}" in told(finding)


def test_a_spec_where_nobody_looks() -> None:
    """In another directory, or in one that is itself a link."""
    finding = check_devices.device_missing(CdiMachine(dirs=("/opt/cdi",)).node())
    assert cause(finding) == "runtime/cdi-spec-outside-directories"
    assert PLUGIN_SPEC in told(finding)
    linked = CdiMachine(specs={"/opt/cdi/x.json": spec()}, links={"/var/run/cdi": "/opt/cdi"})
    linked.unlisted = ("/var/run/cdi",)
    finding = check_devices.device_missing(linked.node())
    assert cause(finding) == "runtime/cdi-spec-outside-directories"
    assert "/var/run/cdi: is a link" in told(finding)


def test_var_run_may_be_a_link() -> None:
    """It is one everywhere; only a link in the last name is not followed."""
    machine = CdiMachine(specs={"/run/cdi/x.json": spec()}, links={"/var/run": "/run"})
    machine.unlisted = ("/var/run/cdi", "/run")
    assert "runtime/cdi-spec-outside-directories" not in found(machine)


def test_the_operators_own_spec_is_missing() -> None:
    """The toolkit's pod makes it, and is itself started through the handler that needs it."""
    text = CDI_MODE + '[nvidia-container-runtime.modes.cdi]\ndefault-kind = "%s"\n'
    own = text % "management.nvidia.com/gpu"
    machine = cdi_mode(files={OWN: own}, daemonsets=by("cdi-annotations"), default="nvidia")
    machine.passed_on = ("cdi.k8s.io/*",)
    machine.specs = {PLUGIN_SPEC: spec()}
    finding = check_devices.device_missing(machine.node())
    assert cause(finding) == "runtime/cdi-management-spec-missing"
    assert "--mode=management" in told(finding) or "--vendor=management" in told(finding)
    machine.specs["/var/run/cdi/m.yaml"] = toolkit_spec(kind="management.nvidia.com/gpu")
    assert found(machine) == (None, None)
    machine.files = {OWN: text % "runtime.nvidia.com/gpu"}
    assert "management" not in str(ways(machine.node()))


def test_mig_drift() -> None:
    """The first GPU was split after the spec was made."""
    parts = [{"uuid": f"MIG-{n}1111111-2222-3333-4444-555555555555"} for n in (1, 2)]
    split = uuids(mig={"current": 1}, mig_devices=parts)
    machine = CdiMachine(nvml=split, daemonsets=by("cdi-cri", MIG_STRATEGY="mixed"))
    assert found(machine)[1] == "runtime/cdi-mig-drift"
    names = [str(each["uuid"]) for each in parts]
    machine.specs = {PLUGIN_SPEC: spec(*map(device, names), device(SECOND, 1))}
    assert found(machine) == (None, None)
    assert noted(machine) == (None, None)
    machine.nvml = uuids()
    assert noted(machine)[1] == "runtime/cdi-names-absent-gpu"


def test_containerd_does_not_inject() -> None:
    """1.6 cannot, 1.7 has it off, and one may not have read its file again."""
    off = CdiMachine(cdi_enabled=False, version=(1, 7, 24))
    finding = check_devices.not_taken(off.node())
    assert cause(finding) == "runtime/cdi-off-in-containerd"
    assert "enable_cdi" in told(finding)
    old = CdiMachine(cdi_enabled=True, version=(1, 6, 20))
    assert "does not support CDI" in told(check_devices.not_taken(old.node()))
    loaded = LiveConfig(runtimes={}, default="runc", cdi_enabled=False)
    unread = CdiMachine(version=(1, 7, 24), loaded=loaded)
    assert "has not read it" in told(check_devices.not_taken(unread.node()))


def test_names_for_an_nvidia_handler_need_no_cdi_of_containerd() -> None:
    """A plugin may hand devices over by several means at once."""
    machine = CdiMachine(cdi_enabled=False, daemonsets=by("envvar,cdi-cri"), specs={})
    assert found(machine) == (None, None)
    machine.cdi_enabled = True
    assert found(machine)[1] == "runtime/cdi-device-missing"


def test_annotations_under_a_prefix_that_nobody_reads() -> None:
    """Containerd reads its own; an NVIDIA handler what its configuration says, but in legacy."""
    prefix = {"CDI_ANNOTATION_PREFIX": "nvidia.cdi.k8s.io/"}
    machine = CdiMachine(daemonsets=by("cdi-annotations", **prefix))
    assert found(machine)[1] == "runtime/cdi-annotations-unheeded"
    heeds = '[nvidia-container-runtime.modes.cdi]\nannotation-prefixes = ["nvidia.cdi.k8s.io/"]\n'
    machine.files = {OWN: heeds}
    assert found(machine)[1] == "runtime/cdi-annotations-not-passed-on"
    machine.passed_on = ("nvidia.cdi.k8s.io/*",)
    assert found(machine) == (None, None)
    machine.files = {OWN: f'[nvidia-container-runtime]\nmode = "legacy"\n{heeds}'}
    assert found(machine)[1] == "runtime/cdi-annotations-unheeded"


def test_annotations_are_read_by_the_handler_where_containerd_does_not() -> None:
    """CDI is off in containerd 1.7, and the NVIDIA runtime takes the devices."""
    machine = CdiMachine(cdi_enabled=False, daemonsets=by("cdi-annotations,cdi-cri"))
    assert found(machine)[1] == "runtime/cdi-off-in-containerd"
    machine.passed_on = ("cdi.k8s.io/*",)
    assert found(machine) == (None, None)
    assert ways(machine.node())[0].reader == "nvidia"


def test_what_nri_is_asked_for() -> None:
    """Operands name the management device in an annotation."""
    machine = CdiMachine()
    machine.objects["clusterpolicies"] = [
        {"metadata": {"name": "p"}, "spec": {"cdi": {"enabled": True, "nriPluginEnabled": True}}}
    ]
    asks = pod("validator")
    asks["metadata"]["annotations"] = {
        "nvidia.cdi.k8s.io/container.x": "management.nvidia.com/gpu=all"
    }
    machine.pods = [plugin_pod(), asks]
    assert found(machine)[1] == "runtime/cdi-management-spec-missing"


def test_what_was_not_looked_at_is_unproven() -> None:
    """An unlisted directory, unread DaemonSets, NVML that was not asked."""
    with pytest.raises(Unproven, match="/var/run/cdi"):
        found(CdiMachine(specs={}, unlisted=("/var/run/cdi", "/var/run")))
    machine = CdiMachine()
    node = machine.node()
    del vars(node.cluster)["_objects"]["daemonsets"]
    with pytest.raises(NotInEvidence, match="daemonsets"):
        ways(node)
    vars(node.cluster)["_nodes"]["gpu-1"].door = Door(kind="local")
    assert ways(node) == ()


def test_a_version_that_containerd_may_not_know() -> None:
    """A spec of 1.0.0 under a containerd that came before."""
    machine = CdiMachine(specs={PLUGIN_SPEC: spec(cdiVersion="1.0.0")}, version=(1, 7, 24))
    with pytest.raises(Unproven, match=r"CDI version 1\.0\.0"):
        found(machine)
    machine.version = (2, 1, 9)
    assert found(machine) == (None, None)


def test_other_vendors_specs_are_not_ours() -> None:
    """Broken or stale, nobody asks them for GPUs."""
    machine = CdiMachine()
    machine.specs |= {
        "/etc/cdi/intel.yaml": "kind: [",
        "/etc/cdi/amd.json": spec(kind="amd.com/gpu", foo=1),
    }
    assert found(machine) == (None, None)
    assert noted(machine) == (None, None)


def test_a_visit_asks_at_once_for_all_that_specs_name() -> None:
    """Before NVML has answered, and though nothing of it is known yet."""
    machine = CdiMachine(unlisted=("/dev", LIB, "/usr/bin"), nvml=None)
    machine.specs = {PLUGIN_SPEC: spec(), TOOLKIT_SPEC: toolkit_spec()}
    machine.gone = (HOOK, f"{LIB}/libcuda.so.560.35.03", "/dev/nvidia0", "/dev/nvidia1")
    machine.gone += ("/dev/nvidiactl",)
    node = machine.node()
    wished = wishes(node.cluster, node.evidence)
    wished.node.memory = node.memory
    tuple(check_specs.entries_named(wished.node))
    assert wished.noted.entries.keys() >= set(machine.gone)
