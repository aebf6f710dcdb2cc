"""What components say survives a live run's recording, and is judged the same offline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.cluster.recording.recorded import RecordedCluster, open_recording
from pytest_gpu.stack.host import failed_units
from pytest_gpu.stack.kube.objects import status_of
from pytest_gpu.stack.operands.logs import path_of_log
from pytest_gpu.stack.operands.state import containers_in
from tests.cluster.trips import travel
from tests.samples import variants_daemons as daemons
from tests.samples.sample_copy import SampleCopy
from tests.samples.sample_table import KUBEADM
from tests.stack.operands.test_driver_container import Cluster
from tests.stack.operands.test_no_driver_pod import CONFLICT, conflict, no_daemonset
from tests.stack.units import failing
from tests.support.changes import gpu_node

Object = dict[str, Any]
PLUGIN = "nvidia-device-plugin-daemonset-v7mf2"
CRASHES: Object = {
    "restartCount": 5,
    "ready": False,
    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}},
    "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
}
START = "I0304 09:57:10.000100       1 main.go:235] Starting NVIDIA Device Plugin\n"
BEFORE = f"{START}E0304 09:57:11.000100       1 main.go:173] error starting plugins: frob gnt\n"
LATEST = f"{START}E0304 09:57:12.000100       1 main.go:173] error starting plugins: quux bzz\n"
UNIT = "nvidia-persistenced"


def plugin_crashes(cluster: Cluster, *, said: str = "") -> None:
    """Let the device plugin end at each start; its latest run says something else."""

    def crash(pods: Object) -> None:
        [pod] = (each for each in pods["items"] if each["metadata"]["name"] == PLUGIN)
        pod["status"]["containerStatuses"][0] |= CRASHES
        container = containers_in(pod)[-1]
        for number, text in ((4, BEFORE), (5, LATEST)):
            file(cluster, path_of_log(pod, container, number), f"{text.rstrip()}{said}\n")

    cluster.copy.edit_yaml(cluster.copy.folder / "kubernetes/pods.yaml", crash)
    cluster.add("events", event(f"Back-off restarting failed container{said}"))
    gpu_node(cluster.copy, lambda node: node["status"]["allocatable"].pop("nvidia.com/gpu"))


def file(cluster: Cluster, path: str, text: str) -> None:
    """Add a file of the GPU node."""
    where = cluster.copy.node / f"files{path}"
    where.parent.mkdir(parents=True, exist_ok=True)
    where.write_text(text)


def event(message: str) -> Object:
    """Return a warning about the plugin's pod of this minute."""
    where = {"name": PLUGIN, "namespace": "gpu-operator"}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{PLUGIN}.1", "namespace": "gpu-operator"},
        "type": "Warning",
        "reason": "BackOff",
        "message": message,
        "lastTimestamp": datetime.now(UTC).isoformat(),
        "involvedObject": {"kind": "Pod", **where},
    }


def service_failed(cluster: Cluster, *, said: str = "") -> None:
    """Let the persistence daemon have failed."""
    listing = f"{UNIT}.service loaded failed failed NVIDIA Persistence Daemon\n"
    shown = failing.failed(UNIT, UNIT, f"{failing.PERSISTENCED}{said}")
    daemons.says(cluster.copy, " ".join(failed_units.LIST), listing)
    daemons.says(cluster.copy, f"systemctl status -l {UNIT}.service", shown, 3)


@dataclass(frozen=True)
class Case:
    """Something that fails: the sample it is made of, its verdict, and what must survive.

    Attributes:
        change: makes it.
        cause: the cause that is told.
        says: texts that must be in its evidence.
        kept: texts that the recording must hold.
        base: a sample.
        latent: whether the node conforms all the same.
    """

    change: Callable[[Cluster], None]
    cause: str
    says: Sequence[str]
    kept: Sequence[str] = ()
    base: str = KUBEADM
    latent: bool = False


def _of_copy(change: Callable[[SampleCopy], None]) -> Callable[[Cluster], None]:
    return lambda cluster: change(cluster.copy)


def _owned(change: Callable[[Cluster], None]) -> Callable[[Cluster], None]:
    def changed(cluster: Cluster) -> None:
        cluster.enabled()
        change(cluster)

    return changed


CASES: Mapping[str, Case] = {
    "operand": Case(
        change=plugin_crashes,
        cause="device-plugin/not-running",
        says=("error starting plugins: quux bzz", "CrashLoopBackOff"),
        kept=(BEFORE, LATEST, "Back-off restarting failed container"),
    ),
    "unit": Case(
        change=service_failed,
        cause="driver/companion-failed",
        says=(failing.PERSISTENCED,),
        kept=(failing.PERSISTENCED,),
        latent=True,
    ),
    "containerd": Case(
        change=_of_copy(daemons.containerd_cannot_write),
        cause="runtime/containerd-crash-loop",
        says=(daemons.READ_ONLY,),
        kept=(daemons.READ_ONLY,),
    ),
    "kubelet": Case(
        change=_of_copy(daemons.kubelet_refuses_its_file),
        cause="access/kubelet-crash-loop",
        says=("unknown field",),
        kept=(daemons.KUBELET_JOURNAL.splitlines()[-3],),
    ),
    "policy": Case(
        change=_owned(no_daemonset),
        cause="driver/no-driver-pod",
        says=("ReconcileFailed: no os",),
        kept=("no os",),
        base="no-driver",
    ),
    "driver": Case(
        change=_owned(conflict),
        cause="driver/no-driver-pod",
        says=(CONFLICT,),
        kept=(CONFLICT,),
        base="no-driver",
    ),
}


