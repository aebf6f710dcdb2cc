"""How long the runtime layer takes for one node: all its tests, over every recording there is.

Run ``python benchmarks/runtime_layer.py [NAME...]``; a name is a sample's or a recording's below
``tests/recordings``. Cold is a node whose like was never seen, with every cache empty; warm is one
more of a fleet. Who runs on the node is known from the layers below, and not counted.

The budget is 50 ms for a node. The ratio is to reading the node's configuration files once with
``tomllib``, in the same run, so that it means the same on any machine.
"""

from __future__ import annotations

import gc
import inspect
import json
import statistics
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import _lru_cache_wrapper, partial
from pathlib import Path

import yaml
from pytest_gpu.conformance import test_runtime

from pytest_gpu.catalogue import catalogue
from pytest_gpu.causes import LATENT, GpuFailure
from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.cluster.recording.samples import sample_names, sample_path
from pytest_gpu.errors import GpuError
from pytest_gpu.evidence import ClusterEvidence
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.stack.cdi.requests import PLUGIN_KIND
from pytest_gpu.stack.kube.nodes import find_gpu_nodes

RECORDINGS = Path(__file__).parent.parent / "tests/recordings"
BASE = "healthy-kubeadm"
BUDGET = 50.0
ROUNDS = 5


def tests() -> list[Callable[[GpuNode], None]]:
    """Return the tests of the layer."""
    found = inspect.getmembers(test_runtime, inspect.isfunction)
    return [each for name, each in found if name.startswith("test_")]


def climb(node: GpuNode) -> None:
    """Run every test of the layer, whatever the others say."""
    LATENT.set([])
    for test in tests():
        try:
            test(node)
        except (GpuFailure, GpuError):
            continue


def forget() -> None:
    """Empty the caches, but for the catalogue, which is read once for a whole run."""
    for found in gc.get_objects():
        ours = isinstance(found, _lru_cache_wrapper) and found is not catalogue
        if ours and (found.__module__ or "").startswith("pytest_gpu"):
            found.cache_clear()


def milliseconds(action: Callable[[], object]) -> float:
    """Return how long something takes: CPU time, which other load does not stretch."""
    started = time.process_time()
    action()
    return (time.process_time() - started) * 1000


def recordings(wanted: list[str]) -> Iterator[tuple[str, Path]]:
    """Yield name and folder of every recording, or of those that are wanted."""
    found = {name: sample_path(name) for name in sample_names()}
    found |= {path.parent.name: path.parent for path in RECORDINGS.glob("*/recording.yaml")}
    yield from (
        (name, path) for name, path in sorted(found.items()) if name in wanted or not wanted
    )


def write_large(folder: Path) -> Path:
    """Write a node with 30 drop-ins of long comments and 500 processes, on a healthy sample."""
    folder.mkdir()
    (folder / "recording.yaml").write_text(f"format: 1\nbase: sample:{BASE}\n")
    files = folder / "nodes/gpu-1/files"
    (files / "etc/containerd/conf.d").mkdir(parents=True)
    root = sample_path(BASE) / "nodes/gpu-1/files/etc/containerd/config.toml"
    text = root.read_text(encoding="utf-8")
    imports = 'imports = ["/etc/containerd/conf.d/*.toml"]\n'
    (files / "etc/containerd/config.toml").write_text(imports + text)
    for number in range(30):
        lines = "".join(f"# line {line} of a long comment\n" for line in range(200))
        section = f'[plugins."io.containerd.snapshotter.v1.s{number}"]\nroot_path = "/x"\n'
        path = files / f"etc/containerd/conf.d/{number:02}.toml"
        path.write_text(f"version = 2\n{lines}{section}")
    for pid in range(100_000, 100_500):
        (files / f"proc/{pid}").mkdir(parents=True)
        (files / f"proc/{pid}/cmdline").write_text("/usr/bin/program\0--flag")
    listing = "complete: [/etc/containerd/conf.d]\n"
    (folder / "nodes/gpu-1/listing.yaml").write_text(listing)
    return folder


