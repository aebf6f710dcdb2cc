"""Which kubeconfig files are used and which contexts they have, by kubectl's rules.

Only YAML is read here; the official client does the rest (credentials, exec plugins, proxies).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_gpu.errors import GpuError

IN_CLUSTER = ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT")
"""What Kubernetes sets in every container."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubeconfig:
    """The files that are merged, the names of their contexts and the current one, if any."""

    files: tuple[Path, ...]
    contexts: tuple[str, ...]
    current: str


def read_kubeconfig(given: Path | None = None) -> Kubeconfig:
    """Read ``given``, else the files in $KUBECONFIG, else ~/.kube/config.

    Files are merged as kubectl does: missing or empty files are skipped, and the first file
    that names a current context or defines a context wins.

    Raises:
        GpuError: ``given`` is not a file, or a file exists and cannot be read.
    """
    if given is not None and not given.is_file():
        raise GpuError(f"the kubeconfig {given} does not exist")
    read = [(file, content) for file in _candidates(given) if (content := _content(file))]
    contexts = [name for file, content in read for name in _names(file, content)]
    current = (str(content.get("current-context") or "") for _, content in read)
    return Kubeconfig(
        files=tuple(file for file, _ in read),
        contexts=tuple(dict.fromkeys(contexts)),
        current=next(filter(None, current), ""),
    )


def kube_contexts(given: Path | None = None) -> tuple[str, ...]:
    """Return the names of all contexts.

    Raises:
        GpuError: a kubeconfig exists and cannot be read.
    """
    return read_kubeconfig(given).contexts


def runs_in_cluster() -> bool:
    """Return whether this process runs in a container of Kubernetes."""
    return all(os.environ.get(name) for name in IN_CLUSTER)


def _candidates(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    listed = os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
    for each in dict.fromkeys(filter(None, listed.split(os.pathsep))):
        if Path(each).is_file():
            yield Path(each)


def _content(file: Path) -> Mapping[str, Any]:
    import yaml  # noqa: PLC0415 - only a live cluster needs the kubeconfig

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise GpuError(
            f"the kubeconfig {file} cannot be read: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(content, dict | None):
        raise GpuError(f"the kubeconfig {file} cannot be read: it is not a mapping")
    return content or {}


def _names(file: Path, content: Mapping[str, Any]) -> list[str]:
    try:
        return [str(context["name"]) for context in content.get("contexts") or ()]
    except (KeyError, TypeError) as error:
        raise GpuError(f"the kubeconfig {file} cannot be read: a context has no name") from error
