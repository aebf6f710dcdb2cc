"""Options and configuration values: what they mean, and what is said when they cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_gpu.catalogue import catalogue
from tests.conftest import MakeCluster, MakeSuite
from tests.support.runs import QUIET, run_here


def refused(result: pytest.RunResult) -> str:
    """Return the one line with which a run was refused."""
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    lines = [line for line in result.errlines if line]
    assert len(lines) == 1, result.stderr.str()
    assert lines[0].startswith("ERROR: ")
    return lines[0].removeprefix("ERROR: ")


BAD = {
    "--gpu-layers=kernel": "--gpu-layers: kernel: 'kernel' is not a layer; layers are access, *",
    "--gpu-timeout=-1": "--gpu-timeout: -1: must be a number of seconds greater than 0; *",
    "--gpu-timeout=0": "--gpu-timeout: 0: must be a number of seconds greater than 0; *",
    "--gpu-timeout=soon": "--gpu-timeout: soon: must be a number of seconds greater than 0; *",
    "--gpu-timeout=nan": "--gpu-timeout: nan: must be a number of seconds greater than 0; *",
    "--gpu-nodes=gpu-9": "--gpu-nodes: gpu-9: no node called gpu-9 *; nodes are cpu-1, gpu-*",
    "--gpu-nodes=gpu-1,gpu-9": "--gpu-nodes: gpu-1,gpu-9: no node called gpu-9 *",
    "--gpu-nodes=pool=x": "--gpu-nodes: pool=x: matches none of the nodes: *",
    "--gpu-nodes=pool==": "--gpu-nodes: pool==: matches none of the nodes: *",
    "--gpu-nodes=a b=c": "--gpu-nodes: a b=c: 'a b=c' is not a label condition; *",
    "--gpu-nodes=": "--gpu-nodes: : no node called *",
    "--gpu-workloads=a=b=c": "--gpu-workloads: a=b=c: 'a=b=c' is not a label condition; *",
    "--gpu-report=out.html": "--gpu-report: out.html: this version writes only .json; *",
    "--gpu-report=out.md": "--gpu-report: out.md: this version writes only .json; *",
    "--gpu-report=out": "--gpu-report: out: this version writes only .json; *",
    "--gpu-report=file.txt/out.json": "--gpu-report: file.txt/out.json: its folder cannot *",
    "--gpu-report=folder.json": "--gpu-report: folder.json: is a folder; name a file",
    "--gpu-kubeconfig=no/such": "--gpu-kubeconfig: no/such: there is no such file",
    "--gpu-namespace=GPU": "--gpu-namespace: GPU: is not a valid namespace name: *",
    "--gpu-image=": "--gpu-image: : is not a valid image name; the default is python:3-slim",
    "--gpu-parallel=0": "--gpu-parallel: 0: must be a number of nodes from 1 to 1000; *",
    "--gpu-parallel=many": "--gpu-parallel: many: must be a number of nodes from 1 to 1000; *",
    "-ogpu_timeout=never": "gpu_timeout in *: never: must be a number of seconds greater than 0; *",
    "-ogpu_layers=kernel": "gpu_layers in *: kernel: 'kernel' is not a layer; *",
    "-ogpu_nodes=gpu-9": "gpu_nodes in *: gpu-9: no node called gpu-9 *",
    "-ogpu_sandbox_pod_config=no.json": "gpu_sandbox_pod_config in *: no.json: cannot read *",
    "-ogpu_sandbox_container_config=file.txt": "gpu_sandbox_container_config in * is not JSON, *",
    "-ogpu_sandbox_pod_config=list.json": "gpu_sandbox_pod_config in *: * is not a JSON object, *",
    "-ogpu_junit_strict=perhaps": "*invalid truth value 'perhaps'*",
    "-ogpu_junit_unproven=error": "gpu_junit_unproven in *: error: must be skipped or failure; *",
    "-ogpu_junit_unproven=": "gpu_junit_unproven in *: *skipped or failure*",
    "-ogpu_cause_link=": "gpu_cause_link in *: *http://*",
    "-ogpu_cause_link=causes.html#{cause}": "gpu_cause_link in *: * is not an address that *",
    "-ogpu_cause_link=https://x.y/": "gpu_cause_link in *: * must contain {cause} or {anchor} *",
    "-ogpu_cause_link=https://x.y/{cause}/{id}": "gpu_cause_link in *: * must contain {cause} or *",
    "-ogpu_cause_link=https://x y/{cause}": "gpu_cause_link in *: * is not an address that *",
}


@pytest.mark.parametrize(("option", "message"), BAD.items(), ids=BAD)
def test_bad_value_is_told_in_one_line(
    pytester: pytest.Pytester,
    make_cluster: MakeCluster,
    option: str,
    message: str,
) -> None:
    """It names where the value came from, the value, and what would be right; exit 4."""
    (pytester.path / "file.txt").write_text("{")
    (pytester.path / "list.json").write_text("[]")
    (pytester.path / "folder.json").mkdir()
    (pytester.path / "pytest.ini").write_text("[pytest]\n")
    cluster = make_cluster("gpu-1", "gpu-2", plain=["cpu-1"])
    result = run_here(pytester, f"--gpu-cluster=path:{cluster}", option, *QUIET)
    pytest.LineMatcher([refused(result)]).fnmatch_lines([message])


CLUSTERS = {
    "sample:healthy-kubedm": "'healthy-kubedm' is not a sample; *samples are *",
    "path:nowhere": "* is no* folder or .tar.gz*",
    "path:": "names no path; write path:PATH",
    "nowhere": "is neither a context of the kubeconfig (contexts: arn:aws:eks:eu:1:cluster/x, both)"
    " nor a path that exists; *",
    "both": "is both a context and a path; write context:both or path:both",
    "empty": "*",
    "": "is neither a context *",
    "current": "the kubeconfig has no current context; *",
    "in-cluster": "this process does not run in a pod with a service account: *",
    "context:any": "the kubeconfig has no context 'any'; contexts: arn:aws:eks:eu:1:*, both",
    "arn:aws:eks:eu:1:cluster/x": "the context 'arn:aws:eks:eu:1:cluster/x' cannot be used: *",
}


@pytest.mark.parametrize(("cluster", "message"), CLUSTERS.items(), ids=CLUSTERS)
def test_bad_cluster_is_told_in_one_line(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    cluster: str,
    message: str,
) -> None:
    """Whatever is wrong with it, the option and the value stand in front."""
    kubeconfig = pytester.path / "kubeconfig"
    kubeconfig.write_text("contexts: [{name: both}, {name: 'arn:aws:eks:eu:1:cluster/x'}]\n")
    monkeypatch.setenv("KUBECONFIG", f"{kubeconfig}:/no/such/file")
    for name in ("both", "empty"):
        (pytester.path / name).mkdir()
    result = run_here(pytester, f"--gpu-cluster={cluster}", *QUIET)
    pytest.LineMatcher([refused(result)]).fnmatch_lines([f"--gpu-cluster: {cluster}: {message}"])


@pytest.mark.parametrize("option", ["--gpu-layers=kernel", "--gpu-nodes=gpu-9", "--gpu-timeout=0"])
def test_bad_value_is_told_before_workers_start(
    pytester: pytest.Pytester, make_cluster: MakeCluster, option: str
) -> None:
    """With xdist as without: one line, not one for each worker."""
    cluster = f"--gpu-cluster=path:{make_cluster('gpu-1')}"
    name, _, value = option.partition("=")
    line = refused(run_here(pytester, cluster, option, "-n2", *QUIET))
    assert line.startswith(f"{name}: {value}: ")


def test_recording_of_a_newer_format_is_refused(
    pytester: pytest.Pytester, make_cluster: MakeCluster
) -> None:
    """Guessing what a newer version means would be worse."""
    cluster = make_cluster("gpu-1")
    (cluster / "recording.yaml").write_text("format: 99\ntaken: 2026-11-21T10:00:00Z\n")
    line = refused(run_here(pytester, f"--gpu-cluster=path:{cluster}", *QUIET))
    assert "99" in line


def test_no_gpu_node_names_every_sign(
    pytester: pytest.Pytester, make_cluster: MakeCluster, workers: list[str]
) -> None:
    """No node is no success: what was looked for, and what is left to try."""
    cluster = f"--gpu-cluster=path:{make_cluster(plain=['cpu-1'])}"
    line = refused(run_here(pytester, cluster, *QUIET, *workers))
    for sign in ("nvidia.com/", "node feature discovery", "gpu.nvidia.com", "--gpu-nodes=all"):
        assert sign in line
    line = refused(run_here(pytester, cluster, "--gpu-nodes=all", *QUIET))
    assert "visit every node" not in line


def test_recording_without_nodes_is_refused(
    pytester: pytest.Pytester, make_cluster: MakeCluster
) -> None:
    """Nobody looked: that is not the same as no GPU node."""
    cluster = make_cluster("gpu-1")
    (cluster / "kubernetes" / "nodes.yaml").unlink()
    line = refused(run_here(pytester, f"--gpu-cluster=path:{cluster}", *QUIET))
    assert "nodes" in line
    assert "not in the evidence" in line


NODES = {
    None: ["gpu-1", "gpu-2"],
    "gpu-2": ["gpu-2"],
    "gpu-2, gpu-1": ["gpu-1", "gpu-2"],
    "cpu-1": ["cpu-1"],
    "all": ["gpu-1", "gpu-2"],
    "kubernetes.io/hostname=gpu-1": ["gpu-1"],
    "pool": ["cpu-1", "gpu-1", "gpu-2"],
    "pool,kubernetes.io/hostname!=gpu-1": ["cpu-1", "gpu-2"],
    "!other": ["cpu-1", "gpu-1", "gpu-2"],
}


@pytest.mark.parametrize(("asked", "names"), NODES.items(), ids=map(str, NODES))
def test_nodes_are_found_or_named(
    pytester: pytest.Pytester,
    make_cluster: MakeCluster,
    make_suite: MakeSuite,
    asked: str | None,
    names: list[str],
) -> None:
    """A node that the user names is a GPU node, also without any sign of a GPU."""
    make_suite(driver="def test_it(gpu_node): pass\n")
    cluster = make_cluster("gpu-2", "gpu-1", plain=["cpu-1"], labels={"pool": "a"})
    option = [] if asked is None else [f"--gpu-nodes={asked}"]
    result = run_here(
        pytester, f"--gpu-cluster=path:{cluster}", ".", "--collect-only", "-q", *option, *QUIET
    )
    tests = [line for line in result.outlines if "::" in line]
    assert tests == [f"test_driver.py::test_it[{name}]" for name in names]


def test_all_lists_the_nodes_that_are_none(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """They were looked at, and are not tested."""
    make_suite(driver="def test_it(gpu_node): pass\n")
    cluster = make_cluster("gpu-1", plain=["cpu-1", "cpu-2"])
    result = run_here(pytester, f"--gpu-cluster={cluster}", "--gpu-nodes=all", ".", *QUIET)
    result.stdout.fnmatch_lines(["gpu: not a GPU node: cpu-1, cpu-2"])
    assert result.ret == 0


def test_hook_selects_nodes(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite, workers: list[str]
) -> None:
    """A conftest.py of the directory decides; what it cannot mean is told."""
    make_suite(driver="def test_it(gpu_node): pass\n")
    cluster = f"--gpu-cluster=path:{make_cluster('gpu-1', 'gpu-2', 'gpu-3')}"
    pytester.makeconftest("def pytest_gpu_select_nodes(nodes): return nodes[1:]")
    run_here(pytester, cluster, ".", *workers, *QUIET).assert_outcomes(passed=2)
    for wrong in ("[]", "['gpu-9']"):
        pytester.makeconftest(f"def pytest_gpu_select_nodes(nodes): return {wrong}")
        line = refused(run_here(pytester, cluster, ".", *workers, *QUIET))
        assert line.startswith(
            f"hook pytest_gpu_select_nodes: {wrong}: must name at least one node"
        )


def test_sandbox_files_are_relative_to_the_configuration(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """An admin's own crictl files, from wherever pytest is started."""
    make_suite(
        sandbox="def test_it(gpu_node, gpu_settings):\n"
        "    assert gpu_settings.sandbox_pod_config.name == 'pod.json'\n"
    )
    (pytester.path / "pod.json").write_text("{}")
    pytester.makeini("[pytest]\ngpu_sandbox_pod_config = pod.json")
    inside = pytester.mkdir("inside")
    (pytester.path / "test_sandbox.py").rename(inside / "test_sandbox.py")
    pytester.chdir()
    result = run_here(pytester, f"--gpu-cluster=path:{make_cluster('gpu-1')}", str(inside), *QUIET)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["gpu: sandbox-pod-config: *pod.json (from gpu_sandbox_pod_config in tox.ini)"]
    )


