"""Repairs of containerd's configuration, as patches of the file in which they belong.

Every patch was tried: what containerd would make of the patched files is what was wanted, or else
there is no patch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.containerd.config_file import (
    CRI_IMAGES,
    CRI_V1,
    CRI_V2,
    CRI_V3,
    ConfigFile,
)
from pytest_gpu.stack.containerd.merge import EffectiveConfig
from pytest_gpu.stack.distributions.detect import distribution_of
from pytest_gpu.stack.injection.cgroup_wanted import systemd_for_new
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.kubelet.containerd_runtime import handler_injects
from pytest_gpu.stack.kubelet.rendering import rendering_of
from pytest_gpu.stack.repair.config_places import (
    FixPlace,
    below_cri,
    drop_ins,
    effective,
    handler_in,
    holding,
    is_rendered,
    last_section,
    places,
    source_of,
    template,
)
from pytest_gpu.stack.repair.patch import patch
from pytest_gpu.stack.repair.place_text import changed
from pytest_gpu.stack.repair.template_loss import lost_settings
from pytest_gpu.stack.repair.toml_diff import Keys, edited, handler_table
from pytest_gpu.steps import Step, Steps, Value

Changes = Mapping[Keys, Any]
Good = Callable[[EffectiveConfig], bool]


@dataclass(frozen=True, slots=True)
class Fix:
    """A repair: the file in which it belongs, and the patch of it, none where none was good."""

    file: str
    patch: Steps = ()

    @property
    def values(self) -> Mapping[str, Value]:
        """The values ``file`` and ``patch`` of a finding."""
        return {"file": self.file, "patch": self.patch}


def set_option(node: Node, handler: str, name: str, value: object) -> Fix:
    """Return the repair that set ``BinaryName`` of a handler, or ``SystemdCgroup``.

    The latter is set for all handlers of its file that run runc and are wrong: one cgroup driver
    is right for a whole node.
    """
    files = holding(node, handler)
    handlers = [handler] if name == "BinaryName" else _others(node, files, value)
    changes: dict[Keys, Any] = {}
    for each in dict.fromkeys([handler, *handlers]):
        for key in _spelled(files, each, name) or [name]:
            changes[("containerd", "runtimes", each, "options", key)] = value

    def good(config: EffectiveConfig) -> bool:
        if name == "BinaryName":
            return config.runtimes[handler].binary == value
        return all(config.runtimes[each].systemd_cgroup == value for each in handlers)

    return _first(node, files, changes, good)


def _others(node: Node, files: Sequence[ConfigFile], value: object) -> list[str]:
    """Return the handlers of a file that run runc with the other cgroup driver."""
    runtimes = containerd_of(node).config.runtimes.values()
    return [
        each.name
        for each in runtimes
        if each.systemd_cgroup != value
        and "runc" in each.runtime_type
        and any(handler_in(file, each.name) for file in files[:1])
    ]


def set_in_handler(node: Node, handler: str, name: str, value: str | tuple[str, ...]) -> Fix:
    """Return the repair that set one value in a handler's own table, such as ``runtime_type``."""
    changes: Changes = {("containerd", "runtimes", handler, name): value}
    return _first(
        node,
        holding(node, handler),
        changes,
        lambda config: getattr(config.runtimes[handler], name) == value,
    )


def set_default(node: Node, handler: str) -> Fix:
    """Return the repair that make a defined handler the default."""
    keys = ("containerd", "default_runtime_name")
    files = [file for file in containerd_of(node).config.files if below_cri(file, keys) is not None]
    return _first(
        node,
        [*files[-1:], *last_section(node)],
        {keys: handler},
        lambda config: config.default_runtime == handler,
    )


def enable_cdi(node: Node) -> Fix:
    """Return the repair that let containerd inject CDI devices."""
    keys = ("enable_cdi",)
    files = [file for file in containerd_of(node).config.files if below_cri(file, keys) is not None]
    where = [*files[-1:], *last_section(node)]
    return _first(node, where, {keys: True}, lambda config: config.cdi_enabled)


