"""Whether the NVIDIA runtime's wrapper starts another runtime instead: without the kernel module.

Source: ``wrapperTemplate`` of nvidia-container-toolkit (``cmd/nvidia-ctk-installer/toolkit/
installer/executables.go``): the wrapper of each runtime looks for the module nvidia in
``/proc/modules``, and starts runc, with a line on its standard error only, where it is not there.
"""

from __future__ import annotations

from itertools import islice

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.cri.handler import Handler
from pytest_gpu.stack.host.program import Program
from pytest_gpu.stack.injection.injected import needs_no_handler
from pytest_gpu.stack.kube.operator import change_values
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.toolkit.check_programs import chains

MODULES = "/proc/modules"
_LOOKS_FOR = 'grep -e "^nvidia "'
_LONGEST = 64
"""Lines of a wrapper that are read; the toolkit writes a dozen."""


@check("toolkit/steps-aside")
def steps_aside(node: Node) -> Finding | None:
    """Find a wrapper that starts runc, since the driver has no module nvidia: nothing is injected.

    Such drivers exist: WSL's comes from Windows. Where the content of the wrapper was not
    collected, nothing is found. Who gets GPUs without a handler does not need it.
    """
    if _module_is_loaded(node) is not False or needs_no_handler(node):
        return None
    for runtime, found in chains(node):
        for program in found.programs[:1]:
            if looks := _look(node, program):
                return _finding(node, runtime, program, looks)
    return None


def _module_is_loaded(node: Node) -> bool | None:
    """Say whether the wrapper finds the module, ``None`` where that is not known."""
    content = known(lambda: (node.evidence.read(MODULES) or b"").decode(errors="replace"))
    return None if content is None else f"\n{content}".find("\nnvidia ") >= 0


def _look(node: Node, program: Program) -> Evidence | None:
    """Return the wrapper's line that looks for the module, ``None`` if it has none."""
    if not known(lambda: program.is_script):
        return None
    text = (known(lambda: node.evidence.read(program.file)) or b"").decode(errors="replace")
    for number, line in enumerate(islice(text.splitlines(), _LONGEST), 1):
        if _LOOKS_FOR in line and MODULES in line:
            return Evidence(source=program.file, line=number, text=line.strip())
    return None


def _finding(node: Node, runtime: Handler, program: Program, looks: Evidence) -> Finding:
    return Finding.of(
        "runtime/wrapper-steps-aside",
        runtime.source,
        looks,
        Evidence(source=MODULES, text="has no module nvidia"),
        program=program.path,
        handler=runtime.name,
        config=containerd_of(node).config_path,
        settings=change_values(node.cluster, "toolkit.enabled", value=False),
    )
