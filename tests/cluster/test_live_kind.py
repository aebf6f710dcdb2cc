"""``--gpu-cluster=kind``, with a stand-in for pytest-kind's class: tests have no Docker."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.api.fake_api import FakeApi, FakeServer
from tests.support.runs import run_apart

pytest.importorskip("pytest_kind")

STAND_IN = """
from pathlib import Path

import pytest_kind


class KindCluster:
    def __init__(self, name, kubeconfig=None, image=None, kind_path=None, kubectl_path=None):
        self.name, self.kubeconfig_path, self.kind_path = name, kubeconfig, kind_path
        log(f"made {name} {image} {kind_path.name}")

    def ensure_kind(self):
        log("ensure_kind")

    def create(self):
        log("create")

    def delete(self):
        log("delete")


def log(line):
    with Path("kind.log").open("a") as file:
        print(line, file=file)


pytest_kind.KindCluster = KindCluster
"""

KIND = """#!/bin/sh
echo gpu-kind
"""


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """Return an API server with one GPU node."""
    api = FakeApi()
    node = {"metadata": {"name": "gpu-1"}, "status": {"capacity": {"nvidia.com/gpu": "1"}}}
    api.put("nodes", node)
    with FakeServer(api) as server:
        yield server


@pytest.fixture
def options(
    pytester: pytest.Pytester, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Return the options of a run with the stand-in; programs kind and docker are on the PATH."""
    pytester.makepyfile(stand_in=STAND_IN)
    pytester.syspathinsert()
    programs = pytester.path / "bin"
    programs.mkdir()
    for name in ("kind", "docker"):
        (programs / name).write_text(KIND)
        (programs / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    kubeconfig = server.kubeconfig(pytester.path, "kind-gpu-kind")
    given = ("-p", "stand_in", "--gpu-cluster=kind", "--gpu-read-only", "--cluster-name=gpu-kind")
    return [
        *given,
        f"--kubeconfig={kubeconfig}",
        f"--kind-bin={programs / 'kind'}",
        "-pno:randomly",
    ]


def told(folder: Path) -> list[str]:
    """Return what was asked of the stand-in."""
    return (folder / "kind.log").read_text().splitlines()


def test_options_of_pytest_kind_are_honoured(pytester: pytest.Pytester, options: list[str]) -> None:
    """Name, image, programs, kubeconfig; a cluster that was there before stays."""
    result = run_apart(pytester, *options, "--kind-image=kindest/node:v1.31.0")
    assert result.ret == pytest.ExitCode.TESTS_FAILED  # nothing was created: unproven
    assert told(pytester.path) == [
        "made gpu-kind kindest/node:v1.31.0 kind",
        "ensure_kind",
        "create",
    ]


@pytest.mark.parametrize(("keep", "last"), [((), "delete"), (("--keep-cluster",), "create")])
def test_cluster_that_was_made_is_deleted_unless_kept(
    pytester: pytest.Pytester, options: list[str], keep: tuple[str, ...], last: str
) -> None:
    """As pytest-kind's own fixture does it."""
    (pytester.path / "bin/kind").write_text("#!/bin/sh\n")  # lists no cluster
    run_apart(pytester, *options, *keep)
    assert told(pytester.path)[-1] == last


def test_missing_docker_is_told_in_one_line(
    pytester: pytest.Pytester, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 4, and neither a download nor a folder before that."""
    monkeypatch.setenv("PATH", str(pytester.path))
    result = run_apart(pytester, *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert [line for line in result.errlines if line] == [
        "ERROR: --gpu-cluster: kind: needs Docker, but there is no program docker on the PATH"
    ]
    assert not (pytester.path / "kind.log").exists()


def test_trouble_of_kind_is_told_in_one_line(pytester: pytest.Pytester, options: list[str]) -> None:
    """Whatever pytest-kind lets through."""
    (pytester.path / "bin/kind").write_text("#!/bin/sh\necho 'no daemon' >&2\nexit 1\n")
    result = run_apart(pytester, *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines if line]
    assert line.startswith("ERROR: --gpu-cluster: kind: the kind cluster 'gpu-kind' cannot be")
    assert "no daemon" in line


def test_another_current_context_is_not_tested(
    pytester: pytest.Pytester, options: list[str]
) -> None:
    """The kubeconfig may be the user's own: only the kind cluster's context leads to it."""
    result = run_apart(pytester, *options, "--cluster-name=other")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines if line]
    assert "the kubeconfig has no context 'kind-other'; contexts: kind-gpu-kind" in line


@pytest.mark.parametrize("option", ["--gpu-kubeconfig=mine", "--cluster-name="])
def test_option_that_the_kind_cluster_has_no_use_for(
    pytester: pytest.Pytester, options: list[str], option: str
) -> None:
    """Its kubeconfig is named by pytest-kind's option; nothing is made before that is told."""
    (pytester.path / "mine").write_text("{}")
    result = run_apart(pytester, *options, option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines if line]
    assert option.partition("=")[0] in line
    assert not (pytester.path / "kind.log").exists()
