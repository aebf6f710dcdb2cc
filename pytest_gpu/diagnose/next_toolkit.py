"""What the next start of the toolkit's pod would make of a node that works now.

The toolkit writes containerd's files again at every start: after an update, an eviction, a reboot.
Its work is done here on the evidence, and the result is merged as this node's containerd merges it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from pytest_gpu.causes import Evidence, Finding, join
from pytest_gpu.diagnose.cgroup_wanted import systemd_for_new
from pytest_gpu.diagnose.config_places import effective, is_rendered
from pytest_gpu.diagnose.reached import gpu_runtimes, handed_out_now
from pytest_gpu.diagnose.toml_diff import with_handler
from pytest_gpu.diagnose.toolkit_source import source, table_of
from pytest_gpu.diagnose.values import toolkit_values
from pytest_gpu.errors import Unproven
from pytest_gpu.kube.objects import labels_of, path_of, spec_of, template_of
from pytest_gpu.kube.pods import pods_on, uses_gpu
from pytest_gpu.kube.runtimeclass import class_of
from pytest_gpu.node.config_file import BadToml, Table
from pytest_gpu.node.config_merge import EffectiveConfig
from pytest_gpu.node.containerd import handler_injects
from pytest_gpu.node.gpu_node import GpuNode
from pytest_gpu.node.processes import DELETED
from pytest_gpu.node.toolkit import INSTALL_DIR
from pytest_gpu.node.toolkit_config import version_of
from pytest_gpu.node.toolkit_output import Order, dumps, next_files


def next_start(node: GpuNode) -> Finding | None:
    """Find what the toolkit's next start breaks, ``None`` where nothing works that it could break.

    A containerd whose program was replaced is another one after the toolkit has restarted it.

    Raises:
        NotInEvidence: the DaemonSets, or what the toolkit starts from, were not read.
        Unproven: the toolkit's release is not known.
    """
    order = _order(node)
    process = node.containerd.process
    replaced = process is not None and str(process.exe).endswith(DELETED)
    if order is None or replaced or not handed_out_now(node):
        return None
    files = _written(node, order)
    if not files:
        return None
    after = effective(node, {path: dumps(table) for path, table in files.items()})
    return _no_cri(node, after, files) or _lost(node, after, files) or _changed(node, after, files)


def _order(node: GpuNode) -> Order | None:
    """Return what a toolkit that runs on this node is told, ``None`` where none does."""
    node.cluster.objects("daemonsets")
    toolkit = node.toolkit
    wanted = template_of(toolkit.daemonset or {}).get("nodeSelector") or {}
    labels = labels_of(node.object)
    if toolkit.daemonset is None or any(labels.get(key) != wanted[key] for key in wanted):
        return None
    order = toolkit.order(version_of(node.evidence, f"{INSTALL_DIR}/nvidia-container-runtime"))
    if order is None and toolkit.runtime == "containerd":
        raise Unproven(f"the toolkit's release is not known (image {toolkit.image})")
    return order


def _written(node: GpuNode, order: Order) -> Mapping[str, Table]:
    """Return the files that the next start writes, none where containerd reads none of them."""
    evidence, containerd = node.evidence, node.containerd
    read = {evidence.resolve(file.path) for file in containerd.config.files}
    folders = {evidence.resolve(posixpath.dirname(each)) for each in containerd.config.imports}
    touches = evidence.resolve(order.config) in {*read, evidence.resolve(containerd.config_path)}
    if not touches and evidence.resolve(posixpath.dirname(order.drop_in)) not in folders:
        return {}
    try:
        start = source(node, order.version)
        return next_files(lambda path: table_of(node, path), order, start)
    except BadToml:
        return {}  # The toolkit gives up on such a file and writes nothing.


def _no_cri(node: GpuNode, after: EffectiveConfig, files: Mapping[str, Table]) -> Finding | None:
    """Find a default runtime that is gone then: containerd would not load its CRI plugin."""
    undefined = after.default_runtime not in after.runtimes
    if not undefined and not after.problems and not after.cri_disabled:
        return None
    why = f'the default "{after.default_runtime}" is none of them' if undefined else "no CRI"
    cause = "runtime/next-toolkit-start-breaks-cri"
    return _finding(node, cause, files, _then(files, f"{_runtimes(after)}; {why}"), *after.problems)


def _lost(node: GpuNode, after: EffectiveConfig, files: Mapping[str, Table]) -> Finding | None:
    """Find handlers that pods get now and that are gone then."""
    gone = [each for each in gpu_runtimes(node) if not handler_injects(after, each.name)]
    if not gone:
        return None
    seen = _then(files, f"{_runtimes(after)}: without {join([each.name for each in gone])}")
    cause = "runtime/next-toolkit-start-loses-handler"
    return _finding(node, cause, files, gone[0].source, seen, handler=gone[0].name)


def _changed(node: GpuNode, after: EffectiveConfig, files: Mapping[str, Table]) -> Finding | None:
    """Find another cgroup driver of a handler, or another default that pods rely on."""
    for runtime in gpu_runtimes(node):
        if runtime.systemd_cgroup and not after.runtimes[runtime.name].systemd_cgroup:
            seen = _then(files, f"{runtime.name} without SystemdCgroup = true")
            cause = "runtime/next-toolkit-start-loses-systemd-cgroup"
            return _finding(node, cause, files, runtime.source, seen, handler=runtime.name)
    default, pods = node.containerd.config.default_runtime, _by_default(node)
    if not pods or not node.containerd.injects("") or handler_injects(after, after.default_runtime):
        return None
    seen = _then(files, f"default_runtime_name is {after.default_runtime}, not {default}")
    cause = "runtime/next-toolkit-start-changes-default"
    return _finding(node, cause, files, seen, pods[0], default=default)


def _by_default(node: GpuNode) -> list[Evidence]:
    """Return the node's GPU pods that name no RuntimeClass."""
    return [
        Evidence(source=f"pod {path_of(pod)}", text="asks for GPUs and names no RuntimeClass")
        for pod in pods_on(node.cluster, node.name)
        if uses_gpu(pod) and not class_of(spec_of(pod))
    ]


