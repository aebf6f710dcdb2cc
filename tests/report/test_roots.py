"""A latent finding below becomes the cause of what it explains, if both speak of one thing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.report.test_verdicts import node
from tests.support.made_up import document, finding, pod, result

LINE = {"source": "/etc/cdi/nvidia.yaml", "line": 7, "text": "hostPath: /usr/lib/libcuda.so.1"}


def said(source: str, text: str = "x", line: int | None = None) -> dict[str, Any]:
    """Return one line of evidence."""
    return {"source": source, "line": line, "text": text}


SAME = [
    (LINE, LINE),
    (
        said("dmesg", "NVRM: Xid (PCI:0000:17:00): 79"),
        said("/sys/bus/pci/devices/0000:17:00.0", "gone"),
    ),
    (said("a.yaml", "names /dev/nvidia3: not there"), said("crictl", 'stat "/dev/nvidia3": no')),
    (said("NVML", "00000000:CA:00.0 has no link"), said("container x", "0000:ca:00.0: no device")),
    (
        said("systemctl status nvidia-fabricmanager.service", "failed"),
        said("sandbox", "needs nvidia-fabricmanager.service"),
    ),
    (
        said("pod gpu-operator/toolkit-1", "is CrashLoopBackOff"),
        said("log of pod gpu-operator/toolkit-1, container x"),
    ),
]
OTHER = [
    (LINE, {**LINE, "line": 8}),
    (LINE, {**LINE, "line": None}),
    (said("dmesg", "0000:17:00.0"), said("dmesg", "0000:18:00.0")),
    (said("x", "names /dev/nvidia3"), said("x", "/dev/nvidia31 and /dev/nvidia3/x")),
    (said("x", "/dev/nvidiactl"), said("x", "/dev/nvidiactl")),
    (said("x", "a.service"), said("x", "b.service")),
    (said("pod a/toolkit-1"), said("pod b/toolkit-1")),
    (said("dmesg", "at 12:17:00 it ended"), said("dmesg", "at 12:17:00 it began")),
]


def judged(low: dict[str, Any], high: dict[str, Any], **latent: Any) -> dict[str, Any]:
    """Return the verdict on a node with a latent finding of the driver and a failed sandbox."""
    below = {"explains": ["sandbox/*"], "fix": ["Repair it."], "evidence": [low], **latent}
    found = finding("driver/weak", **below)
    results = [
        result("gpu-1", "driver", latent=[found]),
        result("gpu-1", "sandbox", "failed", finding=finding("sandbox/effect", evidence=[high])),
    ]
    return node(document(results))


@pytest.mark.parametrize(("low", "high"), SAME)
def test_one_gpu_line_unit_or_object(low: dict[str, Any], high: dict[str, Any]) -> None:
    """The layer stays where climbing stopped; the effect is a consequence, with its evidence."""
    entry = judged(low, high)
    assert (entry["layer"], entry["cause"], entry["fix"]) == (
        "sandbox",
        "driver/weak",
        ["Repair it."],
    )
    assert entry["evidence"] == [low, high]
    assert [each["cause"] for each in entry["consequences"]] == ["sandbox/effect"]
    assert (entry["also_seen"], entry["latent"]) == ([], [])


@pytest.mark.parametrize(("low", "high"), OTHER)
def test_another_gpu_line_unit_or_object(low: dict[str, Any], high: dict[str, Any]) -> None:
    """It stays latent."""
    entry = judged(low, high)
    assert entry["cause"] == "sandbox/effect"
    assert [each["cause"] for each in entry["latent"]] == ["driver/weak"]


def test_what_explains_nothing_of_it_stays_latent() -> None:
    """One thing alone proves nothing."""
    entry = judged(LINE, LINE, explains=["device-plugin/*"])
    assert entry["cause"] == "sandbox/effect"


def test_a_latent_finding_above_explains_nothing_below() -> None:
    """A cause stands below its effect, or beside it."""
    found = finding("runtimeclass/weak", explains=["sandbox/*"], evidence=[LINE])
    results = [
        result("gpu-1", "sandbox", "failed", finding=finding("sandbox/effect", evidence=[LINE])),
        result("gpu-1", "runtimeclass-pod", latent=[found]),
    ]
    assert node(document(results, all_layers=True))["cause"] == "sandbox/effect"


@pytest.mark.parametrize(("text", "waits"), [("is Error", ["b"]), ("its class: x", ["a", "b"])])
def test_who_is_to_blame_does_not_wait(text: str, waits: list[str]) -> None:
    """A pod whose state is the first line of evidence is the cause; a mere mention is not."""
    failed = finding(
        "runtime/x", evidence=[said("pod default/a", text), said("pod default/b", "is x")]
    )
    results = [result("gpu-1", "runtime", "failed", finding=failed)]
    doc = document(results, waiting=lambda *_: [pod("a"), pod("b")])
    assert [each["name"] for each in doc["causes"][0]["waiting_pods"]] == waits


def test_what_is_proven_below_is_not_swallowed_by_what_fails_above() -> None:
    """Although the cause's patterns cover it."""
    found = finding("driver/weak", explains=[], evidence=[LINE])
    above = finding("sandbox/effect", explains=["driver/*", "sandbox/*"], evidence=[])
    beside = finding("sandbox/beside", explains=[], evidence=[LINE])
    results = [
        result("gpu-1", "driver", latent=[found]),
        result("gpu-1", "sandbox", "failed", finding=above),
        result("gpu-1", "sandbox", latent=[beside]),
    ]
    entry = node(document(results))
    assert [each["cause"] for each in entry["latent"]] == ["driver/weak"]


@pytest.mark.parametrize(("covers", "state"), [("device-plugin/*", "passed"), ("x/*", "latent")])
def test_a_layer_is_called_latent_only_where_a_finding_is_listed(covers: str, state: str) -> None:
    """What follows from the cause is left out of both."""
    failed = finding("runtime/gone", explains=[covers], evidence=[LINE])
    late = finding("device-plugin/operand-fails", explains=[], evidence=[said("pod a/b")])
    results = [
        result("gpu-1", "runtime", "failed", finding=failed),
        result("gpu-1", "device-plugin", latent=[late]),
    ]
    entry = node(document(results, all_layers=True))
    cell = entry["layers"]["device-plugin"]
    assert (cell["state"], cell["latent"]) == (state, len(entry["latent"]))
