"""What containerd's own log says about its CRI plugin."""

from __future__ import annotations

import re

from pytest_gpu.causes import Evidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.distributions.detect import distribution_of

_CRI_LOG = re.compile(r"\A(?>.*?failed to load plugin).*cri|no corresponding runtime configured")


def cri_log(node: Node) -> tuple[Evidence, ...]:
    """Return the last line in containerd's own log about its CRI plugin."""
    unit = distribution_of(node).containerd_unit
    for result in reversed(node.evidence.commands):
        if result.argv[0] == "journalctl" and any(unit in part for part in result.argv):
            for number, line in reversed(list(enumerate(result.stdout.splitlines(), 1))):
                if _CRI_LOG.search(line):
                    source = " ".join(result.argv)
                    return (Evidence(source=source, line=number, text=line.strip()),)
    return ()
