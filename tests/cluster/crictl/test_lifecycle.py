"""Sandboxes by crictl: the right files, the control first, the kubelet's interference, no rests."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_gpu.cluster.crictl import leftovers, lifecycle, tool
from pytest_gpu.cluster.crictl.bench import SandboxOptions
from pytest_gpu.cluster.crictl.lifecycle import TIMED_OUT, try_sandboxes
from pytest_gpu.cluster.recording.owner import this_process
from pytest_gpu.errors import Unproven
from pytest_gpu.evidence import CommandResult
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.stack.cdi.specs import CdiEdits, CdiSpec, CdiSpecs, cdi_of
from pytest_gpu.stack.distributions import every
from pytest_gpu.stack.sandbox import check_sandbox as diagnose
from pytest_gpu.stack.sandbox import config_files
from pytest_gpu.stack.sandbox.check_files import control
from pytest_gpu.stack.sandbox.sandboxes import SandboxFiles, shipped_files
from pytest_gpu.survey.first_questions import first_questions
from pytest_gpu.survey.survey import crictl_of
from tests.cluster.crictl.crictl_node import (
    DEVICES,
    IMAGE,
    LIBRARIES,
    NO_SHIM,
    CrictlNode,
    answer,
    ending,
    ending_well,
    failing,
    fine,
)
from tests.stack.kube.kube_machine import Machine, cause, told

FATAL = "FATA[0000] running container: run pod sandbox: rpc error: code = Unknown desc = "
NO_HANDLER = FATAL + 'failed to get sandbox runtime: no runtime for "nvidia" is configured'
NO_CNI = FATAL + 'failed to setup network for sandbox "58b5": cni plugin not initialized'
BAD_SLICE = FATAL + (
    'OCI runtime create failed: expected cgroupsPath to be of format "slice:prefix:name" for'
    ' systemd cgroups, got "/kubepods/besteffort/ID" instead: unknown'
)
KILLED_PAUSE = FATAL + (
    "OCI runtime create failed: runc create failed: unable to create new parent process: namespace"
    " path: lstat /proc/1589/ns/ipc: no such file or directory: unknown"
)


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put what would lie on the node into folders of this test."""
    for name in ("run", "noexec", "opt"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(lifecycle, "FOLDERS", f"{tmp_path}/run")
    monkeypatch.setattr(leftovers, "FOLDERS", (f"{tmp_path}/run", f"{tmp_path}/opt"))
    monkeypatch.setattr(tool, "PROGRAM_FOLDERS", (f"{tmp_path}/opt",))
    return tmp_path


def wishes(**changes: Any) -> SandboxOptions:
    """Return what a run without any options wants."""
    plain = SandboxOptions(
        files=shipped_files(), image="python:3-slim", run="ab12", owner=this_process()
    )
    return replace(plain, **changes)


def tried(shell: CrictlNode, machine: Machine | None = None, **changes: Any) -> dict[str, Any]:
    """Try the sandboxes; check that the outcome survives being written and read again."""
    outcome = try_sandboxes((machine or Machine()).node(), shell, wishes(**changes))
    again: dict[str, Any] = yaml.safe_load(yaml.safe_dump(outcome))
    assert again == outcome
    return outcome


def judged(outcome: dict[str, Any], machine: Machine | None = None) -> GpuNode:
    """Return the node as the tests of the layer see it afterwards."""
    machine = machine or Machine()
    machine.outcomes["sandbox"] = outcome
    return machine.node()


def admins(pod: dict[str, Any] | str, container: dict[str, Any] | None = None) -> SandboxFiles:
    """Return an admin's own files."""
    return SandboxFiles(
        origin="admin",
        pod_source="/root/pod-config.json",
        pod_text=pod if isinstance(pod, str) else json.dumps(pod),
        container_source="/root/container-config.json",
        container_text=json.dumps(container or {"image": {"image": "python:3-slim"}}),
    )


def test_a_healthy_node(places: Path) -> None:
    """Both start; the GPU's lists what is injected; nothing stays."""
    shell = CrictlNode()
    outcome = tried(shell)
    control, gpu = outcome["runs"]
    assert (control["exit"], control["handler"], control["output"]) == (0, "", "")
    assert (gpu["exit"], gpu["handler"], gpu["attempts"], gpu["reaped"]) == (0, "nvidia", 1, 0)
    assert gpu["output"].splitlines()[0] == "/dev/nvidia-uvm"
    node = judged(outcome)
    checks = (diagnose.other_socket, diagnose.gpu_run, diagnose.missing_devices)
    assert [check(node) for check in checks] == [None] * 3
    assert diagnose.missing_libraries(node) is None
    assert (shell.pods, list((places / "run").iterdir())) == ({}, [])


def test_the_control_comes_first_and_asks_for_no_gpu() -> None:
    """Under the default handler, which may be NVIDIA's."""
    shell = CrictlNode()
    tried(shell)
    starts = [words for words in shell.ran if words[0] == "run"]
    assert [words[1:-2] for words in starts] == [("--no-pull",), ("--no-pull", "--runtime=nvidia")]
    envs = [{env["key"]: env["value"] for env in each["envs"]} for _, each in shell.configs]
    assert [env["NVIDIA_VISIBLE_DEVICES"] for env in envs] == ["void", "all"]
    assert [bool(each["mounts"]) for _, each in shell.configs] == [False, True]


@pytest.mark.parametrize(
    ("systemd", "parent"), [(True, "kubepods-besteffort.slice"), (False, "/kubepods/besteffort")]
)
def test_the_files_fit_the_node(systemd: bool, parent: str) -> None:
    """Namespace, host network, cgroup parent of the node's driver, an image that is there."""
    shell = CrictlNode()
    outcome = tried(shell, Machine(systemd=systemd))
    for pod, container in shell.configs:
        assert pod["metadata"]["namespace"] == "default"
        assert pod["linux"]["security_context"]["namespace_options"]["network"] == 2
        assert pod["linux"]["cgroup_parent"] == parent
        assert container["image"]["image"] == IMAGE
        assert pod["labels"]["pytest-gpu/sandbox-run"] == "ab12"
        assert pod["annotations"]["pytest-gpu/owner"] == this_process()
    names = [pod["metadata"]["uid"] for pod, _ in shell.configs]
    assert len(set(names)) == 2
    assert parent in outcome["files"]["pod_config"]["text"]


def test_the_sandboxes_have_no_more_power_than_users_pods() -> None:
    """The runtime's own seccomp profile (0 is RuntimeDefault in the CRI), no capabilities."""
    shell = CrictlNode()
    tried(shell)
    assert len(shell.configs) == 2
    for pod, container in shell.configs:
        assert pod["linux"]["security_context"]["seccomp"] == {"profile_type": 0}
        context = container["linux"]["security_context"]
        assert context["seccomp"] == {"profile_type": 0}
        assert context["capabilities"] == {"drop_capabilities": ["ALL"]}
        assert context["no_new_privs"] is True
        assert "privileged" not in {*pod["linux"]["security_context"], *context}


def test_an_admins_files_keep_their_own_security_context() -> None:
    """Whether they start is the question."""
    shell = CrictlNode()
    container = {"envs": [{"key": "NVIDIA_VISIBLE_DEVICES", "value": "all"}]}
    pod = {"metadata": {"name": "mine", "namespace": "x"}, "linux": {}}
    tried(shell, files=admins(pod, container))
    assert shell.configs
    for pod, container in shell.configs:
        assert (pod["linux"], container.get("linux")) == ({}, None)


@pytest.mark.parametrize(
    "reaped",
    [
        failing(NO_SHIM),
        failing(KILLED_PAUSE),
        failing(FATAL + "something never heard of", state="SANDBOX_NOTREADY"),
        ending(137),
    ],
    ids=["no-shim", "pause-killed", "stopped-sandbox", "137"],
)
def test_what_the_kubelet_ended_is_tried_again(reaped: Any) -> None:
    """It says nothing about GPUs, whatever it looks like."""
    outcome = tried(CrictlNode(starts=[reaped, reaped]))
    control, gpu = outcome["runs"]
    assert (control["exit"], control["attempts"], control["reaped"]) == (0, 3, 2)
    assert gpu["attempts"] == 1
    assert diagnose.gpu_run(judged(outcome)) is None


EOF_OF_RUNC = FATAL + "runc create failed: can't get final child's PID from pipe: EOF"


def test_an_unknown_error_that_does_not_come_again_is_no_fault() -> None:
    """The kubelet killed the container amid its start, and was not seen doing it."""
    gpu = tried(CrictlNode(starts=[fine, failing(EOF_OF_RUNC)]))["runs"][1]
    assert (gpu["exit"], gpu["attempts"], gpu["reaped"]) == (0, 2, 1)


def test_an_unknown_error_that_comes_again_is_one() -> None:
    """Told in its own words, after two attempts."""
    outcome = tried(CrictlNode(starts=[fine, *[failing(EOF_OF_RUNC)] * 2]))
    gpu = outcome["runs"][1]
    assert (gpu["attempts"], gpu["reaped"]) == (2, 0)
    assert cause(diagnose.gpu_run(judged(outcome))) == "sandbox/gpu-sandbox-fails"


def test_an_unknown_error_among_losses_is_a_loss() -> None:
    """Only two of them in a row say something."""
    starts = [failing(EOF_OF_RUNC), failing(NO_SHIM), failing(EOF_OF_RUNC), *[failing(NO_SHIM)] * 2]
    gpu = tried(CrictlNode(starts=[fine, *starts]))["runs"][1]
    assert (gpu["attempts"], gpu["reaped"]) == (5, 5)


def test_a_start_that_takes_too_long_is_not_repeated() -> None:
    """Each would take as long; what crictl waited for is not known."""
    outcome = tried(CrictlNode(starts=[fine, lambda *_: answer((), TIMED_OUT)]))
    gpu = outcome["runs"][1]
    assert (gpu["exit"], gpu["attempts"], gpu["reaped"]) == (TIMED_OUT, 1, 0)
    with pytest.raises(Unproven, match="did not finish in time"):
        diagnose.gpu_run(judged(outcome))


def test_five_losses_are_no_fault_of_the_gpu() -> None:
    """Inconclusive."""
    outcome = tried(CrictlNode(starts=[fine, *[failing(NO_SHIM)] * 9]))
    gpu = outcome["runs"][1]
    assert (gpu["attempts"], gpu["reaped"]) == (5, 5)
    with pytest.raises(Exception, match="the kubelet removed the sandbox in 5 attempts"):
        diagnose.gpu_run(judged(outcome))


@pytest.mark.parametrize("state", ["SANDBOX_READY", "SANDBOX_NOTREADY"])
def test_a_known_fault_is_told_at_once(state: str) -> None:
    """Also where the kubelet ended that sandbox meanwhile."""
    shell = CrictlNode(starts=[fine, failing(NO_HANDLER, state=state)])
    outcome = tried(shell)
    assert outcome["runs"][1]["attempts"] == 1
    assert cause(diagnose.gpu_run(judged(outcome))) == "sandbox/handler-refused"


def test_a_whole_listing_counts_whatever_came_after() -> None:
    """The kubelet may remove the container the moment it has ended."""
    shell = CrictlNode()
    outcome = tried(shell)
    assert not [words for words in shell.ran if words[0] == "inspect"]
    assert outcome["runs"][1]["exit"] == 0


def test_a_container_that_ends_between_two_looks_is_heard_out() -> None:
    """Its log was read a moment too early: nothing is judged by that."""
    late = ending_well(later=(*DEVICES, *LIBRARIES, config_files.END))
    found = judged(tried(CrictlNode(starts=[fine, late])))
    assert diagnose.gpu_run(found) is None
    assert diagnose.missing_devices(found) is None


def test_a_listing_without_its_end_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The container ended well, but who knows what it wrote."""
    monkeypatch.setattr("pytest_gpu.cluster.crictl.ending.LOG_TIME", 0.0)
    found = judged(tried(CrictlNode(starts=[fine, ending_well(DEVICES[0])])))
    with pytest.raises(Unproven, match="the end of its listing is missing"):
        diagnose.gpu_run(found)
    with pytest.raises(Unproven):
        diagnose.missing_devices(found)


def test_a_container_that_fails_is_no_success() -> None:
    """Its exit code is told, and the start is not repeated."""
    outcome = tried(CrictlNode(starts=[fine, ending(2, "sh: syntax error")]))
    gpu = outcome["runs"][1]
    assert (gpu["exit"], gpu["attempts"]) == (2, 1)
    assert "ended with exit code 2 Error" in gpu["stderr"]


def test_cdi_devices_where_no_handler_injects() -> None:
    """Named in both ways that crictl and containerd know."""
    machine = Machine(handlers={"runc": None}, live=("runc",), cdi_enabled=True)
    spec = CdiSpec(
        path="/etc/cdi/nvidia.yaml",
        kind="nvidia.com/gpu",
        devices=dict.fromkeys(("nvidia.com/gpu=0", "nvidia.com/gpu=all"), CdiEdits()),
    )
    node = machine.node()
    specs = CdiSpecs(directories=(), specs=(spec,), unknown=())
    node.memory.recall(cdi_of, lambda: specs)
    shell = CrictlNode()
    outcome = try_sandboxes(node, shell, wishes())
    assert outcome["runs"][1]["cdi_devices"] == ["nvidia.com/gpu=all"]
    _, container = shell.configs[1]
    assert container["CDI_devices"] == [{"name": "nvidia.com/gpu=all"}]
    assert container["annotations"]["cdi.k8s.io/pytest-gpu"] == "nvidia.com/gpu=all"


@pytest.mark.parametrize(
    ("shell", "changes", "why"),
    [
        (CrictlNode(programs=()), {}, "no crictl on this node; --gpu-crictl=FILE"),
        (
            CrictlNode(images=()),
            {},
            "python:3-slim is not on this node, and sandboxes do not pull images",
        ),
        (CrictlNode(), {"image": "registry.local:5000/py:3"}, "registry.local:5000/py:3 is not on"),
    ],
)
def test_what_cannot_be_tried_is_skipped_with_the_reason(
    shell: CrictlNode, changes: dict[str, Any], why: str
) -> None:
    """Nothing is pulled, nothing is guessed."""
    assert why in tried(shell, **changes)["skipped"]
    assert not shell.configs


@pytest.mark.parametrize("runtime", ["docker", "cri-o"])
def test_other_runtimes_are_left_alone(runtime: str) -> None:
    """Handlers and files are those of containerd."""
    assert (
        f"uses {runtime}, not containerd"
        in tried(CrictlNode(), Machine(runtime=runtime))["skipped"]
    )


@pytest.mark.parametrize(
    "program",
    [
        "crictl",
        "/usr/local/bin/crictl",
        "/usr/bin/crictl",
        "/opt/bin/crictl",
        "/home/kubernetes/bin/crictl",
        "/var/lib/rancher/rke2/bin/crictl",
        "/var/lib/rancher/k3s/data/current/bin/crictl",
        "/usr/local/bin/k3s crictl",
        "k3s crictl",
    ],
)
def test_crictl_is_found_where_distributions_put_it(program: str) -> None:
    """And is told."""
    outcome = tried(CrictlNode(programs=(program,)))
    assert outcome["crictl"] == {
        "path": program,
        "endpoint": "unix:///run/containerd/containerd.sock",
        "version": "v1.31.1",
    }


def test_the_visit_finds_every_crictl_that_the_sandboxes_find() -> None:
    """With a path: what lies along a shell's PATH only the shell can tell."""
    for command in every.crictl_commands():
        node = Machine(files={command[0]: "ELF"}).node()
        assert crictl_of(node) == (command if command[0].startswith("/") else None)
        if command[0].startswith("/"):
            assert command[0] in first_questions().stat


def test_the_crictl_that_answered_before_is_taken_first() -> None:
    """The visit asked the running containerd with it."""
    path = "/snap/k8s/current/bin/crictl"
    info = (f"{path} --runtime-endpoint unix:///run/x.sock info", 0, "{}", "")
    outcome = tried(CrictlNode(programs=("crictl", path)), Machine(commands=[info]))
    assert outcome["crictl"]["path"] == path


def test_a_crictl_is_brought_along_and_removed(places: Path, tmp_path: Path) -> None:
    """Larger than one argument may be, byte for byte."""
    program = tmp_path / "crictl"
    program.write_bytes(b"#!/bin/sh\n#" + bytes(range(97, 123)) * 20_000)
    outcome = tried(CrictlNode(programs=()), crictl=program)
    assert outcome["crictl"]["path"].startswith(f"{places}/opt/pytest-gpu.ab12.")
    assert outcome["runs"][1]["exit"] == 0
    assert list((places / "opt").iterdir()) == []


def test_an_admins_files_are_used_as_they_are() -> None:
    """Faults included; only names, marks, logs and the command are ours."""
    pod = {
        "metadata": {"name": "nvidia-pod-test-4", "namespace": "ops"},
        "log_directory": "/tmp",  # noqa: S108 - what the file says
        "linux": {"cgroup_parent": "/mine", "security_context": {}},
    }
    container = {"image": {"image": IMAGE}, "command": ["nvidia-smi"], "envs": [], "mounts": []}
    shell = CrictlNode(starts=[failing(BAD_SLICE, pod_stays=False)])
    outcome = tried(shell, files=admins(pod, container))
    used, made = shell.configs[0]
    assert used["linux"] == pod["linux"]
    assert used["metadata"]["name"].startswith("nvidia-pod-test-4-pytest-gpu-ab12")
    assert made["command"] == ["sh", "-c"]
    assert json.loads(outcome["files"]["pod_config"]["text"]) == pod
    assert [run["role"] for run in outcome["runs"]] == ["control"], "the GPU is not asked for then"


def test_an_admins_file_without_a_name_gets_none() -> None:
    """Crictl must say so itself."""
    shell = CrictlNode(starts=[failing("FATA[0000] name or namespace is not in metadata")] * 2)
    tried(shell, files=admins({"linux": {}}))
    assert "metadata" not in shell.configs[0][0]


def test_a_file_that_is_no_json_goes_to_crictl_unchanged() -> None:
    """Whatever it holds."""
    text = config_files.pod_text(
        admins("{nonsense"),
        "x",
        config_files.Mark(run="r", owner="o", deadline=0),
        "/run/x",
        systemd=True,
    )
    assert text == "{nonsense"


def test_a_failing_control_of_ours_is_unproven() -> None:
    """CNI, pause image and cgroups are no GPU's fault; the GPU's run is told all the same."""
    outcome = tried(CrictlNode(starts=[failing(NO_CNI), failing(NO_CNI)]))
    assert [run["exit"] for run in outcome["runs"]] == [1, 1]
    with pytest.raises(Exception, match="the control sandbox failed, too"):
        diagnose.gpu_run(judged(outcome))


class Refusing(CrictlNode):
    """A node whose crictl lists no images."""

    stderr = ""

    def _images(self, argv: Sequence[str], _: Sequence[str]) -> CommandResult:
        return answer(argv, 1, stderr=self.stderr)


NO_IMAGES = (
    'FATA[0000] validate CRI v1 image API for endpoint "unix:///run/containerd/containerd.sock": '
    "rpc error: code = Unimplemented desc = unknown service runtime.v1.ImageService"
)


@pytest.mark.parametrize(
    ("stderr", "found"),
    [(NO_IMAGES, "sandbox/control-fails"), ("Incorrect Usage: flag not defined: -output", None)],
)
def test_a_runtime_that_does_not_even_list_refuses_every_pod(
    stderr: str, found: str | None
) -> None:
    """With its words; a crictl that does not take our options says nothing about it."""
    shell = Refusing()
    shell.stderr = stderr
    outcome = tried(shell)
    if found is None:
        assert stderr in outcome["skipped"]
        return
    finding = control(judged(outcome))
    assert cause(finding) == found
    assert "crictl images (control)" in told(finding)
    assert "unknown service runtime.v1.ImageService" in told(finding)


def test_what_cannot_be_removed_is_told() -> None:
    """After three tries."""
    shell = CrictlNode(sticky=True)
    outcome = tried(shell)
    assert outcome["left"] == ["sandbox p1", "sandbox p2"]
    assert sum(words[0] == "rmp" for words in shell.ran) == 3


def _left(deadline: float, owner: str, state: str = "SANDBOX_READY") -> dict[str, Any]:
    notes = {"pytest-gpu/deadline": str(int(deadline)), "pytest-gpu/owner": owner}
    labels = {"pytest-gpu/kind": "crictl-sandbox", "pytest-gpu/sandbox-run": "old"}
    return {"id": "old", "state": state, "labels": labels, "annotations": notes, "metadata": {}}


@pytest.mark.parametrize(
    ("pod", "goes"),
    [
        (_left(time.time() + 900, this_process()), False),
        (_left(time.time() - 1, "elsewhere.1.2"), True),
        (_left(time.time() + 900, "elsewhere.1.2"), False),
        (_left(time.time() + 900, "elsewhere.1.2", "SANDBOX_NOTREADY"), True),
        (_left(time.time() + 900, this_process() + "9"), True),
    ],
    ids=["alive", "overdue", "of-another-machine", "stopped", "owner-dead"],
)
def test_leftovers_of_killed_runs_are_swept(pod: dict[str, Any], goes: bool) -> None:
    """Those of runs that may still be going on stay."""
    shell = CrictlNode(pods={"old": pod})
    tried(shell)
    assert ("old" not in shell.pods) == goes


def test_the_kubelets_own_sandboxes_are_left_alone() -> None:
    """Those of the suite's pods bear the labels of these pods."""
    pod = _left(time.time() - 1, "elsewhere.1.2", "SANDBOX_NOTREADY")
    pod["labels"] |= {"io.kubernetes.pod.uid": "u", "pytest-gpu/sandbox-run": "ab12"}
    shell = CrictlNode(pods={"old": pod})
    assert "left" not in tried(shell)
    assert list(shell.pods) == ["old"]


def test_folders_of_killed_runs_are_swept(places: Path) -> None:
    """By the deadline and the owner in their names; what looks otherwise is not ours."""
    old = places / "opt/pytest-gpu.ab12.1700000000.0f0f_elsewhere.1.2"
    dead = places / f"run/pytest-gpu.ab12.1999999999.0f0f_{this_process()}9"
    new = places / f"run/pytest-gpu.ab12.1999999999.0f0f_{this_process()}"
    others = places / "run/pytest-gpu.notes"
    for folder in (old, dead, new, others):
        folder.mkdir()
    tried(CrictlNode())
    assert [folder.exists() for folder in (old, dead, new, others)] == [False, False, True, True]


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("python:3-slim", "docker.io/library/python:3-slim"),
        ("nvidia/cuda", "docker.io/nvidia/cuda:latest"),
        ("localhost/x:1", "localhost/x:1"),
        ("registry:5000/a/b", "registry:5000/a/b:latest"),
        ("nvcr.io/nvidia/cuda@sha256:00", "nvcr.io/nvidia/cuda@sha256:00"),
        ("nvcr.io/nvidia/cuda:12@sha256:00", "nvcr.io/nvidia/cuda@sha256:00"),
        ("registry:5000/a:1@sha256:00", "registry:5000/a@sha256:00"),
        ("python:3-slim@sha256:00", "docker.io/library/python@sha256:00"),
    ],
)
def test_names_of_images_are_compared_in_full(image: str, name: str) -> None:
    """As containerd stores them."""
    assert config_files.full_name(image) == name


