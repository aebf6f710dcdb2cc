"""A containerd that ends at each start: the file that it refuses, or its last words."""

from __future__ import annotations

from functools import partial

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.containerd.refusal import Refusal
from pytest_gpu.stack.distributions.detect import distribution_of
from pytest_gpu.stack.host.systemd_status import unit_status
from pytest_gpu.stack.kubelet.config_refused import refused_config
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.kubelet.unit_advice import settings_of, unit_advice
from pytest_gpu.stack.kubelet.unit_end import UnitEnd
from pytest_gpu.stack.runtime.check_cri import invalid, unreadable


def refuses_its_files(node: Node) -> Finding | None:
    """Return the finding of files that containerd refuses, ``None`` if it does not.

    Our own reading of the files names the line, containerd's words confirm it. Where they differ,
    its words count as long as it still ends at each start, or if nobody collected that file: else
    the file was repaired since then.
    """
    refused = known(partial(refused_config, node))
    if found := known(partial(unreadable, node)):
        words = refused.evidence if refused else ()
        return Finding(cause=found.cause, evidence=(*words, *found.evidence), values=found.values)
    if refused is None or not _still(node, refused):
        return None
    path = refused.file or containerd_of(node).config_path
    line = Evidence(source=path, line=refused.line, text=refused.why)
    found = invalid(node, (line,))
    return Finding(
        cause=found.cause, evidence=(*refused.evidence, *found.evidence), values=found.values
    )


def _still(node: Node, refused: Refusal) -> bool:
    """Say whether containerd refuses the file now, or nobody can say that it was repaired."""
    status = unit_status(node.evidence.commands, distribution_of(node).containerd_unit)
    if status is not None and (status.restarts or status.starting):
        return True
    return bool(refused.file) and known(partial(node.evidence.entry, refused.file)) is None


def crash_loop(node: Node, end: UnitEnd, *evidence: Evidence) -> Finding:
    """Return the finding of a containerd that ends again and again for another reason."""
    where = distribution_of(node)
    file = known(lambda: containerd_of(node).config_path)
    return Finding.of(
        "runtime/containerd-crash-loop",
        *end.evidence,
        *evidence,
        exit=end.exit or "its exit code is not shown",
        words=end.said,
        advice=unit_advice(end, where.containerd_unit, settings_of(where, (file,) if file else ())),
    )
