"""What fails beside the device plugin, or instead of it, is told as the cause.

The daemon's and the driver's words are those of k8s-device-plugin (cmd/mps-control-daemon,
internal/plugin/mps.go) and k8s-dra-driver-gpu (cmd/gpu-kubelet-plugin).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.errors import Unproven
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.pods import check_count, check_plugin
from tests.stack.kube.kube_machine import GPU, Machine, cause, nvml, plugin_pod, told
from tests.stack.operands.made_up_operands import (
    CRASHED,
    READY,
    Object,
    container,
    log_path,
    pod,
    warning,
    workload,
)
from tests.stack.operands.test_driver_container import Cluster, lines
from tests.stack.pods.test_check_plugin import first

DOWN: Object = {**CRASHED, "ready": False}
MPS_IMAGE = "nvcr.io/nvidia/k8s-device-plugin:v0.17.4"
DRA_IMAGE = "nvcr.io/nvidia/k8s-dra-driver-gpu:v25.3.2"
MPS_SAYS = (
    "error starting plugins: unable to load config: unable to finalize config: unknown version: v3",
    "error starting plugins: failed to create .ready file",
)
DRA_SAYS = (
    "error creating driver: unable to create base CDI spec file: failed to write spec:"
    " open /var/run/cdi/k8s.gpu.nvidia.com-device_base.yaml: read-only file system",
    "error creating driver: failed to create checkpoint manager: no space left on device",
)


def daemon(status: Object = DOWN, name: str = "mps-control-daemon-tq5jb") -> Object:
    """Return the MPS control daemon's pod."""
    main = container(MPS_IMAGE, run=["mps-control-daemon"])
    return pod(main, name=name, statuses={"main": status})


def driver(*programs: str, status: Object = DOWN, name: str = "dra-x4f2q") -> Object:
    """Return the pod of the DRA driver; the programs run in one container each."""
    main = [
        container(DRA_IMAGE, name=f"c{i}", run=["bash", "-c"], args=[f"{program} -v 6"])
        for i, program in enumerate(programs)
    ]
    return pod(*main, name=name, statuses={each["name"]: status for each in main})


def withdrawn(*pods: Object, left: str = "0", files: dict[str, str] | None = None) -> Machine:
    """Return a node of whose four shared GPUs so many are left."""
    return Machine(
        pods=[plugin_pod(), *pods],
        capacity={GPU: "4"},
        allocatable={GPU: left},
        nvml=nvml(*[{}] * 4),
        files=files or {},
    )


def without_plugin(*pods: Object, files: dict[str, str] | None = None, **objects: Any) -> Machine:
    """Return a node on which only these pods could offer its GPU."""
    return Machine(
        pods=list(pods), daemonsets=[], capacity={}, files=files or {}, objects=dict(objects)
    )


@pytest.mark.parametrize("text", MPS_SAYS)
def test_a_plugin_that_withdrew_all_for_want_of_its_mps_daemon(text: str) -> None:
    """The daemon's own line is the evidence, next to what is withdrawn; no XID is looked for."""
    own = daemon()
    started = "I1121 09:55:01.100000       1 main.go:107] Starting Daemons."
    log = f"{started}\nE1121 09:55:01.300000       1 main.go:84] {text}\n"
    machine = withdrawn(own, files={log_path(own, restarts=4): log})
    assert first(machine) == "device-plugin/operand-fails"
    said = told(check_count.unhealthy(machine.node()))
    assert text in " ".join(said.split())
    assert "capacity 4, allocatable 0" in said
    assert "XID" not in said.upper()


@pytest.mark.parametrize(
    "machine",
    [
        withdrawn(daemon(), left="3"),
        withdrawn(daemon({**READY, "restartCount": 3, "lastState": CRASHED["lastState"]})),
        withdrawn(),
        withdrawn(driver("gpu-kubelet-plugin")),
    ],
    ids=["one GPU of four", "the daemon works", "no daemon", "another allocator"],
)
def test_other_withdrawn_devices_are_the_plugins_own(machine: Machine) -> None:
    """A daemon stops all of a plugin's devices, or none."""
    assert first(machine) == "device-plugin/unhealthy-devices"


def test_a_daemon_that_is_up_again() -> None:
    """The repaired twin."""
    assert first(withdrawn(daemon(READY), left="4")) is None


