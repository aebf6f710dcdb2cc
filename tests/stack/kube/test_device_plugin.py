"""How the device plugin is found, how it must count GPUs, and how to change its operator."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.stack.kube import device_plugin, sharing
from pytest_gpu.stack.kube.operator import change_values, helm_release
from pytest_gpu.stack.kube.runtimeclass import class_for_gpus, handler_of
from tests.samples.mending import shown
from tests.stack.kube.kube_machine import GPU, Machine, plugin_pod, pod

HELM = {"meta.helm.sh/release-name": "gpu", "meta.helm.sh/release-namespace": "nvidia"}
TIME_SLICING = """
version: v1
sharing:
  timeSlicing:
    resources:
    - name: nvidia.com/gpu
      replicas: 4
"""


def config_map(text: str = TIME_SLICING, key: str = "any") -> dict[str, Any]:
    """Return a ConfigMap for the device plugin."""
    metadata = {"name": "time-slicing", "namespace": "gpu-operator"}
    return {"metadata": metadata, "data": {key: text}}


def policy(**spec: Any) -> dict[str, Any]:
    """Return a ClusterPolicy."""
    return {"metadata": {"name": "cluster-policy"}, "spec": spec}


def told(machine: Machine) -> sharing.Sharing:
    """Return how the plugin of this node was told to count."""
    node = machine.node()
    found = device_plugin.find(node.cluster, node.name)
    return sharing.read(node.cluster, node.object, found)


def shared(text: str = TIME_SLICING, **config: str) -> Machine:
    """Return a node whose plugin takes its configuration from a ConfigMap."""
    config = {"name": "time-slicing", "default": "any", **config}
    objects = {
        "configmaps": [config_map(text)],
        "clusterpolicies": [policy(devicePlugin={"config": config})],
    }
    return Machine(objects=objects)


@pytest.mark.parametrize(
    ("name", "image", "command", "mounts", "kind"),
    [
        ("nvidia-device-plugin-ctr", "nvcr.io/nvidia/k8s-device-plugin:v1", "", False, "nvidia"),
        ("x", "mirror/dp:1", "/usr/bin/nvidia-device-plugin", False, "nvidia"),
        ("x", "gke.gcr.io/nvidia-gpu-device-plugin:1", "", True, "google"),
        ("x", "projecthami/hami:1", "nvidia-device-plugin", False, "other"),
        ("gpu-feature-discovery", "nvcr.io/nvidia/k8s-device-plugin:v1", "", False, "none"),
        ("x", "nvcr.io/nvidia/kubevirt-gpu-device-plugin:1", "", True, "none"),
        ("x", "nvcr.io/nvidia/cloud-native/k8s-rdma-shared-dev-plugin", "", True, "none"),
        ("device-plugin", "rocm/k8s-device-plugin", "", True, "none"),
    ],
)
def test_the_plugin_is_known_by_what_it_does(
    name: str, image: str, command: str, mounts: bool, kind: str
) -> None:
    """Not by the name of a pod; feature discovery comes in the same image."""
    made = pod("any", gpus=0)
    container: dict[str, Any] = {"name": name, "image": image, "command": [command]}
    if mounts:
        folder = {"path": "/var/lib/kubelet/device-plugins"}
        made["spec"]["volumes"] = [{"name": "d", "hostPath": folder}]
        container["volumeMounts"] = [{"name": "d", "mountPath": "/p"}]
    made["spec"]["containers"] = [container]
    node = Machine(pods=[made], daemonsets=[]).node()
    assert device_plugin.find(node.cluster, node.name).kind == kind


@pytest.mark.parametrize(
    ("args", "variable", "expected"),
    [
        (["--mig-strategy=mixed"], "single", "mixed"),
        (["--mig-strategy", "mixed"], "single", "mixed"),
        (["-mig-strategy", "mixed"], "", "mixed"),
        (["--mig-strategy=none", "--mig-strategy=mixed"], "", "mixed"),
        (["--mig-strategy="], "single", ""),
        (["--mig-strategyx=mixed"], "single", "single"),
        ([], "single", "single"),
        ([], "", ""),
    ],
)
def test_a_flag_counts_before_its_variable(args: list[str], variable: str, expected: str) -> None:
    """In either spelling, and the last one given."""
    found = device_plugin.DevicePlugin(
        kind="nvidia", pods=(started(args, variable),), daemonsets=()
    )
    assert device_plugin.setting(found, "MIG_STRATEGY", "--mig-strategy") == expected


def started(args: list[str], variable: str) -> dict[str, Any]:
    """Return a plugin's pod with these arguments and this MIG strategy in a variable."""
    made = plugin_pod()
    env = [{"name": "MIG_STRATEGY", "value": variable}] if variable else []
    made["spec"]["containers"][0] |= {"args": args, "env": env}
    return made


