"""Commands that change the labels of a node."""

from __future__ import annotations

from collections.abc import Collection

from pytest_gpu.evidence import KubeObject
from pytest_gpu.stack.kube.objects import labels_of, name_of
from pytest_gpu.steps import Steps, typed
from pytest_gpu.text.shell import command


def without_labels(node: KubeObject, keys: Collection[str]) -> Steps:
    """Return the step that removes those of the labels that a node has, none if it has none."""
    line = command("kubectl label node {node}", node=name_of(node))
    found = [key for key in keys if key in labels_of(node)]
    for key in found:
        line = command("{line} {key}-", line=line, key=key)
    return (typed("cluster", line),) if found else ()
