"""What containerd's own log says about its CRI plugin."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_gpu.causes import Evidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.distributions.detect import distribution_of
from pytest_gpu.stack.host.journal import journal
from pytest_gpu.stack.kubelet.config_refused import containerd_log, refused_config
from pytest_gpu.stack.kubelet.unit_end import last_ended, shown, why

_CRI_LOG = re.compile(r"\A(?>.*?failed to load plugin).*cri|no corresponding runtime configured")
_START = re.compile(r'msg="starting containerd"')
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
    """Return why containerd ended by itself the last time, and what systemd last said of it."""
    refused = known(lambda: refused_config(node))
    ended = last_ended(journal(node.evidence.commands, distribution_of(node).containerd_unit))
    own = why(ended) if ended else None
    systemd = tuple(_lines(node, _SYSTEMD))[:1]
    words = (shown(own),) if own else ()
    return (*(refused.evidence if refused else words), *systemd)


def _lines(node: Node, wanted: re.Pattern[str]) -> Iterator[Evidence]:
    """Yield the matching lines of containerd's log, the last one first."""
    for line in reversed(tuple(containerd_log(node))):
        if wanted.search(line.text):
            yield line
