"""An operand is changed where the change lasts: at what made it; and only if a change helps."""

from __future__ import annotations

import pytest

from pytest_gpu.stack.operands.chain import culprit_for
from pytest_gpu.stack.operands.roles import DEVICE_PLUGIN, DRIVER, TOOLKIT
from pytest_gpu.stack.operands.telling import advice_of
from tests.stack.operands.made_up_operands import Object, log_path, node_with, workload
from tests.stack.operands.test_chain import DOWN, NO_IMAGE, operand, waiting

POLICY: Object = {
    "kind": "ClusterPolicy",
    "metadata": {"name": "policy-a"},
    "spec": {},
    "status": {"namespace": "gpu-stack"},
}
HELM: Object = {
    "annotations": {
        "meta.helm.sh/release-name": "toolkits",
        "meta.helm.sh/release-namespace": "infra",
    }
}
BY_POLICY: Object = {
    "ownerReferences": [{"kind": "ClusterPolicy", "name": "policy-a", "controller": True}]
}


def fix(metadata: Object, line: str = "", policy: Object | None = None, role: str = TOOLKIT) -> str:
    """Return the steps for an operand: without a line of its log its image is missing."""
    made = operand(role, main=DOWN if line else NO_IMAGE)
    daemonset = workload(made, name=role, metadata=metadata)
    files = {log_path(made, restarts=4): f'time="2026-01-13T08:15:33Z" level=error msg="{line}"\n'}
    node = node_with(
        made,
        files=files if line else {},
        daemonsets=[daemonset],
        clusterpolicies=[policy] if policy and policy["kind"] == "ClusterPolicy" else [],
        nvidiadrivers=[policy] if policy and policy["kind"] == "NVIDIADriver" else [],
    )
    found = culprit_for(node, role)
    assert found is not None
    return "\n".join(step.shown for step in advice_of(node, found.fault))


@pytest.mark.parametrize(
    ("line", "key"),
    [("", "version"), ("unknown option x", "env"), ("cannot allocate memory", "resources")],
)
def test_the_policy_that_makes_it(line: str, key: str) -> None:
    """Without Helm the ClusterPolicy itself; with Helm its values, in which lists are whole."""
    said = fix(BY_POLICY, line, POLICY)
    assert f"The operator makes it from toolkit.{key} of the ClusterPolicy" in said
    assert "$ kubectl edit clusterpolicy policy-a" in said
    owned = {**POLICY, "metadata": {**POLICY["metadata"], **HELM}}
    said = fix(BY_POLICY, line, owned)
    assert f"from toolkit.{key} in the values of the Helm release toolkits" in said
    assert "helm upgrade toolkits" in said
    assert "kubectl edit" not in said


UNKNOWN_FIELD = "unable to parse config file: error unmarshaling JSON: unknown field x"


def test_a_file_that_is_refused_is_corrected_in_its_config_map() -> None:
    """Not in the environment; where the operator gives it none, no place is named."""
    told = {**POLICY, "spec": {"devicePlugin": {"config": {"name": "slices"}}}}
    said = fix(BY_POLICY, UNKNOWN_FIELD, told, DEVICE_PLUGIN)
    assert "devicePlugin.config.name of the ClusterPolicy" in said
    assert "$ kubectl edit configmap slices -n gpu-stack" in said
    for policy, role in ((POLICY, DEVICE_PLUGIN), (told, TOOLKIT)):
        assert "edit" not in fix(BY_POLICY, UNKNOWN_FIELD, policy, role)


def test_a_daemonset_of_nobody_or_of_a_chart() -> None:
    """No ClusterPolicy and no operator is named where there is none."""
    said = fix({})
    assert "$ kubectl edit daemonset toolkit -n gpu-stack" in said
    assert "olicy" not in said
    said = fix(HELM)
    assert "$ helm get values toolkits -n infra" in said
    assert "kubectl edit" not in said


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("open /proc/driver/x: no such file or directory", "$ ls -ld /proc/driver/x"),
        ("open /run/nvidia/x: permission denied", "apparmor"),
        ("dial tcp 10.0.0.1:443: i/o timeout", "name resolution"),
        ("panic: runtime error: nil map", "crashed"),
        ("the flux is out of tune", "No cause is known for this message"),
    ],
)
def test_what_no_change_of_the_operand_ends(line: str, told: str) -> None:
    """The steps follow from the line; the log is named, and nothing is to be edited."""
    said = fix(BY_POLICY, line, POLICY)
    assert told in said
    assert "kubectl logs toolkit-x1 -n gpu-stack -c main --tail=50 --previous" in said
    assert "edit" not in said


