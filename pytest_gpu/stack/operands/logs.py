"""Logs of operands on their node, in the kubelet's folder: needs no right to read logs.

Source: the kubelet's ``/var/log/pods/NAMESPACE_NAME_UID/CONTAINER/RESTARTS.log``. A recording may
have them as the output of ``kubectl logs`` instead. Logs are read of operands only, never of
users' pods.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pytest_gpu.causes import Evidence
from pytest_gpu.evidence import ClusterEvidence, KubeObject, NodeEvidence
from pytest_gpu.known import known
from pytest_gpu.stack.kube.objects import annotations_of, metadata, name_of, namespace_of, path_of
from pytest_gpu.stack.operands.container_log import LogLine, lines_of
from pytest_gpu.stack.operands.found import pods_by_node
from pytest_gpu.stack.operands.kubectl_logs import printed
from pytest_gpu.stack.operands.state import Container, containers_in

LOG_LIMIT = 1 << 16
"""Bytes of the end of one log."""

MAX_LOGS = 60
"""Logs of one node; those of containers that fail come first."""

FOLDER = "/var/log/pods"
_LOG_OF = "log of "


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What one run of a container printed.

    Attributes:
        source: where it comes from, in words.
        lines: its lines.
        whole: whether it has its beginning; the lines of a log's end have no known numbers.
    """

    source: str
    lines: tuple[LogLine, ...]
    whole: bool = True


def log_paths(cluster: ClusterEvidence, node: str) -> tuple[str, ...]:
    """Return the logs of a node's operands: of each container's latest run and the one before."""
    found = [
        (container, path)
        for _, pod in known(lambda: pods_by_node(cluster).get(node, ())) or ()
        for container in containers_in(pod)
        for path in _paths(pod, container)
    ]
    found.sort(key=lambda each: _rank(each[0]))
    return tuple(path for _, path in found[:MAX_LOGS])


def _rank(container: Container) -> tuple[bool, bool]:
    """Return what comes first: a container that fails, then one that is not an init container."""
    return container.ready and not container.failed, container.init


def _paths(pod: KubeObject, container: Container) -> Iterator[str]:
    if container.state:
        for number in (container.restarts, container.restarts - 1)[: 1 + bool(container.restarts)]:
            yield path_of_log(pod, container, number)


def is_logged(said: Evidence) -> bool:
    """Say whether a line comes from a container's log, not from Kubernetes."""
    return said.source.startswith(_LOG_OF)


def path_of_log(pod: KubeObject, container: Container, number: int) -> str:
    """Return where the kubelet keeps the log of one run of a container, 0 the first."""
    # A mirror pod's folder has the hash of its file instead.
    uid = annotations_of(pod).get("kubernetes.io/config.hash") or metadata(pod).get("uid")
    folder = "_".join(filter(None, (namespace_of(pod), name_of(pod), uid)))
    return f"{FOLDER}/{folder}/{container.name}/{number}.log"


def last_log(node: NodeEvidence, pod: KubeObject, container: Container) -> Log | None:
    """Return the log of a container's latest run, ``None`` if it was not collected."""
    return _log(node, pod, container, container.restarts)


def previous_log(node: NodeEvidence, pod: KubeObject, container: Container) -> Log | None:
    """Return the log of the run before the latest one, ``None`` if there is none."""
    number = container.restarts - 1
    return _log(node, pod, container, number, ", previous run") if number >= 0 else None


def _log(
    node: NodeEvidence, pod: KubeObject, container: Container, number: int, run: str = ""
) -> Log | None:
    path = path_of_log(pod, container, number)
    content = known(lambda: node.read(path))
    source = f"{_LOG_OF}pod {path_of(pod)}, container {container.name}{run}"
    if content is None:
        return _printed(node, pod, container.name, source, previous=bool(run))
    if content == b"" and (rotated := _rotated(node, path)):
        path, content = rotated, known(lambda: node.read(rotated))
    if content is None:
        return None
    entry = known(lambda: node.entry(node.resolve(path)))
    size = entry.size or 0 if entry else 0
    # A visit brings the end of a longer file: then the first line was cut.
    whole = size <= LOG_LIMIT or len(content) >= size
    lines = lines_of(content.decode(errors="replace"))
    kept = tuple(line for line in lines if whole or line.number > 1)
    return Log(source=source, lines=kept, whole=whole)


def _printed(
    node: NodeEvidence, pod: KubeObject, container: str, source: str, *, previous: bool
) -> Log | None:
    """Return the log as ``kubectl logs`` printed it, ``None`` if nobody recorded that."""
    found = printed(node, pod, container, previous=previous)
    if found is None:
        return None
    return Log(source=source, lines=lines_of(found.text), whole=found.whole)


def _rotated(node: NodeEvidence, path: str) -> str | None:
    """Return the file in which a log went on before the kubelet began a new one.

    It adds the time to the name, and packs all such files but the newest.
    """
    folder, _, name = path.rpartition("/")
    names = known(lambda: node.names(folder)) or ()
    older = (each for each in names if each.startswith(f"{name}.") and not each.endswith(".gz"))
    newest = max(older, default=None)
    return newest and f"{folder}/{newest}"
