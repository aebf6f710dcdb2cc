"""Judge a recorded fleet, beside pytest itself running as many empty tests: time and memory.

Run ``python benchmarks/fleet.py [NODES]``. All figures are ratios within one run, so that they mean
the same on any machine; the budget is 1.6 x the processor time and 1.5 x the memory. A second part
judges the same fleet with ``-n 2`` and compares wall time with that of one process: below 1 from
100 nodes on, if two processors are free.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

from pytest_gpu.cluster.recording.samples import sample_path

BASE = "healthy-kubeadm"
QUIET = ("-q", "-p", "no:cacheprovider", "-p", "no:randomly")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one process and its children took: seconds of processor and of wall time, peak MiB."""

    processor: float
    wall: float
    mebibytes: float


def write_fleet(folder: Path, count: int) -> None:
    """Write a recording of ``count`` nodes, all like the one of a healthy sample."""
    objects = yaml.safe_load((sample_path(BASE) / "kubernetes/nodes.yaml").read_text())
    (gpu,) = (each for each in objects["items"] if _has_gpus(each))
    origin = gpu["metadata"]["name"]
    items = []
    for number in range(count - 1):
        name = f"fleet-{number:04}"
        metadata = {**gpu["metadata"], "name": name}
        items.append({**gpu, "metadata": metadata})
        node = folder / "nodes" / name
        node.mkdir(parents=True)
        (node / "node.yaml").write_text(f"like: {origin}\n")
    manifest = f"format: 1\ntaken: 2025-03-04T10:00:00Z\nbase: sample:{BASE}\n"
    (folder / "recording.yaml").write_text(manifest)
    (folder / "kubernetes").mkdir()
    nodes = {"apiVersion": "v1", "kind": "List", "items": items}
    (folder / "kubernetes/nodes.yaml").write_text(json.dumps(nodes))


def _has_gpus(node: dict[str, dict[str, dict[str, str]]]) -> bool:
    return any(key.startswith("nvidia.com/") for key in node["status"]["capacity"])


def write_empty_tests(folder: Path, tests: int, count: int) -> None:
    """Write as many tests as the suite has, parametrized as often, that do nothing."""
    lines = ["import pytest", f"NODES = [f'fleet-{{n:04}}' for n in range({count})]"]
    for number in range(tests):
        lines.append("@pytest.mark.parametrize('node', NODES)")
        lines.append(f"def test_{number}(node): pass")
    (folder / "test_empty.py").write_text("\n".join(lines) + "\n")


def run(folder: Path, *args: str) -> Cost:
    """Run pytest in a process of its own and return what it took."""
    started = time.monotonic()
    child = subprocess.Popen(  # noqa: S603 - our own interpreter, an argv list
        [sys.executable, "-m", "pytest", *QUIET, *args], cwd=folder, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"pytest {' '.join(args)} ended with {child.returncode}")
    return Cost(
        processor=usage.ru_utime + usage.ru_stime,
        wall=time.monotonic() - started,
        mebibytes=usage.ru_maxrss / 1024,
    )


def count_tests(folder: Path) -> int:
    """Return how many tests the suite has for one node."""
    listing = subprocess.run(  # noqa: S603 - our own interpreter, an argv list
        [sys.executable, "-m", "pytest", *QUIET, f"--gpu-cluster=sample:{BASE}", "--collect-only"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return sum("::" in line for line in listing.stdout.splitlines())


def main() -> None:
    """Print both costs and their ratios."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory(prefix="pytest-gpu-bench-") as name:
        folder = Path(name)
        fleet = folder / "fleet"
        fleet.mkdir()
        write_fleet(fleet, count)
        tests = count_tests(folder)
        empty = folder / "empty"
        empty.mkdir()
        write_empty_tests(empty, tests, count)
        ours = run(folder, f"--gpu-cluster=path:{fleet}", "--no-header")
        base = run(empty, "-p", "no:gpu", "test_empty.py")
        two = run(folder, f"--gpu-cluster=path:{fleet}", "--no-header", "-n2")
    for title, cost in (("judged fleet", ours), ("empty tests", base), ("fleet, -n 2", two)):
        sys.stdout.write(
            f"{title}: {cost.processor:.1f} s of processor, {cost.wall:.1f} s,"
            f" {cost.mebibytes:.0f} MiB\n"
        )
    sys.stdout.write(
        f"{count} nodes x {tests} tests: {ours.processor / base.processor:.2f} x the processor,"
        f" {ours.mebibytes / base.mebibytes:.2f} x the memory (budget: 1.6 and 1.5)\n"
        f"-n 2: {two.wall / ours.wall:.2f} x the wall time of one process (budget: below 1)\n"
    )


if __name__ == "__main__":
    main()
