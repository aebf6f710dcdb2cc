"""Which cluster ``--gpu-cluster`` means, and the way to its evidence.

A new kind of cluster is a kind of :class:`Target` and a branch of :func:`open_target`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from pytest_gpu.cluster.api.kubeconfig import kube_contexts
from pytest_gpu.cluster.recording.recorded import RecordedCluster, open_recording
from pytest_gpu.cluster.recording.samples import sample_names, sample_path
from pytest_gpu.errors import GpuError
from pytest_gpu.text.naming import nearest

LIVE = ("current", "in-cluster", "local", "kind")
"""Words that name a live cluster; they win over contexts and paths of the same name."""

PREFIXES = ("sample", "path", "context")

Contexts = Callable[[], Collection[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A cluster to open: ``kind`` is sample, path, context or one of :data:`LIVE`."""

    kind: str
    value: str


def choose(spec: str, contexts: Contexts | None = None) -> Target:
    """Return the target that a value of ``--gpu-cluster`` names.

    A word without a prefix is an exact context name (those of EKS are ARNs, with colons and
    slashes), else a path that exists.

    Raises:
        GpuError: it names nothing or nothing that exists, or both a context and a path.
    """
    if spec in LIVE:
        return Target(kind=spec, value=spec)
    prefix, colon, value = spec.partition(":")
    if colon and prefix in PREFIXES:
        if not value:
            raise GpuError(f"names no {prefix}; {_wanted(prefix)}")
        return Target(kind=prefix, value=value)
    return _look_up(spec, (contexts or kube_contexts)())


def _wanted(prefix: str) -> str:
    """Return what to write behind a prefix that stands alone; of samples that is the whole list."""
    if prefix == "sample" and (names := sample_names()):
        return f"choose one of {', '.join(names)}"
    return f"write {prefix}:{'PATH' if prefix == 'path' else 'NAME'}"


def _look_up(word: str, contexts: Collection[str]) -> Target:
    is_context, is_path = word in contexts, bool(word) and Path(word).exists()
    if is_context and is_path:
        raise GpuError(f"is both a context and a path; write context:{word} or path:{word}")
    if not is_context and not is_path:
        raise GpuError(
            f"is neither a context of the kubeconfig ({_listed(word, contexts)}) nor a path that "
            "exists; for a shipped sample write sample:NAME (sample: lists them)"
        )
    return Target(kind="context" if is_context else "path", value=word)


def _listed(word: str, contexts: Collection[str]) -> str:
    return f"contexts: {nearest(word, contexts)}" if contexts else "which has none"


def open_target(target: Target, *, visit: bool = True) -> RecordedCluster:
    """Return the evidence of a target; ``visit``: whether to visit its nodes now.

    Raises:
        GpuError: this version cannot open such a cluster.
        RecordingError: there is no such sample or recording, or it cannot be read.
    """
    if target.kind == "sample":
        return open_recording(sample_path(target.value), f"sample:{target.value}")
    if target.kind == "path":
        return open_recording(Path(target.value).expanduser(), f"path:{target.value}")
    if target.kind == "local":
        from pytest_gpu.cluster.visits.local import open_local  # noqa: PLC0415 - few runs need it

        return open_local(visit=visit)
    raise GpuError("is a live cluster, not a recorded one")