@pytest.mark.parametrize("text", DRA_SAYS)
@pytest.mark.parametrize(
    "programs", [["gpu-kubelet-plugin"], ["compute-domain-kubelet-plugin", "gpu-kubelet-plugin"]]
)
def test_a_dra_driver_that_crashes_is_why_nothing_is_offered(
    programs: list[str], text: str
) -> None:
    """Its words are quoted, and no operator is advised."""
    own = driver(*programs)
    machine = without_plugin(own, files={log_path(own, "c0", restarts=4): f"Error: {text}\n"})
    assert first(machine) == "device-plugin/operand-fails"
    said = told(check_plugin.not_deployed(machine.node()))
    assert text in " ".join(said.split())
    assert "none is an NVIDIA device plugin" in said
    assert "helm" not in said


def test_a_dra_driver_of_which_no_pod_is_made() -> None:
    """A quota refuses it: the event of its DaemonSet says so."""
    made = driver("gpu-kubelet-plugin")
    status = {"desiredNumberScheduled": 1, "currentNumberScheduled": 0}
    above = workload(made, name="dra-kubelet-plugin", status=status)
    refused = warning(above, "FailedCreate", "exceeded quota: critical-pods")
    machine = without_plugin(events=[refused])
    machine.daemonsets = [above]
    assert cause(check_plugin.not_deployed(machine.node())) == "device-plugin/operand-fails"
    assert "exceeded quota" in told(check_plugin.not_deployed(machine.node()))


@pytest.mark.parametrize(
    "pods",
    [
        (),
        (driver("compute-domain-kubelet-plugin"),),
        (driver("compute-domain-controller", name="controller-1"),),
    ],
    ids=["nothing", "compute domains", "controller"],
)
def test_what_offers_no_gpus_is_not_missed(pods: tuple[Object, ...]) -> None:
    """Of DRA, only the GPUs' own kubelet plugin could offer them."""
    assert first(without_plugin(*pods)) == "device-plugin/not-deployed"


def test_a_dra_driver_that_offers_the_gpu() -> None:
    """The repaired twin."""
    devices = [{"name": "gpu-0", "attributes": {"type": {"string": "gpu"}}}]
    slices = [{"spec": {"driver": "gpu.nvidia.com", "nodeName": "gpu-1", "devices": devices}}]
    own = driver("gpu-kubelet-plugin", status=READY)
    assert first(without_plugin(own, resourceslices=slices)) is None


def test_nothing_to_count_is_said_in_words() -> None:
    """An empty set is no number of GPUs; a plugin outside pods has one."""
    assert "{" not in _unproven(without_plugin().node())
    strange = without_plugin()
    strange.capacity = {GPU: "3"}
    assert f"advertises {GPU}: 3 through" in _unproven(strange.node())


def _unproven(node: Node) -> str:
    with pytest.raises(Unproven) as caught:
        check_count.miscounts(node)
    return str(caught.value)


def test_the_whole_verdict_of_a_node_with_a_dra_driver_that_crashes(tmp_path: Path) -> None:
    """The pod is the culprit, not one of those that wait; the count is told without a set."""
    cluster = Cluster("healthy-cdi", tmp_path)
    _without_its_plugin(cluster)
    own = driver("gpu-kubelet-plugin")
    own["spec"]["nodeName"] = "worker-gpu-1"
    cluster.add("pods", {"apiVersion": "v1", **own})
    node = cluster.verdict()
    assert (node["layer"], node["cause"]) == ("device-plugin", "device-plugin/operand-fails")
    assert lines(node)[0] == ("pod gpu-stack/dra-x4f2q", None, "is CrashLoopBackOff")
    assert "{}" not in str(node["unproven"])


def _without_its_plugin(cluster: Cluster) -> None:
    for kind in ("pods", "daemonsets"):
        path = cluster.copy.folder / f"kubernetes/{kind}.yaml"
        cluster.copy.edit_yaml(path, _no_items)
    cluster.copy.edit_yaml(cluster.copy.folder / "kubernetes/nodes.yaml", _no_gpus)


def _no_items(objects: Object) -> None:
    objects["items"] = []


def _no_gpus(nodes: Object) -> None:
    for each in nodes["items"]:
        for amounts in (each["status"]["capacity"], each["status"]["allocatable"]):
            amounts.pop(GPU, None)
