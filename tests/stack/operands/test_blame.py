"""Who is blamed for what a layer lacks, and what stays green: whole verdicts and single checks."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.stack.operands.logs import log_paths
from pytest_gpu.stack.operands.operands import operands_of
from pytest_gpu.stack.operands.roles import DEVICE_PLUGIN, TOOLKIT
from pytest_gpu.stack.pods import check_plugin_pod
from tests.samples.sample_copy import SampleCopy
from tests.samples.sample_table import SAMPLES
from tests.stack.gpu.gpu_machine import cause, said
from tests.stack.operands.made_up_operands import Object, log_path, node_with
from tests.stack.operands.test_chain import DOWN, operand, waiting
from tests.support import yaml_text
from tests.support.judging import judge

HEALTHY = sorted(name for name in SAMPLES if name.startswith("healthy-"))
NOISE = """\
I0113 08:15:30.104220       1 main.go:42] Starting
W0113 08:15:31.104220       1 devices.go:99] Ignoring error getting device memory: Not Supported
time="2026-01-13T08:15:32Z" level=warning msg="Retrying after failed connection: i/o timeout"
E0113 08:15:33.104220       1 reflector.go:158] failed to list *v1.Node: connection refused
{"level":"error","ts":1768292133.1,"msg":"could not sync: the object was modified"}
I0113 08:15:40.104220       1 main.go:99] Registered device plugin with the kubelet
"""


@pytest.mark.parametrize("text", ["unable to load config: no such section", "frobnication gone"])
def test_a_plugin_that_waits_for_a_toolkit_that_crashes(text: str) -> None:
    """The toolkit is the cause, with its own line; the plugin waits."""
    toolkit = operand(TOOLKIT, main=DOWN)
    log = f'time="2026-01-13T08:15:33Z" level=error msg="{text}"\n'
    plugin = waiting(DEVICE_PLUGIN, "toolkit-validation")
    node = node_with(toolkit, plugin, files={log_path(toolkit, restarts=4): log}, daemonsets=[])
    found = check_plugin_pod.not_running(node)
    assert cause(found) == "runtime/operand-fails"
    assert f"container main: {text}" in said(found)
    assert "what waits for it: device-plugin-x1 (Init:0/1)" in said(found)


def test_a_plugin_that_waits_for_a_toolkit_that_works() -> None:
    """Nobody else is blamed."""
    node = node_with(operand(TOOLKIT), waiting(DEVICE_PLUGIN, "toolkit-validation"), daemonsets=[])
    assert cause(check_plugin_pod.not_running(node)) == "device-plugin/waits-for-toolkit"


@pytest.mark.parametrize("there", [True, False])
def test_who_waits_is_not_to_blame_for_what_is_not_in_evidence(there: bool) -> None:
    """No toolkit's pod to look at: that is said, and the plugin's log is no cause."""
    plugin = waiting(DEVICE_PLUGIN, "toolkit-validation")
    pods = [operand(TOOLKIT), plugin] if there else [plugin]
    found = check_plugin_pod.not_running(node_with(*pods, daemonsets=[]))
    assert cause(found) == "device-plugin/waits-for-toolkit"
    told = "pods of node gpu-1: none is the container toolkit's"
    assert (told in said(found)) is not there


class Noisy:
    """A healthy sample whose operands have restarted before and print errors in passing."""

    def __init__(self, sample: str, folder: Path) -> None:
        self.copy = SampleCopy(sample, folder)
        with open_recording(self.copy.folder, "copy") as cluster:
            self.name = self.copy.node.name
            self.taken = cluster.taken
            self.operands = operands_of(GpuNode(self.name, cluster))
            self.logs = log_paths(cluster, self.name)

    def write(self) -> None:
        """Write the logs, and an old warning about each pod."""
        for path in self.logs:
            file = self.copy.node / f"files{path}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(NOISE)
        events = self.copy.folder / "kubernetes/events.yaml"
        items = yaml_text.load(events.read_text())["items"] if events.exists() else []
        items += [self._old(each.object_name, each.namespace) for each in self.operands]
        events.write_text(yaml_text.dump({"apiVersion": "v1", "kind": "List", "items": items}))

    def _old(self, name: str, namespace: str) -> Object:
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{name}.1", "namespace": namespace},
            "type": "Warning",
            "reason": "BackOff",
            "message": "Back-off restarting failed container",
            "lastTimestamp": (self.taken - timedelta(minutes=50)).isoformat(),
            "involvedObject": {"kind": "Pod", "name": name, "namespace": namespace},
        }


@pytest.mark.parametrize("sample", HEALTHY)
def test_noise_in_the_logs_of_healthy_operands(sample: str, tmp_path: Path) -> None:
    """Green, and nothing is noted."""
    noisy = Noisy(sample, tmp_path)
    assert noisy.operands
    noisy.write()
    with open_recording(noisy.copy.folder, "copy") as cluster:
        nodes = judge(cluster)["nodes"]
    assert {(node["verdict"], tuple(node["latent"])) for node in nodes} == {("conforms", ())}