def add_handler(
    node: Node, handler: str, table: Mapping[str, Any], *, default: bool = False
) -> Fix:
    """Return the repair that define a GPU handler, and make it the default if wanted.

    From 2.x on a drop-in is best, since nobody else writes it. 1.x would take the whole CRI section
    from it, so that there the file is right that has this section now; with a first handler of its
    own runc is no longer built in.
    """
    before = containerd_of(node).config

    def good(config: EffectiveConfig) -> bool:
        kept = before.runtimes.keys() <= config.runtimes.keys()
        named = not default or config.default_runtime == handler
        return kept and named and handler_injects(config, handler) and not config.problems

    where = [*drop_ins(node), *places(node, last_section(node))]
    alone: dict[Keys, Any] = {("containerd", "runtimes", handler): table}
    if default:
        alone[("containerd", "default_runtime_name")] = handler
    fix = _tried(node, where, alone, good)
    return fix if fix.patch else _tried(node, where, {**_runc(node), **alone}, good)


def outlast(node: Node, handler: str, table: Mapping[str, Any]) -> Steps:
    """Return the patch that lets a handler outlast the next start of who renders the file."""
    changes: Changes = {("containerd", "runtimes", handler): table}
    where = [*drop_ins(node)]
    fix = _tried(node, where, changes, lambda config: handler_injects(config, handler))
    return fix.patch or restore(node, changes)


def restore(node: Node, changes: Changes) -> Steps:
    """Return the patch that changes a template, and gives it back all that it lacks."""
    lost = {each.keys: each.value for each in known(lambda: lost_settings(node)) or ()}
    for place in template(node) if not distribution_of(node).sealed else ():
        after = changed(place, changes, lost)
        if after is not None:
            path = node.evidence.resolve(place.path)
            return patch(path, place.text, after)
    return ()


def add_runc(node: Node) -> Fix:
    """Return the repair that define runc, where no handler is defined at all."""
    return _first(node, last_section(node), _runc(node), lambda config: "runc" in config.runtimes)


def _runc(node: Node) -> Changes:
    """Return runc as one of the files defines it, else as the kubelet needs it."""
    keys = ("containerd", "runtimes", "runc")
    defined = [below_cri(file, keys) for file in holding(node, "runc")]
    systemd = systemd_for_new(node)
    return {keys: next(iter(defined), handler_table(None, systemd_cgroup=systemd))}


def enable_cri(node: Node) -> Fix:
    """Return the repair that take the CRI out of every ``disabled_plugins``."""
    patches: list[Step] = []
    texts: dict[str, str] = {}
    for file in containerd_of(node).config.files:
        named = file.table.get("disabled_plugins") or []
        kept = [name for name in named if name not in {CRI_V1, CRI_V2, CRI_V3, CRI_IMAGES}]
        after = edited(file.text, {("disabled_plugins",): kept})
        if kept != named and after is not None and not is_rendered(node, file.path):
            texts[file.path] = after
            patches += patch(node.evidence.resolve(file.path), file.text, after)
    good = bool(texts) and not effective(node, texts).cri_disabled
    return Fix(next(iter(texts), _rendered_from(node)), tuple(patches) if good else ())


def _rendered_from(node: Node) -> str:
    """Return the template of containerd's file if there is one, else the file itself."""
    made, path = known(lambda: rendering_of(node)), containerd_of(node).config_path
    return path if made and made.template is None else source_of(node, path)


def _first(node: Node, files: Sequence[ConfigFile], changes: Changes, good: Good) -> Fix:
    return _tried(node, places(node, files), changes, good)


def _tried(node: Node, where: Sequence[FixPlace], changes: Changes, good: Good) -> Fix:
    """Return the first patch that brings what is wanted; without one, where to do it by hand."""
    for place in where if not distribution_of(node).sealed else ():
        after = changed(place, changes)
        if after is None or (place.merged and not _brings(node, place.path, after, good)):
            continue
        path = node.evidence.resolve(place.path)
        return Fix(path, patch(path, place.text, after))
    usual = source_of(node, containerd_of(node).config_path)
    return Fix(where[0].path if where else usual)


def _brings(node: Node, path: str, text: str, good: Good) -> bool:
    try:
        return good(effective(node, {path: text}))
    except (NotInEvidence, KeyError):
        return False


def _spelled(files: Sequence[ConfigFile], handler: str, name: str) -> list[str]:
    """Return how an option's name is spelled in the first of the files."""
    for file in files[:1]:
        options = below_cri(file, ("containerd", "runtimes", handler, "options"))
        keys = options if isinstance(options, Mapping) else ()
        return [key for key in keys if key.lower() == name.lower()]
    return []
