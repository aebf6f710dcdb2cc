"""The cgroup driver: kubelet, handlers and init system agree, or the odd one is named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from pytest_gpu.causes import Finding
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.finding_json import as_json
from pytest_gpu.looks import first_of
from pytest_gpu.stack.runtime.check_cgroups import (
    cgroup_driver_differs,
    systemd_cgroup_without_systemd,
)
from tests.stack.containerd.test_merge import CONFIG, CRI2, CRI3, handler
from tests.stack.runtime.runtime_machine import KUBELET, KUBELET_CONFIG, NVIDIA, SOCKET, Machine
from tests.support.told import full

FLAGS = KUBELET


def machine(*, runc: bool, nvidia: bool, **changes: Any) -> Machine:
    """Return a node whose handlers say what they say, as ``SystemdCgroup``, in one file."""
    text = handler("runc", systemd=runc) + handler("nvidia", binary=NVIDIA, systemd=nvidia)
    return Machine(files={CONFIG: f"version = 2\n{text}"}, **changes)


def found(node: Machine) -> Finding | None:
    """Return what the suite finds."""
    return first_of(node.node(), systemd_cgroup_without_systemd, cgroup_driver_differs)


def cause(node: Machine) -> str | None:
    """Return the cause, having filled in all texts."""
    finding = found(node)
    return finding.cause if finding and as_json(full(finding)) else None


def said(node: Machine) -> Sequence[str]:
    """Return source, line and text of the evidence."""
    finding = found(node)
    assert finding
    return [f"{each.source}:{each.line}: {each.text}" for each in finding.evidence]


def test_a_handler_without_the_option_says_false() -> None:
    """It inherits nothing of runc's; the patch adds the line to the file that defines it."""
    node = machine(runc=True, nvidia=False)
    assert cause(node) == "runtime/cgroup-driver-differs"
    assert said(node)[-1] == "/var/lib/kubelet/config.yaml:1: cgroupDriver: systemd"
    finding = found(node)
    assert finding
    assert "+" in str(as_json(full(finding))["fix"])
    assert cause(machine(runc=True, nvidia=True)) is None


def test_the_line_of_the_option_is_told() -> None:
    """Not only that of the handler's table."""
    node = machine(runc=False, nvidia=True)
    node.kubelet_config = "cgroupDriver: cgroupfs\n"
    (handlers, kubelet) = said(node)
    assert handlers.startswith(f"{CONFIG}:")
    assert handlers.endswith("nvidia: SystemdCgroup = true")
    assert kubelet.endswith("cgroupDriver: cgroupfs")


@pytest.mark.parametrize(
    ("version", "number", "dead", "counts"),
    [
        ("2.1.9", 3, CRI2, CRI3),
        ("1.7.24", 2, CRI3, CRI2),
        ("1.7.24", 2, "plugins.cri.containerd", CRI2),
    ],
)
@pytest.mark.parametrize("dead_first", [True, False])
def test_the_line_quoted_is_in_the_section_that_counts(
    version: str, number: int, dead: str, counts: str, dead_first: bool
) -> None:
    """A section that this containerd passes over says something else, before or after it."""
    passed_over = handler("nvidia", dead, binary=NVIDIA, systemd=True)
    read = handler("runc", counts, systemd=True) + handler("nvidia", counts, binary=NVIDIA)
    parts = [passed_over, read] if dead_first else [read, passed_over]
    text = "\n".join([f"version = {number}", *parts])
    node = Machine(files={CONFIG: text}, version=version, kubelet_version="v1.30.4")
    line = text[: text.index("SystemdCgroup = false")].count("\n") + 1
    assert said(node)[0] == f"{CONFIG}:{line}: nvidia: SystemdCgroup = false"


INLINE = f'options = {{ BinaryName = "{NVIDIA}", SystemdCgroup = true }}'


