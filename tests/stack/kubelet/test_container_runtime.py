"""A second container runtime needs no change in the checks of pods, sandboxes and injection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.errors import Unproven
from pytest_gpu.gpu_node import Node
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.stack.cdi.cdi_off import can_be_on, cdi_off
from pytest_gpu.stack.cdi.requests import ways
from pytest_gpu.stack.cdi.specs import cdi_of
from pytest_gpu.stack.cri.container_runtime import ContainerRuntime
from pytest_gpu.stack.cri.handler import Handler
from pytest_gpu.stack.host.nvidia_programs import is_nvidia
from pytest_gpu.stack.host.processes import Process, processes_of
from pytest_gpu.stack.injection.cgroup_wanted import wanted_driver
from pytest_gpu.stack.injection.injected import injects
from pytest_gpu.stack.injection.node_refusals import refused_by_node
from pytest_gpu.stack.injection.reached import gpu_runtimes, handed_out_now, pod_runtimes
from pytest_gpu.stack.kubelet.check_access import kubelet_stopped
from pytest_gpu.stack.kubelet.containerd import CRI_O, containerd_of
from pytest_gpu.stack.kubelet.kubelet import kubelet_of
from pytest_gpu.stack.kubelet.runtime import runtime_of
from pytest_gpu.stack.pods import check_plugin, check_plugin_pod, check_pods, check_suite_pod
from pytest_gpu.stack.pods.plan import runtime_class as class_to_name
from pytest_gpu.stack.sandbox import check_sandbox
from pytest_gpu.stack.sandbox.config_files import Request, gpu_request, systemd_cgroups
from tests.project.house_imports import imports, is_in
from tests.stack.cdi.cdi_machine import CdiMachine
from tests.stack.kube.kube_machine import (
    KUBELET,
    NVIDIA,
    Machine,
    cause,
    plugin_pod,
    pod,
    run,
    runtime_class,
    sandbox,
    told,
)
from tests.support.fake_evidence import FakeCluster

CONF = "/etc/crio/crio.conf.d/99-nvidia.toml"
SOCKET = "/run/crio/crio.sock"
CRIO = Process(pid=700, argv=("/usr/bin/crio",), exe="/usr/bin/crio")
CHECKS = (
    check_plugin.class_broken,
    check_plugin.without_gpu,
    check_plugin_pod.not_running,
    check_pods.broken_classes,
    check_pods.without_gpu,
    check_pods.failing_to_start,
    check_suite_pod.wrong_number,
    check_suite_pod.unrequested,
    check_sandbox.gpu_run,
    check_sandbox.missing_devices,
    check_sandbox.missing_libraries,
)


@dataclass(frozen=True, kw_only=True)
class CriO:
    """CRI-O, as much of it as is asked: its table maps handlers to programs."""

    table: Mapping[str, str] = field(
        default_factory=lambda: {"crun": "/usr/bin/crun", "nvidia": NVIDIA}
    )
    default_runtime: str = "crun"
    cdi_enabled: bool = True
    cdi_dirs: tuple[str, ...] = ("/etc/cdi", "/var/run/cdi")
    name: str = "CRI-O"
    release: str = "1.33.0"
    process: Process | None = CRIO
    socket: str = SOCKET
    config_path: str = CONF
    told_by: str = CONF
    error: str = ""
    serves_cri: bool = True
    loaded: frozenset[str] | None = None
    newest_cdi: tuple[int, ...] = (1, 0, 0)
    tells_cgroup_driver: bool = True

    @property
    def handlers(self) -> tuple[str, ...]:
        """The names in its table."""
        return tuple(sorted(self.table))

    @property
    def gpu_handlers(self) -> tuple[str, ...]:
        """Those that start NVIDIA's program."""
        return tuple(name for name in self.handlers if is_nvidia(self.table[name]))

    @property
    def driver_handler(self) -> Handler | None:
        """Any: it has one cgroup manager for all."""
        return self.handler(self.default_runtime)

    def knows(self, handler: str) -> bool:
        """Say whether a handler is in the table."""
        return not handler or handler in self.table

    def injects(self, handler: str) -> bool:
        """Say whether a handler starts NVIDIA's program."""
        return is_nvidia(self.table.get(handler or self.default_runtime, ""))

    def program(self, handler: str) -> str | None:
        """Return the program of a handler."""
        return self.table.get(handler)

    def handler(self, name: str) -> Handler | None:
        """Return an entry of the table."""
        if name not in self.table:
            return None
        source = Evidence(source=CONF, text=f"[crio.runtime.runtimes.{name}]")
        return Handler(
            name=name,
            runtime_type="",
            binary=self.table[name],
            systemd_cgroup=True,
            source=source,
        )

    def now(self, name: str) -> Handler | None:
        """Return the same: nobody asked the running one."""
        return self.handler(name)

    def origin(self, value: str, handler: str = "") -> Evidence:
        """Return the file; its lines do not matter here."""
        return Evidence(source=CONF, text=f"{handler} {value}".strip())


