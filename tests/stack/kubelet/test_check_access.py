"""Layer access: doors, and kubelets that are silent while their runtime serves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.evidence import Door
from pytest_gpu.stack.kubelet import check_access
from tests.stack.kube.kube_machine import CONTAINERD, Machine, cause, told

STATUS = "systemctl status -l kubelet.service"
STOPPED = datetime(2022, 3, 23, 0, 33, 55, tzinfo=UTC)
DEAD = "   Active: inactive (dead) since Wed 2022-03-23 00:33:55 UTC; 57min ago\n"
LOG = (
    "Mar 23 00:33:55 node kubelet[334665]: WARNING: grpc: addrConn.createTransport failed to"
    " connect to {/run/containerd/containerd.sock}. Err: write: broken pipe. Reconnecting...\n"
    "Mar 23 00:33:55 node systemd[1]: Stopping Kubernetes Kubelet...\n"
)


def silent(status: str = "", started: float | None = None, **changes: object) -> Machine:
    """Return a NotReady node whose kubelet is gone and whose containerd serves."""
    machine = Machine(ready="Unknown", message="Kubelet stopped posting node status.", kubelet=None)
    machine.processes = (replace(CONTAINERD, started=started),)
    machine.commands = [(STATUS, 3, status, "")] if status else []
    return replace(machine, **changes)  # type: ignore[arg-type]


def test_a_healthy_node_is_seen() -> None:
    """Nothing is found on it."""
    node = Machine().node()
    check_access.api_silent(node)
    assert check_access.no_door(node) is None
    assert check_access.kubelet_stopped(node) is None
    assert check_access.bound_unit(node) is None


def test_what_kubernetes_does_not_show_is_unproven() -> None:
    """Without the pods no verdict is possible."""
    node = Machine().node()
    vars(node.cluster)["_objects"].pop("pods")
    with pytest.raises(NotInEvidence, match="pods"):
        check_access.api_silent(node)


def test_a_not_ready_node_that_lets_nobody_in_fails() -> None:
    """The reason is named."""
    door = Door(kind="none", reason="the pod was not started in 300 s; ssh: No route to host")
    found = check_access.no_door(Machine(ready="Unknown", door=door).node())
    assert cause(found) == "access/no-door"
    assert "No route to host" in told(found)


@pytest.mark.parametrize(
    ("ready", "reason", "said"),
    [
        ("True", "the pod was evicted", "evicted"),
        ("Unknown", "", "nobody tried"),
        ("Unknown", "--gpu-node-shell=none", "gpu-node-shell"),
        ("Unknown", 'pods is forbidden: cannot create resource "pods" in API', "create pods"),
    ],
)
def test_other_closed_doors_are_unproven(ready: str, reason: str, said: str) -> None:
    """A Ready node, a visit nobody tried, and a missing right by its verb."""
    machine = Machine(ready=ready, door=Door(kind="none", reason=reason))
    with pytest.raises(Unproven, match=said):
        check_access.no_door(machine.node())


def test_a_silent_kubelet_above_a_serving_runtime_fails() -> None:
    """The kubelet alone is the matter."""
    assert cause(check_access.kubelet_stopped(silent().node())) == "access/kubelet-stopped"


def test_a_kubelet_stopped_by_hand_hours_later_was_not_stopped_with_containerd() -> None:
    """Both times are known and far apart."""
    found = check_access.kubelet_stopped(silent(DEAD, STOPPED.timestamp() - 7200).node())
    assert cause(found) == "access/kubelet-stopped"
    assert "inactive (dead) since Wed 2022-03-23 00:33:55 UTC" in told(found)


def test_a_stop_at_containerds_start_is_one_event() -> None:
    """Systemd stopped what was bound to the unit it restarted."""
    found = check_access.kubelet_stopped(silent(DEAD, STOPPED.timestamp() + 2).node())
    assert cause(found) == "access/kubelet-stopped-with-containerd"
    assert "Wants=containerd.service" in told(found)
    assert "Restart=always" in told(found)


def test_the_journal_shows_the_connection_lost_right_before_the_stop() -> None:
    """Even where containerd has been started again since."""
    found = check_access.kubelet_stopped(silent(DEAD + LOG).node())
    assert cause(found) == "access/kubelet-stopped-with-containerd"
    assert "broken pipe" in told(found)


def test_a_lost_connection_without_a_stop_convicts_nobody() -> None:
    """A kubelet that crashed later was not stopped by systemd then."""
    found = check_access.kubelet_stopped(silent(DEAD + LOG.splitlines()[0]).node())
    assert cause(found) == "access/kubelet-stopped"


def test_a_runtime_that_does_not_serve_is_the_runtime_layers_matter() -> None:
    """Neither with a CRI that does not answer, nor on a node whose kubelet runs."""
    assert check_access.kubelet_stopped(silent(serves=False).node()) is None
    assert check_access.kubelet_stopped(Machine(ready="False").node()) is None


def test_a_bound_unit_is_told_before_it_bites() -> None:
    """Wants= and After= are what a unit should say."""
    path = "/etc/systemd/system/kubelet.service"
    bound = Machine(files={path: "[Unit]\nRequires=containerd.service\n"})
    loose = Machine(files={path: "[Unit]\nWants=containerd.service\nAfter=containerd.service\n"})
    found = check_access.bound_unit(bound.node())
    assert cause(found) == "access/kubelet-bound-to-containerd"
    assert f"{path}:2" in told(found)
    assert check_access.bound_unit(loose.node()) is None
