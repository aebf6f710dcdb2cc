"""What containerd's own log says about its CRI plugin."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_gpu.causes import Evidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.distributions.detect import distribution_of

_CRI_LOG = re.compile(r"\A(?>.*?failed to load plugin).*cri|no corresponding runtime configured")
_START = re.compile(r'msg="starting containerd"')
_FATAL = re.compile(r" containerd\[\d+\]: (?>.*?)(?:level=(?:fatal|panic)|containerd: |panic: )")
_SYSTEMD = re.compile(
    r" systemd\[1\]: (?:Stopp|Start|Failed|\S{1,200}: (?:Main process|Failed|Deact|Sched))"
)


def cri_log(node: Node) -> tuple[Evidence, ...]:
    """Return the last line in containerd's own log about its CRI plugin."""
    return tuple(_lines(node, _CRI_LOG))[:1]


def cri_refusal(node: Node) -> Evidence | None:
    """Return the last line about the CRI plugin unless containerd was started again since."""
    said, started = next(_lines(node, _CRI_LOG), None), next(_lines(node, _START), None)
    over = said and started and (started.line or 0) > (said.line or 0)
    return None if over else said


def last_words(node: Node) -> tuple[Evidence, ...]:
    """Return the last error in containerd's own log, and what systemd last said of it."""
    own, systemd = tuple(_lines(node, _FATAL))[:1], tuple(_lines(node, _SYSTEMD))[:1]
    return (*own, *systemd)


def _lines(node: Node, wanted: re.Pattern[str]) -> Iterator[Evidence]:
    """Yield the matching lines of containerd's log, the last one first."""
    unit = distribution_of(node).containerd_unit
    for result in reversed(node.evidence.commands):
        if result.argv[0] == "journalctl" and any(unit in part for part in result.argv):
            for number, line in reversed(list(enumerate(result.stdout.splitlines(), 1))):
                if wanted.search(line):
                    source = " ".join(result.argv)
                    yield Evidence(source=source, line=number, text=line.strip())