def on(runtime: ContainerRuntime, machine: Machine | None = None) -> GpuNode:
    """Return a GPU node whose kubelet uses a container runtime; else it is as given."""
    node = under_cri_o(machine or Machine())
    node.memory.recall(runtime_of, lambda: runtime)
    return node


def under_cri_o(machine: Machine) -> GpuNode:
    """Return a node whose kubelet uses CRI-O; nobody says more of it."""
    machine.runtime, machine.processes = "cri-o", (CRIO, KUBELET)
    cluster = FakeCluster(nodes={"gpu-1": machine._evidence()}, objects=machine._objects())
    node = GpuNode("gpu-1", cluster)
    node.memory.recall(kubelet_of, machine._kubelet)
    node.memory.recall(processes_of, lambda: machine.processes)
    return node


def test_cri_o_itself_is_not_judged_yet() -> None:
    """Where the runtime is not given, CRI-O is unproven, in the same words for all who ask."""
    node = under_cri_o(Machine())
    for fact in (runtime_of, containerd_of):
        with pytest.raises(Unproven, match=CRI_O):
            fact(node)


@pytest.mark.parametrize(
    "check", CHECKS, ids=lambda each: f"{each.__module__.rpartition('.')[2]}.{each.__name__}"
)
def test_a_healthy_node_conforms(check: Callable[[Node], Finding | None]) -> None:
    """No check finds anything, and none asks containerd."""
    assert check(on(CriO())) is None


def test_its_handlers_decide_who_gets_gpus() -> None:
    """Which pods get GPUs, which class they name, and which program starts them."""
    node = on(CriO())
    assert injects(node, "nvidia")
    assert not injects(node, "")
    assert [handler.binary for handler in gpu_runtimes(node)] == [NVIDIA]
    assert [handler.name for handler in pod_runtimes(node)] == ["crun", "nvidia"]
    assert handed_out_now(node)
    assert class_to_name(node) == "nvidia"
    assert injects(on(CriO(default_runtime="nvidia")), "")
    assert not handed_out_now(on(CriO(loaded=frozenset({"crun"}))))
    assert not handed_out_now(on(CriO(serves_cri=False)))


def test_a_class_that_leads_to_none_of_its_handlers() -> None:
    """The finding names its handlers, and where they are told."""
    users = Machine(
        pods=[plugin_pod(), pod(runtime_class="gpu")],
        classes=[runtime_class(), runtime_class("gpu")],
    )
    finding = check_pods.broken_classes(on(CriO(), users))
    assert cause(finding) == "runtimeclass/handler-unknown"
    assert "CRI-O's handlers: crun, nvidia" in told(finding)
    assert CONF in told(finding)


def test_a_pod_under_a_handler_without_gpus() -> None:
    """The default handler, its program and its file are the evidence."""
    users = Machine(pods=[plugin_pod(), pod()])
    finding = check_pods.without_gpu(on(CriO(), users))
    assert cause(finding) == "runtimeclass/workload-without-runtimeclass"
    assert 'default runtime "crun" runs /usr/bin/crun' in told(finding)
    assert check_pods.without_gpu(on(CriO(default_runtime="nvidia"), users)) is None


