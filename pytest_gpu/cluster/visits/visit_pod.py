"""The pod that visits a node. It only waits: the probe comes over the standard input of an exec."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_gpu.cluster.visits.probe_app import BOOTSTRAP

IMAGE = "python:3-slim"
"""The one image that the suite needs: any with glibc and Python 3.6 or newer."""

CONTAINER = "visit"
HOST = "/host"
ROLE = "pytest-gpu/role"

PYTHON = ("python3", "-I", "-B")

_SLEEP = "import signal; signal.pause()"

_LONGEST_NAME = 200


def visit_pod_name(node: str, run: str) -> str:
    """Return the name of the pod that visits a node in a run."""
    name = f"visit-{run}-{node}"
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[:_LONGEST_NAME]}-{hashlib.sha256(node.encode()).hexdigest()[:8]}"


def visit_pod(node: str, run: str, image: str) -> dict[str, Any]:
    """Return the pod that visits a node.

    It is bound to the node past the scheduler (cordons and taints do not matter) and uses the
    node's network, so that it starts without a CNI. It is privileged because NVML opens
    /dev/nvidia*, which the device cgroup denies to any other container, and because the commands
    that must run on the node enter its namespaces. The node's files are mounted read-only.

    Args:
        node: the node's name.
        run: the run's ID.
        image: the image with Python.
    """
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": visit_pod_name(node, run), "labels": {ROLE: "visit"}},
        "spec": {
            "nodeName": node,
            "hostPID": True,
            "hostNetwork": True,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "tolerations": [{"operator": "Exists"}],
            "containers": [_container(image)],
            "volumes": _volumes(),
        },
    }


def _container(image: str) -> dict[str, Any]:
    return {
        "name": CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": [*PYTHON, "-c", _SLEEP],
        "securityContext": {
            "privileged": True,
            "runAsUser": 0,
            "readOnlyRootFilesystem": True,
        },
        # NVIDIA's default runtime would inject GPUs into every privileged container otherwise.
        "env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"}],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        "volumeMounts": [
            {
                "name": "host",
                "mountPath": HOST,
                "readOnly": True,
                # Later mounts, such as the driver container's root, become visible, too.
                "mountPropagation": "HostToContainer",
            },
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a folder inside the pod
        ],
    }


def _volumes() -> list[Mapping[str, Any]]:
    return [
        {"name": "host", "hostPath": {"path": "/", "type": "Directory"}},
        {"name": "tmp", "emptyDir": {}},
    ]


def probe_command(deadline: int) -> Sequence[str]:
    """Return the command line that starts the probe in such a pod; it ends by itself, too.

    It reads the probe from standard input. What runs as root on a node is then what this process
    sends: nobody can swap it, as the data of a ConfigMap can be.
    """
    options = ("--root", HOST, "--enter", "namespaces", "--deadline", str(deadline))
    return (*PYTHON, "-c", BOOTSTRAP, *options)
