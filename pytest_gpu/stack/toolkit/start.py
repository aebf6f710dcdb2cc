"""The effect of a toolkit start on a node's containerd: the files, and the merged result."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass

from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.containerd.config_file import BadToml, Table
from pytest_gpu.stack.containerd.merge import EffectiveConfig
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.repair.config_places import effective
from pytest_gpu.stack.toolkit.instructions import INSTALL_DIR, Toolkit
from pytest_gpu.stack.toolkit.output import Order, dumps, next_files
from pytest_gpu.stack.toolkit.release import version_of
from pytest_gpu.stack.toolkit.source import source, table_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The files that a start writes, as tables by path, and how containerd merges them."""

    files: Mapping[str, Table]
    after: EffectiveConfig

    @property
    def default_undefined(self) -> bool:
        """Whether the default runtime is gone: containerd would not load its CRI plugin."""
        return self.after.default_runtime not in self.after.runtimes

    @property
    def keeps_cri(self) -> bool:
        """Whether containerd would then serve the CRI."""
        return not (self.default_undefined or self.after.problems or self.after.cri_disabled)


def order_of(node: Node, toolkit: Toolkit) -> Order | None:
    """Return what a toolkit with these settings does on this node, ``None`` if not known."""
    return toolkit.order(version_of(node.evidence, f"{INSTALL_DIR}/nvidia-container-runtime"))


def start(node: Node, toolkit: Toolkit, order: Order) -> Start | None:
    """Return the result of a start, ``None`` if containerd reads none of the files it writes.

    Raises:
        NotInEvidence: what the toolkit starts from was not collected.
    """
    if not _touches(node, order):
        return None
    try:
        begin = source(node, toolkit, order.version)
        files = next_files(lambda path: table_of(node, path), order, begin)
    except BadToml:
        return None  # The toolkit gives up on such a file and writes nothing.
    after = effective(node, {path: dumps(table) for path, table in files.items()})
    return Start(files=files, after=after)


def _touches(node: Node, order: Order) -> bool:
    evidence, containerd = node.evidence, containerd_of(node)
    read = {evidence.resolve(file.path) for file in containerd.config.files}
    if evidence.resolve(order.config) in {*read, evidence.resolve(containerd.config_path)}:
        return True
    folders = {evidence.resolve(posixpath.dirname(each)) for each in containerd.config.imports}
    return evidence.resolve(posixpath.dirname(order.drop_in)) in folders
