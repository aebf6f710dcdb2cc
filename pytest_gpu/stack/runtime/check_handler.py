"""Why the kubelet's containerd has no way to inject GPUs, though somebody set one up.

``no runtime for "nvidia" is configured`` has many root causes. What decides: which files the
kubelet's containerd reads, which files hold the handler, and who else reads those.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check, question
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.cdi.check_devices import not_taken
from pytest_gpu.stack.cdi.specs import cdi_of
from pytest_gpu.stack.containerd.config_file import ConfigFile, cri_plugin, handler_line
from pytest_gpu.stack.containerd.search import Written, written
from pytest_gpu.stack.host.processes import processes_of
from pytest_gpu.stack.injection.cgroup_wanted import systemd_for_new
from pytest_gpu.stack.injection.injected import beside_the_files, default_evidence
from pytest_gpu.stack.kube import runtimeclass
from pytest_gpu.stack.kube.objects import optional, spec_of
from pytest_gpu.stack.kube.placement import specs_on
from pytest_gpu.stack.kube.pods import gpu_requests
from pytest_gpu.stack.kubelet.beside import beside
from pytest_gpu.stack.kubelet.containerd import containerd_of, others
from pytest_gpu.stack.kubelet.containerd_runtime import Containerd
from pytest_gpu.stack.kubelet.listeners import DEFAULT_CONFIG, config_path
from pytest_gpu.stack.kubelet.runtimes import runtimes_of
from pytest_gpu.stack.repair import config_fix
from pytest_gpu.stack.repair.config_places import handler_in
from pytest_gpu.stack.repair.toml_diff import handler_table
from pytest_gpu.stack.runtime.other_program import named_starts_another, prove_none, starts_another
from pytest_gpu.stack.runtime.overwritten import now_there, overwritten
from pytest_gpu.stack.runtime.template_missing import installed_after_start, missing_by_template
from pytest_gpu.stack.toolkit.check_env import other_runtime, socket_ignored, writes_rendered
from pytest_gpu.stack.toolkit.installed import BINARIES, binaries, installed
from pytest_gpu.stack.toolkit.instructions import DEFAULT_DROP_IN, toolkit_of
from pytest_gpu.stack.toolkit.operator_values import toolkit_values
from pytest_gpu.stack.toolkit.toolkit_pods import stale_validators, toolkit_pod_evidence


@question("runtime/other-containerds")
def other_containerds(node: Node) -> object:
    """Return the containerds beside the kubelet's: one may have been configured instead."""
    return others(containerd_of(node), processes_of(node), node.evidence)


@question("runtime/default-handler")
def default_handler(node: Node) -> object:
    """Return what is shown of the default handler beside a pod that gets no GPU."""
    return default_evidence(node)


@check("runtime/no-gpu-handler")
def no_gpu_handler(node: Node) -> Finding | None:
    """Find why containers cannot get GPUs from the configuration on disk, ``None`` if they can.

    A handler that only the running containerd still has is not missing now: that is latent.

    Raises:
        Unproven: a handler with NVIDIA's name may be one.
    """
    if containerd_of(node).gpu_handlers:
        return named_starts_another(node)
    if _cdi_serves(node) or still_live(node):
        return None
    containerd = containerd_of(node)
    prove_none(node)
    if finding := missing_by_template(node):
        return finding
    running = [config_path(each) for each in processes_of(node) if each.is_program("containerd")]
    toolkit = (toolkit_of(node).config_path, toolkit_of(node).drop_in)
    found = written(node.evidence, [containerd.config_path, *toolkit, *running])
    elsewhere = _replaced(node, found) or socket_ignored(node) or _written_elsewhere(node, found)
    told = elsewhere or starts_another(node, containerd.config.runtimes) or other_runtime(node)
    return told or known(lambda: not_taken(node)) or _never_written(node)


def still_live(node: Node) -> bool:
    """Say whether the running containerd has an NVIDIA handler, whatever its files have."""
    return bool(containerd_of(node).loaded_gpu_handlers)


