"""The strategies of a device plugin, judged together: one that works is enough."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import pytest

from pytest_gpu.stack.cdi import check_devices
from pytest_gpu.stack.containerd import import_glob
from pytest_gpu.stack.containerd.live_config import LiveConfig, LiveRuntime
from pytest_gpu.stack.toolkit import check_device_access
from tests.stack.cdi.cdi_machine import OWN, CdiMachine, by
from tests.stack.kube.kube_machine import cause, told

ALL = ("envvar", "volume-mounts", "cdi-annotations", "cdi-cri")
MEANS = [each for size in range(1, 5) for each in combinations(ALL, size)]
OFF = "runtime/cdi-off-in-containerd"
NOT_PASSED_ON = "runtime/cdi-annotations-not-passed-on"
STANDARD = "cdi.k8s.io/*"


@dataclass(frozen=True)
class Setup:
    """One node: its containerd, and what its NVIDIA handler gets and accepts."""

    version: tuple[int, ...]
    cdi: bool
    passed_on: bool
    envvar: bool
    mounts: bool

    def works(self, way: str) -> bool:
        """Say whether a strategy works, by the rules of the components."""
        by_containerd = self.cdi and self.version >= (1, 7)
        return {
            "envvar": self.envvar,
            "volume-mounts": self.mounts,
            "cdi-annotations": by_containerd or self.passed_on,
            "cdi-cri": by_containerd,
        }[way]

    def machine(self, means: tuple[str, ...]) -> CdiMachine:
        """Return the node under a plugin with some strategies."""
        own = (
            f"accept-nvidia-visible-devices-envvar-when-unprivileged = {str(self.envvar).lower()}\n"
            f"accept-nvidia-visible-devices-as-volume-mounts = {str(self.mounts).lower()}\n"
        )
        return CdiMachine(
            version=self.version,
            cdi_enabled=self.cdi,
            passed_on=(STANDARD,) if self.passed_on else (),
            files={OWN: own},
            daemonsets=by(",".join(means)),
        )


GENERATIONS = [
    ((1, 6, 20), False),
    ((1, 6, 36), True),  # its file says so, and it does not know the word
    ((1, 7, 24), False),
    ((1, 7, 28), True),
    ((2, 1, 9), True),
    ((2, 0, 2), False),
    ((2, 4, 2), True),
]
SWITCHES = list(product((True, False), repeat=3))


@pytest.mark.parametrize("generation", GENERATIONS, ids=str)
@pytest.mark.parametrize("means", MEANS, ids="+".join)
def test_every_set_of_strategies(
    generation: tuple[tuple[int, ...], bool], means: tuple[str, ...]
) -> None:
    """No finding where one works; else the layer fails, by this check or by the toolkit's own."""
    for passed_on, envvar, mounts in SWITCHES:
        setup = Setup(*generation, passed_on=passed_on, envvar=envvar, mounts=mounts)
        found = cause(check_devices.not_taken(setup.machine(means).node()))
        by_cdi = [way for way in means if way.startswith("cdi-")]
        fails = bool(by_cdi) and not any(map(setup.works, means))
        assert bool(found) == fails, setup
        if fails:
            old = "cdi-annotations" in means and generation[0] < (1, 7) and "cdi-cri" not in means
            assert found == (NOT_PASSED_ON if old else OFF), setup


@pytest.mark.parametrize("means", [("envvar",), ("volume-mounts",), ("envvar", "volume-mounts")])
def test_what_the_toolkit_refuses_is_the_toolkits(means: tuple[str, ...]) -> None:
    """Without a strategy of CDI, that of the toolkit's own settings is the cause."""
    setup = Setup((1, 7, 24), cdi=False, passed_on=False, envvar=False, mounts=False)
    node = setup.machine(means).node()
    assert check_devices.not_taken(node) is None
    assert str(cause(check_device_access.refuses_devices(node))).startswith(
        "runtime/toolkit-refuses"
    )


def test_the_evidence_names_each_strategys_obstacle() -> None:
    """CDI is off, annotations stay with containerd, and the variable is refused."""
    setup = Setup((1, 7, 27), cdi=False, passed_on=False, envvar=False, mounts=True)
    text = told(check_devices.not_taken(setup.machine(("cdi-cri", "envvar")).node()))
    assert "enable_cdi = false" in text
    assert "accept-nvidia-visible-devices-envvar-when-unprivileged = false" in text
    text = told(check_devices.not_taken(setup.machine(("cdi-annotations", "cdi-cri")).node()))
    assert "no container_annotations for cdi.k8s.io/*" in text
    assert "accept-nvidia" not in text


