"""A node without driver whose operator's driver container does not come up: whole verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.cluster.recording.recorded import open_recording
from tests.samples.sample_copy import SampleCopy
from tests.support import yaml_text
from tests.support.judging import judge

Object = dict[str, Any]
NAME = "nvidia-driver-daemonset-q4zt9"
IMAGE = "nvcr.io/nvidia/driver:570.124.06-ubuntu22.04"
OWNER = {"kind": "DaemonSet", "name": "nvidia-driver-daemonset", "controller": True}
NO_IMAGE: Object = {"waiting": {"reason": "ErrImagePull", "message": f"{IMAGE}: not found"}}
CRASH: Object = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}}
LOG = """\
DRIVER_ARCH is x86_64
Updating the package cache...
E: Could not resolve host: archive.example.com
Stopping NVIDIA persistence daemon...
"""


def driver_pod(state: Object, node: str = "gpu-1", **changes: Any) -> Object:
    """Return the driver's pod, as the operator makes it."""
    container = {"name": "nvidia-driver-ctr", "image": IMAGE}
    status = {"name": "nvidia-driver-ctr", "state": state, "restartCount": 3, "ready": False}
    if "running" in state:
        status["ready"] = True
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": NAME,
            "namespace": "gpu-operator",
            "labels": {"app": "nvidia-driver-daemonset"},
            "ownerReferences": [OWNER],
        },
        "spec": {"nodeName": node, "containers": [container]},
        "status": {"phase": "Running", "containerStatuses": [status]},
        **changes,
    }


def daemonset(owner: str, **status: int) -> Object:
    """Return the DaemonSet of the driver."""
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {
            "name": "nvidia-driver-daemonset",
            "namespace": "gpu-operator",
            "ownerReferences": [{"kind": owner, "name": NAMES[owner], "controller": True}],
        },
        "spec": {"template": {"spec": driver_pod(CRASH)["spec"] | {"nodeName": None}}},
        "status": status,
    }


NAMES = {"ClusterPolicy": "cluster-policy", "NVIDIADriver": "default-driver"}


class Cluster:
    """A copy of a sample to which objects and logs are added."""

    def __init__(self, sample: str, folder: Path) -> None:
        self.copy = SampleCopy(sample, folder)

    def add(self, resource: str, *objects: Object) -> None:
        """Add Kubernetes objects."""
        path = self.copy.folder / f"kubernetes/{resource}.yaml"
        known: list[Object] = yaml_text.load(path.read_text())["items"] if path.exists() else []
        items = [*known, *objects]
        path.write_text(yaml_text.dump({"apiVersion": "v1", "kind": "List", "items": items}))

    def log(self, text: str, restarts: int = 3) -> None:
        """Add the log of a run of the driver's container."""
        where = f"var/log/pods/gpu-operator_{NAME}/nvidia-driver-ctr/{restarts}.log"
        path = self.copy.node / "files" / where
        path.parent.mkdir(parents=True)
        path.write_text(text)

    def enabled(self) -> None:
        """Let the ClusterPolicy say that the operator brings the driver."""

        def enable(policies: Object) -> None:
            policies["items"][0]["spec"]["driver"] = {"enabled": True}

        self.copy.edit_yaml(self.copy.folder / "kubernetes/clusterpolicies.yaml", enable)

    def verdict(self) -> Mapping[str, Any]:
        """Return the verdict on the GPU node."""
        with open_recording(self.copy.folder, "copy") as cluster:
            [node] = judge(cluster)["nodes"]
        assert isinstance(node, dict)
        return node


def lines(node: Mapping[str, Any]) -> list[tuple[str, int | None, str]]:
    """Return the evidence of a node's cause."""
    return [(each["source"], each["line"], each["text"]) for each in node["evidence"]]


