"""Run the suite on one live node, beside the three lifecycles that it cannot do without, by hand.

Run ``python benchmarks/lifecycles.py --lab``, or with ``--kubeconfig FILE --context NAME --node
NODE`` on a real cluster with a RuntimeClass and the shipped manifest applied. By hand means with
kubectl and crictl: a pod that looks into the node, a crictl sandbox, a pod of the RuntimeClass
with one GPU; one after the other, each removed again. Figures are seconds of wall time, medians of
several turns in which both take part; the budget is the three lifecycles and two seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_gpu.cluster.owner import this_process
from pytest_gpu.node.crictl import shipped_files
from pytest_gpu.node.sandbox_config import (
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

NAMESPACE = "pytest-gpu"
"""The shipped manifest makes it; without it the suite would make and remove one of its own."""

SECONDS = 300
ATTEMPTS = 5
BUDGET = 2.0
"""Seconds that the suite may take beyond the lifecycles."""

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


def suite(place: Place) -> float:
    """Run the whole suite on the same node and return its seconds."""
    given = [f"--gpu-cluster=context:{place.context}", f"--gpu-nodes={place.node}"]
    given += [f"--gpu-kubeconfig={place.kubeconfig}"] if place.kubeconfig else []
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *given]
    # Python keeps what it compiled, as it does for users: nobody compiles at every run.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    with tempfile.TemporaryDirectory(prefix="pytest-gpu-bench-") as folder:
        started = time.monotonic()
        done = subprocess.run(  # noqa: S603 - our own interpreter, an argv list
            [*argv, f"--gpu-image={place.image}"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        passed = time.monotonic() - started
    if done.returncode:
        raise SystemExit(f"the suite ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return passed


def compare(place: Place, turns: int) -> None:
    """Print both, part by part, and what the suite takes beyond the lifecycles."""
    clocks, wholes = [], []
    for _ in range(turns):
        clocks.append(by_hand(place))
        wholes.append(suite(place))
        told = f"{sum(clocks[-1].seconds.values()):.1f} s by hand, {wholes[-1]:.1f} s the suite"
        sys.stdout.write(f"turn {len(wholes)} of {turns}: {told}\n")
    for title in clocks[0].seconds:
        middle = statistics.median(clock.seconds[title] for clock in clocks)
        sys.stdout.write(f"by hand, {title}: {middle:.1f} s\n")
    lifecycles = statistics.median(sum(clock.seconds.values()) for clock in clocks)
    whole = statistics.median(wholes)
    sys.stdout.write(
        f"by hand, one after the other: {lifecycles:.1f} s\n"
        f"the suite: {whole:.1f} s, {whole / lifecycles:.2f} x the three lifecycles, "
        f"{whole - lifecycles:+.1f} s (budget: {BUDGET:+.1f} s)\n"
    )


def in_lab(turns: int) -> None:
    """Compare on a lab of its own; it is gone afterwards."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.lab import account, kubernetes  # noqa: PLC0415 - needs the checkout
    from tests.lab.cluster import NODES, open_cluster  # noqa: PLC0415 - likewise

    kubectl = kubernetes.kubectl()
    lab = open_cluster(NODES[1:2])
    try:
        with account.applied(lab.api, lab.kubeconfig, lab.workplace.folder / "account"):
            place = Place(
                kubeconfig=lab.kubeconfig,
                context=lab.context,
                node=NODES[1].name,
                image="python:3-slim",
                runtime_class="nvidia",
                socket="/run/containerd/containerd.sock",
                crictl="crictl",
                kubectl=str(kubectl),
            )
            compare(place, turns)
    finally:
        lab.close()


def main() -> None:
    """Read the command line and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lab", action="store_true", help="start a cluster on this machine")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--kubeconfig", type=Path)
    parser.add_argument("--context", default="")
    parser.add_argument("--node", default="")
    parser.add_argument("--image", default="python:3-slim")
    parser.add_argument("--runtime-class", default="nvidia")
    parser.add_argument("--socket", default="/run/containerd/containerd.sock")
    parser.add_argument("--crictl", default="crictl", help="the node's crictl")
    parser.add_argument("--kubectl", default="kubectl", help="this machine's kubectl")
    given = vars(parser.parse_args())
    turns = given.pop("turns")
    if given.pop("lab"):
        in_lab(turns)
    elif given["context"] and given["node"]:
        compare(Place(**given), turns)
    else:
        parser.error("name --context and --node, or --lab")


if __name__ == "__main__":
    main()
