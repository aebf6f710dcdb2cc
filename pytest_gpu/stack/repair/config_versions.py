"""Repairs of configurations that containerd refuses, or whose files are of different versions.

Sources: containerd ``docs/cri/config.md`` and ``plugins/cri/runtime/plugin.go``: version 3 keeps
the runtimes under another name than version 2, and the images' settings apart from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.containerd.config_file import CRI_V1, ConfigFile, cri_plugin, subtable
from pytest_gpu.stack.containerd.merge import EffectiveConfig
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.repair.config_places import effective, is_rendered
from pytest_gpu.stack.repair.patch import patch
from pytest_gpu.stack.repair.toml_diff import edited
from pytest_gpu.steps import Steps

_SAME_IN_3 = {"containerd", "cni", "enable_cdi", "cdi_spec_dirs", "enable_selinux"}
_SAME_BELOW = {"runtimes", "default_runtime_name"}
_CONVERTED = ((2, 3), (3, 2))


def one_version(node: Node) -> Steps:
    """Return the patches that bring all files to one version, none where sections would change."""
    config = containerd_of(node).config
    others = {file.version for file in config.files} - {config.version}
    for version in (config.version, *sorted(others)):
        files = [file for file in config.files if file.version != version]
        texts = {file.path: to_version(file, version) for file in files}
        if fix := _tried(node, texts):
            return fix
    return ()


def readable(node: Node) -> Steps:
    """Return the patches after which containerd starts, none where nobody can tell them."""
    for texts in (_without_gone(node), _without_bad_names(node), _older(node)):
        if fix := _tried(node, texts):
            return fix
    return ()


def to_version(file: ConfigFile, version: int) -> str | None:
    """Return a file's text in another version, ``None`` where more than names would change."""
    if (file.version, version) not in _CONVERTED:
        return None
    old, new = cri_plugin(file.version), cri_plugin(version)
    plugins = subtable(file.table, "plugins")
    section = subtable(plugins, old)
    if new in plugins or not set(section) <= _SAME_IN_3:
        return None
    if not set(subtable(section, "containerd")) <= _SAME_BELOW:
        return None
    renamed = re.sub(rf"([\"']){re.escape(old)}\1", rf"\g<1>{new}\g<1>", file.text)
    return edited(renamed, {("version",): version})


def _without_gone(node: Node) -> Mapping[str, str | None]:
    """Return the files that import what is not there, without these imports."""
    gone = {
        each.source for each in containerd_of(node).config.problems if "no such file" in each.text
    }
    return _without(node, "imports", gone)


def _without_bad_names(node: Node) -> Mapping[str, str | None]:
    """Return the files that disable the CRI by its first name, which later versions refuse."""
    return _without(node, "disabled_plugins", {CRI_V1})


def _without(node: Node, key: str, unwanted: set[str]) -> Mapping[str, str | None]:
    """Return the files whose list holds something unwanted, without it."""
    found: dict[str, str | None] = {}
    for file in containerd_of(node).config.files:
        listed = file.table.get(key) or []
        kept = [each for each in listed if each not in unwanted]
        if kept != listed:
            found[file.path] = edited(file.text, {(key,): kept})
    return found


def _older(node: Node) -> Mapping[str, str | None]:
    """Return the files of a version that is too new for this containerd, as version 2."""
    return {path: to_version(file, 2) for path, file in _too_new(node)}


def _too_new(node: Node) -> Iterator[tuple[str, ConfigFile]]:
    for file in containerd_of(node).config.files:
        if file.version > 2 and not containerd_of(node).generation.reads_config_3:
            yield file.path, file


def _tried(node: Node, texts: Mapping[str, str | None]) -> Steps:
    """Return patches of the files if containerd makes of them no less than before, and starts."""
    known = {path: text for path, text in texts.items() if text is not None}
    if not known or len(known) < len(texts) or any(is_rendered(node, path) for path in known):
        return ()
    before = {file.path: file.text for file in containerd_of(node).config.files}
    try:
        after = effective(node, known)
    except NotInEvidence:
        return ()
    if after.problems or not _no_less(containerd_of(node).config, after):
        return ()
    resolve = node.evidence.resolve
    return tuple(
        step for path, text in known.items() for step in patch(resolve(path), before[path], text)
    )


def _no_less(before: EffectiveConfig, after: EffectiveConfig) -> bool:
    kept = all(
        name in after.runtimes and after.runtimes[name].binary == each.binary
        for name, each in before.runtimes.items()
    )
    return kept and after.default_runtime in after.runtimes