def test_an_image_that_is_not_there(tmp_path: Path) -> None:
    """The fix is about that pod, through the Helm release; no package of the host is named."""
    cluster = Cluster("no-driver", tmp_path)
    cluster.enabled()
    cluster.add("daemonsets", daemonset("ClusterPolicy"))
    cluster.add("pods", driver_pod(NO_IMAGE))
    node = cluster.verdict()
    assert (node["layer"], node["cause"]) == ("driver", "driver/operand-fails")
    where = f"pod gpu-operator/{NAME}"
    assert lines(node)[:2] == [
        (where, None, "is ErrImagePull"),
        (f"{where}, container nvidia-driver-ctr", None, f"ErrImagePull: {IMAGE}: not found"),
    ]
    assert "nvidia-container-toolkit-daemonset" in lines(node)[2][2]
    fix = "\n".join(node["fix"])
    assert IMAGE in fix
    assert "--set driver.version=VERSION" in fix
    assert not {"driver.enabled", "apt", "dnf", "modprobe"} & set(fix.replace("=", " ").split())


def test_a_log_that_says_why(tmp_path: Path) -> None:
    """Line and number are the log's; the network is what is advised, and the operator's file."""
    cluster = Cluster("no-driver", tmp_path)
    cluster.enabled()
    cluster.add("pods", driver_pod(CRASH))
    cluster.log(LOG)
    cluster.copy.rename([("gpu-1", "trn-07"), ("gpu-operator", "nvidia-stack")])
    node = cluster.verdict()
    assert (node["name"], node["cause"]) == ("trn-07", "driver/operand-fails")
    where = f"log of pod nvidia-stack/{NAME}, container nvidia-driver-ctr"
    assert (where, 3, "E: Could not resolve host: archive.example.com") in lines(node)
    fix = "\n".join(node["fix"])
    assert "name resolution" in fix
    assert f"kubectl logs {NAME} -n nvidia-stack -c nvidia-driver-ctr --tail=50 --previous" in fix
    assert "helm" not in fix


@pytest.mark.parametrize(
    ("log", "line", "fix"),
    [
        (
            "Loading NVIDIA driver kernel modules...\n+ modprobe nvidia\n"
            "modprobe: ERROR: could not insert 'nvidia': Key was rejected by service\n",
            3,
            ("mokutil --sb-state", "--set driver.usePrecompiled=true"),
        ),
        (
            "Updating the package cache...\nResolving Linux kernel version...\n"
            "Could not resolve Linux kernel version\n",
            3,
            ("headers", "driver.repoConfig"),
        ),
        (
            'time="2026-01-13T08:15:33Z" level=info msg="Unloading NVIDIA driver"\n'
            'time="2026-01-13T08:15:34Z" level=error msg="failed to uninstall nvidia driver '
            'components: failed to unload driver: resource temporarily unavailable"\n',
            2,
            ("sudo lsof /dev/nvidia*", "sudo reboot"),
        ),
    ],
    ids=["signature", "kernel", "in use"],
)
def test_what_the_driver_container_often_says(
    log: str, line: int, fix: tuple[str, str], tmp_path: Path
) -> None:
    """Each has its own steps, for who makes the container; no package of the host is named."""
    cluster = Cluster("no-driver", tmp_path)
    cluster.enabled()
    cluster.add("daemonsets", daemonset("ClusterPolicy"))
    cluster.add("pods", driver_pod(CRASH))
    cluster.log(log)
    node = cluster.verdict()
    assert node["cause"] == "driver/operand-fails"
    [said] = [each for each in lines(node) if each[0].startswith("log of pod")]
    assert said[1] == line
    told = "\n".join(node["fix"])
    assert all(each in told for each in fix)
    assert not {"apt", "apt-get", "dnf", "dkms"} & set(told.split())


def test_a_quota_that_refuses_its_pods(tmp_path: Path) -> None:
    """The DaemonSet makes no pod: its event is quoted, whatever its age, and the quota advised."""
    cluster = Cluster("no-driver", tmp_path)
    cluster.enabled()
    cluster.add(
        "daemonsets",
        daemonset("ClusterPolicy", desiredNumberScheduled=1, currentNumberScheduled=0),
    )
    text = 'Error creating: pods "x-" is forbidden: exceeded quota: gpu, used: pods=10'
    cluster.add(
        "events",
        event(cluster, ("DaemonSet", "nvidia-driver-daemonset"), ("FailedCreate", text), 40),
    )
    node = cluster.verdict()
    assert node["cause"] == "driver/operand-fails"
    source = "event of daemonset gpu-operator/nvidia-driver-daemonset, 40 min ago"
    assert (source, None, f"FailedCreate: {text}") in lines(node)
    assert "kubectl get resourcequotas -n gpu-operator -o yaml" in "\n".join(node["fix"])


