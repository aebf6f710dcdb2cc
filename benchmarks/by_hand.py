"""The lifecycles that the suite cannot do without, by hand: with kubectl and crictl."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_gpu.cluster.recording.owner import this_process
from pytest_gpu.stack.sandbox.config_files import (
    END,
    LOG,
    MANAGED_BY,
    RUN,
    SUITE,
    Mark,
    Request,
    container_text,
    pod_text,
)
from pytest_gpu.stack.sandbox.sandboxes import shipped_files

NAMESPACE = "pytest-gpu"
"""The shipped manifest makes it; without it the suite would make and remove one of its own."""

SECONDS = 300
ATTEMPTS = 5

ON_NODE = """\
import os, sys
os.chroot("/host")
os.chdir("/")
os.environ["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""What leads from the pod into the node: an administrator would type ``chroot /host``."""

SANDBOX = """\
set -e
mkdir "$1"
cd "$1"
printf %s "$2" >pod.json
printf %s "$3" >container.json
alias c="$9 --runtime-endpoint $4 --image-endpoint $4"
c run --no-pull "--runtime=$5" container.json pod.json
n=0
until grep -q "$6" "$7" || [ $n -ge 200 ]; do n=$((n+1)); sleep 0.05; done
ids=$(c pods --quiet --label "$8")
[ -z "$ids" ] || c rmp --force $ids || true  # the kubelet may be faster
grep -q "$6" "$7"
"""
"""What an administrator types on the node; its arguments are texts, never parts of a command."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """The node that everything runs on, and the ways to it."""

    kubeconfig: Path | None
    context: str
    node: str
    image: str
    runtime_class: str
    socket: str
    crictl: str
    kubectl: str

    @property
    def command(self) -> list[str]:
        """How kubectl is started for this cluster."""
        where = [f"--kubeconfig={self.kubeconfig}"] if self.kubeconfig else []
        return [self.kubectl, *where, f"--context={self.context}", f"--namespace={NAMESPACE}"]

    def do(self, *arguments: str, text: str | None = None) -> str:
        """Run a command of kubectl that has to succeed, and return its output."""
        done = self.attempt(*arguments, text=text)
        if done.returncode:
            raise SystemExit(f"kubectl {arguments[0]}: {done.stderr}{done.stdout}")
        return done.stdout

    def attempt(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command of kubectl."""
        return subprocess.run(  # noqa: S603 - an argument list, no shell
            [*self.command, *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )


@dataclass(kw_only=True)
class Clock:
    """Seconds of wall time by what was done."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def measure(self, title: str) -> Iterator[None]:
        """Add the time of a block."""
        started = time.monotonic()
        yield
        passed = time.monotonic() - started
        self.seconds[title] = self.seconds.get(title, 0.0) + passed


def by_hand(place: Place) -> Clock:
    """Do the three lifecycles one after the other."""
    clock, number = Clock(), secrets.token_hex(4)
    handler = place.do("get", "runtimeclass", place.runtime_class, "--output=jsonpath={.handler}")
    visit, gpu = f"by-hand-visit-{number}", f"by-hand-gpu-{number}"
    try:
        with clock.measure("visit pod"):
            start_visit(place, visit)
        systemd = "cgroupDriver: systemd" in on_node(
            place, visit, "cat", "/var/lib/kubelet/config.yaml"
        )
        with clock.measure("crictl sandbox"):
            run_sandbox(place, visit, handler, systemd=systemd)
        with clock.measure("visit pod"):
            place.do("delete", "pod", visit)
        with clock.measure("RuntimeClass pod"):
            run_gpu_pod(place, gpu)
    finally:
        place.attempt("delete", "pod", visit, gpu, "--ignore-not-found", "--grace-period=0")
    return clock


def start_visit(place: Place, name: str) -> None:
    """Start a pod that looks into the node, and let it look once."""
    place.do("create", "--filename=-", text=json.dumps(visit_pod(place, name)))
    place.do("wait", "--for=condition=Ready", f"--timeout={SECONDS}s", f"pod/{name}")
    on_node(place, name, "cat", "/proc/driver/nvidia/version")


def visit_pod(place: Place, name: str) -> dict[str, Any]:
    """Return a privileged pod on the node that sees its files."""
    container = {
        "name": "main",
        "image": place.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", "import signal; signal.pause()"],
        "securityContext": {"privileged": True},
        "env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"}],
        "volumeMounts": [{"name": "host", "mountPath": "/host"}],
    }
    spec = {
        "nodeName": place.node,
        "hostPID": True,
        "hostNetwork": True,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def on_node(place: Place, visit: str, *argv: str) -> str:
    """Run a command on the node that has to succeed, and return its output."""
    return place.do("exec", visit, "--", "python3", "-c", ON_NODE, *argv)


def run_sandbox(place: Place, visit: str, handler: str, *, systemd: bool) -> None:
    """Run a sandbox to its end on the node, with the NVIDIA handler.

    The kubelet may remove what it does not own before it has ended: then once more.
    """
    for _ in range(ATTEMPTS):
        name = f"by-hand-{secrets.token_hex(4)}"
        folder = f"/run/{name}"
        mark = Mark(run=name, owner=this_process(), deadline=int(time.time()) + SECONDS)
        pod = pod_text(shipped_files(), name, mark, folder, systemd=systemd)
        container = container_text(shipped_files(), place.image, Request(handler=handler))
        texts = (folder, pod, container, f"unix://{place.socket}", handler, END)
        label = f"{MANAGED_BY}={SUITE},{RUN}={name}"
        argv = ("sh", "-c", SANDBOX, "sh", *texts, f"{folder}/{LOG}", label, place.crictl)
        done = place.attempt("exec", visit, "--", "python3", "-c", ON_NODE, *argv)
        on_node(place, visit, "rm", "-rf", "--", folder)
        if done.returncode == 0:
            return
    raise SystemExit(f"the sandbox by hand failed: {done.stderr}{done.stdout}")


def run_gpu_pod(place: Place, name: str) -> None:
    """Run a pod with one GPU to its end, and remove it."""
    place.do("create", "--filename=-", text=json.dumps(gpu_pod(place, name)))
    argv = [*place.command, "get", "pod", name, "--watch", "--output=jsonpath={.status.phase}\n"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as watch:  # noqa: S603
        assert watch.stdout
        phases = (line.strip() for line in watch.stdout)
        last = next((phase for phase in phases if phase in ("Succeeded", "Failed")), "unknown")
        watch.terminate()
    if last != "Succeeded":
        raise SystemExit(f"the pod by hand is {last}: {place.do('describe', 'pod', name)}")
    place.do("delete", "pod", name)


def gpu_pod(place: Place, name: str) -> dict[str, Any]:
    """Return an ordinary pod with one GPU that loads the driver's CUDA library."""
    script = "import ctypes; assert ctypes.CDLL('libcuda.so.1').cuInit(0) == 0"
    container = {
        "name": "main",
        "image": place.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", script],
        "resources": {"limits": {"nvidia.com/gpu": 1}},
    }
    spec = {
        "restartPolicy": "Never",
        "runtimeClassName": place.runtime_class,
        "nodeSelector": {"kubernetes.io/hostname": place.node},
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
