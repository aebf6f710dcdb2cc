"""The signs by which a node's distribution is told, and what is seen of the node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import KubeObject, NodeEvidence
from pytest_gpu.stack.host.processes import Process
from pytest_gpu.stack.kube.objects import labels_of, node_info


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What is seen of a node: its object, its own processes, which one is its kubelet, files."""

    node: KubeObject
    processes: Sequence[Process]
    kubelet: Process | None
    evidence: NodeEvidence

    @property
    def system(self) -> str:
        """The name of the operating system, as the kubelet reports it."""
        return str(node_info(self.node).get("osImage", ""))

    @property
    def version(self) -> str:
        """The version of the kubelet, as it reports it."""
        return str(node_info(self.node).get("kubeletVersion", ""))

    @property
    def containerd(self) -> str:
        """The major version of containerd as the kubelet reports it, ``""`` where it does not."""
        runtime = str(node_info(self.node).get("containerRuntimeVersion", ""))
        return runtime.rpartition("//")[2].partition(".")[0]

    @property
    def labels(self) -> frozenset[str]:
        """The names of the node's labels."""
        return frozenset(labels_of(self.node))

    def commands(self, program: str) -> frozenset[str]:
        """Return the sub-commands with which a program runs here."""
        words = (process.words for process in self.processes)
        mine = (each for each in words if each[0].rpartition("/")[2] == program)
        return frozenset(word for each in mine for word in each[1:2])

    def has(self, path: str) -> bool:
        """Say whether a file is known to be there."""
        try:
            return self.evidence.read(path) is not None
        except NotInEvidence:
            return False


def _nothing(_: Observed) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What speaks for a distribution; each alone is enough.

    ``systems`` are beginnings of the reported system's name, ``versions`` parts of the kubelet's
    version. ``folders`` are where its programs lie, ``programs`` are those that have its name. Of
    ``labels``, one that ends in a slash stands for all that begin so. ``set_up`` looks at what is
    left behind by whoever made the node.
    """

    systems: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    set_up: Callable[[Observed], bool] = _nothing

    def in_system(self, seen: Observed) -> bool:
        """Say whether the system is one of its own."""
        return seen.system.startswith(self.systems)

    def in_version(self, seen: Observed) -> bool:
        """Say whether the kubelet's version names it."""
        return any(part in seen.version for part in self.versions)

    def in_program(self, process: Process) -> bool:
        """Say whether a program lies in one of its folders or has one of its names."""
        path = process.exe or process.words[0]
        return path.startswith(self.folders) or any(map(process.is_program, self.programs))

    def in_labels(self, seen: Observed) -> bool:
        """Say whether the node has one of its labels."""
        return any(
            label == mine or (mine.endswith("/") and label.startswith(mine))
            for label in seen.labels
            for mine in self.labels
        )
