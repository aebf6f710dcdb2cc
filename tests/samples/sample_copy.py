"""A flat copy of a sample that a test may change: break it, or move what decides."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pytest_gpu.cluster.recording.copying import record
from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.cluster.recording.samples import sample_path
from tests.support import yaml_text

Renames = Sequence[tuple[str, str]]


class SampleCopy:
    """A recording without its base chain, in a folder of the test's own.

    ``source`` is a sample's name, or the folder of another recording.
    """

    def __init__(self, source: str | Path, folder: Path) -> None:
        self.folder = folder / "copy"
        path = source if isinstance(source, Path) else sample_path(source)
        with open_recording(path, str(source)) as cluster:
            record(cluster, self.folder)

    @property
    def spec(self) -> str:
        """What ``--gpu-cluster`` takes."""
        return f"path:{self.folder}"

    @property
    def node(self) -> Path:
        """The folder of the only GPU node."""
        (node,) = (self.folder / "nodes").iterdir()
        return node

    def edit(self, path: Path, change: Callable[[str], str]) -> None:
        """Change a file's text; a change that changes nothing is a mistake of the test."""
        before = path.read_text()
        after = change(before)
        assert before != after, f"nothing to change in {path}"
        path.write_text(after)

    def edit_yaml(self, path: Path, change: Callable[[Any], None]) -> None:
        """Change a YAML document in place."""

        def changed(text: str) -> str:
            content = yaml_text.load(text)
            change(content)
            return yaml_text.dump(content, sort_keys=False)

        self.edit(path, changed)

    def edit_json(self, path: Path, change: Callable[[Any], None]) -> None:
        """Change a JSON document in place."""

        def changed(text: str) -> str:
            content = json.loads(text)
            change(content)
            return json.dumps(content)

        self.edit(path, changed)

    def rename(self, renames: Renames) -> None:
        """Replace names everywhere: in every file's text and in every path."""
        moved = self.folder.with_name("moved")
        for file in sorted(self.folder.rglob("*")):
            if file.is_file():
                target = moved / renamed(str(file.relative_to(self.folder)), renames)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(_renamed_bytes(file.read_bytes(), renames))
        shutil.rmtree(self.folder)
        self.folder = moved

    def reverse(self) -> None:
        """Turn round every order that carries no meaning: of objects, commands, and processes."""
        for file in (self.folder / "kubernetes").iterdir():
            content = yaml_text.load(file.read_text())
            content["items"].reverse()
            file.write_text(yaml_text.dump(content, sort_keys=False))
        commands = self.node / "commands.yaml"
        commands.write_text(yaml_text.dump(yaml_text.load(commands.read_text())[::-1]))


def renamed(text: str, renames: Renames) -> str:
    """Replace every name by its new one, in order."""
    for old, new in renames:
        text = text.replace(old, new)
    return text


def _renamed_bytes(content: bytes, renames: Renames) -> bytes:
    for old, new in renames:
        content = content.replace(old.encode(), new.encode())
    return content