@pytest.mark.parametrize(
    ("options", "quoted"),
    [
        (f'options.BinaryName = "{NVIDIA}"\noptions.systemdcgroup = true', "options.systemdcgroup"),
        (f'options.BinaryName = "{NVIDIA}"\noptions.SystemdCgroup = true', "options.SystemdCgroup"),
        (INLINE, INLINE),
    ],
)
def test_the_option_is_quoted_however_it_is_written(options: str, quoted: str) -> None:
    """In another case that containerd takes, as a dotted key, in a table of one line."""
    kind = 'runtime_type = "io.containerd.runc.v2"'
    defined = f"[{CRI2}.runtimes.nvidia]\n{kind}\n{options}\n"
    node = Machine(files={CONFIG: f"version = 2\n{handler('runc')}{defined}"})
    node.kubelet_config = "cgroupDriver: cgroupfs\n"
    assert f": nvidia: {quoted}" in said(node)[0]


def test_a_flag_of_the_kubelet_outranks_its_file() -> None:
    """As in the kubelet itself."""
    node = machine(runc=True, nvidia=False, kubelet=f"{FLAGS} --cgroup-driver=systemd")
    node.kubelet_config = "cgroupDriver: cgroupfs\n"
    assert said(node)[-1] == "/proc/50/cmdline:None: --cgroup-driver=systemd"


def test_runc_itself_may_be_the_one_that_differs() -> None:
    """Every handler that pods can get is compared, not only NVIDIA's."""
    node = machine(runc=False, nvidia=True)
    assert cause(node) == "runtime/runc-cgroup-driver-differs"
    assert said(node)[0].endswith("runc: SystemdCgroup = false")


def test_a_handler_that_no_pod_can_get_is_not_judged() -> None:
    """Neither the default nor named by a pod of this node, whatever classes there are."""
    node = machine(runc=True, nvidia=True)
    node.files[CONFIG] += handler("other", binary=f"{NVIDIA}.cdi")
    node.objects["runtimeclasses"] = [runtimeclass("nvidia")]
    assert cause(node) is None
    node.objects["runtimeclasses"].append(runtimeclass("other"))
    node.objects["pods"] = [named_pod("other", "elsewhere")]
    assert cause(node) is None
    node.objects["pods"] = [named_pod("other", "gpu-1")]
    assert cause(node) == "runtime/cgroup-driver-differs"


def named_pod(runtime_class: str, node: str) -> dict[str, Any]:
    """Return a pod on a node that names a RuntimeClass."""
    spec = {"runtimeClassName": runtime_class, "nodeName": node}
    return {"metadata": {"name": "p"}, "spec": spec}


def runtimeclass(name: str) -> dict[str, Any]:
    """Return a RuntimeClass and its handler, both of one name."""
    return {"metadata": {"name": name}, "handler": name}


def test_a_kubelet_that_is_told_nothing_uses_cgroupfs() -> None:
    """All handlers agree, and the kubelet is the one that differs."""
    node = machine(runc=True, nvidia=True)
    node.kubelet_config = "maxPods: 110\n"
    assert cause(node) == "runtime/kubelet-cgroup-driver-differs"
    assert said(node)[0] == "kubelet:None: nothing sets cgroupDriver: cgroupfs, its default"
    node = machine(runc=False, nvidia=False)
    node.kubelet_config = "maxPods: 110\n"
    assert cause(node) is None


def test_a_kubelet_inside_k3s_is_told_by_k3s() -> None:
    """Its driver is not visible: there only the handlers are compared with each other."""
    node = machine(runc=True, nvidia=True, kubelet="/usr/local/bin/k3s agent")
    node.kubelet_config = ""
    node.containerds = {"/run/k3s/containerd/containerd.sock": f"/usr/bin/containerd -c {CONFIG}"}
    node.kubelet_version = "v1.31.2+k3s1"
    assert cause(node) is None
    node.files[CONFIG] = machine(runc=True, nvidia=False).files[CONFIG]
    assert cause(node) == "runtime/cgroup-driver-differs"


