"""What the next start of the toolkit's pod would change on a node that works now.

The toolkit rewrites containerd's files at every start: after an update, an eviction, a reboot.
The same is done here with the evidence, and the result is merged as this node's containerd does.
"""

from __future__ import annotations

from collections.abc import Mapping

from pytest_gpu.causes import Evidence, Finding, join
from pytest_gpu.checks import check
from pytest_gpu.errors import Unproven
from pytest_gpu.evidence import KubeObject
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.containerd.config_file import Table
from pytest_gpu.stack.containerd.handlers import shown
from pytest_gpu.stack.containerd.merge import EffectiveConfig
from pytest_gpu.stack.host.processes import DELETED
from pytest_gpu.stack.injection.cgroup_wanted import systemd_for_new
from pytest_gpu.stack.injection.reached import by_default, gpu_runtimes, handed_out_now
from pytest_gpu.stack.kube.objects import judged_alone, path_of
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.kubelet.containerd_runtime import handler_injects
from pytest_gpu.stack.repair.toml_diff import with_handler
from pytest_gpu.stack.toolkit.instructions import toolkit_of
from pytest_gpu.stack.toolkit.operator_values import (
    apply,
    entries,
    other_name,
    starts_from,
    toolkit_values,
    values_file,
)
from pytest_gpu.stack.toolkit.output import Order
from pytest_gpu.stack.toolkit.start import Start, order_of, start
from pytest_gpu.steps import Step, Steps


@check("toolkit/next-start")
def next_start(node: Node) -> Finding | None:
    """Find what the toolkit's next start breaks, ``None`` if nothing works that it could break.

    The CRI also works on a node without a handler, where the next start is the toolkit's first. A
    containerd whose program was replaced runs a different version once the toolkit restarts it.

    Raises:
        NotInEvidence: the DaemonSets, or what the toolkit starts from, were not collected.
        Unproven: the toolkit's release is not known.
    """
    order = _order(node)
    process = containerd_of(node).process
    replaced = process is not None and str(process.exe).endswith(DELETED)
    if order is None or replaced or not containerd_of(node).serves_cri:
        return None
    begun = start(node, toolkit_of(node), order)
    if begun is None:
        return None
    if not begun.keeps_cri:
        return _no_cri(node, begun)
    files, after = begun.files, begun.after
    if not handed_out_now(node):
        return None
    return _lost(node, after, files) or _changed(node, after, files)


def _order(node: Node) -> Order | None:
    """Return the settings of the toolkit on this node, ``None`` if none runs."""
    if judged_alone(node):
        return None
    node.cluster.objects("daemonsets")
    toolkit = toolkit_of(node)
    if toolkit.daemonset is None:
        return None
    order = order_of(node, toolkit)
    if order is None and toolkit.runtime == "containerd":
        raise Unproven(f"the toolkit's release is not known (image {toolkit.image})")
    return order


def _no_cri(node: Node, begun: Start) -> Finding:
    """Return the finding that containerd would then not load its CRI plugin."""
    after, files = begun.after, begun.files
    undefined = f'the default "{after.default_runtime}" is not one of them'
    why = undefined if begun.default_undefined else "no CRI"
    cause = "runtime/next-toolkit-start-breaks-cri"
    return _finding(node, cause, files, _then(files, f"{_runtimes(after)}; {why}"), *after.problems)


def _lost(node: Node, after: EffectiveConfig, files: Mapping[str, Table]) -> Finding | None:
    """Find handlers that pods get now and that would then be gone."""
    gone = [each for each in gpu_runtimes(node) if not handler_injects(after, each.name)]
    if not gone:
        return None
    seen = _then(files, f"{_runtimes(after)}, without {join([each.name for each in gone])}")
    cause = "runtime/next-toolkit-start-loses-handler"
    return _finding(node, cause, files, gone[0].source, seen, handler=gone[0].name)


def _changed(node: Node, after: EffectiveConfig, files: Mapping[str, Table]) -> Finding | None:
    """Find a changed cgroup driver of a handler, or a changed default that pods rely on."""
    for runtime in gpu_runtimes(node):
        if runtime.systemd_cgroup and not after.runtimes[runtime.name].systemd_cgroup:
            seen = _then(files, f"{runtime.name} without SystemdCgroup = true")
            cause = "runtime/next-toolkit-start-loses-systemd-cgroup"
            return _finding(node, cause, files, runtime.source, seen, handler=runtime.name)
    default, pods = containerd_of(node).config.default_runtime, by_default(node)
    if (
        not pods
        or not containerd_of(node).injects("")
        or handler_injects(after, after.default_runtime)
    ):
        return None
    seen = _then(files, f"default_runtime_name is {after.default_runtime}, not {default}")
    cause = "runtime/next-toolkit-start-changes-default"
    return _finding(node, cause, files, seen, _asks(pods[0]), default=default)


def _asks(pod: KubeObject) -> Evidence:
    return Evidence(source=f"pod {path_of(pod)}", text="asks for GPUs and names no RuntimeClass")


def _then(files: Mapping[str, Table], text: str) -> Evidence:
    """Return evidence of the future state, with the file that holds the handlers as its source."""
    return Evidence(source=next(iter(files)), text=f"after the toolkit's next start: {text}")


def _runtimes(config: EffectiveConfig) -> str:
    return f"merged runtimes {shown(config.runtimes)}"


def _finding(
    node: Node, cause: str, files: Mapping[str, Table], *seen: Evidence, **values: str
) -> Finding:
    return Finding.of(
        cause,
        *seen,
        Evidence(source="toolkit's image", text=toolkit_of(node).image),
        written=join(list(files)),
        release=containerd_of(node).release,
        **{**toolkit_values(node), **_repair(node), **values},
    )


def _repair(node: Node) -> Mapping[str, Steps]:
    """Return what to change so that the toolkit finds what it has to keep.

    Either the toolkit's settings change (``tell``), or runc is defined in the file that it starts
    from (``define``).
    """
    root = starts_from(node)
    if root is None or "RUNTIME_CONFIG_SOURCE" in entries(node) or other_name(node):
        return {"tell": (Step("file", values_file(node)), *apply(node)), "define": ()}
    runc = with_handler(root, "runc", binary=None, systemd_cgroup=systemd_for_new(node))
    return {"runc": (), "tell": (), "define": runc}