def test_sandboxes_ask_it_for_gpus() -> None:
    """By its handler, else by a CDI device that it can inject, else not at all."""
    assert gpu_request(on(CriO())) == Request(handler="nvidia")
    plain = CriO(table={"crun": "/usr/bin/crun"})
    node = on(plain, CdiMachine())
    assert gpu_request(node).cdi_devices == (min(cdi_of(node).gpu_devices),)
    with pytest.raises(Unproven, match="CRI-O has no handler that injects GPUs"):
        gpu_request(on(CriO(table=plain.table, cdi_enabled=False)))
    assert systemd_cgroups(node)


def test_a_sandbox_without_devices() -> None:
    """What is missing is told with its handler and its file."""
    empty = run("gpu", "", output="/dev/null")
    finding = check_sandbox.missing_devices(
        on(CriO(), Machine(outcomes={"sandbox": sandbox(run("control"), empty)}))
    )
    assert cause(finding) == "sandbox/nothing-injected"
    assert finding is not None
    assert (finding.values["handler"], finding.values["config"]) == ("crun", CONF)


def test_it_reads_the_cdi_specs() -> None:
    """Requests that are the runtime's go to it, in its folders."""
    node = on(CriO(cdi_dirs=("/opt/cdi",)), CdiMachine())
    assert {(way.reader, way.directories) for way in ways(node)} == {("CRI-O", ("/opt/cdi",))}


def test_it_says_itself_whether_it_injects_cdi_devices() -> None:
    """If not, by its own file; nobody asks for the version of containerd."""
    off = on(CriO(cdi_enabled=False), CdiMachine())
    assert cdi_off(on(CriO(), CdiMachine())) == ()
    assert cdi_off(off) == (Evidence(source=CONF, text="cdi_enabled"),)
    assert can_be_on(off)


def test_a_pause_image_is_named_by_its_own_file() -> None:
    """Whatever the setting is called there."""
    words = (
        'error creating pod sandbox with name "k8s_a": initializing source'
        " docker://registry.lan/pause:3.10: pinging container registry registry.lan: i/o timeout"
    )
    finding = refused_by_node(on(CriO()), Evidence(source="crictl run (control)", text=words))
    assert cause(finding) == "sandbox/pause-image-not-reached"
    assert f"{CONF}: pause_image" in told(finding)


def test_the_cgroup_driver_that_it_is_to_have() -> None:
    """A kubelet that does not ask has its own; one that asks is told by a line of CRI-O's file."""
    wanted = wanted_driver(on(CriO(tells_cgroup_driver=False)))
    assert wanted is not None
    assert wanted.systemd
    assert wanted.by_kubelet
    asked = wanted_driver(on(CriO()))
    assert asked is not None
    assert asked.said.source == CONF


def test_a_kubelet_that_stopped_while_it_runs() -> None:
    """Its process proves that the node is up."""
    machine = Machine(ready="Unknown", kubelet=None)
    assert "pid 700 runs" in told(kubelet_stopped(on(CriO(), machine)))
    assert kubelet_stopped(on(CriO(error="connection refused"), machine)) is None


ABOVE = ("injection", "pods", "sandbox", "cdi", "docker")
ITS_OWN = {"pytest_gpu.stack.cdi.cdi_off": "enable_cdi, and how to switch it on"}
"""Modules of these packages that ask containerd about its own files, and about what."""


def test_only_what_is_containerds_own_asks_containerd() -> None:
    """Whoever could ask any runtime asks none in particular."""
    root = Path(__file__).parents[3]
    named = {
        each.importer
        for each in imports(root)
        if each.imported.startswith("pytest_gpu.stack.kubelet.containerd")
        and any(is_in(each.importer, f"pytest_gpu.stack.{room}") for room in ABOVE)
    }
    assert named == set(ITS_OWN)
