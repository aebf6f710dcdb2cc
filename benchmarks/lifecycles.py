"""Run the suite on one live node, beside the three lifecycles that it cannot do without, by hand.

Run ``python benchmarks/lifecycles.py --lab``, or with ``--kubeconfig FILE --context NAME --node
NODE`` on a real cluster with a RuntimeClass and the shipped manifest applied. By hand means with
kubectl and crictl: a pod that looks into the node, a crictl sandbox, a pod of the RuntimeClass
with one GPU; one after the other, each removed again. Figures are seconds of wall time, medians of
several turns in which both take part; the budget is the three lifecycles and two seconds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.by_hand import Place, by_hand

BUDGET = 2.0
"""Seconds that the suite may take beyond the lifecycles."""


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
    from tests.lab.cluster import NODES, open_cluster  # noqa: PLC0415 - likewise
    from tests.lab.control_plane import account  # noqa: PLC0415 - needs the checkout
    from tests.lab.parts.programs import programs  # noqa: PLC0415 - needs the checkout

    kubectl = programs().kubernetes / "kubectl"
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