@pytest.mark.parametrize(
    ("version", "flags", "config", "differs"),
    [
        ("v1.31.2", "", "", False),
        ("v1.30.4", "", "", True),
        ("v1.30.4", " --feature-gates=X=true,KubeletCgroupDriverFromCRI=true", "", False),
        ("v1.30.4", "", "featureGates: {KubeletCgroupDriverFromCRI: true}\n", False),
        ("v1.31.2", " --feature-gates=KubeletCgroupDriverFromCRI=false", "", True),
        ("v1.34.0", " --feature-gates=KubeletCgroupDriverFromCRI=false", "", False),
    ],
)
def test_a_new_kubelet_takes_the_driver_from_a_new_runtime(
    version: str, flags: str, config: str, differs: bool
) -> None:
    """Then its own setting means nothing; on 1.x, and with the gate off, it does."""
    node = machine(runc=False, nvidia=False, kubelet=FLAGS + flags, version="2.1.9")
    node.kubelet_version = version
    node.kubelet_config = f"cgroupDriver: systemd\n{config}"
    assert cause(node) == ("runtime/runc-cgroup-driver-differs" if differs else None)
    node.version = "1.7.24"
    assert cause(node) == "runtime/runc-cgroup-driver-differs"


def test_handlers_of_a_new_runtime_are_compared_with_the_default_one() -> None:
    """That is the one whose option containerd tells the kubelet."""
    node = machine(runc=False, nvidia=True, version="2.1.9")
    assert cause(node) == "runtime/cgroup-driver-differs"
    assert said(node)[0].endswith("nvidia: SystemdCgroup = true")


def test_systemd_cgroups_where_no_systemd_runs() -> None:
    """Alpine with OpenRC, Talos: shown by the directory that runc asks for, or by PID 1."""
    node = machine(runc=True, nvidia=True)
    node.links["/proc/1/exe"] = "/sbin/openrc-init"
    assert cause(node) == "runtime/systemd-cgroup-without-systemd"
    assert "PID 1 is openrc-init, not systemd" in said(node)[1]
    node.links["/proc/1/exe"] = "/sbin/init"
    with pytest.raises(NotInEvidence, match="/run/systemd/system"):
        found(node)
    node.listed = ["/run/systemd"]
    assert cause(node) == "runtime/systemd-cgroup-without-systemd"
    node.listed = ["/run/systemd/system"]
    assert cause(node) is None


def test_without_systemd_cgroups_nobody_asks_for_systemd() -> None:
    """Cgroupfs on both sides is a whole way to run a node."""
    node = machine(runc=False, nvidia=False)
    node.kubelet_config = "cgroupDriver: cgroupfs\n"
    node.links["/proc/1/exe"] = "/sbin/openrc-init"
    assert cause(node) is None


def test_an_unread_kubelet_configuration_is_unproven() -> None:
    """The kubelet was told to read its driver where nobody looked."""
    node = machine(runc=True, nvidia=False, kubelet=f"{FLAGS} --config /etc/kubelet.yaml")
    with pytest.raises(NotInEvidence, match=r"/etc/kubelet\.yaml"):
        found(node)


def test_a_file_that_the_running_kubelet_does_not_read_says_nothing() -> None:
    """Without ``--config`` it reads none, whatever lies where kubeadm puts one."""
    without = f"/usr/bin/kubelet --container-runtime-endpoint=unix://{SOCKET}"
    node = machine(runc=False, nvidia=False, kubelet=without)
    node.kubelet_config = "cgroupDriver: systemd\n"
    kubelet = node.node().kubelet
    assert kubelet.cgroup_driver is None
    assert kubelet.config_files == ()
    assert cause(node) is None, "cgroupfs is the default of the kubelet itself"
    node = machine(runc=True, nvidia=True, kubelet=f"{without} --config={KUBELET_CONFIG}")
    assert cause(node) is None
    assert node.node().kubelet.config_files == (KUBELET_CONFIG,)
