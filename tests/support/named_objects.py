"""Kubernetes objects and files that a fix names although the evidence does not have them.

A fix may create what is not there; it must not send anybody to a ClusterPolicy, a Helm release, a
DaemonSet, a label or a file that this cluster or this node does not have.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from pytest_gpu.errors import GpuError
from pytest_gpu.evidence import ClusterEvidence, KubeObject
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.kube.objects import annotations_of, labels_of, name_of, optional, spec_of
from tests.support.wording import Told, words

PLURALS = {
    "clusterpolicy": "clusterpolicies",
    "clusterpolicies": "clusterpolicies",
    "clusterpolicies.nvidia.com": "clusterpolicies",
    "daemonset": "daemonsets",
    "pod": "pods",
    "runtimeclass": "runtimeclasses",
    "node": "nodes",
}
VERBS = {"delete", "edit", "logs", "patch", "label", "restart", "describe"}
CREATES = re.compile(
    r"(?:\btee(?: -a)?|--output=|--config=|\bmkdir -p|\bmv \S+|^\+\+\+) ?(/\S+)", re.M
)
_SENT = re.compile(r"\b(?:in|into|[Cc]hange|[Ee]dit) (/[\w./+-]*\w)")
"""A file to which words send the reader."""
PATH = re.compile(
    r"(?<![\w.:/@*=$}{-])/(?:etc|usr|var|run|opt|lib|srv|data|snap)/[\w./+-]*[\w](?![\w*/]*\*)"
)


def faults(told: Told, node: Node) -> list[str]:
    """Return what the fix of a node's finding names that is not in the evidence."""
    cluster = node.cluster
    found = [*_commands(told, cluster), *_words(told, cluster), *_paths(told, node)]
    found += _in_force(told, cluster)
    return [f"{told['cause']}: {said}" for said in found]


def _words(told: Told, cluster: ClusterEvidence) -> Iterator[str]:
    if not optional(cluster, "clusterpolicies"):
        for text in words(told):
            if re.search(r"ClusterPolicy|clusterpolicy", text):
                yield f"there is no ClusterPolicy: {text}"


def _commands(told: Told, cluster: ClusterEvidence) -> Iterator[str]:
    for kind, text in zip(told["fix_kinds"], told["fix"], strict=True):
        if kind in ("cluster", "helm") and "<<" not in text:
            yield from _of_command(shlex.split(text.removeprefix("$ "), comments=True), cluster)


def _of_command(argv: Sequence[str], cluster: ClusterEvidence) -> Iterator[str]:
    if argv[:2] == ["helm", "upgrade"] and "--install" not in argv:
        yield from _release(argv, cluster)
    elif argv[0] == "kubectl" and VERBS & set(argv[1:3]):
        yield from _objects(argv, cluster)


def _release(argv: Sequence[str], cluster: ClusterEvidence) -> Iterator[str]:
    owned = {
        (
            annotations_of(thing).get("meta.helm.sh/release-name"),
            annotations_of(thing).get("meta.helm.sh/release-namespace", "default"),
        )
        for resource in ("clusterpolicies", "deployments", "daemonsets")
        for thing in optional(cluster, resource)
    }
    if (argv[2], _option(argv, "-n")) not in owned:
        yield f"there is no such Helm release: {shlex.join(argv)}"


def _objects(argv: Sequence[str], cluster: ClusterEvidence) -> Iterator[str]:
    kind, name = _named(argv)
    plural = PLURALS.get(kind)
    if plural is None or (name.startswith("-") and "-A" in argv):
        return
    things = optional(cluster, plural)
    if not any(_is(thing, name, _option(argv, "-n")) for thing in things):
        yield f"there is no such {kind}: {shlex.join(argv)}"
    elif argv[1] == "label":
        yield from _labels(argv, next(thing for thing in things if name_of(thing) == name))


def _named(argv: Sequence[str]) -> tuple[str, str]:
    """Return kind and name of the object that a command is about."""
    rest = [*argv[2:], "", ""]
    if rest[0] == "restart":
        rest = rest[1:]
    if argv[1] == "logs":
        return "pod", rest[0]
    kind, slash, name = rest[0].partition("/")
    return kind, name if slash else rest[1]


def _is(thing: KubeObject, name: str, namespace: str) -> bool:
    meta: Mapping[str, Any] = thing.get("metadata") or {}
    same = not namespace or meta.get("namespace", "") == namespace
    return same and (not name or name.startswith("-") or meta.get("name") == name)


def _option(argv: Sequence[str], name: str) -> str:
    return argv[argv.index(name) + 1] if name in argv else ""


def _labels(argv: Sequence[str], thing: KubeObject) -> Iterator[str]:
    """Yield labels that are to be removed and are not there, or to be set and are set."""
    has = labels_of(thing)
    for each in argv[4:]:
        key, equals, value = each.partition("=")
        if not equals and each.endswith("-") and each[:-1] not in has:
            yield f"there is no such label: {each[:-1]}"
        if equals and has.get(key) == value:
            yield f"is in force already: {each}"


def _in_force(told: Told, cluster: ClusterEvidence) -> Iterator[str]:
    """Yield settings of the GPU operator that its ClusterPolicy has already."""
    for policy in optional(cluster, "clusterpolicies"):
        for step in told["fix"]:
            for path, value in re.findall(r"--set ([\w.]+)=(\S+)", step):
                if str(_setting(policy, path)).lower() == value.lower():
                    yield f"is in force already: {path}={value}"
            if step.startswith("toolkit:") and _env(step) == _setting(policy, "toolkit.env"):
                yield f"is in force already: {step}"


def _setting(policy: KubeObject, path: str) -> object:
    found: object = spec_of(policy)
    for key in path.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _env(step: str) -> object:
    return yaml.safe_load(step)["toolkit"]["env"]


def _paths(told: Told, node: Node) -> Iterator[str]:
    known = json.dumps([[item["source"], item["text"]] for item in told["evidence"]])
    made = {path for step in told["fix"] for path in CREATES.findall(step)}
    for kind, step in zip(told["fix_kinds"], told["fix"], strict=True):
        for path in (_SENT if kind == "words" else PATH).findall(_without_patches(step)):
            if path not in known and not _made(path, made) and _is_absent(node, path):
                yield f"there is no {path}: {step}"


def _without_patches(step: str) -> str:
    return "" if "+++ " in step or "\n" in step else step


def _made(path: str, made: set[str]) -> bool:
    return any(each == path or each.startswith(f"{path}/") for each in made)


def _is_absent(node: Node, path: str) -> bool:
    try:
        return node.evidence.entry(path) is None
    except GpuError:
        return False
