"""Why the kubelet's containerd has no way to inject GPUs, although one was set up.

``no runtime for "nvidia" is configured`` has many root causes. The decision depends on which files
the kubelet's containerd reads, which files define the handler, and what else reads those.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pytest_gpu.causes import Finding
from pytest_gpu.checks import check, question
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.cdi.check_devices import not_taken
from pytest_gpu.stack.cdi.specs import cdi_of
from pytest_gpu.stack.containerd.search import written
from pytest_gpu.stack.host.processes import processes_of
from pytest_gpu.stack.injection.injected import (
    beside_the_files,
    default_evidence,
    needs_no_handler,
)
from pytest_gpu.stack.kube import runtimeclass
from pytest_gpu.stack.kube.placement import specs_on
from pytest_gpu.stack.kubelet.beside import beside
from pytest_gpu.stack.kubelet.containerd import containerd_of, others
from pytest_gpu.stack.kubelet.listeners import config_path
from pytest_gpu.stack.operands.check_operands import toolkit_culprit
from pytest_gpu.stack.runtime.check_cri import unreadable
from pytest_gpu.stack.runtime.configure import configure
from pytest_gpu.stack.runtime.handler_fix import define_handler
from pytest_gpu.stack.runtime.other_program import named_starts_another, prove_none, starts_another
from pytest_gpu.stack.runtime.overwritten import (
    bootstrap_copy,
    now_there,
    overwritten,
    who_rewrote,
)
from pytest_gpu.stack.runtime.template_missing import installed_after_start, missing_by_template
from pytest_gpu.stack.runtime.written_elsewhere import replaced, written_elsewhere
from pytest_gpu.stack.toolkit.check_env import other_runtime, socket_ignored, writes_rendered
from pytest_gpu.stack.toolkit.installed import binaries
from pytest_gpu.stack.toolkit.instructions import toolkit_of
from pytest_gpu.stack.toolkit.operator_values import define_runc
from pytest_gpu.stack.toolkit.toolkit_pods import toolkit_pod_evidence


@question("runtime/other-containerds")
def other_containerds(node: Node) -> object:
    """Return the other containerds: one of them may have been configured instead."""
    return others(containerd_of(node), processes_of(node), node.evidence)


@question("runtime/default-handler")
def default_handler(node: Node) -> object:
    """Return the facts about the default handler that are shown with a pod that gets no GPU."""
    return default_evidence(node)


@question("runtime/who-wrote-the-file")
def who_wrote_the_file(node: Node) -> object:
    """Return what shows who last wrote containerd's file: an image's bootstrap, times, owners."""
    return known(lambda: bootstrap_copy(node)), known(lambda: tuple(who_rewrote(node)))


@question("runtime/where-a-handler-belongs")
def where_a_handler_belongs(node: Node) -> object:
    """Return the fix that defines the handler, which includes the file it belongs in."""
    return define_handler(node)


@check("runtime/no-gpu-handler")
def no_gpu_handler(node: Node) -> Finding | None:
    """Find why containers cannot get GPUs from the configuration on disk, ``None`` if they can.

    A handler that only the running containerd still has is not missing yet: that is latent. Files
    that containerd cannot read define none.

    Raises:
        Unproven: a handler with NVIDIA's name may be an NVIDIA one.
    """
    if containerd_of(node).gpu_handlers:
        return named_starts_another(node)
    if _cdi_serves(node) or still_live(node):
        return None
    if finding := unreadable(node):
        return finding
    containerd = containerd_of(node)
    prove_none(node)
    if finding := missing_by_template(node):
        return finding
    running = [config_path(each) for each in processes_of(node) if each.is_program("containerd")]
    toolkit = (toolkit_of(node).config_path, toolkit_of(node).drop_in)
    found = written(node.evidence, [containerd.config_path, *toolkit, *running])
    elsewhere = replaced(node, found) or socket_ignored(node) or written_elsewhere(node, found)
    told = elsewhere or starts_another(node, containerd.config.runtimes) or other_runtime(node)
    return told or known(lambda: not_taken(node)) or _never_written(node)


def still_live(node: Node) -> bool:
    """Say whether the running containerd has an NVIDIA handler, whatever its files define."""
    return bool(containerd_of(node).loaded_gpu_handlers)


def _cdi_serves(node: Node) -> bool:
    """Say whether CDI devices are all that this node needs: no GPU pod names a class.

    They are defined, or the plugin names them.

    Raises:
        NotInEvidence: no device is known, but not every directory of specs was listed.
    """
    if beside_the_files(node):
        return True
    if _uses_gpu_class(node) or not containerd_of(node).config.cdi_enabled:
        return False
    if needs_no_handler(node):
        return True  # whether the devices that it names are defined is a requirement of its own
    if cdi_of(node).unknown and not cdi_of(node).gpu_devices:
        raise NotInEvidence(node.name, f"the content of {', '.join(cdi_of(node).unknown)}")
    return bool(cdi_of(node).gpu_devices)


def _uses_gpu_class(node: Node) -> bool:
    """Say whether pods of this node, or DaemonSets meant for it, name an NVIDIA RuntimeClass."""
    return names_gpu_class(node, specs_on(node.cluster, node.name))


def names_gpu_class(node: Node, specs: Iterable[Mapping[str, Any]]) -> bool:
    """Say whether a pod spec names a RuntimeClass that leads to an NVIDIA handler.

    A class that is missing, or was not collected, is judged by its name only.
    """
    by_class = known(lambda: runtimeclass.handlers(node.cluster)) or {}
    named = {name for spec in specs if (name := runtimeclass.class_of(spec))}
    led_to = {by_class.get(name, name) for name in named}
    return any(each.startswith("nvidia") or each == toolkit_of(node).handler for each in led_to)


def _never_written(node: Node) -> Finding:
    """Return why there is no handler: overwritten, pending the next start, or never configured."""
    if finding := writes_rendered(node):
        return finding
    if finding := overwritten(node, define_handler(node)) or installed_after_start(node):
        return finding
    if finding := toolkit_culprit(node, now_there(node), *beside(node)):
        return finding
    return Finding.of(
        "runtime/handler-not-configured",
        now_there(node),
        *beside(node),
        *binaries(node),
        *toolkit_pod_evidence(node),
        config=containerd_of(node).config_path,
        runc=define_runc(node),
        **configure(node),
        **define_handler(node).values,
    )
