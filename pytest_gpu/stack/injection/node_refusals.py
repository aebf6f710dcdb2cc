"""Which part of a node refuses every pod, with or without a GPU, by the words of its runtime.

Sources: ``failed to get sandbox image`` of containerd (internal/cri/server/podsandbox), ``failed
pulling image`` of cri-dockerd, ``creating pod sandbox with name`` of CRI-O; runc's libcontainer
(AppArmor, the SELinux key label, seccomp); the kernel's texts of ENOSPC, EAGAIN and ENOMEM.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.errors import Unproven
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.gpu.kernel_log import kernel_log_of
from pytest_gpu.stack.injection.start_errors import is_network_error
from pytest_gpu.stack.kubelet.containerd import containerd_of

NO_POD = "No pod can start on this node"
PAUSE_IMAGE = "sandbox/pause-image-"
NETWORK = "kubernetes/pod-network-fails"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRefusal:
    """A part of the node that refuses pods: the cause, and the values that its text holds."""

    cause: str
    values: Mapping[str, str]


_IMAGES = (
    re.compile(r'failed to get sandbox image "(?P<image>[^"\s]++)"'),
    re.compile(r'failed pulling image "(?P<image>[^"\s]++)"'),
    re.compile(
        r'(?s)\A(?>.*?creating pod sandbox with name )"[^"\n]*+": '
        r"(?:[Ee]rror )?initializing source [a-z-]++://(?P<image>[^\s\"]++)"
    ),
)
_ANSWERS = (
    (
        "sandbox/pause-image-refused",
        re.compile(r"\b40[13]\b|[Uu]nauthorized|[Dd]enied|no basic auth"),
    ),
    (
        "sandbox/pause-image-not-in-registry",
        re.compile(r"\bnot found\b|manifest unknown|does not exist"),
    ),
)
# AppArmor first: runc applies its profiles through files that SELinux uses, too.
_PARTS = (
    ("sandbox/apparmor-parser-missing", re.compile(r"(?s)\A(?>.*?apparmor_parser)[^\n]*not found")),
    ("sandbox/apparmor-refuses", re.compile(r"apparmor", re.IGNORECASE)),
    ("sandbox/selinux-label-unknown", re.compile(r"/attr/(?:keycreate|exec): invalid argument")),
    ("sandbox/selinux-refuses", re.compile(r"\bselinux\b|/attr/(?:keycreate|exec)\b", re.I)),
    ("sandbox/seccomp-refuses", re.compile(r"\bseccomp\b", re.IGNORECASE)),
    (
        "sandbox/node-out-of-inotify",
        re.compile(r"(?s)\A(?>.*?notify)[^\n]*(?:too many open files|no space left)"),
    ),
    ("sandbox/node-disk-full", re.compile(r"no space left on device|disk quota exceeded")),
    ("sandbox/node-out-of-process-ids", re.compile(r"resource temporarily unavailable")),
    ("sandbox/node-out-of-memory", re.compile(r"cannot allocate memory")),
)
_DENIED = {
    "sandbox/apparmor-": (re.compile(r'apparmor="DENIED"'), 'apparmor="DENIED"'),
    "sandbox/selinux-": (re.compile(r"avc:\s+denied"), "avc:"),
}


def node_refusal(text: str) -> NodeRefusal | None:
    """Return the part of the node that an error text tells of, ``None`` if of none it knows."""
    if image := _pause_image(text):
        return NodeRefusal(cause=_answer(text), values={"image": image})
    if is_network_error(text):
        return NodeRefusal(cause=NETWORK, values={})
    cause = next((name for name, pattern in _PARTS if pattern.search(text)), None)
    return NodeRefusal(cause=cause, values={}) if cause else None


def _pause_image(text: str) -> str | None:
    """Return the pause image that could not be pulled; other images have other names."""
    found = (match["image"].rstrip(":") for each in _IMAGES if (match := each.search(text)))
    return next((image for image in found if "pause" in image or "sandbox image" in text), None)


def _answer(text: str) -> str:
    """Return the cause by what the registry answered when the pause image was pulled."""
    found = (cause for cause, answer in _ANSWERS if answer.search(text))
    return next(found, "sandbox/pause-image-not-reached")


def refused_by_node(node: Node, said: Evidence, scope: str = NO_POD) -> Finding | None:
    """Return which part of the node refuses pods, ``None`` if the words name none.

    Args:
        node: the node.
        said: the words of the refusal.
        scope: which pods cannot start, as the beginning of a sentence.
    """
    refusal = node_refusal(said.text)
    if refusal is None:
        return None
    more = tuple(_image_setting(node) if refusal.cause.startswith(PAUSE_IMAGE) else ())
    return Finding.of(
        refusal.cause, said, *more, *_denied(node, refusal.cause), scope=scope, **refusal.values
    )


def _image_setting(node: Node) -> Iterator[Evidence]:
    """Yield the line that names the pause image, none where the runtime's files are not known."""
    with suppress(Unproven):
        yield containerd_of(node).config.origin("sandbox_image")


def _denied(node: Node, cause: str) -> Iterator[Evidence]:
    """Yield the kernel's newest line about what the security module denied."""
    denied = next((find for start, find in _DENIED.items() if cause.startswith(start)), None)
    log = known(lambda: kernel_log_of(node)) if denied else None
    if log and denied and (line := log.find(*denied)):
        yield line