@pytest.mark.parametrize("wanted", ["python@{digest}", "python:3-slim@{digest}"])
def test_an_image_that_is_pinned_by_digest_is_found(wanted: str) -> None:
    """With a tag for people, or without one; another digest is another image."""
    digest = f"sha256:{'a' * 64}"
    stored = f"docker.io/library/python@{digest}"
    listed = [{"id": "sha256:1", "repoTags": [IMAGE], "repoDigests": [stored]}]
    assert config_files.find_image(listed, wanted.format(digest=digest)) == stored
    other = f"sha256:{'b' * 64}"
    assert config_files.find_image(listed, wanted.format(digest=other)) is None


def test_parts_of_long_lines_are_joined() -> None:
    """The CRI's log format cuts them."""
    log = f"T stdout P /dev/nvi\nT stdout F dia0\nT stdout F {config_files.END}\n"
    assert config_files.listing_of(log) == ("/dev/nvidia0\n", True)
    assert config_files.listing_of("T stdout F /dev/nvidia0\n") == ("/dev/nvidia0\n", False)


@pytest.mark.parametrize(
    ("word", "printed"),
    [
        ("images", '{"images": "x"}'),
        ("images", '{"images": [null]}'),
        ("images", '{"images": [{"id": "a", "repoTags": 7}]}'),
        ("pods", '{"items": [{}]}'),
        ("pods", '{"items": [{"id": "a", "labels": [1]}]}'),
        ("pods", '{"items": [{"id": "a", "annotations": [1]}]}'),
    ],
)
def test_crictl_that_prints_another_shape_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, word: str, printed: str
) -> None:
    """That node is skipped with the reason; an exception would cost all nodes."""
    node = CrictlNode()
    true = node.run

    def run(argv: Any, timeout: float = 60.0) -> Any:
        return answer(argv, stdout=printed) if word in argv else true(argv, timeout)

    monkeypatch.setattr(node, "run", run)
    assert "of another shape than it should" in tried(node)["skipped"]


def test_a_deadline_of_too_many_digits_is_none() -> None:
    """Python refuses to read a number of 5000 digits."""
    notes = {config_files.DEADLINE: "1" * 5000}
    node = CrictlNode(pods={"p": {"id": "p", "state": "SANDBOX_READY", "annotations": notes}})
    node.pods["p"]["labels"] = {config_files.KIND: config_files.SANDBOX}
    assert "skipped" not in tried(node)
    assert "p" in node.pods
