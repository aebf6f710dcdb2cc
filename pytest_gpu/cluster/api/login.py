"""Makes a client from a kubeconfig or a service account, by means of the official client."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from pytest_gpu.cluster.api.client import KubeClient
from pytest_gpu.cluster.api.kubeconfig import read_kubeconfig, runs_in_cluster
from pytest_gpu.cluster.recording.temporary import new_folder
from pytest_gpu.cluster.redaction.redact_text import redact_text
from pytest_gpu.errors import GpuError
from pytest_gpu.text.naming import nearest


def open_client(kind: str, name: str = "", kubeconfig: Path | None = None) -> KubeClient:
    """Return the client of a live cluster.

    Args:
        kind: ``current``, ``in-cluster`` or ``context``.
        name: the context's name, if ``kind`` is context.
        kubeconfig: the file to read instead of $KUBECONFIG and ~/.kube/config.

    Raises:
        GpuError: there is no such context, or its credentials cannot be obtained.
    """
    if kind == "in-cluster":
        return _in_cluster()
    found = read_kubeconfig(kubeconfig)
    if kind == "current" and not found.contexts and kubeconfig is None and runs_in_cluster():
        return _in_cluster()  # as kubectl does in a pod
    context = name if kind == "context" else found.current
    if not context:
        raise GpuError("the kubeconfig has no current context; kubectl config use-context NAME")
    if context not in found.contexts:
        known = nearest(context, found.contexts)
        raise GpuError(f"the kubeconfig has no context {context!r}; contexts: {known}")
    return _of_context(context, found.files)


def _of_context(context: str, files: tuple[Path, ...]) -> KubeClient:
    config: Any = import_module("kubernetes.config")
    configuration = import_module("kubernetes.client").Configuration()
    try:
        config.load_kube_config(
            config_file=os.pathsep.join(map(str, files)),
            context=context,
            client_configuration=configuration,
            persist_config=False,
            temp_file_path=str(new_folder()),  # the client writes keys to files
        )
        return KubeClient(configuration)
    # The client passes on every error of exec plugins, certificates and broken entries.
    except Exception as error:
        text = redact_text(" ".join(str(error).split())) or type(error).__name__
        raise GpuError(f"the context {context!r} cannot be used: {text}") from error


def _in_cluster() -> KubeClient:
    config: Any = import_module("kubernetes.config")
    configuration = import_module("kubernetes.client").Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)
    except config.ConfigException as error:
        raise GpuError(
            f"this process does not run in a pod with a service account: {error}"
        ) from error
    return KubeClient(configuration)