def told(node: Mapping[str, Any], case: Case) -> tuple[str, list[Object]]:
    """Return the cause of a verdict, and its evidence."""
    if not case.latent:
        return node["cause"], node["evidence"]
    [found] = node["latent"]
    return found["cause"], found["evidence"]


@pytest.mark.parametrize("name", CASES)
def test_a_live_run_and_its_recording_tell_the_same(
    pytester: pytest.Pytester, tmp_path: Path, name: str
) -> None:
    """Cause and evidence are those of the cluster that it is like, and nothing gets lost."""
    case = CASES[name]
    cluster = Cluster(case.base, tmp_path)
    case.change(cluster)
    wanted = told(cluster.verdict(), case)
    trip = travel(pytester, cluster.copy)
    assert trip.again["nodes"] == trip.live["nodes"]
    assert told(trip.node, case) == wanted
    assert wanted[0] == case.cause
    assert all(any(text in each["text"] for each in wanted[1]) for text in case.says), wanted
    with open_recording(trip.kept, "kept") as kept:
        everything = said_in(kept, trip.kept)
    assert [text for text in case.kept if text not in everything] == []


def said_in(cluster: RecordedCluster, folder: Path) -> str:
    """Return what a recording holds of logs, commands, events and conditions."""
    [node] = (folder / "nodes").iterdir()
    files = (path.read_text() for path in sorted(node.glob("files/var/log/**/*.log")))
    commands = (each.stdout for each in cluster.node(node.name).commands)
    events = (str(each["message"]) for each in cluster.objects("events"))
    objects = (*cluster.objects("clusterpolicies"), *cluster.objects("nvidiadrivers"))
    conditions = (
        str(each["message"]) for one in objects for each in status_of(one).get("conditions") or ()
    )
    return "\n".join((*files, *commands, *events, *conditions))


PLANTED = "hunter2x9QZ"
SAID = f" \x1b[31mpassword\x1b[0m={PLANTED} \x07https://me:{PLANTED}@proxy/"
"""What a program may print of a secret, in colours."""


def everywhere(cluster: Cluster) -> None:
    """Let each source that is read tell a secret."""
    plugin_crashes(cluster, said=SAID)
    service_failed(cluster, said=SAID)
    daemons.journal(cluster.copy, "containerd", f"{failing.AT} containerd[7]: retrying{SAID}\n")
    daemons.journal(cluster.copy, "kubelet", f"{failing.AT} kubelet[8]: retrying{SAID}\n")
    cluster.copy.edit_yaml(cluster.copy.folder / "kubernetes/pods.yaml", _in_pod)
    cluster.copy.edit_yaml(cluster.copy.folder / "kubernetes/clusterpolicies.yaml", _in_policy)


def _in_pod(pods: Object) -> None:
    [pod] = (each for each in pods["items"] if each["metadata"]["name"] == PLUGIN)
    pod["metadata"]["annotations"] = {"example.com/token": PLANTED, "example.com/args": SAID}
    pod["spec"]["containers"][0]["env"] = [
        {"name": "API_KEY", "value": PLANTED},
        {"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"},
        {"name": "EXTRA_ARGS", "value": SAID},
    ]
    pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["message"] = SAID


def _in_policy(policies: Object) -> None:
    said = {"type": "Error", "status": "True", "reason": "ReconcileFailed", "message": SAID}
    policies["items"][0]["status"] = {"conditions": [said]}


def test_a_secret_that_components_tell_is_written_nowhere(
    pytester: pytest.Pytester, tmp_path: Path
) -> None:
    """Not in the spool, the recording, a report or the terminal; the words around it are there."""
    cluster = Cluster(KUBEADM, tmp_path)
    everywhere(cluster)
    trip = travel(pytester, cluster.copy)
    assert [text[:200] for text in trip.texts() if PLANTED in text] == []
    with open_recording(trip.kept, "kept") as kept:
        everything = said_in(kept, trip.kept)
    assert everything.count("password=<redacted> https://<redacted>@proxy/") >= 6
    assert trip.node["cause"] == "device-plugin/not-running"
    quoted = [each["text"] for each in trip.node["evidence"]]
    assert any("quux bzz password=<redacted> https://<redacted>@proxy/" in text for text in quoted)


def test_what_is_quoted_controls_no_terminal(pytester: pytest.Pytester, tmp_path: Path) -> None:
    """Colours, titles and bells of logs, events and units are gone from the verdict document."""
    cluster = Cluster(KUBEADM, tmp_path)
    said = "\x1b[31m! \x1b]0;title\x07\x9b2J\x08done\x1b[0m"
    plugin_crashes(cluster, said=said)
    service_failed(cluster, said=said)
    trip = travel(pytester, cluster.copy)
    found = [trip.node, *trip.node["latent"]]
    quoted = [each["text"] for one in found for each in one["evidence"]]
    assert [text for text in quoted if "done" in text]
    assert [text for text in quoted if not text.replace("\n", "").isprintable()] == []
    assert not {"\x1b", "\x07", "\x08", "\x9b"} & set(trip.printed)
    assert trip.again["nodes"] == trip.live["nodes"]
