"""Which part of a node refuses every pod, with or without a GPU, by the words of its runtime.

Sources: ``failed to get sandbox image`` of containerd (internal/cri/server/podsandbox), ``failed
pulling image`` of cri-dockerd, ``creating pod sandbox with name`` of CRI-O. The words that do not
concern the pause image are rows of ``messages.toml``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.errors import Unproven
from pytest_gpu.gpu_node import Node
from pytest_gpu.message_file import Where
from pytest_gpu.messages import meanings, understood
from pytest_gpu.stack.kubelet.runtime import runtime_of

NO_POD = "No pod can start on this node"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRefusal:
    """A part of the node that refuses pods: the cause, and the values that its text holds."""

    cause: str
    values: Mapping[str, str]


_NEWER = (
    "The file names another image than the one that the running runtime asks for. A restart of the"
    " runtime makes the file count; first see whether its image is there or can be pulled."
)
_QUOTED = re.compile(r"""["']([^"'\s]++)["']""")
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


def node_refusal(text: str) -> NodeRefusal | None:
    """Return the part of the node that an error text tells of, ``None`` if of none it knows."""
    if image := _pause_image(text):
        return NodeRefusal(cause=_answer(text), values={"image": image})
    found = (each for each in meanings(text, Where.ANY_POD) if not each.needs)
    return next((NodeRefusal(cause=each.cause, values=each.values) for each in found), None)


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
    if image := _pause_image(said.text):
        setting = _image_setting(node)
        other = setting is not None and not _names(setting, image)
        shown = (_not_live(setting, image) if other else setting,) if setting else ()
        newer = _NEWER if other else ""
        return Finding.of(_answer(said.text), said, *shown, scope=scope, image=image, newer=newer)
    found = understood(node, said.text, Where.ANY_POD)
    if found is None:
        return None
    return Finding.of(found.cause, said, *found.evidence, scope=scope, **found.values)


def _image_setting(node: Node) -> Evidence | None:
    """Return the line that names the pause image, ``None`` where the files are not known."""
    with suppress(Unproven):
        return runtime_of(node).origin("pause_image")
    return None


def _names(setting: Evidence, image: str) -> bool:
    """Say whether a line names an image, perhaps without the name of the usual registry.

    Where no file sets it, it is the one that is built in.
    """
    return setting.line is None or any(
        image.endswith(each) for each in _QUOTED.findall(setting.text)
    )


def _not_live(setting: Evidence, image: str) -> Evidence:
    text = f"{setting.text}  (not live: the running one asks for {image})"
    return Evidence(source=setting.source, line=setting.line, text=text)