def _then(files: Mapping[str, Table], text: str) -> Evidence:
    """Return what will be, at the file that the handlers are written into."""
    return Evidence(source=next(iter(files)), text=f"written anew: {text}")


def _runtimes(config: EffectiveConfig) -> str:
    return f"merged runtimes {join(list(config.runtimes)) or 'none'}"


def _finding(
    node: GpuNode, cause: str, files: Mapping[str, Table], *seen: Evidence, **values: str
) -> Finding:
    return node.finding(
        cause,
        *seen,
        Evidence(source="toolkit's image", text=node.toolkit.image),
        written=join(list(files)),
        steps=_steps(node),
        release=node.containerd.release,
        **toolkit_values(node),
        **values,
    )


def _steps(node: GpuNode) -> str:
    """Return what to change so that the toolkit finds what it has to keep."""
    containerd, told = node.containerd, toolkit_values(node)
    config = containerd.config
    root = next((file for file in config.files if file.path == containerd.config_path), None)
    ours = root is not None and root.version > 1 and not is_rendered(node, root.path)
    if root is None or not ours or "RUNTIME_CONFIG_SOURCE" in told["values"]:
        steps = ["Tell the toolkit of this node's containerd; toolkit-values.yaml:", told["values"]]
        return "\n\n".join([*steps, f"$ {told['apply']}"])
    systemd = systemd_for_new(node)
    runc = with_handler(root, "runc", binary=None, systemd_cgroup=systemd)
    return (
        f"Define runc in the file that the toolkit starts from; it keeps what it finds:\n\n{runc}"
    )
