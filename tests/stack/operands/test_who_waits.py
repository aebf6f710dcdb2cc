"""One operand does not come up and the others wait for it: whole verdicts, over healthy samples.

Logs are written from NVIDIA/gpu-operator's cmd/nvidia-validator/main.go and from
nvidia-container-toolkit's cmd/nvidia-ctk-installer; none was recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.stack.operands.made_up_operands import Object
from tests.stack.operands.made_up_overlay import (
    PLUGIN,
    TOOLKIT,
    UNSTARTED,
    VALIDATOR,
    Overlay,
)
from tests.stack.operands.test_own_fault import LINKS, MAJOR, NO_SMI, SMI

CRASHES: Object = {
    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting"}},
    "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
    "restartCount": 14,
    "ready": False,
}
WITHOUT_DRIVER = "device-plugin/operand-without-driver"


def said(finding: Mapping[str, Any]) -> str:
    """Return the evidence of a finding as text."""
    return "\n".join(f"{each['source']}: {each['text']}" for each in finding["evidence"])


@pytest.mark.parametrize("sample", ["healthy-kubeadm", "healthy-rke2"])
def test_the_toolkits_own_validation_fails(sample: str, tmp_path: Path) -> None:
    """It found the driver and cannot make links to its devices: it is no victim."""
    made = Overlay(sample, tmp_path)
    made.initializing(TOOLKIT, "driver-validation", CRASHES, LINKS)
    made.others_wait()
    node = made.verdict()
    assert (node["layer"], node["cause"]) == ("device-plugin", "driver/device-links-not-made")
    assert MAJOR in said(node)
    assert f"what waits for it: {PLUGIN}" in said(node)
    assert said(node).count(PLUGIN) == 1


def test_the_toolkits_own_validation_fails_before_it_wrote(tmp_path: Path) -> None:
    """The handlers are missing because of that; no settings are advised, nor a package."""
    made = Overlay("healthy-kubeadm", tmp_path)
    made.initializing(TOOLKIT, "driver-validation", CRASHES, LINKS)
    made.others_wait()
    made.no_handlers()
    node = made.verdict()
    assert (node["layer"], node["cause"]) == ("runtime", "driver/device-links-not-made")
    assert MAJOR in said(node)
    fix = "\n".join(node["fix"])
    assert not [word for word in ("toolkit.env", "nvidia-ctk runtime", "patch") if word in fix]


@pytest.mark.parametrize(
    ("sample", "stage", "log", "known"),
    [
        ("healthy-rke2", "driver-validation", LINKS, (MAJOR, "driver/device-links-not-made")),
        ("healthy-rke2", "toolkit-validation", NO_SMI, (SMI, WITHOUT_DRIVER)),
        ("healthy-kubeadm", "toolkit-validation", NO_SMI, (SMI, WITHOUT_DRIVER)),
    ],
)
def test_the_validator_fails_on_a_node_that_works(
    sample: str, stage: str, log: str, known: tuple[str, str], tmp_path: Path
) -> None:
    """Latent, with its line: what it looks at works, as the others show."""
    made = Overlay(sample, tmp_path)
    made.initializing(VALIDATOR, stage, CRASHES, log)
    node = made.verdict()
    assert node["verdict"] == "conforms"
    [latent] = node["latent"]
    text, cause = known
    assert latent["cause"] == cause
    assert text in said(latent)


@pytest.mark.parametrize("sample", ["healthy-kubeadm", "healthy-rke2"])
def test_all_wait_for_a_validator_that_fails(sample: str, tmp_path: Path) -> None:
    """The toolkit is ready; nobody has written the file that says so."""
    made = Overlay(sample, tmp_path)
    made.initializing(VALIDATOR, "toolkit-validation", CRASHES, NO_SMI)
    made.others_wait()
    node = made.verdict()
    assert (node["layer"], node["cause"]) == ("device-plugin", WITHOUT_DRIVER)
    assert SMI in said(node)
    assert f"what waits for it: {PLUGIN}" in said(node)


def test_a_validator_that_waits_is_not_to_blame(tmp_path: Path) -> None:
    """Near miss: the toolkit crashes, so nvidia-smi is not there either."""
    made = Overlay("healthy-rke2", tmp_path)
    toolkit = made.pod(TOOLKIT)
    name = toolkit["status"]["containerStatuses"][0]["name"]
    toolkit["status"]["containerStatuses"][0] |= CRASHES
    made.log(toolkit, name, 14, 'time="2026-02-10T09:57:10Z" level=error msg="quux is gone"\n')
    made.initializing(VALIDATOR, "toolkit-validation", CRASHES, NO_SMI)
    made.others_wait()
    node = made.verdict()
    assert node["cause"] == "runtime/operand-fails"
    assert "quux is gone" in said(node)
    assert SMI not in said(node)
    assert f"{VALIDATOR}-6tz2m (Init:CrashLoopBackOff)" in said(node)


@pytest.mark.parametrize("handlers", [True, False])
def test_a_toolkit_that_hangs(tmp_path: Path, *, handlers: bool) -> None:
    """Neither ended nor ready: its last words are shown, and since when it runs."""
    made = Overlay("healthy-kubeadm", tmp_path)
    toolkit = made.pod(TOOLKIT)
    [status] = toolkit["status"]["containerStatuses"]
    running = {"running": {"startedAt": made.ago(90)}}
    status |= {"ready": False, "restartCount": 0, "state": running, "lastState": {}}
    hangs = 'time="2025-03-04T08:30:02Z" level=warning msg="Error signaling containerd, 4/6"\n'
    made.log(toolkit, status["name"], 0, hangs)
    made.others_wait()
    if not handlers:
        made.no_handlers()
    node = made.verdict()
    layer = "device-plugin" if handlers else "runtime"
    assert (node["layer"], node["cause"]) == (layer, "runtime/operand-fails")
    assert "is Running, but not ready; nvidia-container-toolkit-ctr started 90 min ago" in said(
        node
    )
    assert "Error signaling containerd, 4/6" in said(node)
    assert f"what waits for it: {PLUGIN}" in said(node)
    assert f"-c {status['name']} " in "\n".join(node["fix"])


@pytest.mark.parametrize("minutes", [2, 35])
def test_a_toolkit_that_has_not_begun(minutes: int, tmp_path: Path) -> None:
    """A recent warning is its failure; an old one explains it and has its age."""
    made = Overlay("healthy-kubeadm", tmp_path)
    made.initializing(TOOLKIT, "driver-validation", UNSTARTED)
    volume = 'MountVolume.SetUp failed for volume "entrypoint" : configmap "x" not found'
    made.event(made.pod(TOOLKIT), "FailedMount", volume, minutes)
    made.no_handlers()
    node = made.verdict()
    assert (node["layer"], node["cause"]) == ("runtime", "runtime/operand-fails")
    assert f"FailedMount: {volume}" in said(node)
    assert (f"{minutes} min ago" in said(node)) is (minutes == 35)
    fix = "\n".join(node["fix"])
    assert "kubectl logs" not in fix
    assert ("configmaps,secrets" in fix) is (minutes == 2)


def test_a_toolkit_that_looks_for_a_driver_that_works(tmp_path: Path) -> None:
    """The layer of the driver passes, and no driver pod is to come: that is where it hangs."""
    made = Overlay("healthy-kubeadm", tmp_path)
    running: Object = {"state": {"running": {"startedAt": made.ago(60)}}, "ready": False}
    made.initializing(TOOLKIT, "driver-validation", running)
    made.no_handlers()
    node = made.verdict()
    assert (node["layer"], node["cause"]) == ("runtime", "runtime/operand-fails")
    assert "is Init:0/1; driver-validation started 60 min ago" in said(node)
    assert "nvidia-smi" in "\n".join(node["fix"])


@pytest.mark.parametrize("sample", ["healthy-kubeadm", "healthy-rke2"])
def test_the_repaired_twin(sample: str, tmp_path: Path) -> None:
    """All came up in the end: what they said before, and how they ended, is history."""
    made = Overlay(sample, tmp_path)
    for start, stage, log in ((TOOLKIT, "driver-validation", LINKS), (PLUGIN, "", NO_SMI)):
        pod = made.pod(start)
        name = stage or pod["status"]["containerStatuses"][0]["name"]
        made.log(pod, name, 0, log)
        for each in pod["status"]["containerStatuses"]:
            each |= {"restartCount": 14, "lastState": CRASHES["lastState"]}
        made.event(pod, "BackOff", f"Back-off restarting failed container {name}", 40)
    node = made.verdict()
    assert (node["verdict"], node["latent"]) == ("conforms", [])


def test_a_plugin_that_was_evicted(tmp_path: Path) -> None:
    """The pressure is over, the pod has no successor: its status says why."""
    made = Overlay("healthy-kubeadm", tmp_path)
    words = "The node was low on resource: ephemeral-storage. Threshold quantity: 94Gi"
    made.pod(PLUGIN)["status"] = {"phase": "Failed", "reason": "Evicted", "message": words}
    made.offers_nothing()
    node = made.verdict()
    assert node["cause"] == "device-plugin/not-running"
    assert f"Evicted: {words}" in said(node)
    assert "kubectl delete pod" in "\n".join(node["fix"])
