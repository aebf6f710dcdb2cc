"""Why the control sandbox does not start, by who refuses it.

It asks for no GPU: what the node refuses here, it refuses every pod. What only the suite or an
admin brought (an image, the files for crictl) proves nothing about the node.
"""

from __future__ import annotations

import re
from contextlib import suppress

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.errors import Unproven
from pytest_gpu.gpu_node import Node
from pytest_gpu.message_file import Where
from pytest_gpu.messages import meanings, understood
from pytest_gpu.stack.injection.node_refusals import NO_POD, refused_by_node
from pytest_gpu.stack.injection.of_any_runtime import config_path, default_handler
from pytest_gpu.stack.kubelet.runtime import runtime_of
from pytest_gpu.stack.sandbox.sandboxes import OTHER_IMAGE, Sandboxes, SandboxRun

# The listing that the suite runs in its container; ENOEXEC is what an image of another
# architecture, or one without a shell, answers.
_IMAGE = re.compile(
    r'exec:? "?(?:/usr)?(?:/bin/)?(?:sh|python3?)"?: |exec format error'
    r"|the container ended with exit code"
)
_CGROUP_PARENT = re.compile(r"expected cgroupsPath to be of format")
_OWN_FILES = "gpu_sandbox_pod_config names a file that suits this node"
_WITHOUT_OWN = (
    "leave out gpu_sandbox_pod_config and gpu_sandbox_container_config to try the suite's own files"
)


def why_refused(node: Node, sandboxes: Sandboxes, run: SandboxRun) -> Finding:
    """Return what the node refuses to start without a GPU.

    Raises:
        Unproven: what refused it is not the node's, or it may have been an admin's file.
    """
    if run.inconclusive:
        raise Unproven(f"the control sandbox: {run.inconclusive}")
    said = Evidence(source=f"{run.command} (control)", text=run.refusal)
    scope = _scope(node, sandboxes)
    if finding := refused_by_node(node, said, scope) or _by_default(node, said, run):
        return finding
    if brought := _brought(sandboxes, run):
        raise Unproven(f"the control sandbox does not start: {run.error}; {brought}")
    return Finding.of(
        "sandbox/control-fails",
        said,
        scope=scope,
        why=run.why,
        handler=default_handler(node),
        config=config_path(node),
    )


def _scope(node: Node, sandboxes: Sandboxes) -> str:
    """Return which pods cannot start: those of the default handler only, if the GPU's starts."""
    gpu = sandboxes.runs.get("gpu")
    if gpu is None or gpu.exit != 0:
        return NO_POD
    return f'No pod with the handler "{default_handler(node)}" can start on this node'


def _by_default(node: Node, said: Evidence, run: SandboxRun) -> Finding | None:
    """Return the fault of the GPU stack that keeps every pod from starting: NVIDIA's default."""
    error = understood(node, run.text, Where.SANDBOX)
    if error is None or meanings(run.text, Where.CONTROL):
        return None
    handler = default_handler(node)
    text = f'default runtime "{handler}": {NO_POD[0].lower()}{NO_POD[1:]}'
    where = config_path(node)
    with suppress(Unproven, KeyError):
        where = runtime_of(node).told_by
    values = {"handler": handler, "scope": NO_POD, **error.values}
    set_ = Evidence(source=where, text=text)
    return Finding.of(error.cause, said, set_, *error.evidence, **values)


def _brought(sandboxes: Sandboxes, run: SandboxRun) -> str:
    """Return what helps where only things of the suite or the admin were refused, else ``""``."""
    if sandboxes.files.origin == "admin":
        return _WITHOUT_OWN
    if _IMAGE.search(run.text):
        return OTHER_IMAGE
    causes = {meaning.cause for meaning in meanings(run.text, Where.CONTROL)}
    if _CGROUP_PARENT.search(run.text) or "sandbox/pod-config-without-namespace" in causes:
        return _OWN_FILES
    return ""
