"""What a container toolkit that crashes over an invalid file of containerd's says of it.

Source: nvidia-container-toolkit, pkg/config/engine/containerd, which loads the file that it is told
with go-toml; that names line and column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from pytest_gpu.causes import Evidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.operands.chain import failing
from pytest_gpu.stack.operands.roles import TOOLKIT
from pytest_gpu.stack.toolkit.instructions import toolkit_of

_REFUSES = re.compile(r"\bload config: \(\d{1,6}, \d{1,6}\): ")


def toolkit_words(node: Node, path: str) -> Iterator[Evidence]:
    """Yield the line in which the toolkit refuses this file, if it is the one that it reads."""
    told = known(lambda: toolkit_of(node).config_path)
    if told is None or known(partial(node.evidence.resolve, told)) != path:
        return
    for culprit in failing(node, TOOLKIT):
        for said in culprit.fault.words[:1]:
            if _REFUSES.search(said.text):
                yield said
