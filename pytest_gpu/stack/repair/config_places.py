"""Where a repair of containerd's configuration belongs: the file itself, a drop-in, a template.

Never a rendered file, which is made anew at every start. There it is a
drop-in that containerd's imports match, else the template.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.containerd import templates
from pytest_gpu.stack.containerd.config_file import (
    CRI_V1,
    CRI_V2,
    CRI_V3,
    ConfigFile,
    cri_plugin,
    subtable,
)
from pytest_gpu.stack.containerd.merge import EffectiveConfig, merge
from pytest_gpu.stack.distributions.detect import distribution_of
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.kubelet.rendering import rendering_of
from pytest_gpu.stack.repair.template_loss import IMPORTS, lost_settings
from pytest_gpu.stack.repair.toml_diff import Keys

DROP_IN = "99-nvidia.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class FixPlace:
    """A file that a change may be written into.

    ``text`` is ``None`` where it is still to be made, ``begins`` what it then begins with.
    ``merged`` says whether containerd reads the file itself; what a template renders is not known
    before the next start.
    """

    path: str
    text: str | None
    version: int
    merged: bool = True
    begins: str = ""


def is_rendered(node: Node, path: str) -> bool:
    """Say whether a file is made anew at every start: by a distribution, or from its settings."""
    resolve = node.evidence.resolve
    root = containerd_of(node).config_path
    made = distribution_of(node).sealed or templates.is_rendered(root)
    return made and resolve(path) == resolve(root)


def source_of(node: Node, path: str) -> str:
    """Return what an admin edits in order to change a file: its template, if it has one."""
    if distribution_of(node).sealed:
        return f"the settings from which {distribution_of(node).name} generates {path}"
    made = known(lambda: rendering_of(node))
    return made.wanted if made and is_rendered(node, path) else path


def effective(node: Node, texts: Mapping[str, str]) -> EffectiveConfig:
    """Return what containerd would make of its files if some said something else."""
    evidence, containerd = node.evidence, containerd_of(node)
    changed = {evidence.resolve(path): text.encode() for path, text in texts.items()}

    def read(path: str) -> bytes | None:
        here = evidence.resolve(path)
        return changed[here] if here in changed else evidence.read(path)

    def names(folder: str) -> Sequence[str] | None:
        here = evidence.resolve(folder)
        new = {posixpath.basename(p) for p in changed if posixpath.dirname(p) == here}
        known = evidence.names(folder)
        return sorted({*(known or ()), *new}) if known or new else known

    return merge(read, names, containerd.config_path, containerd.version)


def places(node: Node, files: Sequence[ConfigFile]) -> list[FixPlace]:
    """Return where to write instead of, or into, files: never into a rendered one."""
    found: list[FixPlace] = []
    for file in files:
        if is_rendered(node, file.path):
            found += [*drop_ins(node), *template(node)]
        else:
            found.append(FixPlace(path=file.path, text=file.text, version=_section(node, file)))
    return found


def _section(node: Node, file: ConfigFile) -> int:
    """Return the version by whose name a file's CRI section counts: 1.x knows only the merged."""
    plugins = subtable(file.table, "plugins")
    for version in (3, 2, 1):
        if cri_plugin(version) in plugins and cri_plugin(version) in _counting(node):
            return version
    containerd = containerd_of(node)
    own_names = containerd.generation.takes_over_older_sections
    return file.version if own_names else containerd.config.version


def _counting(node: Node) -> set[str]:
    config = containerd_of(node).config
    if not containerd_of(node).generation.takes_over_older_sections:
        return {cri_plugin(config.version)}
    return {CRI_V1, CRI_V2, CRI_V3}


def drop_ins(node: Node) -> Iterator[FixPlace]:
    """Yield the toolkit's usual drop-in in every folder that the imports look into.

    None where a file that is imported would replace the CRI section of all others, nor where the
    next start renders a file without imports.
    """
    lost = known(lambda: lost_settings(node)) or ()
    if not containerd_of(node).generation.merges_sections or any(e.name == IMPORTS for e in lost):
        return
    config = containerd_of(node).config
    for pattern in config.imports:
        folder, name = posixpath.split(pattern)
        if "*" in name and "*" not in folder and fnmatchcase(DROP_IN, name):
            path = posixpath.join(folder, DROP_IN)
            file = next((each for each in config.files if each.path == path), None)
            version = file.version if file else config.version
            yield FixPlace(path=path, text=file.text if file else None, version=version)


def template(node: Node) -> Iterator[FixPlace]:
    """Yield the template of the rendered file, also a new one that takes over the built-in one."""
    made = known(lambda: rendering_of(node))
    if made is None:
        return
    used = made.template
    if used is not None or made.rule.base:
        path, text = (used.path, used.text) if used else (made.wanted, None)
        begins = made.rule.base
        yield FixPlace(path=path, text=text, version=made.version, merged=False, begins=begins)


def holding(node: Node, handler: str) -> list[ConfigFile]:
    """Return the files that define a handler, that which is read last first."""
    files = containerd_of(node).config.files
    return [
        f for f in reversed(files) if below_cri(f, ("containerd", "runtimes", handler)) is not None
    ]


def last_section(node: Node) -> list[ConfigFile]:
    """Return the file read last that has a CRI section, else the root file."""
    files = containerd_of(node).config.files
    found = [file for file in files if below_cri(file, ()) is not None]
    return [*(found or files)[-1:]]


def handler_in(file: ConfigFile, handler: str) -> Mapping[str, Any]:
    """Return a handler's table in one file, an empty one where it has none."""
    return below_cri(file, ("containerd", "runtimes", handler)) or {}


def below_cri(file: ConfigFile, keys: Keys) -> Any:
    """Return a value below a file's CRI section, under whichever name, ``None`` if none."""
    for plugin in (CRI_V3, CRI_V2, CRI_V1):
        value: Any = subtable(file.table, "plugins").get(plugin)
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None:
            return value
    return None
