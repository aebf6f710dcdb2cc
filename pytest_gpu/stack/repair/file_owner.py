"""Who owns a file of containerd's by its own words: a patch alone is undone by its next run."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_gpu.causes import Evidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.repair.config_places import is_rendered
from pytest_gpu.steps import Step, Steps

_HEAD = 20
"""The first lines of a file, in which its owner says so."""

# What configuration managers write at the top of the files they own.
_OWNER = re.compile(
    r"ansible managed|(managed|generated|maintained) by (?!nvidia)|do not edit|kubespray|nodeadm",
    re.IGNORECASE,
)


def owner_lines(node: Node, path: str) -> Iterator[Evidence]:
    """Yield the comments of one of containerd's files that name who owns it."""
    file = next((file for file in containerd_of(node).config.files if file.path == path), None)
    yield from owner_comments(path, file.text if file else "")


def owner_comments(path: str, text: str) -> Iterator[Evidence]:
    """Yield the comments at the top of a file that name who owns it."""
    for number, line in enumerate(text.splitlines()[:_HEAD], 1):
        if line.lstrip().startswith("#") and _OWNER.search(line):
            yield Evidence(source=path, line=number, text=line.strip())


def owners_first(node: Node, path: str) -> Steps:
    """Return the words that send to the owner of a file before it is patched, none without one.

    A file that is rendered has a template, which is patched instead.
    """
    line = None if is_rendered(node, path) else next(owner_lines(node, path), None)
    if line is None:
        return ()
    said = f"{path} has an owner who will write it again ({line.text}): change it there first."
    return (Step("words", said),)