def test_option_wins_over_configuration(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """As everywhere in pytest."""
    make_suite(driver="def test_it(gpu_settings, gpu_node): assert gpu_settings.timeout == 7\n")
    pytester.makeini("[pytest]\ngpu_timeout = 20")
    cluster = f"--gpu-cluster=path:{make_cluster('gpu-1')}"
    run_here(pytester, cluster, ".", "--gpu-timeout=7", *QUIET).assert_outcomes(passed=1)


def test_workloads_leave_out_other_users_pods(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite, workers: list[str]
) -> None:
    """NVIDIA's own pods and pods without GPUs stay: they say how the cluster works."""
    make_suite(
        driver="def test_it(gpu_node, gpu_cluster):\n"
        "    names = [pod['metadata']['name'] for pod in gpu_cluster.objects('pods')]\n"
        "    assert names == ['mine', 'plain', 'operand']\n"
        "    assert gpu_node.cluster is gpu_cluster\n"
    )
    gpu = {"resources": {"limits": {"nvidia.com/gpu": 1}}}
    pods = [
        pod("mine", {"team": "a"}, {"image": "x", **gpu}),
        pod("theirs", {"team": "b"}, {"image": "x", **gpu}),
        pod("plain", {}, {"image": "x"}),
        pod("operand", {}, {"image": "nvcr.io/nvidia/k8s-device-plugin", **gpu}),
    ]
    cluster = f"--gpu-cluster=path:{make_cluster('gpu-1', pods=pods)}"
    result = run_here(pytester, cluster, ".", "--gpu-workloads=team=a", *workers, *QUIET)
    result.assert_outcomes(passed=1)


def pod(name: str, labels: dict[str, str], container: dict[str, object]) -> dict[str, object]:
    """Return a Pod object."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {"containers": [{"name": "c", **container}]},
        "status": {"phase": "Running"},
    }


def test_explain_prints_a_cause_without_a_cluster(pytester: pytest.Pytester) -> None:
    """Title, why, check, fix per distribution; no test runs."""
    pytester.makepyfile("def test_own(): assert False")
    for cause in catalogue().values():
        if len(cause.fix) > 1:
            break
    result = run_here(pytester, f"--gpu-explain={cause.id}", *QUIET)
    assert result.ret == 0
    text = result.stdout.str()
    assert text.startswith("running:") or cause.id in result.outlines[0]
    assert "Check by hand:" in text
    assert all(f"Fix ({name})" in text for name in cause.fix if name != "default")
    assert "test session starts" not in text


def test_every_cause_can_be_explained(pytester: pytest.Pytester) -> None:
    """No line is broken that is to be copied; prose keeps to 80 columns."""
    from pytest_gpu.run.explain import WIDTH, explain  # noqa: PLC0415 - the plugin loads it late

    for cause in catalogue():
        for line in explain(cause).splitlines():
            assert len(line) <= WIDTH or line.startswith("  $ ") or " " not in line.strip(), line


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["inline", "xdist"])
def test_unknown_cause_names_the_closest(pytester: pytest.Pytester, workers: list[str]) -> None:
    """A typo, a forgotten prefix, and nothing like it."""
    for typo in ("runtime/binary-mising", "binary-missing"):
        line = refused(run_here(pytester, f"--gpu-explain={typo}", *QUIET, *workers))
        assert line.startswith(f"--gpu-explain: {typo}: no such cause; closest are ")
        assert "runtime/binary-missing" in line
    line = refused(run_here(pytester, "--gpu-explain=xyzzy", *QUIET, *workers))
    assert "causes start with " in line


def test_without_a_cluster_options_do_nothing(pytester: pytest.Pytester) -> None:
    """A project may keep its GPU settings beside its ordinary tests."""
    pytester.makepyfile("def test_own(): pass")
    result = run_here(pytester, "--gpu-timeout=-1", "--gpu-layers=x", *QUIET)
    result.assert_outcomes(passed=1)
    assert "gpu: " not in result.stdout.str()


def test_record_keeps_the_evidence(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """What was recorded is judged like the original; a place that is taken is refused."""
    make_suite(driver="def test_it(gpu_node): pass\n")
    first = run_here(
        pytester, f"--gpu-cluster=path:{make_cluster('gpu-1')}", "--gpu-record=kept", ".", *QUIET
    )
    first.assert_outcomes(passed=1)
    assert Path(pytester.path, "kept", "recording.yaml").exists()
    again = run_here(pytester, "--gpu-cluster=path:kept", ".", *QUIET)
    again.assert_outcomes(passed=1)
    (pytester.path / "file").write_text("")
    line = refused(
        run_here(pytester, "--gpu-cluster=path:kept", "--gpu-record=file/inside", ".", *QUIET)
    )
    assert line.startswith("--gpu-record: ")