def write_large_cdi(folder: Path) -> Path:
    """Write a node of eight GPUs whose two CDI specs mount 300 libraries each."""
    folder.mkdir()
    (folder / "recording.yaml").write_text("format: 1\nbase: sample:healthy-cdi\n")
    node = folder / "nodes/worker-gpu-1"
    (node / "files/run/cdi").mkdir(parents=True)
    libraries = [f"/usr/lib/x86_64-linux-gnu/libnvidia-{at}.so.580.95.05" for at in range(300)]
    nodes = [f"/dev/nvidia{at}" for at in range(8)]
    gpus = [each["uuid"] for each in _nvml("healthy-cdi")] + [f"GPU-{at}" for at in range(6)]
    for kind, name in (("nvidia.com/gpu", "nvidia.yaml"), (PLUGIN_KIND, "plugin.json")):
        spec = _cdi_spec(kind, dict(zip(gpus, nodes, strict=True)), libraries)
        text = yaml.safe_dump(spec) if name.endswith("yaml") else json.dumps(spec)
        (node / "files/run/cdi" / name).write_text(text)
    entries: dict[str, object] = {path: {"kind": "file"} for path in libraries}
    entries |= {path: {"kind": "char", "device": [195, at]} for at, path in enumerate(nodes)}
    (node / "listing.yaml").write_text(yaml.safe_dump({"entries": entries}))
    absent = "/run/cdi/k8s.device-plugin.nvidia.com-gpu.json"
    manifest = f"absent: [nodes/worker-gpu-1/files{absent}]\n"
    with (folder / "recording.yaml").open("a") as file:
        file.write(manifest)
    return folder


def _nvml(sample: str) -> list[dict[str, str]]:
    (path,) = sample_path(sample).glob("nodes/*/nvml.json")
    found: list[dict[str, str]] = json.loads(path.read_text())["devices"]
    return found


def _cdi_spec(kind: str, gpus: dict[str, str], libraries: list[str]) -> dict[str, object]:
    devices = [
        {"name": name, "containerEdits": {"deviceNodes": [{"path": path, "hostPath": path}]}}
        for name, path in gpus.items()
    ]
    options = ["ro", "nosuid", "nodev", "rbind", "rprivate"]
    mounts = [{"hostPath": p, "containerPath": p, "options": options} for p in libraries]
    edits = {"mounts": mounts}
    return {"cdiVersion": "0.5.0", "kind": kind, "devices": devices, "containerEdits": edits}


def measure(cluster: ClusterEvidence, name: str) -> tuple[float, float, float]:
    """Return milliseconds of a node: cold, warm, and of the baseline."""
    cold, warm, base = [], [], []
    for _ in range(ROUNDS):
        forget()
        cold.append(milliseconds(partial(climb, entered(name, cluster))))
        warm.append(milliseconds(partial(climb, entered(name, cluster))))
        files = _texts(GpuNode(name, cluster))
        base.append(milliseconds(lambda: [tomllib.loads(text) for text in files]))  # noqa: B023
    return statistics.median(cold), statistics.median(warm), statistics.median(base)


def entered(name: str, cluster: ClusterEvidence) -> GpuNode:
    """Return a node as it comes from the layers below: who runs on it is known by then."""
    node = GpuNode(name, cluster)
    with suppress(GpuError):
        _ = node.processes
    return node


def _texts(node: GpuNode) -> list[str]:
    try:
        return [file.text for file in node.containerd.config.files]
    except GpuError:
        return []


def main() -> None:
    """Print a line for each recording, its slowest node, and what is over the budget."""
    wanted = sys.argv[1:]
    sys.stdout.write(f"{'recording':60} {'cold ms':>8} {'warm ms':>8} {'cold/tomllib':>12}\n")
    with tempfile.TemporaryDirectory(prefix="pytest-gpu-bench-") as folder:
        found = [*recordings(wanted)]
        if not wanted:
            large, specs = (Path(folder) / name for name in ("large", "specs"))
            found += [("(30 drop-ins, 500 processes)", write_large(large))]
            found += [("(8 GPUs, 300 mounts in each CDI spec)", write_large_cdi(specs))]
        slow = [name for name, path in found if show(name, path) > BUDGET]
    sys.stdout.write(f"over the budget of {BUDGET:.0f} ms: {', '.join(slow) or 'none'}\n")


def show(name: str, path: Path) -> float:
    """Print the line of one recording; return the milliseconds of its slowest node."""
    with open_recording(path, name) as cluster:
        nodes = [each.name for each in find_gpu_nodes(cluster)]
        cold, warm, base = max(measure(cluster, node) for node in nodes[:3])
    ratio = f"{cold / base:.0f}" if base > 0.01 else "-"
    sys.stdout.write(f"{name:60} {cold:8.1f} {warm:8.1f} {ratio:>12}\n")
    return max(cold, warm)


if __name__ == "__main__":
    main()
