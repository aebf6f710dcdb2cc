"""Run the suite on one live node, beside the three lifecycles that it cannot do without, by hand.

Run ``python benchmarks/lifecycles.py --lab``, or with ``--kubeconfig FILE --context NAME --node
NODE`` on a real cluster with a RuntimeClass. By hand means: a pod that looks into the node, a
crictl sandbox, a pod of the RuntimeClass with one GPU; one after the other, each removed again.
Figures are wall time within one run; their ratio means the same on any machine.
"""

from __future__ import annotations

import argparse
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_gpu.cluster.kube_login import open_client
from pytest_gpu.cluster.node_shell import ProbeShell
from pytest_gpu.cluster.owner import this_process
from pytest_gpu.cluster.pod_trouble import is_over, is_up
from pytest_gpu.cluster.run import new_run
from pytest_gpu.cluster.run_objects import RunObjects, wait_for_pods
from pytest_gpu.cluster.visit_pod import config_map, visit_pod, visit_pod_name
from pytest_gpu.cluster.visits import open_line
from pytest_gpu.evidence import CommandResult
from pytest_gpu.kube.objects import status_of
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

CLASSES = "/apis/node.k8s.io/v1/runtimeclasses"
SECONDS = 300
ATTEMPTS = 5

SANDBOX = """\
set -e
cd "$1"
printf %s "$2" >pod.json
printf %s "$3" >container.json
alias c="crictl --runtime-endpoint $4 --image-endpoint $4"
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
    """The node that everything runs on, and the way to its cluster."""

    kubeconfig: Path | None
    context: str
    node: str
    image: str
    runtime_class: str
    socket: str


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
    client = open_client("context", place.context, place.kubeconfig)
    handler = client.get(f"{CLASSES}/{place.runtime_class}")["handler"]
    objects = RunObjects(client, new_run(client, SUITE, SECONDS, create=True))
    objects.prepare()
    clock = Clock()
    try:
        with clock.measure("visit pod"):
            shell = start_visit(objects, place)
        with clock.measure("crictl sandbox"):
            run_sandbox(shell, place, handler)
        with clock.measure("visit pod"):
            shell.close()
            remove(objects, visit_pod_name(place.node, objects.run.id))
        with clock.measure("RuntimeClass pod"):
            run_gpu_pod(objects, place)
    finally:
        objects.remove_all()
    return clock


def start_visit(objects: RunObjects, place: Place) -> ProbeShell:
    """Start the pod that looks into the node; return a shell in it that has answered once."""
    name = visit_pod_name(place.node, objects.run.id)
    objects.create_config_map(config_map(objects.run.id))
    objects.create_pod(visit_pod(place.node, objects.run.id, place.image))
    wait_for_pods(objects, [name], is_up, SECONDS)
    shell = ProbeShell(lambda: open_line(objects, name))
    shell.run(("true",))
    return shell


def run_sandbox(shell: ProbeShell, place: Place, handler: str) -> None:
    """Run a sandbox to its end on the node, with the NVIDIA handler.

    The kubelet may remove what it does not own before it has ended: then once more.
    """
    systemd = b"cgroupDriver: systemd" in shell.read("/var/lib/kubelet/config.yaml")
    for _ in range(ATTEMPTS):
        done = try_sandbox(shell, place, handler, systemd=systemd)
        if done.exit == 0:
            return
    raise SystemExit(f"the sandbox by hand failed: {done.stderr}{done.stdout}")


def try_sandbox(shell: ProbeShell, place: Place, handler: str, *, systemd: bool) -> CommandResult:
    """Run one sandbox and remove it with its files."""
    name = f"by-hand-{secrets.token_hex(4)}"
    folder = shell.run(("mktemp", "-d")).stdout.strip()
    mark = Mark(run=name, owner=this_process(), deadline=int(time.time()) + SECONDS)
    pod = pod_text(shipped_files(), name, mark, folder, systemd=systemd)
    container = container_text(shipped_files(), place.image, Request(handler=handler))
    texts = (folder, pod, container, f"unix://{place.socket}", handler, END)
    label = f"{MANAGED_BY}={SUITE},{RUN}={name}"
    done = shell.run(("sh", "-c", SANDBOX, "sh", *texts, f"{folder}/{LOG}", label), SECONDS)
    shell.run(("rm", "-rf", "--", folder))
    return done


def run_gpu_pod(objects: RunObjects, place: Place) -> None:
    """Run a pod with one GPU to its end, and remove it."""
    objects.create_pod(gpu_pod(place))
    [pod] = wait_for_pods(objects, ["by-hand"], is_over, SECONDS).values()
    if status_of(pod).get("phase") != "Succeeded":
        raise SystemExit(f"the pod by hand failed: {status_of(pod)}")
    remove(objects, "by-hand")


def gpu_pod(place: Place) -> dict[str, Any]:
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
        "containers": [container],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "by-hand"}, "spec": spec}


def remove(objects: RunObjects, name: str) -> None:
    """Remove a pod and wait until it is gone."""
    objects.delete_pod(name)
    path = f"{objects.path('pods')}/{name}"
    while objects.client.find(path) is not None:
        time.sleep(0.1)


def suite(place: Place) -> float:
    """Run the whole suite on the same node and return its seconds."""
    given = [f"--gpu-cluster=context:{place.context}", f"--gpu-nodes={place.node}"]
    given += [f"--gpu-kubeconfig={place.kubeconfig}"] if place.kubeconfig else []
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *given]
    with tempfile.TemporaryDirectory(prefix="pytest-gpu-bench-") as folder:
        started = time.monotonic()
        done = subprocess.run(  # noqa: S603 - our own interpreter, an argv list
            [*argv, f"--gpu-image={place.image}"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        passed = time.monotonic() - started
    if done.returncode:
        raise SystemExit(f"the suite ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return passed


def compare(place: Place) -> None:
    """Print both, part by part, and the ratio."""
    clock, whole = by_hand(place), suite(place)
    lifecycles = sum(clock.seconds.values())
    for title, seconds in clock.seconds.items():
        sys.stdout.write(f"by hand, {title}: {seconds:.1f} s\n")
    sys.stdout.write(
        f"by hand, one after the other: {lifecycles:.1f} s\n"
        f"the suite: {whole:.1f} s, {whole / lifecycles:.2f} x the three lifecycles\n"
    )


def in_lab() -> None:
    """Compare on a lab of its own; it is gone afterwards."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.lab.cluster import NODES, open_cluster  # noqa: PLC0415 - needs the checkout

    lab = open_cluster(NODES[1:2])
    try:
        compare(
            Place(
                kubeconfig=lab.kubeconfig,
                context=lab.context,
                node=NODES[1].name,
                image="python:3-slim",
                runtime_class="nvidia",
                socket="/run/containerd/containerd.sock",
            )
        )
    finally:
        lab.close()


def main() -> None:
    """Read the command line and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lab", action="store_true", help="start a cluster on this machine")
    parser.add_argument("--kubeconfig", type=Path)
    parser.add_argument("--context", default="")
    parser.add_argument("--node", default="")
    parser.add_argument("--image", default="python:3-slim")
    parser.add_argument("--runtime-class", default="nvidia")
    parser.add_argument("--socket", default="/run/containerd/containerd.sock")
    given = vars(parser.parse_args())
    if given.pop("lab"):
        in_lab()
    elif given["context"] and given["node"]:
        compare(Place(**given))
    else:
        parser.error("name --context and --node, or --lab")


if __name__ == "__main__":
    main()