def test_an_own_driver_object(tmp_path: Path) -> None:
    """Where an NVIDIADriver makes the DaemonSet, it is what must be changed."""
    cluster = Cluster("no-driver", tmp_path)
    cluster.enabled()
    cluster.add("daemonsets", daemonset("NVIDIADriver"))
    cluster.add("pods", driver_pod(NO_IMAGE))
    cluster.add(
        "nvidiadrivers",
        {"kind": "NVIDIADriver", "metadata": {"name": "default-driver"}, "spec": {}},
    )
    fix = "\n".join(cluster.verdict()["fix"])
    assert "kubectl edit nvidiadriver default-driver" in fix
    assert "clusterpolicy" not in fix
    assert "helm" not in fix


@pytest.mark.parametrize(
    "pod",
    [
        driver_pod(NO_IMAGE, node="another-node"),
        driver_pod(NO_IMAGE)
        | {
            "metadata": {
                "name": "mine",
                "labels": {"app": "nvidia-driver-daemonset"},
                "ownerReferences": [{"kind": "StatefulSet", "name": "mine", "controller": True}],
            },
            "spec": {"nodeName": "gpu-1", "containers": [{"name": "app", "image": "x/driver:1"}]},
        },
    ],
    ids=["of another node", "a user's with that label"],
)
def test_pods_that_are_not_this_nodes_driver(pod: Object, tmp_path: Path) -> None:
    """They are not to blame."""
    cluster = Cluster("no-driver", tmp_path)
    cluster.add("pods", pod)
    assert cluster.verdict()["cause"] == "driver/not-installed"


def test_a_driver_container_that_works_with_a_past(tmp_path: Path) -> None:
    """Restarts, a log full of errors of an earlier run, an old event: green and nothing latent."""
    cluster = Cluster("healthy-kubeadm", tmp_path)
    cluster.add("daemonsets", daemonset("ClusterPolicy"))
    cluster.add("pods", driver_pod({"running": {}}))
    cluster.log(LOG, restarts=2)
    cluster.add("events", event(cluster, ("Pod", NAME), ("BackOff", "Back-off restarting"), 90))
    node = cluster.verdict()
    assert (node["verdict"], node["latent"]) == ("conforms", [])


def test_a_driver_container_that_crashes_on_a_node_that_works(tmp_path: Path) -> None:
    """Latent: the module stays loaded until the next reboot."""
    cluster = Cluster("healthy-kubeadm", tmp_path)
    cluster.add("daemonsets", daemonset("ClusterPolicy"))
    cluster.add("pods", driver_pod(CRASH))
    cluster.log(LOG)
    node = cluster.verdict()
    assert node["verdict"] == "conforms"
    [latent] = node["latent"]
    assert (latent["cause"], latent["layer"]) == ("driver/operand-fails", "driver")
    assert "Could not resolve host" in str(latent["evidence"])


def event(cluster: Cluster, about: tuple[str, str], said: tuple[str, str], ago: int) -> Object:
    """Return a warning that was last seen some minutes before the recording was taken."""
    (kind, name), (reason, text) = about, said
    told = yaml_text.load((cluster.copy.folder / "recording.yaml").read_text())["taken"]
    taken = told if isinstance(told, datetime) else datetime.fromisoformat(str(told))
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name}.1", "namespace": "gpu-operator"},
        "type": "Warning",
        "reason": reason,
        "message": text,
        "lastTimestamp": (taken - timedelta(minutes=ago)).isoformat(),
        "involvedObject": {"kind": kind, "name": name, "namespace": "gpu-operator"},
    }
