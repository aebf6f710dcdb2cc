"""The fix that defines the GPU handler."""

from __future__ import annotations

from dataclasses import replace

from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.injection.cgroup_wanted import systemd_for_new
from pytest_gpu.stack.kube import runtimeclass
from pytest_gpu.stack.kube.objects import optional, spec_of
from pytest_gpu.stack.kube.pods import gpu_requests
from pytest_gpu.stack.repair import config_fix
from pytest_gpu.stack.repair.toml_diff import handler_table
from pytest_gpu.stack.toolkit.installed import BINARIES, installed


def define_handler(node: Node) -> config_fix.Fix:
    """Return the fix that defines the handler; without a runtime it has no patch."""
    binary = installed(node)
    table = handler_table(binary or BINARIES[-1], systemd_cgroup=systemd_for_new(node))
    fix = config_fix.add_handler(node, "nvidia", table, default=_only_by_default(node))
    return fix if binary else replace(fix, patch=())


def _only_by_default(node: Node) -> bool:
    """Say whether the node's GPU pods name no RuntimeClass, and none exists."""
    classes = known(lambda: runtimeclass.handlers(node.cluster))
    pods = (spec_of(each) for each in optional(node.cluster, "pods"))
    here = [spec for spec in pods if spec.get("nodeName") == node.name and gpu_requests(spec)]
    return classes == {} and bool(here) and not any(map(runtimeclass.class_of, here))