def test_switches_need_no_value_and_lists_grow() -> None:
    """A word after a switch is none of its value."""
    args = ["--pass-device-specs", "false", "--device-list-strategy=envvar"]
    args += ["--device-list-strategy", "cdi-cri"]
    found = device_plugin.DevicePlugin(kind="nvidia", pods=(started(args, ""),), daemonsets=())
    assert device_plugin.setting(found, "PASS_DEVICE_SPECS", "--pass-device-specs") == "true"
    assert device_plugin.setting(found, "X", "--device-list-strategy") == "envvar,cdi-cri"


def test_a_label_of_that_name_is_no_resource() -> None:
    """Neither are other resources of NVIDIA's."""
    machine = Machine(
        labels={"nvidia.com/gpu": "true"}, capacity={"nvidia.com/hostdev": "8", "cpu": "4"}
    )
    assert device_plugin.advertised(machine.node().object) == {}
    assert device_plugin.advertised(Machine().node().object) == {GPU: 1}


def test_without_a_configuration_nothing_is_shared() -> None:
    """ConfigMaps are not even asked for."""
    assert told(Machine()).apply({GPU: 2}) == {GPU: 2}


def test_the_policys_default_is_used() -> None:
    """The line that says so is evidence."""
    found = told(shared())
    assert found.apply({GPU: 2}) == {GPU: 8}
    assert found.evidence[0].text == "replicas: 4"


def test_the_nodes_label_outranks_the_default() -> None:
    """As the config manager chooses."""
    machine = shared(default="none")
    machine.labels = {sharing.CONFIG_LABEL: "any"}
    assert told(machine).apply({GPU: 1}) == {GPU: 4}


def test_a_configuration_that_does_not_exist_is_named() -> None:
    """Key and ConfigMap."""
    assert "key 'other'" in told(shared(default="other")).missing


def test_unread_config_maps_are_no_answer() -> None:
    """Nobody knows then how to count."""
    machine = shared()
    del machine.objects["configmaps"]
    with pytest.raises(NotInEvidence):
        told(machine)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (("timeSlicing:", "timeSlicing:\n    renameByDefault: true"), {"nvidia.com/gpu.shared": 8}),
        (("replicas: 4", "replicas: 4\n      rename: nvidia.com/slice"), {GPU: 8}),
        (("replicas: 4", "replicas: 4\n      devices: [0]"), {GPU: 8}),
        (("timeSlicing", "mps"), {GPU: 8}),
        (("nvidia.com/gpu", "nvidia.com/mig-1g.5gb"), {GPU: 2}),
    ],
)
def test_each_way_of_sharing_counts(change: tuple[str, str], wanted: dict[str, int]) -> None:
    """Renamed by default, by MPS, of another resource; names of one's own are ignored."""
    assert told(shared(TIME_SLICING.replace(*change))).apply({GPU: 2}) == wanted


