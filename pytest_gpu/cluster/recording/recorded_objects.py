"""Kubernetes objects of a chain of recordings: read, renamed, removed and overlaid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_gpu.cluster.recording import kube_names, kube_shapes, shapes, yaml_io
from pytest_gpu.cluster.recording.kinds import RUNTIME_HANDLERS
from pytest_gpu.cluster.recording.overlay import Part
from pytest_gpu.cluster.recording.renaming import with_new_names
from pytest_gpu.errors import NotInEvidence, RecordingError
from pytest_gpu.evidence import KubeObject


def merged(resource: str, chain: Sequence[Part]) -> tuple[KubeObject, ...]:
    """Return the objects of a resource, by its plural name, with every overlay applied.

    Raises:
        NotInEvidence: no recording of the chain has such a file, or the highest removes it.
        RecordingError: something in a file is wrong.
    """
    relative = f"kubernetes/{resource}.yaml"
    found: dict[str, KubeObject] | None = None
    for part in chain:
        if found and part.manifest.renamed:
            found = _renamed(resource, found, part)
        if found and resource == "nodes":
            found = {name: _without_handlers(each, part) for name, each in found.items()}
        if relative in part.manifest.removed:
            found = None
        for name in part.manifest.removed_below(f"kubernetes/{resource}/"):
            (found or {}).pop(name, None)
        data = part.folder.read(relative)
        if data is not None:
            found = (found or {}) | _by_name(resource, data, part.folder.where(relative))
    if found is None:
        raise NotInEvidence("the cluster", f"the list of {resource}")
    return tuple(found.values())


def _by_name(resource: str, data: bytes, where: str) -> dict[str, KubeObject]:
    """Return the objects of a file by ``namespace/name``, or by ``name`` without a namespace."""
    found: dict[str, KubeObject] = {}
    documents = yaml_io.load_all(data, where)
    if not documents:
        raise RecordingError(f"{where}: is empty; a list of no objects is 'items: []'")
    for document in documents:
        for item in _items(shapes.mapping(document, where), where):
            at = f"{where}: object {len(found) + 1}: metadata"
            metadata = shapes.mapping(item.get("metadata"), at)
            name = shapes.text(metadata.get("name"), f"{at}.name")
            shown = name if kube_names.is_subdomain(name) else f"object {len(found) + 1}"
            kube_shapes.check(resource, item, f"{where}: {shown}")
            found[_key(item)] = item
    return found


def _renamed(resource: str, below: Mapping[str, KubeObject], part: Part) -> dict[str, KubeObject]:
    """Return the base's objects with the new names that an overlay gives to its nodes."""
    found = (with_new_names(resource, each, [part.manifest.renamed]) for each in below.values())
    return {_key(each): each for each in found}


def _without_handlers(node: KubeObject, part: Part) -> KubeObject:
    """Return a Node of the base, without the handlers it reports if an overlay removes them."""
    if not part.manifest.removes_kind(str(node["metadata"]["name"]), RUNTIME_HANDLERS):
        return node
    status = node.get("status") or {}
    kept = {key: value for key, value in status.items() if key != "runtimeHandlers"}
    return {**node, "status": kept}


def _key(item: KubeObject) -> str:
    metadata = item["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


def _items(document: KubeObject, where: str) -> list[Any]:
    kind = str(document.get("kind", ""))
    if "items" not in document:
        return [document]
    items = [shapes.mapping(each, where) for each in shapes.items(document["items"], where)]
    # The API's own lists, such as a PodList, leave out what all their items have in common.
    if kind in ("List", ""):
        return items
    shared = {"apiVersion": document.get("apiVersion", ""), "kind": kind.removesuffix("List")}
    return [{**shared, **each} for each in items]
