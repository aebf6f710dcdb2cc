"""What a whole run costs the API server: at most 25 requests, and 4 for each node."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.cluster.api import fake_api
from tests.hostile.stub_api import BAD, GOOD, HostileApi, HostileHandler, HostileServer, healthy
from tests.support.runs import run_here

PER_RUN, PER_NODE = 25, 4

START_TIME = 0.3
"""Seconds until a pod runs: so each wait needs its watch, as on a real cluster."""

GROUPS = {"batch": "v1", "resource.k8s.io": "v1", "authorization.k8s.io": "v1"}
"""API groups that a cluster with the GPU operator and the DRA driver has besides the fake's."""

Count = Callable[..., list[str]]


class SlowHandler(HostileHandler):
    """One connection; new pods are Pending for a moment."""

    def fate(self, pod: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return Pending, and what the pod becomes soon."""
        status = super().fate(pod)
        later = threading.Timer(START_TIME, _change, (self.api, pod, status))
        later.daemon = True
        later.start()
        return {"phase": "Pending"}


def _change(api: HostileApi, pod: Mapping[str, Any], status: Mapping[str, Any]) -> None:
    api.put("pods", {**json.loads(json.dumps(pod)), "status": status}, "MODIFIED")


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> HostileApi:
    """Return a healthy cluster of two GPU nodes that serves every API group the suite reads."""
    monkeypatch.setattr(fake_api, "GROUPS", {**fake_api.GROUPS, **GROUPS})
    return healthy(quiet=5.0)


@pytest.fixture
def count(api: HostileApi, pytester: pytest.Pytester) -> Iterator[Count]:
    """Return a function that runs all layers and returns the requests of that run."""
    with HostileServer(api) as server:
        server.RequestHandlerClass = SlowHandler
        kubeconfig = server.kubeconfig(pytester.path)

        def count(*args: str) -> list[str]:
            api.requests.clear()
            given = ("--gpu-cluster=fake", f"--gpu-kubeconfig={kubeconfig}", *args)
            result = run_here(pytester, *given, "-p", "no:cacheprovider")
            assert result.ret == 0, result.stdout.str()
            return list(api.requests)

        yield count


def test_a_run_and_each_node_cost_few_requests(count: Count) -> None:
    """A straight line through one node and two: its slope and what is left at no node."""
    one, two = count(f"--gpu-nodes={GOOD}"), count(f"--gpu-nodes={GOOD},{BAD}")
    assert any("POST" in each and each.endswith("/pods") for each in one)
    slope = len(two) - len(one)
    told = "\n".join(each[:120] for each in one)
    assert slope <= PER_NODE, told
    assert len(one) - slope <= PER_RUN, f"{len(one)} requests:\n{told}"