@pytest.mark.parametrize(
    ("patterns", "passed"),
    [
        (("cdi.k8s.io/*",), True),
        (("*.io/nvidia-*",), True),
        (("io.kata.*", "cdi.k8s.io/nvidia-device-plugin_*"), True),
        (("*",), False),  # no star matches a slash
        (("nvidia.cdi.k8s.io/*",), False),
        (("cdi.k8s.io/[",), False),
    ],
)
def test_which_patterns_pass_annotations_on(patterns: tuple[str, ...], *, passed: bool) -> None:
    """As Go's path.Match reads them."""
    machine = CdiMachine(
        cdi_enabled=False, passed_on=patterns, daemonsets=by("cdi-annotations,cdi-cri")
    )
    assert (cause(check_devices.not_taken(machine.node())) is None) == passed
    key = "cdi.k8s.io/nvidia-device-plugin_0"
    assert any(import_glob.matches(each, key) for each in patterns) == passed


def test_what_the_running_containerd_passes_on_counts() -> None:
    """The file was changed, and containerd has not read it; and the other way round."""
    for passed, expected in ((("cdi.k8s.io/*",), None), ((), OFF)):
        live = LiveRuntime(container_annotations=passed)
        loaded = LiveConfig(runtimes={"nvidia": live}, default="runc")
        machine = CdiMachine(cdi_enabled=False, daemonsets=by("cdi-annotations"), loaded=loaded)
        machine.passed_on = ("cdi.k8s.io/*",) if expected else ()
        assert cause(check_devices.not_taken(machine.node())) == expected


def test_a_kubelet_that_drops_the_names() -> None:
    """Before 1.28 it does not know the field; annotations are a way around it."""
    machine = CdiMachine(kubelet_version="v1.27.16", daemonsets=by("cdi-cri"))
    finding = check_devices.not_taken(machine.node())
    assert cause(finding) == "runtime/cdi-names-dropped-by-kubelet"
    assert "DEVICE_LIST_STRATEGY=cdi-annotations,cdi-cri" in told(finding)
    assert "Switch it on" not in told(finding)
    machine.cdi_enabled = False
    assert "Switch it on" in told(check_devices.not_taken(machine.node()))
    for version, means in (("v1.29.4", "cdi-cri"), ("v1.26.3", "cdi-annotations,cdi-cri")):
        well = CdiMachine(kubelet_version=version, daemonsets=by(means))
        assert check_devices.not_taken(well.node()) is None


def owned(means: str, env: dict[str, str], **metadata: Any) -> CdiMachine:
    """Return a node whose plugin uses a prefix that nobody reads, under some owner."""
    (made,) = by(means, **env)
    made["metadata"] |= metadata
    return CdiMachine(daemonsets=[made])


PREFIX = {"CDI_ANNOTATION_PREFIX": "gpu.example.com/"}
POLICY = {"metadata": {"name": "p"}, "spec": {"devicePlugin": {"env": [
    {"name": "PASS_DEVICE_SPECS", "value": "true"},
    {"name": "CDI_ANNOTATION_PREFIX", "value": "gpu.example.com/"},
]}}}  # fmt: skip


def test_the_fix_addresses_the_plugins_owner() -> None:
    """A DaemonSet of nobody, one of the operator, and one of the plugin's own chart."""
    alone = told(check_devices.not_taken(owned("cdi-annotations", PREFIX).node()))
    assert "$ kubectl set env daemonset/nvidia-device-plugin -n gpu-operator CDI_ANNOT" in alone
    assert "helm" not in alone
    assert "clusterpolicy" not in alone
    operators = owned("cdi-annotations", PREFIX, ownerReferences=[{"kind": "ClusterPolicy"}])
    operators.objects["clusterpolicies"] = [POLICY]
    text = told(check_devices.not_taken(operators.node()))
    assert "$ kubectl patch clusterpolicy p --type merge" in text
    assert '{"name": "PASS_DEVICE_SPECS", "value": "true"}' in text
    assert "kubectl set env" not in text
    annotated = {**POLICY, "metadata": {"name": "p", "annotations": {
        "meta.helm.sh/release-name": "gpus", "meta.helm.sh/release-namespace": "ops"}}}  # fmt: skip
    operators.objects["clusterpolicies"] = [annotated]
    text = told(check_devices.not_taken(operators.node()))
    assert "$ helm upgrade gpus nvidia/gpu-operator -n ops --reuse-values -f device-pl" in text
    assert '- name: PASS_DEVICE_SPECS\n    value: "true"' in text


def test_the_plugins_own_chart_has_values_for_it() -> None:
    """A comma in a value is escaped for helm."""
    release = {
        "annotations": {"meta.helm.sh/release-name": "nvdp"},
        "labels": {"helm.sh/chart": "nvidia-device-plugin-0.17.4"},
    }
    machine = owned("cdi-cri", {}, **release)
    machine.kubelet_version = "v1.25.2"
    text = told(check_devices.not_taken(machine.node()))
    assert "$ helm upgrade nvdp nvdp/nvidia-device-plugin -n default --version 0.17.4" in text
    assert "deviceListStrategy=cdi-annotations\\,cdi-cri" in text
