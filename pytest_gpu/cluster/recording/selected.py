"""The nodes under test that a recording names, seen through its overlays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_gpu.cluster.recording.manifest import Manifest
from pytest_gpu.cluster.recording.renaming import name_above


def selected_nodes(chain: Sequence[Manifest]) -> tuple[str, ...] | None:
    """Return the list of the topmost recording that has one, ``None`` if none has.

    What lies above it renames nodes or removes them.
    """
    found: tuple[str, ...] | None = None
    for manifest in chain:
        if manifest.selected is not None:
            found = manifest.selected
        elif found is not None:
            found = tuple(_kept(found, manifest))
    return found


def _kept(names: Sequence[str], above: Manifest) -> Iterator[str]:
    """Yield the names that nodes of a base have above it, without those that are removed."""
    for name in names:
        new = name_above(name, [above.renamed])
        if not {f"nodes/{new}", f"kubernetes/nodes/{new}"} & above.removed:
            yield new
