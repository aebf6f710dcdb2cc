"""Files of the format that have another shape, and links, pipes and archives in their place."""

from __future__ import annotations

from tests.cluster.recording.test_hostile import BOMBS, MANIFESTS, OBJECTS, SHAPES
from tests.hostile.inputs import Input
from tests.hostile.recordings.overlays import refused

BASE = "base: sample:healthy-kubeadm\n"


def _manifest(number: int, text: str | bytes, says: str) -> Input:
    return refused(f"manifest-{number}", {"recording.yaml": text}, says)


def _shape(number: int, name: str, content: str, says: str) -> Input:
    where = name.replace("nodes/n/", "N/")
    return refused(
        f"shape-{number}-{name.rpartition('/')[2]}",
        {where: content},
        says.replace("nodes/n/", "nodes/gpu-1/"),
    )


def _object(number: int, plural: str, content: str, says: str) -> Input:
    files = {f"kubernetes/{plural}.yaml": content}
    return refused(f"object-{number}-{plural}", files, f"kubernetes/{plural}.yaml: {says}")


def _bombs() -> list[Input]:
    places = ("recording.yaml", "kubernetes/pods.yaml", "N/listing.yaml")
    return [
        refused(f"bomb-{number}-{place.rpartition('/')[2]}", {place: content}, says)
        for number, (content, says) in enumerate(BOMBS)
        for place in places
    ]


INPUTS = (
    *(_manifest(number, *each) for number, each in enumerate(MANIFESTS)),
    *(_shape(number, *each) for number, each in enumerate(SHAPES)),
    *(_object(number, *each) for number, each in enumerate(OBJECTS)),
    *_bombs(),
)