def _cdi_serves(node: Node) -> bool:
    """Say whether CDI devices are all this node needs: none of its GPU pods names a class.

    Raises:
        NotInEvidence: no device is known, and not every directory of specs was listed.
    """
    if beside_the_files(node):
        return True
    if _uses_gpu_class(node) or not containerd_of(node).config.cdi_enabled:
        return False
    if cdi_of(node).unknown and not cdi_of(node).gpu_devices:
        raise NotInEvidence(node.name, f"what lies in {', '.join(cdi_of(node).unknown)}")
    return bool(cdi_of(node).gpu_devices)


def _uses_gpu_class(node: Node) -> bool:
    """Say whether pods of this node, or DaemonSets meant for it, name an NVIDIA RuntimeClass."""
    return names_gpu_class(node, specs_on(node.cluster, node.name))


def names_gpu_class(node: Node, specs: Iterable[Mapping[str, Any]]) -> bool:
    """Say whether a pod spec names a RuntimeClass that leads to an NVIDIA handler.

    A class that is not there, or was not read, is known by its own name alone.
    """
    by_class = known(lambda: runtimeclass.handlers(node.cluster)) or {}
    named = {name for spec in specs if (name := runtimeclass.class_of(spec))}
    led_to = {by_class.get(name, name) for name in named}
    return any(each.startswith("nvidia") or each == toolkit_of(node).handler for each in led_to)


def _replaced(node: Node, found: Sequence[Written]) -> Finding | None:
    """Find the handler in a file that is read, but whose section a later file replaces."""
    config = containerd_of(node).config
    read = {file.path for file in config.files}
    lost = [each for each in found if each.file.path in read]
    if not lost:
        return None
    last, name = _last_with_cri(config.files), lost[-1].handlers[0]
    return Finding.of(
        "runtime/section-replaced-by-import",
        *_defined_in(lost),
        Evidence(
            source=last.path,
            text=f"imported later: its CRI section ({cri_plugin(last.version)})"
            " is the one that counts",
        ),
        *stale_validators(node),
        lost=lost[-1].file.path,
        last=last.path,
        release=containerd_of(node).release,
        **config_fix.add_handler(node, name, handler_in(lost[-1].file, name)),
    )


def _last_with_cri(files: Sequence[ConfigFile]) -> ConfigFile:
    """Return the file read last that has a CRI section of its version."""
    with_section = [f for f in files if cri_plugin(f.version) in f.table.get("plugins", {})]
    return (with_section or list(files))[-1]


def _written_elsewhere(node: Node, found: Sequence[Written]) -> Finding | None:
    """Find the handler in a file that the kubelet's containerd does not read."""
    if not found:
        return None
    for other in others(containerd_of(node), processes_of(node), node.evidence):
        theirs = {file.path for file in other.config.files}
        if hits := [each for each in found if each.file.path in theirs]:
            return _other_containerd(node, other, hits)
    if hits := [each for each in found if each.is_drop_in]:
        return _outside_imports(node, hits)
    return _unread(node, found)


def _other_containerd(node: Node, other: Containerd, hits: Sequence[Written]) -> Finding:
    pid = other.process.pid if other.process else 0
    return Finding.of(
        "runtime/toolkit-configured-other-containerd",
        *_defined_in(hits),
        Evidence(
            source=f"/proc/{pid}/cmdline",
            text=f"containerd that reads it, on {other.socket}: not the kubelet's"
            f"{_user(node, pid)}",
        ),
        *_kubelet_side(node),
        *_symptoms(node),
        other_config=other.config_path,
        other_socket=other.socket,
        **toolkit_values(node),
    )


def _user(node: Node, pid: int) -> str:
    found = [
        each.serves for each in known(lambda: runtimes_of(node)) or () if each.process.pid == pid
    ]
    return f"; it serves {found[0]}" if found and found[0] else ""


def _outside_imports(node: Node, hits: Sequence[Written]) -> Finding:
    config = containerd_of(node).config
    if lost := _import_overwritten(node, hits):
        return lost
    imports = ", ".join(config.imports) or "nothing"
    drop_in = hits[-1].file.path
    return Finding.of(
        "runtime/drop-in-outside-imports",
        *_defined_in(hits),
        Evidence(source=config.path, text=f"imports {imports}: {drop_in} is not among them"),
        *_symptoms(node),
        drop_in=drop_in,
        imports=imports,
        wanted=_drop_in_inside(config.imports, drop_in, config.path),
        **toolkit_values(node),
        **define_handler(node),
    )


