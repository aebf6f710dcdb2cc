"""Files of Kubernetes objects: lists of another shape, and names that the API would refuse."""

from __future__ import annotations

from pathlib import Path

from tests.hostile.recordings.overlays import Content, all_refused, at, harmless

NODE = "{metadata: {name: gpu-1}, status: {capacity: {nvidia.com/gpu: %s}}}"
POD = "{metadata: {name: %s, namespace: %s}, spec: {containers: [{name: a, image: b}]}}"
CLASS = "{metadata: {name: %s}, handler: %s}"
SHELL = "'nv$(touch PWN); id'"
NODES, PODS, CLASSES = (f"kubernetes/{name}.yaml" for name in ("nodes", "pods", "runtimeclasses"))


def _keys(path: Path) -> None:
    with path.open("w") as file:
        file.writelines(f"k{n}: 1\n" for n in range(10**6))


def _keys_of_json(path: Path) -> None:
    with path.open("w") as file:
        file.writelines(f'{"," if n else "{"}"k{n}":1' for n in range(1_100_000))
        file.write("}")


def _lists(path: Path) -> None:
    path.write_text("[" + "[]," * 199_000 + "]")


def _lists_of_json(path: Path) -> None:
    path.write_text('{"items": [' + "[]," * 900_000 + "[]]}")


LISTS: dict[str, tuple[Content, str]] = {
    "items-of-null": ("kind: List\nitems: [null]", "is empty, must be a mapping"),
    "items-of-numbers": ("kind: List\nitems: [1, 2]", "is a number, must be a mapping"),
    "items-of-lists": ("kind: List\nitems: [[[]]]", "is a list, must be a mapping"),
    "number": ("5", "is a number, must be a mapping"),
    "date": ("2026-01-01", "is text, must be a mapping"),
    "infinity": (".inf", "is a number, must be a mapping"),
    "kind-is-a-list": ("kind: [List]\nitems: 7", "is a number, must be a list"),
    "metadata-is-a-list": (
        "items: [{metadata: [a]}]",
        "object 1: metadata: is a list, must be a mapping",
    ),
    "document-of-null": ("--- \nnull\n---\n", "is empty; a list of no objects is 'items: []'"),
    "twice-a-key": ("items: []\nitems: []", "is not valid YAML (line 1): a key occurs twice"),
    "utf-16": ("kind: List".encode("utf-16"), "is not UTF-8 text (byte 0)"),
    "cut-off": ("items: [{metadata: {name: 'a", "is not valid YAML (line 1): found unexpected end"),
    "nul": ("items: ['\0']", "is not valid YAML: unacceptable character #x0000:"),
    "tag": (
        "items: !!python/name:os.system ''",
        "is not valid YAML (line 1): could not determine a",
    ),
    "merge-key": ("a: &a {x: 1}\nb: {<<: *a}", "has an alias (*a); write it in full"),
    "binary": ("items: !!binary 'AAAA'", "is a number, must be a list"),
    "a-million-keys": (_keys, "holds more than 400,000 values; as JSON it may"),
    "a-million-keys-of-json": (_keys_of_json, "holds more than 2,000,000 values"),
    "400-thousand-lists": (_lists, "is a list, must be a mapping"),
    "a-million-lists-of-json": (_lists_of_json, "is a list, must be a mapping"),
}
NAMES: dict[str, tuple[str, Content, str]] = {
    "class": (CLASSES, CLASS % (SHELL, "nvidia"), "object 1.metadata.name: 'nv$(touch"),
    "handler": (CLASSES, CLASS % ("nvidia", SHELL), "nvidia.handler: 'nv$(touch PWN); id' is"),
    "handler-with-a-path": (
        CLASSES,
        CLASS % ("nvidia", "../../x"),
        "nvidia.handler: '../../x' is not a",
    ),
    "class-with-an-escape": (
        CLASSES,
        CLASS % ('"a\\e[2J"', "nvidia"),
        "object 1.metadata.name: 'a\\x1b[2J' is",
    ),
    "pod": (PODS, POD % (SHELL, "default"), "object 1.metadata.name: 'nv$(touch PWN); id' is"),
    "namespace": (PODS, POD % ("a", SHELL), "a.metadata.namespace: 'nv$(touch PWN); id' is not"),
    "pod-with-a-line": (
        PODS,
        POD % ('"a\\nb"', "default"),
        "object 1.metadata.name: 'a\\nb' is not a name:",
    ),
    "pod-too-long": (PODS, POD % ("a" * 300, "default"), "object 1.metadata.name:"),
    "pod-bidi": (
        PODS,
        POD % ('"a\\u202eb"', "default"),
        "object 1.metadata.name: 'a\\u202eb' is not a name:",
    ),
    "node": (
        NODES,
        NODE.replace("gpu-1", SHELL) % 1,
        "object 1.metadata.name: 'nv$(touch PWN); id' is",
    ),
    "node-with-dots": (
        NODES,
        NODE.replace("gpu-1", "..") % 1,
        "object 1.metadata.name: '..' is not a name:",
    ),
    "node-with-a-slash": (
        NODES,
        NODE.replace("gpu-1", "a/b") % 1,
        "object 1.metadata.name: 'a/b' is not a name:",
    ),
    "label-key": (
        NODES,
        "{metadata: {name: a, labels: {'$(id)': b}}}",
        "a.metadata.labels: '$(id)' is not a name such as",
    ),
    "label-value": (
        NODES,
        "{metadata: {name: a, labels: {b: '$(id)'}}}",
        "a.metadata.labels.b: '$(id)' is not a label's",
    ),
    "resource": (
        NODES,
        "{metadata: {name: a}, status: {capacity: {'$(id)': 1}}}",
        "a.status.capacity: '$(id)' is not a name such as",
    ),
    "container": (
        PODS,
        "{metadata: {name: a}, spec: {containers: [{name: '$(id)'}]}}",
        "a.spec.containers[0].name: '$(id)' is not a name:",
    ),
    "daemonset": (
        "kubernetes/daemonsets.yaml",
        f"metadata: {{name: {SHELL}}}",
        "object 1.metadata.name: 'nv$(touch PWN);",
    ),
    "configmap": (
        "kubernetes/configmaps.yaml",
        f"metadata: {{name: {SHELL}}}",
        "object 1.metadata.name: 'nv$(touch PWN);",
    ),
    "pod-class": (
        PODS,
        f"{{metadata: {{name: a}}, spec: {{runtimeClassName: {SHELL}}}}}",
        "a.spec.runtimeClassName: 'nv$(touch PWN); id' is",
    ),
    "pod-node": (
        PODS,
        f"{{metadata: {{name: a}}, spec: {{nodeName: {SHELL}}}}}",
        "a.spec.nodeName: 'nv$(touch PWN); id' is not a",
    ),
}

INPUTS = (
    *all_refused("list", at(PODS, LISTS)),
    *all_refused("name", NAMES),
    harmless("list-items-null", {PODS: "kind: List\nitems: null"}),
)
