"""Whether kubelet, handlers and init system manage cgroups the same way."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.cri.handler import Handler
from pytest_gpu.stack.host.processes import processes_of
from pytest_gpu.stack.injection import cgroups
from pytest_gpu.stack.injection.cgroup_wanted import OPTION, Wanted, says, wanted_driver
from pytest_gpu.stack.injection.reached import gpu_runtimes, pod_runtimes
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.repair import config_fix
from pytest_gpu.stack.runtime.overwritten import bootstrap_copy


@check("runtime/cgroup-driver-differs")
def cgroup_driver_differs(node: Node) -> Finding | None:
    """Find a handler whose cgroup driver differs from the one that the kubelet uses.

    Raises:
        NotInEvidence: the file with the kubelet's driver was not collected.
    """
    runtimes = _runc_runtimes(node)
    wanted = wanted_driver(node) if runtimes else None
    if wanted is None:
        return None
    differing = [runtime for runtime in runtimes if runtime.systemd_cgroup != wanted.systemd]
    if not differing:
        return None
    if wanted.by_kubelet and len(differing) == len(runtimes) and not wanted.systemd:
        return _kubelet_differs(node, differing, wanted)
    return _handler_differs(node, differing, wanted)


def _runc_runtimes(node: Node) -> Sequence[Handler]:
    """Return the handlers that pods can get, none if there is no GPU handler."""
    if not gpu_runtimes(node):
        return ()
    return [runtime for runtime in pod_runtimes(node) if runtime.is_runc]


def _handler_differs(node: Node, differing: Sequence[Handler], wanted: Wanted) -> Finding:
    first = differing[0]
    plain = first.name not in containerd_of(node).gpu_handlers
    cause = "runtime/runc-cgroup-driver-differs" if plain else "runtime/cgroup-driver-differs"
    return Finding.of(
        cause,
        *(says(node, runtime) for runtime in differing),
        wanted.said,
        *_copied(node),
        handler=first.name,
        wanted=str(wanted.systemd).lower(),
        **config_fix.set_option(node, first.name, OPTION, wanted.systemd).values,
    )


def _copied(node: Node) -> Iterator[Evidence]:
    """Yield evidence that an image's incomplete file replaced the configuration, and what it lacks.

    Source: the file of Canonical's EKS images has only the handler (ubuntu-cloud-docs 389).
    """
    config = containerd_of(node).config_path
    if original := bootstrap_copy(node):
        text = (node.evidence.read(original) or b"").decode(errors="replace")
        lacks = ", ".join(key for key in (OPTION, "sandbox_image", "cni") if not _sets(text, key))
        said = f"is, byte by byte, what {config} is now"
        yield Evidence(source=original, text=f"{said}, and sets no {lacks}" if lacks else said)


def _sets(text: str, key: str) -> bool:
    """Return whether a TOML text has a key or table of this name, ignoring comments."""
    return bool(re.search(rf"^[^\S\n]*(\[.*\.)?{key}\s*[\]=]", text, re.MULTILINE))


def _kubelet_differs(node: Node, handlers: Sequence[Handler], wanted: Wanted) -> Finding:
    """Return the finding of a kubelet that differs from all handlers, which agree."""
    return Finding.of(
        "runtime/kubelet-cgroup-driver-differs",
        wanted.said,
        *(says(node, runtime) for runtime in handlers),
        handlers=", ".join(runtime.name for runtime in handlers),
    )


@check("runtime/systemd-cgroup-without-systemd")
def systemd_cgroup_without_systemd(node: Node) -> Finding | None:
    """Find a handler that leaves cgroups to a systemd that does not run the node.

    Raises:
        NotInEvidence: what shows the init system was not collected.
    """
    for runtime in _runc_runtimes(node):
        if runtime.systemd_cgroup and (
            shown := cgroups.lacks_systemd(node.evidence, processes_of(node))
        ):
            return Finding.of(
                "runtime/systemd-cgroup-without-systemd",
                says(node, runtime),
                shown,
                handler=runtime.name,
                **config_fix.set_option(node, runtime.name, OPTION, False).values,
            )
    return None