def _import_overwritten(node: Node, hits: Sequence[Written]) -> Finding | None:
    """Find that the toolkit's own drop-in is there, and its line of imports is not any more.

    A toolkit of 1.18 or later adds that line to the root file, unless this is of version 1
    (measured).
    """
    config = containerd_of(node).config
    own = any(each.file.path == toolkit_of(node).drop_in for each in hits)
    version = next((file.version for file in config.files if file.path == config.path), 1)
    if config.imports or not own or version < 2:
        return None
    return overwritten(node, by_hand(node))


def _drop_in_inside(imports: Sequence[str], drop_in: str, config: str) -> str:
    """Return where the drop-in would be read: a folder that an import glob looks into."""
    name = posixpath.basename(drop_in)
    for pattern in imports:
        if fnmatchcase(name, posixpath.basename(pattern)):
            return posixpath.join(posixpath.dirname(pattern), name)
    return config


def _unread(node: Node, found: Sequence[Written]) -> Finding:
    """Tell the toolkit's defaults from another distribution's paths: nobody reads either."""
    toolkit = toolkit_of(node)
    hit = found[0]
    default = hit.file.path in {DEFAULT_CONFIG, DEFAULT_DROP_IN}
    told = toolkit.env.get("CONTAINERD_CONFIG")
    cause = "runtime/toolkit-default-paths" if default else "runtime/toolkit-other-paths"
    where = f"CONTAINERD_CONFIG={told}" if told else "CONTAINERD_CONFIG is not set"
    return Finding.of(
        cause,
        *_defined_in(found),
        Evidence(source="toolkit.env", text=f"{where}; no containerd on this node reads that file"),
        *_kubelet_side(node),
        *beside(node),
        *_symptoms(node),
        written=hit.file.path,
        **toolkit_values(node),
    )


def _never_written(node: Node) -> Finding:
    """Tell a handler that was overwritten, or comes with the next start, from one nobody set up."""
    if finding := writes_rendered(node):
        return finding
    if finding := overwritten(node, by_hand(node)) or installed_after_start(node):
        return finding
    return Finding.of(
        "runtime/handler-not-configured",
        now_there(node),
        *beside(node),
        *binaries(node),
        *toolkit_pod_evidence(node),
        **toolkit_values(node),
        **by_hand(node),
    )


def _kubelet_side(node: Node) -> Iterator[Evidence]:
    containerd = containerd_of(node)
    yield Evidence(
        source=containerd.config_path,
        text=f"the kubelet's containerd ({containerd.socket}) reads this file;"
        f" its runtimes: {', '.join(containerd.config.runtimes)}",
    )


def _symptoms(node: Node) -> Iterator[Evidence]:
    yield from toolkit_pod_evidence(node)
    yield from stale_validators(node)


def _defined_in(found: Sequence[Written]) -> list[Evidence]:
    return [handler_line(each.file, each.handlers[0]) for each in found]


def define_handler(node: Node) -> Mapping[str, str]:
    """Return ``patch`` and ``file`` that define the handler; no patch without a runtime."""
    binary = installed(node)
    table = handler_table(binary or BINARIES[-1], systemd_cgroup=systemd_for_new(node))
    fix = config_fix.add_handler(node, "nvidia", table, default=_only_by_default(node))
    return fix if binary else {**fix, "patch": ""}


def _only_by_default(node: Node) -> bool:
    """Say whether GPU pods of the node name no RuntimeClass, and there is none they could name."""
    classes = known(lambda: runtimeclass.handlers(node.cluster))
    pods = (spec_of(each) for each in optional(node.cluster, "pods"))
    here = [spec for spec in pods if spec.get("nodeName") == node.name and gpu_requests(spec)]
    return classes == {} and bool(here) and not any(map(runtimeclass.class_of, here))


def by_hand(node: Node) -> Mapping[str, str]:
    """Return a patch that defines the handler, as what to do instead of the toolkit."""
    fix = define_handler(node)
    said = f"Or by hand, in {fix['file']}:\n\n{fix['patch']}"
    return {"patch": said if fix["patch"] else ""}
