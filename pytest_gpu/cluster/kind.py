"""``--gpu-cluster=kind``: the cluster of pytest-kind, which honours pytest-kind's own options.

The cluster is created if it does not exist, and deleted at the end if this run created it, unless
``--keep-cluster`` is given: as pytest-kind's fixture does, but it never deletes another cluster.
"""

from __future__ import annotations

import shutil
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import pytest

from pytest_gpu.errors import GpuError


class KindCluster(Protocol):
    """The part of ``pytest_kind.KindCluster`` that is used."""

    name: str
    kubeconfig_path: Path
    kind_path: Path

    def ensure_kind(self) -> None:
        """Download the program kind, if it is not there."""

    def create(self) -> None:
        """Create the cluster, if it does not exist."""

    def delete(self) -> None:
        """Delete the cluster."""


def open_kind(config: pytest.Config) -> tuple[str, Path]:
    """Return the context and the kubeconfig of the kind cluster; it is created if need be.

    The context is named, because the file may be the user's own, whose current context may lead
    to another cluster.

    Raises:
        GpuError: pytest-kind, kind or Docker is missing, or the cluster cannot be created.
    """
    kind = _plugin(config)
    if shutil.which("docker") is None:
        raise GpuError("needs Docker, but there is no program docker on the PATH")
    cluster = _cluster(config, kind)
    try:
        cluster.ensure_kind()
        was_there = cluster.name in _names(cluster)
        if not was_there and not config.getoption("keep_cluster"):
            config.add_cleanup(cluster.delete)
        cluster.create()
    # pytest-kind passes on every error of downloads, programs and kubeconfigs.
    except Exception as error:
        said = getattr(error, "stderr", None) or error
        text = " ".join(str(said).split())
        raise GpuError(f"the kind cluster {cluster.name!r} cannot be used: {text}") from error
    return f"kind-{cluster.name}", cluster.kubeconfig_path


def _plugin(config: pytest.Config) -> Any:
    """Return pytest-kind, whose options can be read."""
    try:
        module: Any = import_module("pytest_kind")
    except ImportError as error:
        raise GpuError('needs pytest-kind; run: pip install "pytest-gpu[kind]"') from error
    if not config.pluginmanager.has_plugin("pytest-kind"):
        raise GpuError("needs the plugin pytest-kind, which is switched off (-p no:pytest-kind)")
    if not config.getoption("cluster_name"):
        raise GpuError("--cluster-name is empty; name the kind cluster, or leave the option out")
    return module


def _cluster(config: pytest.Config, kind: Any) -> KindCluster:
    """Return pytest-kind's cluster object, built as its own fixture builds it.

    This makes a folder in the working directory.
    """

    def path(name: str) -> Path | None:
        given = config.getoption(name)
        return Path(given) if given else None

    cluster: KindCluster = kind.KindCluster(
        config.getoption("cluster_name"),
        path("kubeconfig"),
        image=config.getoption("kind_image"),
        kind_path=path("kind_bin"),
        kubectl_path=path("kind_kubectl_bin"),
    )
    return cluster


def _names(cluster: KindCluster) -> list[str]:
    argv = [str(cluster.kind_path), "get", "clusters"]
    done = subprocess.run(  # noqa: S603 - an argument list, no shell
        argv, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.split()
