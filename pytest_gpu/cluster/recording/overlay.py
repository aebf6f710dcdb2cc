"""The chain of folders that a recording consists of: itself, its base, the base's base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pytest_gpu.cluster.recording.folder import Folder
from pytest_gpu.cluster.recording.manifest import FILE, Manifest, read_manifest
from pytest_gpu.cluster.recording.samples import sample_path
from pytest_gpu.errors import RecordingError

MAX_CHAIN = 3
"""Most recordings in a chain: one, its base, and that one's base."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One recording of a chain: its folder and its manifest."""

    folder: Folder
    manifest: Manifest


def read_chain(folder: Folder) -> Sequence[Part]:
    """Return a recording and everything it builds on, the lowest first.

    Raises:
        RecordingError: a part is not a recording, the chain is too long, or it is circular.
    """
    parts = [Part(folder=folder, manifest=read_manifest(folder))]
    seen = {folder.root.resolve()}
    while base := parts[-1].manifest.base:
        where = f"{parts[-1].folder.where(FILE)}: base"
        below = _base_folder(parts[-1].folder, base, where)
        if below.root.resolve() in seen:
            raise RecordingError(f"{where}: {base} is circular: it is already part of the chain")
        seen.add(below.root.resolve())
        if len(parts) == MAX_CHAIN:
            raise RecordingError(f"{where}: more than {MAX_CHAIN} recordings build on each other")
        parts.append(Part(folder=below, manifest=read_manifest(below)))
    return tuple(reversed(parts))


def _base_folder(folder: Folder, base: str, where: str) -> Folder:
    if base.startswith("sample:"):
        return sample_folder(base.removeprefix("sample:"), where)
    path = PurePosixPath(base)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        inside = "must be sample:NAME or a folder inside this recording"
        raise RecordingError(f"{where}: is {base!r}, {inside}")
    relative = str(path)
    if folder.locate(relative) is None:
        raise RecordingError(f"{where}: there is no {folder.where(relative)}")
    return Folder(root=folder.root / relative, label=folder.where(relative), trusted=folder.trusted)


def sample_folder(name: str, where: str) -> Folder:
    """Return a sample's folder, which is trusted: it ships with the package.

    Raises:
        RecordingError: there is no such sample; the message begins with ``where``.
    """
    try:
        path: Path = sample_path(name)
    except RecordingError as error:
        raise RecordingError(f"{where}: {error}") from None
    return Folder(root=path, label=f"sample:{name}", trusted=True)
