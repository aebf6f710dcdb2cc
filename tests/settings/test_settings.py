"""Options and configuration values: what they mean, and what is said when they cannot be used."""

from __future__ import annotations

import json
from fnmatch import fnmatch
from pathlib import Path

import pytest

from pytest_gpu.cluster.recording.recorded import open_recording
from tests.conftest import MakeCluster, MakeSuite
from tests.support.runs import QUIET, refused, run_here


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
    "gpu-[1-2]": ["gpu-1", "gpu-2"],
    "gpu-*": ["gpu-1", "gpu-2"],
    "?pu-1,gpu-?": ["cpu-1", "gpu-1", "gpu-2"],
    "kubernetes.io/hostname in (gpu-2,cpu-1)": ["cpu-1", "gpu-2"],
    "kubernetes.io/hostname notin (gpu-2,cpu-1), pool": ["gpu-1"],
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


def test_a_word_with_two_meanings_is_refused(
    pytester: pytest.Pytester, make_cluster: MakeCluster
) -> None:
    """A node that is called like a label; if both mean the same nodes, it does not matter."""
    both = make_cluster("pool", "gpu-1", labels={"pool": "a"}, folder="both")
    line = refused(run_here(pytester, f"--gpu-cluster=path:{both}", "--gpu-nodes=pool", *QUIET))
    assert line == (
        "--gpu-nodes: pool: pool is both a node and a label of nodes; write "
        "kubernetes.io/hostname=pool for the node, pool=VALUE for the label"
    )
    same = f"--gpu-cluster=path:{make_cluster('pool', labels={'pool': 'a'}, folder='same')}"
    assert run_here(pytester, same, "--gpu-nodes=pool", "--collect-only", "-q", *QUIET).ret == 0


def test_nodes_stand_in_natural_order_everywhere(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """Header, tests, table, JSON, the evidence of a cause, and a recording of the run."""
    make_suite(driver="def test_it(gpu_node): fail(finding(gpu_node))\n")
    cluster = make_cluster("gpu-10", "gpu-9", "gpu-2", plain=["cpu-10", "cpu-9"])
    kept, out = pytester.path / "kept", pytester.path / "out.json"
    options = ["--gpu-nodes=all", f"--gpu-record={kept}", f"--gpu-report={out}", "-v"]
    result = run_here(pytester, f"--gpu-cluster=path:{cluster}", *options, ".", *QUIET)
    result.stdout.fnmatch_lines(
        [
            "gpu: 3 nodes: gpu-2, gpu-9, gpu-10 *",
            "gpu: not a GPU node: cpu-9, cpu-10",
            "test_driver.py::test_it[[]gpu-2]*",
            "test_driver.py::test_it[[]gpu-9]*",
            "test_driver.py::test_it[[]gpu-10]*",
            "gpu-2 *",
            "gpu-9 *",
            "gpu-10 *",
        ]
    )
    document = json.loads(out.read_text())
    assert [node["name"] for node in document["nodes"]] == ["gpu-2", "gpu-9", "gpu-10"]
    (cause,) = document["causes"]
    assert (cause["evidence_of"], cause["nodes"]) == ("gpu-2", ["gpu-2", "gpu-9", "gpu-10"])
    with open_recording(kept, "kept") as recorded:
        names = [node["metadata"]["name"] for node in recorded.objects("nodes")]
    assert names == ["cpu-9", "cpu-10", "gpu-2", "gpu-9", "gpu-10"]


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


WRONG_HOOKS = {
    "[]": "must name at least one node, such as gpu-1, gpu-9, gpu-10",
    "['gpu-10', 'zz']": "no node called zz; the nearest nodes are cpu-1, gpu-1, gpu-9, gpu-10",
    "['zz']": "no node called zz; the nearest nodes are *",
    "'gpu-1'": "'gpu-1': must be a list of names of nodes",
    "[1]": "[[]1]: must be a list of names of nodes",
    "1": "1: must be a list of names of nodes",
}


@pytest.mark.parametrize("answer", WRONG_HOOKS)
def test_wrong_answer_of_the_hook_is_refused(
    pytester: pytest.Pytester, make_cluster: MakeCluster, answer: str
) -> None:
    """The message names the part that is wrong."""
    cluster = make_cluster("gpu-1", "gpu-9", "gpu-10", plain=["cpu-1"])
    pytester.makeconftest(f"def pytest_gpu_select_nodes(nodes): return {answer}")
    line = refused(run_here(pytester, f"--gpu-cluster=path:{cluster}", ".", *QUIET))
    assert fnmatch(line, f"hook pytest_gpu_select_nodes: {WRONG_HOOKS[answer]}")


HOOKS = {
    "(name for name in nodes if '1' in name)": "2 nodes: gpu-1, gpu-10 (from hook *)",
    "['gpu-10', 'gpu-9', 'gpu-9']": "2 nodes: gpu-9, gpu-10 (from hook pytest_gpu_select_nodes)",
    "{'cpu-1'}": "1 node: cpu-1 (from hook pytest_gpu_select_nodes)",
    "nodes[::-1]": "3 nodes: gpu-1, gpu-9, gpu-10 (from --gpu-nodes)",
    "None": "3 nodes: gpu-1, gpu-9, gpu-10 (from --gpu-nodes)",
}


@pytest.mark.parametrize("answer", HOOKS)
def test_header_says_which_nodes_the_hook_chose(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite, answer: str
) -> None:
    """In natural order, whatever the order and type of the answer."""
    make_suite(driver="def test_it(gpu_node): pass\n")
    cluster = f"--gpu-cluster=path:{make_cluster('gpu-1', 'gpu-9', 'gpu-10', plain=['cpu-1'])}"
    pytester.makeconftest(f"def pytest_gpu_select_nodes(nodes): return {answer}")
    result = run_here(pytester, cluster, "--gpu-nodes=all", ".", *QUIET)
    result.stdout.fnmatch_lines([f"gpu: {HOOKS[answer]}"])
    others = [line for line in result.outlines if line.startswith("gpu: not a GPU node: ")]
    assert others == ([] if "cpu-1" in answer else ["gpu: not a GPU node: cpu-1"])


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
        ["gpu: sandbox-pod-config:*", "*/pod.json", "*(from gpu_sandbox_pod_config in tox.ini)"]
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
