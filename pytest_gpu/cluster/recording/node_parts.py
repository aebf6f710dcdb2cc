"""The files of one node in every recording of a chain, the lowest first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_gpu.cluster.recording.kinds import COMMANDS_OF_KIND
from pytest_gpu.cluster.recording.listing import Listing, parse_listing
from pytest_gpu.cluster.recording.node_files import NodeHead, parse_elf, parse_head
from pytest_gpu.cluster.recording.overlay import Part
from pytest_gpu.cluster.recording.renaming import is_renamed_away, name_above
from pytest_gpu.cluster.recording.view import Recorded, View


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePart:
    """One node in one recording of a chain.

    ``node`` is its name in this recording; ``above`` are the renamings (new names to old ones) of
    the recordings above this one, the nearest first.
    """

    node: str
    part: Part
    above: Sequence[Mapping[str, str]] = ()

    @property
    def exists(self) -> bool:
        """Whether this recording has any evidence of the node."""
        return self.part.folder.locate(f"nodes/{self.node}") is not None

    @property
    def removed_paths(self) -> tuple[str, ...]:
        """The node's paths that this recording removes from those below it."""
        found = self.part.manifest.removed_below(f"nodes/{self.node}/files/")
        return tuple(f"/{path}" for path in found)

    def removes_command(self, argv: Sequence[str]) -> bool:
        """Return whether this recording removes a command from those below, singly or by kind."""
        manifest = self.part.manifest
        kinds = (kind for kind, is_one in COMMANDS_OF_KIND.items() if is_one(argv))
        alone = f"nodes/{self.node}/commands/{' '.join(argv)}" in manifest.removed
        return alone or any(manifest.removes_kind(self.node, kind) for kind in kinds)

    def removes(self, name: str) -> bool:
        """Return whether this recording removes one file of the node from those below it."""
        return self.part.manifest.removes_file(self.node, name)

    def where(self, name: str) -> str:
        """Return the name of one file of the node for messages."""
        return self.part.folder.where(f"nodes/{self.node}/{name}")

    def data(self, name: str) -> bytes | None:
        """Return one file of the node, ``None`` if this recording has none."""
        return self.part.folder.read(f"nodes/{self.node}/{name}")

    def recorded(self) -> Recorded:
        """Return what this recording says about the node's paths."""
        listing, elves = self.data("listing.yaml"), self.data("elf.yaml")
        files, folders = {}, []
        root = f"nodes/{self.node}/files"
        for path, is_folder in self.part.folder.walk(root):
            if is_folder:
                folders.append(path)
            else:
                files[path] = f"{self.part.folder.root}/{root}{path}"
        return Recorded(
            listing=parse_listing(listing, self.where("listing.yaml")) if listing else Listing(),
            files=files,
            directories=tuple(folders),
            elves=parse_elf(elves, self.where("elf.yaml")) if elves else (),
        )

    def lay_over(self, view: View) -> None:
        """Apply to ``view`` what this recording removes and records of the node."""
        view.remove(*self.removed_paths)
        if self.removes("elf.yaml"):
            view.elves.clear()
        view.overlay(self.recorded())

    @property
    def touches_paths(self) -> bool:
        """Whether this recording says anything about the node's paths."""
        folder, node = self.part.folder, f"nodes/{self.node}"
        names = ("files", "listing.yaml", "elf.yaml")
        says = any(folder.locate(f"{node}/{name}") is not None for name in names)
        return says or bool(self.removed_paths) or self.removes("elf.yaml")


def node_parts(node: str, chain: Sequence[Part]) -> tuple[NodePart, ...]:
    """Return a node's parts; a recording that removes the node hides all below it."""
    found: list[NodePart] = []
    above: tuple[Mapping[str, str], ...] = ()
    for part in reversed(chain):
        found.append(NodePart(node=node, part=part, above=above))
        renamed = part.manifest.renamed
        if f"nodes/{node}" in part.manifest.removed or is_renamed_away(node, renamed):
            break
        node = renamed.get(node, node)
        above = (renamed, *above) if renamed else above
    return tuple(reversed(found))


def head_of(parts: Sequence[NodePart]) -> NodeHead:
    """Return the merged ``node.yaml`` files: for each key the highest file that has it wins."""
    found = NodeHead()
    for part in parts:
        if data := part.data("node.yaml"):
            head = parse_head(data, part.where("node.yaml"))
            found = NodeHead(
                like=(head.like and name_above(head.like, part.above)) or found.like,
                door=head.door or found.door,
                reason=head.reason or found.reason,
            )
    return found


def highest(parts: Sequence[NodePart], name: str) -> NodePart | None:
    """Return the part whose file of this name is used, ``None`` if it is removed or missing."""
    return next((part for part in _downwards(parts, name) if part.data(name) is not None), None)


def is_removed(parts: Sequence[NodePart], name: str) -> bool:
    """Return whether any part removes a file of this name."""
    return any(part.removes(name) for part in parts)


def _downwards(parts: Sequence[NodePart], name: str) -> Iterator[NodePart]:
    """Yield the parts from the highest down to one that removes the file."""
    for part in reversed(parts):
        yield part
        if part.removes(name):
            return