REJECTED = "could not insert 'nvidia': Key was rejected by service"
NO_HEADERS = "E: Unable to locate package linux-headers-6.8.0-31-generic"
OWN_DRIVER: Object = {"kind": "NVIDIADriver", "metadata": {"name": "driver-b"}, "spec": {}}
BY_DRIVER: Object = {
    "ownerReferences": [{"kind": "NVIDIADriver", "name": "driver-b", "controller": True}]
}


@pytest.mark.parametrize(
    ("line", "key"), [(REJECTED, "usePrecompiled"), (NO_HEADERS, "repoConfig")]
)
def test_the_driver_container_is_changed_where_the_operator_makes_it(line: str, key: str) -> None:
    """In the ClusterPolicy, Helm's values or the NVIDIADriver; no package of the host is named."""
    said = fix(BY_POLICY, line, POLICY, DRIVER)
    assert f"The operator makes it from driver.{key} of the ClusterPolicy" in said
    owned = {**POLICY, "metadata": {**POLICY["metadata"], **HELM}}
    assert f"driver.{key} in the values of the Helm release" in fix(BY_POLICY, line, owned, DRIVER)
    by_driver = fix(BY_DRIVER, line, OWN_DRIVER, DRIVER)
    assert f"is made from {key} of nvidiadriver driver-b" in by_driver
    assert "$ kubectl edit nvidiadriver driver-b" in by_driver
    assert not {"apt", "dnf", "dkms"} & set(f"{said} {by_driver}".split())


def test_helm_switches_precompiled_modules_on() -> None:
    """One value: no file is needed."""
    owned = {**POLICY, "metadata": {**POLICY["metadata"], **HELM}}
    said = fix(BY_POLICY, REJECTED, owned, DRIVER)
    assert "--set driver.usePrecompiled=true" in said
    assert "values.yaml" not in said


def test_what_is_in_force_is_not_advised() -> None:
    """Nor a key of the operator where it does not make the driver, nor one for another operand."""
    precompiled = {**POLICY, "spec": {"driver": {"usePrecompiled": True}}}
    for said in (
        fix(BY_POLICY, REJECTED, precompiled, DRIVER),
        fix({}, REJECTED, None, DRIVER),
        fix({}, NO_HEADERS, None, DRIVER),
        fix(BY_POLICY, REJECTED, POLICY),
    ):
        assert "Precompiled" not in said
        assert "repoConfig" not in said
        assert "edit" not in said


def test_a_driver_in_use() -> None:
    """What holds it is to be found and ended; nothing is to be edited."""
    line = "failed to uninstall components: failed to unload driver: device or resource busy"
    said = fix(BY_POLICY, line, POLICY, DRIVER)
    assert "$ sudo lsof /dev/nvidia*" in said
    assert said.index("kubectl drain gpu-1") < said.index("sudo reboot")
    assert "edit" not in said


@pytest.mark.parametrize(
    ("state", "line", "path"),
    [
        (NO_IMAGE, "", "validator.version"),
        (DOWN, "unknown option x", "validator.driver.env"),
        (DOWN, "cannot allocate memory", "validator.resources"),
    ],
)
def test_an_init_container_is_the_validators(state: Object, line: str, path: str) -> None:
    """It stands in the toolkit's pod, and the toolkit's image and settings do not change it."""
    made = waiting(TOOLKIT, "driver-validation", state)
    log = f'time="2026-01-13T08:15:33Z" level=error msg="{line}"\n'
    node = node_with(
        made,
        files={log_path(made, "driver-validation", restarts=4): log} if line else {},
        daemonsets=[workload(made, name=TOOLKIT, metadata=BY_POLICY)],
        clusterpolicies=[POLICY],
    )
    found = culprit_for(node, TOOLKIT)
    assert found is not None
    said = "\n".join(step.shown for step in advice_of(node, found.fault))
    assert f"The operator makes it from {path} of the ClusterPolicy" in said
