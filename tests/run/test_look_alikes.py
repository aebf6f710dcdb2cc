"""Options of other plugins that would be ignored, while another cluster is tested."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.api.fake_api import FakeApi, FakeServer
from tests.support.runs import QUIET, refused, run_here

PLUGIN = """
def pytest_addoption(parser):
    parser.addoption("--kube-config")
    parser.addoption("--kube-context", default="from the project")
    parser.addoption("--in-cluster", action="store_true", default=False)
"""


@pytest.fixture
def live(pytester: pytest.Pytester) -> Iterator[list[str]]:
    """Return the options of a run on a live cluster; the context is called fake."""
    api = FakeApi()
    node = {"metadata": {"name": "gpu-1"}, "status": {"capacity": {"nvidia.com/gpu": "1"}}}
    api.put("nodes", node)
    pytester.makeconftest(PLUGIN)
    with FakeServer(api) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(server.kubeconfig(pytester.path)))
        yield ["--gpu-read-only", "--collect-only", "-q", *QUIET]


IGNORED = {
    "--kubeconfig=other": "--kubeconfig: other: *; write --gpu-kubeconfig=other",
    "--cluster-name=prod": "--cluster-name: prod: *; write --gpu-cluster=context:NAME, or "
    "--gpu-cluster=kind for a kind cluster",
    "--kube-config=other": "--kube-config: other: *; write --gpu-kubeconfig=other",
    "--kube-context=prod": "--kube-context: prod: *; write --gpu-cluster=context:prod",
    "--in-cluster": "--in-cluster: *; write --gpu-cluster=in-cluster",
}


@pytest.mark.parametrize(("option", "message"), IGNORED.items(), ids=IGNORED)
@pytest.mark.parametrize("cluster", ["current", "fake", "context:fake", "missing"])
def test_look_alike_is_refused_with_a_live_cluster(
    pytester: pytest.Pytester, live: list[str], option: str, message: str, cluster: str
) -> None:
    """One line names the option that chooses the cluster, also if there is no such context."""
    pytest.importorskip("pytest_kind")
    line = refused(run_here(pytester, f"--gpu-cluster={cluster}", option, *live))
    pytest.LineMatcher([line]).fnmatch_lines([message])


def test_an_option_that_another_plugin_requires_is_no_hindrance(
    pytester: pytest.Pytester, live: list[str]
) -> None:
    """It has no default."""
    pytester.makepyfile(
        needy='def pytest_addoption(parser): parser.addoption("--x", required=True)'
    )
    pytester.syspathinsert()
    assert run_here(pytester, "-pneedy", "--gpu-cluster=current", "--x=1", *live).ret == 0


def test_look_alike_in_the_configuration_is_refused(
    pytester: pytest.Pytester, live: list[str]
) -> None:
    """What ``addopts`` says is said to every run."""
    pytester.makeini("[pytest]\naddopts = --kube-config=other")
    line = refused(run_here(pytester, "--gpu-cluster=current", *live))
    assert line.startswith("--kube-config: other: ")


@pytest.mark.parametrize(
    "options",
    [
        ["--gpu-cluster=context:fake", "--kube-context=fake"],
        ["--gpu-cluster=current", "--kubeconfig=kubeconfig", "--gpu-kubeconfig=kubeconfig"],
        ["--gpu-cluster=current"],
        ["--gpu-cluster=sample:healthy-kubeadm", "--kubeconfig=other", "--cluster-name=a"],
    ],
    ids=" ".join,
)
def test_what_says_the_same_or_cannot_mislead_is_allowed(
    pytester: pytest.Pytester, live: list[str], options: list[str]
) -> None:
    """A project's own tests may need these options; a recording needs no kubeconfig."""
    pytest.importorskip("pytest_kind")
    assert run_here(pytester, *options, *live).ret == 0


def test_our_kubeconfig_is_refused_where_it_is_not_read(
    pytester: pytest.Pytester, live: list[str]
) -> None:
    """In a pod the service account decides; a value in the configuration is only a default."""
    (pytester.path / "mine").write_text("{}")
    cluster = "--gpu-cluster=in-cluster"
    line = refused(run_here(pytester, cluster, "--gpu-kubeconfig=mine", *live))
    assert line.startswith("--gpu-kubeconfig: ")
    assert line.endswith(
        "is not read with --gpu-cluster=in-cluster; the pod's service account is used"
    )
    line = refused(run_here(pytester, cluster, "-ogpu_kubeconfig=mine", *live))
    assert line.startswith("--gpu-cluster: in-cluster: this process does not run in a pod")
