"""Write a recording from a recorded cluster: overlays are flattened, shared files kept once."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pytest_gpu import private_files
from pytest_gpu.asked import Asked
from pytest_gpu.cluster.recording import node_files
from pytest_gpu.cluster.recording.listing import directories_above
from pytest_gpu.cluster.recording.recorded import RecordedCluster, open_recording
from pytest_gpu.cluster.recording.recorded_node import RecordedNode
from pytest_gpu.cluster.recording.recorder import NodeRecorder, Recorder, publish, refuse_used
from pytest_gpu.evidence import Entry

_WHOLES = ("nvml.json", *(f"outcomes/{kind}.yaml" for kind in node_files.OUTCOMES))


def record(
    cluster: RecordedCluster | Path,
    to: Path,
    asked: Asked = None,
    selected: Sequence[str] | None = None,
) -> None:
    """Write a recorded cluster as one flat, redacted recording that needs no base.

    Args:
        cluster: an open recording, or the path of one.
        to: a folder, or a path that ends in ``.tar.gz``; it must not exist or be empty.
        asked: the questions that were asked; those that the recording itself lists if not given.
        selected: the nodes under test that the user chose; as for ``asked`` if not given.

    Raises:
        RecordingError: ``to`` is in use, or the recording cannot be read.
    """
    refuse_used(to)
    if isinstance(cluster, Path):
        with open_recording(cluster, str(cluster)) as opened:
            record(opened, to, asked, selected)
        return
    private_files.make_folder(to.parent)
    # Next to its place, so that a half-written recording is never there.
    private = Path(tempfile.mkdtemp(prefix=".pytest-gpu-", dir=to.parent))
    try:
        recorder = Recorder(
            private / "recording",
            taken=cluster.taken,
            suite=cluster.suite,
            note=cluster.note,
            asked=cluster.asked if asked is None else asked,
            selected=cluster.selected if selected is None else selected,
        )
        _write_flat(cluster, recorder)
        publish(private, to, cluster.taken.timestamp())
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _write_flat(cluster: RecordedCluster, recorder: Recorder) -> None:
    for resource in cluster.resources():
        if resource != "secrets":
            recorder.add_objects(resource, cluster.objects(resource))
    for name in cluster.node_names():
        node = cluster.node(name)
        writer = recorder.node(name)
        shares = _write_sharing(node, writer)
        _write_answers(node, writer, shares)
        writer.close()


def _write_sharing(node: RecordedNode, writer: NodeRecorder) -> bool:
    """Write door and paths; return whether the node shares all paths with the one it is like."""
    like = node.like
    shares = like is not None and _adds_at_most(node, like)
    writer.add_door(node.door, like=like.name if like and shares else None)
    if not shares:
        write_paths(node, writer)
        for result in node.commands:
            writer.add_command(result)
    return shares


def _adds_at_most(node: RecordedNode, like: RecordedNode) -> bool:
    """Return whether a node has all that the other one has, and the same paths and commands."""
    same = like.view is node.view and like.commands == node.commands
    return same and all(node.whole(name) or not like.whole(name) for name in _WHOLES)


def write_paths(node: RecordedNode, writer: NodeRecorder) -> None:
    """Write everything that is known about a node's paths."""
    view = node.view
    for path in sorted(view.files):
        writer.add_file(path, node.read(path) or b"")
    for path in sorted(view.entries):
        writer.add_entry(view.entries[path])
    implied = directories_above(view.files, view.entries)
    for path in sorted(view.directories - view.complete - implied):
        if path not in view.entries:  # a folder without content does not survive git and wheels
            writer.add_entry(Entry(path=path, kind="directory"))
    for path in sorted(view.complete):
        writer.add_complete(path)
    for path in sorted(view.absent):
        writer.add_absent(path)
    for path in sorted(view.elves):
        writer.add_elf(view.elves[path])


def _write_answers(node: RecordedNode, writer: NodeRecorder, shares: bool) -> None:
    like = node.like if shares else None
    for name in _WHOLES:
        found = node.whole(name)
        if found is None or (like and like.whole(name) is found):
            continue
        if name == "nvml.json":
            writer.add_nvml(found)
        else:
            writer.add_outcome(Path(name).stem, found)