def test_the_plugins_own_chart_falls_back_to_named_and_single_configurations() -> None:
    """Its volume is mounted for the config manager."""
    made = plugin_pod()
    manager = {
        "name": "config-manager-init",
        "env": [{"name": "FALLBACK_STRATEGIES", "value": "named,single"}],
        "volumeMounts": [{"name": "c", "mountPath": "/available-configs"}],
    }
    made["spec"]["initContainers"] = [manager]
    made["spec"]["volumes"] = [{"name": "c", "configMap": {"name": "time-slicing"}}]
    machine = Machine(pods=[made], objects={"configmaps": [config_map()]})
    assert told(machine).apply({GPU: 1}) == {GPU: 4}
    manager["env"] = []
    assert told(machine).apply({GPU: 1}) == {GPU: 1}


def test_google_tells_by_labels() -> None:
    """Its plugin needs no ConfigMap."""
    made = plugin_pod()
    container = {"name": "x", "image": "gke.gcr.io/nvidia-gpu-device-plugin"}
    made["spec"]["containers"] = [{**container, "command": ["nvidia-device-plugin"]}]
    labels = {"cloud.google.com/gke-max-shared-clients-per-gpu": "3"}
    assert told(Machine(pods=[made], labels=labels)).apply({GPU: 1}) == {GPU: 3}


def test_a_release_is_read_from_what_helm_leaves_on_its_objects() -> None:
    """Never from Helm's Secrets; without Helm the ClusterPolicy is changed."""
    labels = {"helm.sh/chart": "gpu-operator-v25.3.4"}
    owned = {"metadata": {"name": "p", "annotations": HELM, "labels": labels}, "spec": {}}
    release = helm_release(owned)
    assert release is not None
    assert (release.chart, release.version) == ("gpu-operator", "v25.3.4")
    helm = Machine(objects={"clusterpolicies": [owned]}).node().cluster
    plain = Machine(objects={"clusterpolicies": [policy()]}).node().cluster
    assert shown(change_values(helm, "operator.runtimeClass", "nvidia")) == [
        "$ helm upgrade gpu nvidia/gpu-operator -n nvidia --version v25.3.4 --reuse-values"
        " --set operator.runtimeClass=nvidia"
    ]
    assert shown(change_values(plain, "operator.runtimeClass", "nvidia")) == [
        "$ kubectl patch clusterpolicy cluster-policy --type merge"
        ' -p \'{"spec": {"operator": {"runtimeClass": "nvidia"}}}\''
    ]


def test_a_value_of_the_operator_is_set_only_where_it_is_not_in_force() -> None:
    """Nothing is proposed without an operator, nor what its policy says already."""

    def steps(value: str | bool, *policies: dict[str, Any]) -> list[str]:
        cluster = Machine(objects={"clusterpolicies": [*policies]}).node().cluster
        return shown(change_values(cluster, "driver.enabled", value))

    off = {"metadata": {"name": "p"}, "spec": {"driver": {"enabled": False}}}
    owned = {**off, "metadata": {"name": "p", "annotations": HELM}}
    assert steps(True) == []
    assert steps(False, off) == []
    assert steps("false", off) != []
    (patch,) = steps(True, off)
    assert patch.startswith("$ kubectl patch clusterpolicy p --type merge -p ")
    assert '{"driver": {"enabled": true}}' in patch
    assert steps(True, owned)[0].endswith(" --set driver.enabled=true")


def test_handlers_follow_runtimeclasses() -> None:
    """No class is the default handler, a missing one none at all."""
    by_class = {"nvidia": "nvidia", "gpu": "nvidia", "kata": "kata"}
    assert handler_of({}, by_class) == ""
    assert handler_of({"runtimeClassName": "gpu"}, by_class) == "nvidia"
    assert handler_of({"runtimeClassName": "gone"}, by_class) is None
    assert class_for_gpus(by_class, "nvidia".__eq__) == "nvidia"
    assert class_for_gpus({"kata": "kata"}, "nvidia".__eq__) is None
