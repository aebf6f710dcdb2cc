"""Every file that decides something in the runtime layer, with contents that break parsers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.cluster.recording.samples import sample_path
from pytest_gpu.finding_json import as_json
from pytest_gpu.parsing import MalformedError, TooDeepError, json_document, toml, yaml_document
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.stack.docker import check_docker
from pytest_gpu.stack.kube.nodes import find_gpu_nodes
from tests.stack.containerd.test_fuzz import ChangedCluster, Judged, judge
from tests.stack.runtime.runtime_machine import SOCKET, Machine
from tests.support.told import full

DIGITS = b"9" * 6000
DEEP = 5000
TOML = {
    "deep": b"x = " + b"[" * DEEP + b"1" + b"]" * DEEP + b"\n",
    "huge-number": b"x = " + DIGITS + b"\n",
    "zeros": b"\0" * 4096,
    "not-utf-8": b"x = '\xff'\n",
    "half": b'[nvidia-container-cli]\nroot = "/',
}
YAML = {
    "deep": b"a: " + b"[" * DEEP + b"]" * DEEP,
    "huge-number": b"x: " + DIGITS + b"\n",
    "not-utf-8": b"a: '\xff'\n",
    "half": b'cgroupDriver: "sys',
    "tag": b"!!python/object:os.system x\n",
    "wrong-tag": b"x: !!timestamp never\n",
    "no-boolean": b"x: !!bool never\n",
    "list": b"- a\n- b\n",
    "scalar": b"3\n",
}
JSON = {
    "deep": b"[" * 100_000,
    "huge-number": b'{"x": ' + DIGITS + b"}",
    "half": b'{"runtimes": {"nv',
    "list": b"[]",
}


def damaged(name: str, files: dict[str, bytes | None]) -> Judged:
    """Return the verdict on a healthy sample in which files have other contents."""
    with open_recording(sample_path(name), name) as cluster:
        (node, *_) = find_gpu_nodes(cluster)
        return judge(GpuNode(node.name, ChangedCluster(cluster, files)))


@pytest.mark.parametrize("kind", [*TOML])
@pytest.mark.parametrize(
    ("sample", "path"),
    [
        ("healthy-eks", "/etc/nvidia-container-runtime/config.toml"),
        ("healthy-rke2", "/var/lib/rancher/rke2/agent/etc/containerd/config.toml.tmpl"),
    ],
    ids=["toolkit", "template"],
)
def test_toml_is_named(sample: str, path: str, kind: str) -> None:
    """A finding, or an open question where only Python's parser gives up."""
    if kind == "not-utf-8" and path.endswith(".tmpl"):
        return  # Go's templates hand such bytes on, and containerd's decoder takes them.
    judged = damaged(sample, {path: TOML[kind]})
    assert judged.says(path)
    if kind == "deep":
        assert judged.unproven
        assert not judged.failed


@pytest.mark.parametrize("kind", [*YAML])
@pytest.mark.parametrize("name", ["config.yaml", "config.yaml.d/9.yaml"])
def test_settings_are_named(kind: str, name: str) -> None:
    """What the next start of RKE2 makes of it is not known."""
    path = f"/etc/rancher/rke2/{name}"
    judged = damaged("healthy-rke2", {path: YAML[kind]})
    assert judged.says(path)
    assert judged.unproven
    assert not judged.failed


@pytest.mark.parametrize("kind", [*YAML])
@pytest.mark.parametrize("running", [True, False])
def test_kubelet_configuration_is_named(kind: str, running: bool) -> None:
    """Nobody knows the driver that it asks for, nor the socket of one that was stopped."""
    path = "/etc/kubelet.yaml"
    argv = f"/usr/bin/kubelet --config={path}"
    if running:
        argv += f" --container-runtime-endpoint=unix://{SOCKET}"
    machine = Machine(kubelet=argv)
    machine.host[path] = "kept"
    node = machine.node()
    judged = judge(GpuNode(node.name, ChangedCluster(node.cluster, {path: YAML[kind]})))
    assert judged.says(path)
    assert judged.unproven


@pytest.mark.parametrize("kind", [*JSON])
def test_daemon_json_is_named(kind: str) -> None:
    """Docker does not start with it: its own option has no such shape."""
    path = "/etc/docker/daemon.json"
    machine = Machine(others=["/usr/bin/dockerd"])
    machine.files[path] = JSON[kind].decode()
    (finding,) = check_docker.docker_findings(machine.node())
    assert path in str(as_json(full(finding)))


@pytest.mark.parametrize("kind", [*JSON])
def test_crictl_info_says_nothing(kind: str) -> None:
    """As if nobody had asked."""
    machine = Machine(live=None)
    argv = f"/usr/local/bin/crictl --runtime-endpoint unix://{SOCKET} info"
    machine.commands = [(argv, 0, JSON[kind].decode(), "")]
    assert machine.node().containerd.live is None


@pytest.mark.parametrize(
    ("parse", "contents"), [(toml, TOML), (yaml_document, YAML), (json_document, JSON)]
)
def test_one_error_for_all(parse: Callable[[bytes], object], contents: dict[str, bytes]) -> None:
    """Whatever the parser raises; what is too deep is told apart."""
    for kind, content in contents.items():
        if kind in {"list", "scalar"}:
            continue
        with pytest.raises(TooDeepError if kind == "deep" else MalformedError) as refused:
            parse(content)
        assert (kind == "huge-number") == ("a number has more than" in str(refused.value))
