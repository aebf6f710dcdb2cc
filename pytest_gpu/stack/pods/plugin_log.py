"""The device plugin's log messages about GPUs that it does not see."""

from __future__ import annotations

import re

from pytest_gpu.causes import Evidence
from pytest_gpu.gpu_node import Node

_LOG = re.compile(
    r"could not load NVML library|Incompatible (strategy|platform) detected"
    r"|unsupported strategy auto|No devices found. Waiting indefinitely"
    r"|did you (configure the NVIDIA Container Toolkit|set the docker default runtime)"
)


def plugin_log(node: Node) -> tuple[Evidence, ...]:
    """Return the plugin's log lines about missing GPUs, none if its log was not recorded."""
    found = []
    for result in node.evidence.commands:
        if "logs" in result.argv:
            source = " ".join(result.argv)
            lines = f"{result.stdout}\n{result.stderr}".splitlines()
            hits = [(n, line) for n, line in enumerate(lines, 1) if _LOG.search(line)]
            found += [Evidence(source=source, line=n, text=line.strip()) for n, line in hits[:2]]
    return tuple(found)
