"""What an admin can do about an unproven requirement, by its reason.

A reason that names an option, or ends with ``; what helps``, tells it itself.
"""

from __future__ import annotations

import re

_COLLECT = "visit the node again, or add it to the recording"
_BY_HAND = "look at it by hand, and at the layers above: they try what it leads to"
_PODS = "the layers sandbox and runtimeclass-pod show whether GPUs get into containers"
_FIRST = "repair what keeps it from starting first"
_POD = "see why the suite's pod does not start"
_SHORTEN = "shorten the file, or let the runtime itself check it"

_STEPS = tuple(
    (re.compile(reason), step)
    for reason, step in (
        (r"--gpu-read-only creates nothing", "leave out that option to have it tried"),
        (r"\bread-only\b", "have it tried in a run that may create pods"),
        (
            r"the node was not visited|no GPU pod after the visit's",
            "--gpu-node-shell names another way into nodes",
        ),
        (r"the node does not answer|the node's answer to", "run the suite again"),
        (r"somebody removed the suite's pod", "run the suite again"),
        (r"could not be copied to this node", "install crictl on the node, and run again"),
        (
            r"crictl \S+ (?:failed with exit code|printed)",
            "run the same crictl by hand; --gpu-crictl=FILE brings another one",
        ),
        (r"no process of the node was recognised as its kubelet", _COLLECT),
        (r"to virtual machines", "--gpu-nodes leaves the node out"),
        (r"the kernel module nvidia is not loaded", "repair what the driver layer tells first"),
        (r"NVML did not answer", "see what nvidia-smi says on the node"),
        (r"CRI-O, whose configuration is not judged|has a root file system of its own", _PODS),
        (r"has no handler that injects GPUs, and no CDI device", _PODS),
        (r"a program that this version does not know|starts \(its files may be newer\)", _PODS),
        (r"whether \S+ \S+ reads CDI version", _PODS),
        (r"GPUs by its own rules|through a plugin with unknown rules", _BY_HAND),
        (
            r"nested too deeply|is longer than|imports more than|longer than any real one"
            r"|more than \d+ ",
            _SHORTEN,
        ),
        (
            r"release is not known",
            "an image tag that names the toolkit's release makes it known",
        ),
        (r"only toolkits from 1\.15 on use", "install the toolkit again, which writes the file"),
        (r"no-cgroups = true may be needed", _PODS),
        (r"may set deviceListStrategy", "look at the plugin's ConfigMap"),
        (r"the Node object has no Ready condition", "see whether a kubelet reports for the node"),
        (r"has no allocatable nvidia\.com/gpu", "repair what the device-plugin layer tells first"),
        (r"the pod was never created, so|of the suite's pod did not start$", _POD),
        (
            r"of the suite's pod (?:ended with exit code (?:1|126|127), and )?reported nothing",
            "the pod's image must have Python: --gpu-image",
        ),
        (r"of the suite's pod ended with ", "run the suite again"),
        (r"CUDA was not tried", "run the suite again with its own pod program"),
        (r"the GPU sandbox did not start|no \S+ sandbox was tried on this node", _FIRST),
        (r"it is not known which socket", _COLLECT),
        (r"asks for no GPU \(NVIDIA_VISIBLE_DEVICES", "correct that file"),
        (r"cannot be read:", "correct it in the recording"),
        (
            r"not in the evidence|neither the kernel log nor|did not list|not listed:"
            r"|was not (?:read|asked|kept|collected)",
            _COLLECT,
        ),
        (r"^no (?:sandbox|pod) was tried: ", "run the suite again when that is repaired"),
    )
)


def next_step(reason: str) -> str:
    """Return what helps to decide, ``""`` if the reason says so itself or is a user's own."""
    for pattern, step in _STEPS:
        if pattern.search(reason):
            return "" if step in reason else step
    return ""


def with_next_step(reason: str) -> str:
    """Return a reason with what helps at its end."""
    step = "" if "; " in reason else next_step(reason)
    return f"{reason}; {step}" if step else reason
