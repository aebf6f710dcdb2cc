"""Kubeconfigs by kubectl's rules, and what is said when an API server is not as it should be."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.cluster.api.answers import ApiError, refusal
from pytest_gpu.cluster.api.kubeconfig import kube_contexts, read_kubeconfig
from pytest_gpu.cluster.api.login import open_client
from pytest_gpu.errors import GpuError
from tests.cluster.api.fake_api import FakeApi, FakeServer, free_port
from tests.support.runs import run_here

EKS = "arn:aws:eks:eu-central-1:1234:cluster/gpu"


def write(file: Path, current: str = "", user: Any = None, **servers: str) -> Path:
    """Write a kubeconfig with a context for each server; return it."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "contexts": [{"name": n, "context": {"cluster": n, "user": "u"}} for n in servers],
        "clusters": [{"name": n, "cluster": {"server": url}} for n, url in servers.items()],
        "users": [{"name": "u", "user": user or {"token": "secret-token"}}],
    }
    file.write_text(json.dumps(config | ({"current-context": current} if current else {})))
    return file


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """Return an API server with one node."""
    api = FakeApi()
    api.put("nodes", {"metadata": {"name": "gpu-1"}})
    with FakeServer(api) as server:
        yield server


def test_files_are_merged_as_kubectl_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first current context counts; missing and empty files do not matter."""
    (tmp_path / "empty").write_text("")
    one = write(tmp_path / "one", a="http://one")
    two = write(tmp_path / "two", "b", b="http://two", a="http://other")
    three = write(tmp_path / "three", "a", **{EKS: "http://three"})
    files = (tmp_path / "empty", one, tmp_path / "missing", two, three)
    monkeypatch.setenv("KUBECONFIG", ":".join(map(str, files)))
    found = read_kubeconfig()
    assert (found.contexts, found.current) == (("a", "b", EKS), "b")
    # No connection is opened yet, so none must be closed.
    assert open_client("current").host == "http://two"
    assert open_client("context", "a").host == "http://one"
    assert open_client("context", EKS).host == "http://three"


def test_without_kubeconfig_the_file_in_the_home_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As kubectl; --gpu-kubeconfig goes before both."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert kube_contexts() == ()
    (tmp_path / ".kube").mkdir()
    write(tmp_path / ".kube/config", "home", home="http://home")
    assert kube_contexts() == ("home",)
    assert kube_contexts(write(tmp_path / "given", given="http://given")) == ("given",)


def test_in_a_pod_without_kubeconfig_current_is_the_clusters_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As kubectl in a pod; outside it is said what is missing."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(GpuError, match="has no current context"):
        open_client("current")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(GpuError, match="does not run in a pod with a service account"):
        open_client("current")


@pytest.mark.parametrize("text", ["{", "[]", "contexts: [{}]", "contexts: 3"])
def test_broken_kubeconfig_is_named(tmp_path: Path, text: str) -> None:
    """One line with the file."""
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(GpuError, match=r"the kubeconfig .*config cannot be read") as caught:
        read_kubeconfig(file)
    assert "\n" not in str(caught.value)


def test_credentials_may_come_from_a_program(
    request: pytest.FixtureRequest, tmp_path: Path, server: FakeServer
) -> None:
    """Exec plugins, as managed clusters use them."""
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "secret-token"},
    }
    plugin = {
        "apiVersion": credential["apiVersion"],
        "command": sys.executable,
        "args": ["-c", f"print({json.dumps(credential)!r})"],
        "interactiveMode": "Never",
    }
    file = write(tmp_path / "config", "a", {"exec": plugin}, a=server.url)
    client = open_client("current", kubeconfig=file)
    request.addfinalizer(client.close)
    assert client.get("/api/v1/nodes")["items"][0]["metadata"]["name"] == "gpu-1"


def test_wrong_credentials_are_told(
    request: pytest.FixtureRequest, tmp_path: Path, server: FakeServer
) -> None:
    """With the API server's own word and status."""
    file = write(tmp_path / "config", "a", {"token": "wrong"}, a=server.url)
    client = open_client("current", kubeconfig=file)
    request.addfinalizer(client.close)
    with pytest.raises(ApiError, match="Unauthorized") as caught:
        client.get("/api/v1/nodes")
    assert (caught.value.status, caught.value.reason) == (401, "Unauthorized")


def test_dead_server_is_told_in_one_line(tmp_path: Path) -> None:
    """Which server, and why."""
    file = write(tmp_path / "config", "a", a=f"http://127.0.0.1:{free_port()}")
    client = open_client("current", kubeconfig=file)
    with pytest.raises(ApiError, match=r"the API server http://127.* cannot be reached") as caught:
        client.get("/version")
    assert "Connection refused" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_message_of_an_api_server_shows_a_password(tmp_path: Path) -> None:
    """Neither the one in a kubeconfig's address, nor one that a refusal quotes."""
    file = write(tmp_path / "config", "a", a=f"http://me:hunter2@127.0.0.1:{free_port()}")
    with pytest.raises(ApiError, match="cannot be reached") as caught:
        open_client("current", kubeconfig=file).get("/version")
    assert "hunter2" not in str(caught.value)
    said = b'{"kind": "Status", "message": "denied: env DB_PASSWORD=hunter2 is not allowed"}'
    assert str(refusal(403, said)) == "denied: env DB_PASSWORD=<redacted> is not allowed"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"kind": "Status", "message": "pods is\\n forbidden"}', "pods is forbidden"),
        (b"<html>Bad Gateway</html>", "status 502: <html>Bad Gateway</html>"),
        (b"", "status 502"),
    ],
)
def test_refusal_says_what_the_server_said(data: bytes, message: str) -> None:
    """Also where it is a proxy that speaks."""
    assert str(refusal(502, data)) == message


@pytest.mark.parametrize("kind", ["dead", "unauthorized"])
def test_run_against_a_useless_server_ends_with_4(
    pytester: pytest.Pytester, server: FakeServer, kind: str
) -> None:
    """One line, no traceback."""
    url = server.url if kind == "unauthorized" else f"http://127.0.0.1:{free_port()}"
    file = write(pytester.path / "config", "a", {"token": "wrong"}, a=url)
    result = run_here(pytester, "--gpu-cluster=a", f"--gpu-kubeconfig={file}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = [line for line in result.errlines if line]
    assert len(lines) == 1
    assert lines[0].startswith("ERROR: --gpu-cluster: a: ")
