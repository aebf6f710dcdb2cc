"""Run the suite live on one node and on many, whose lifecycles take a fixed time: the ratio.

Run ``python benchmarks/many_nodes.py [--nodes 100]``. API server and nodes are stand-ins: pods run
after ``--visit`` or end after ``--pod`` seconds, a sandbox takes ``--sandbox``; all else is the
suite's own time. The budget is 1.5.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.stub_door import BASE, NODE, recorded  # noqa: E402 - needs the checkout
from pytest_gpu.cluster.recording.recorded import open_recording  # noqa: E402 - likewise
from pytest_gpu.cluster.recording.samples import sample_path  # noqa: E402 - likewise
from pytest_gpu.stack.kube.objects import labels_of, name_of  # noqa: E402 - likewise
from tests.cluster.api.fake_api import FakeApi, FakeServer  # noqa: E402 - likewise

RESOURCES = ("daemonsets", "runtimeclasses")
RUN = "pytest-gpu/run"
BUDGET = 1.5
START = "2026-11-21T10:00:00Z"


class SlowApi(FakeApi):
    """An API server whose pods take their time."""

    def __init__(self, visit: float, pod: float) -> None:
        super().__init__(quiet=5.0)
        self.visit = visit
        self.pod = pod

    def put(self, kind: str, thing: dict[str, Any], event: str = "ADDED") -> None:
        """Store an object; a pod of the suite begins to start."""
        begins = kind == "pods" and event == "ADDED" and RUN in labels_of(thing)
        if begins:
            thing["status"] = {"phase": "Pending", "startTime": START}
        super().put(kind, thing, event)
        if begins:
            is_visit = name_of(thing).startswith("visit-")
            seconds = self.visit if is_visit else self.pod
            later = {**thing, "status": running() if is_visit else ended()}
            threading.Timer(seconds, self._change, (later,)).start()

    def _change(self, later: dict[str, Any]) -> None:
        head = later["metadata"]
        if f"{head['namespace']}/{head['name']}" in self.objects["pods"]:
            super().put("pods", {**later, "metadata": dict(head)}, "MODIFIED")


def running() -> Mapping[str, Any]:
    """Return the status of a pod that looks into a node."""
    statuses = [{"name": "visit", "state": {"running": {}}}]
    return {"phase": "Running", "startTime": START, "containerStatuses": statuses}


def ended() -> Mapping[str, Any]:
    """Return the status of a GPU pod that saw what the recorded one saw."""
    told = recorded().outcome("pod")["containers"]
    statuses = [
        {
            "name": name,
            "state": {
                "terminated": {
                    "exitCode": 0,
                    "reason": "Completed",
                    "startedAt": START,
                    "message": each["output"],
                }
            },
        }
        for name, each in told.items()
    ]
    return {"phase": "Succeeded", "startTime": START, "containerStatuses": statuses}


def fill(api: FakeApi, count: int) -> None:
    """Give the API server a cluster of nodes that are all alike, with their pods."""
    api.put("namespaces", {"metadata": {"name": "pytest-gpu"}})
    with open_recording(sample_path(BASE), BASE) as cluster:
        for resource in RESOURCES:
            for thing in cluster.objects(resource):
                api.put(resource, dict(thing))
        of_node = [each for each in cluster.objects("nodes") if name_of(each) == NODE]
        of_node += [p for p in cluster.objects("pods") if p["spec"].get("nodeName") == NODE]
    for number in range(count):
        name = f"fleet-{number:04}"
        for kind, thing in zip(["nodes", *["pods"] * len(of_node)], of_node, strict=False):
            copy = json.loads(json.dumps(thing).replace(f'"{NODE}"', f'"{name}"'))
            if kind == "pods":
                copy["metadata"]["name"] += f"-{number}"
            api.put(kind, copy)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a run took: seconds of wall time, and of this machine's processors."""

    wall: float
    processors: float


def run(count: int, options: argparse.Namespace) -> Cost:
    """Run the suite on so many nodes."""
    api = SlowApi(options.visit, options.pod)
    fill(api, count)
    with tempfile.TemporaryDirectory(prefix="pytest-gpu-bench-") as name, FakeServer(api) as server:
        folder = Path(name)
        argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        argv += ["-p", "benchmarks.stub_door", "--gpu-cluster=fake", *options.more]
        argv += [f"--gpu-kubeconfig={server.kubeconfig(folder)}"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "STUB_SANDBOX": str(options.sandbox)}
        environment["PYTHONDONTWRITEBYTECODE"] = ""  # as for users: compiled once
        started = time.monotonic()
        with (folder / "output").open("wb") as output:
            child = subprocess.Popen(  # noqa: S603 - our own interpreter, an argv list
                argv, cwd=folder, env=environment, stdout=output, stderr=output
            )
            _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit((folder / "output").read_text()[-5000:])
        wall = time.monotonic() - started
    return Cost(wall=wall, processors=usage.ru_utime + usage.ru_stime)


def main() -> None:
    """Print both costs and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--visit", type=float, default=20.0, help="seconds until a pod runs")
    parser.add_argument("--sandbox", type=float, default=5.0, help="seconds of one sandbox")
    parser.add_argument("--pod", type=float, default=20.0, help="seconds until a GPU pod ends")
    parser.add_argument("more", nargs="*", help="more arguments of pytest, behind --")
    options = parser.parse_args()
    one, many = run(1, options), run(options.nodes, options)
    for count, cost in ((1, one), (options.nodes, many)):
        text = f"{cost.wall:.1f} s, of which {cost.processors:.1f} s of processors\n"
        sys.stdout.write(f"{count} nodes: {text}")
    own = (many.processors - one.processors) / max(1, options.nodes - 1)
    sys.stdout.write(
        f"{many.wall / one.wall:.2f} x the time of one node (budget: {BUDGET}),"
        f" {1000 * own:.0f} ms of processors for each further node\n"
    )


if __name__ == "__main__":
    main()
