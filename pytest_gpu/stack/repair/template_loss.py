"""Settings of a rendered configuration that the next start loses, since its template lacks them.

A template that neither includes the distribution's own nor is merged over it is all that the next
start reads. What the file has now and such a template has not was rendered from something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_gpu.causes import Evidence
from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.stack.containerd.config_file import (
    CRI_IMAGES,
    CRI_V1,
    CRI_V2,
    CRI_V3,
    ConfigFile,
    cri_plugin,
)
from pytest_gpu.stack.containerd.schema import defaults
from pytest_gpu.stack.containerd.templates import Rendering, Template
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.kubelet.rendering import rendering_of, taken_alone

Keys = tuple[str, ...]
IMPORTS = "imports"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """One setting: its name for people, its line now, and its place and value in the template.

    ``instead`` is the template's own line if it sets another value.
    """

    name: str
    said: Evidence
    instead: Evidence | None = None
    keys: Keys
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    """Where a setting stands: in the CRI section, and from version 3 on in that of images.

    ``built_in`` says that containerd 2.x has it by itself.
    """

    name: str
    keys: Keys
    images: Keys = ()
    built_in: bool = False


_RUNC = ("containerd", "runtimes", "runc")
_SETTINGS = (
    _Setting(name="the handler runc", keys=_RUNC, built_in=True),
    _Setting(name="default_runtime_name", keys=("containerd", "default_runtime_name")),
    _Setting(name="enable_cdi", keys=("enable_cdi",)),
    _Setting(name="cdi_spec_dirs", keys=("cdi_spec_dirs",)),
    _Setting(name="runc's SystemdCgroup", keys=(*_RUNC, "options", "SystemdCgroup")),
    _Setting(name="snapshotter", keys=("containerd", "snapshotter"), images=("snapshotter",)),
    _Setting(name="sandbox_image", keys=("sandbox_image",), images=("pinned_images", "sandbox")),
    _Setting(name="registry", keys=("registry",), images=("registry",)),
    _Setting(name="cni.bin_dir", keys=("cni", "bin_dir")),
    _Setting(name="cni.bin_dirs", keys=("cni", "bin_dirs")),
    _Setting(name="cni.conf_dir", keys=("cni", "conf_dir")),
)


@fact
def lost_settings(node: Node) -> tuple[Lost, ...]:
    """Return what the next start loses besides handlers and the default runtime.

    Raises:
        NotInEvidence: nobody looked for templates.
    """
    made = rendering_of(node)
    template = taken_alone(node, made) if made else None
    files = containerd_of(node).config.files
    now = next((file for file in files if made and file.path == made.path), None)
    if made is None or template is None or now is None:
        return ()
    return tuple(_lost(node, made, now, template))


def _lost(node: Node, made: Rendering, now: ConfigFile, template: Template) -> Iterator[Lost]:
    coming = template.table or {}
    imported = len(containerd_of(node).config.files) > 1
    if imported and IMPORTS in now.table and IMPORTS not in coming:
        said, value = now.at((IMPORTS,)), now.table[IMPORTS]
        yield Lost(name=IMPORTS, said=said, keys=(IMPORTS,), value=value)
    told = coming.get("version", made.version)
    version = told if isinstance(told, int) else made.version
    for setting in _SETTINGS:
        place, value = _found(now.table, setting)
        next_place, then = _found(coming, setting)
        same = value == _default(node, setting) or _has(node, setting)
        if not place or (_stays(value, then) if next_place else same):
            continue
        yield Lost(
            name=_shown(setting, value),
            said=now.at(place),
            instead=template.as_file.at(next_place) if next_place else None,
            keys=next_place or _place(setting, version),
            value=value,
        )


def _has(node: Node, setting: _Setting) -> bool:
    return setting.built_in and containerd_of(node).generation.takes_over_older_sections


def _stays(value: Any, then: Any) -> bool:
    """Say whether a value of a template may be today's: what is filled in is not known."""
    return not isinstance(then, bool) or then == value


def _shown(setting: _Setting, value: Any) -> str:
    return f"{setting.name} = {str(value).lower()}" if isinstance(value, bool) else setting.name


def _found(table: Mapping[str, Any], setting: _Setting) -> tuple[Keys, Any]:
    """Return where a file has a setting and its value, no place if it has none."""
    places = [("plugins", plugin, *setting.keys) for plugin in (CRI_V3, CRI_V2, CRI_V1)]
    places += [("plugins", CRI_IMAGES, *setting.images)] if setting.images else []
    for place in places:
        value: Any = table
        for key in place:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None:
            return place, value
    return (), None


def _place(setting: _Setting, version: int) -> Keys:
    """Return where a setting belongs in a file of a version."""
    if setting.images and version >= 3:
        return ("plugins", CRI_IMAGES, *setting.images)
    return ("plugins", cri_plugin(version), *setting.keys)


def _default(node: Node, setting: _Setting) -> Any:
    """Return what containerd uses if no file sets a value: to lose that changes nothing."""
    default = defaults(containerd_of(node).generation)
    return {
        "the handler runc": None,
        "default_runtime_name": default.default_runtime,
        "enable_cdi": default.cdi,
        "cdi_spec_dirs": list(default.cdi_dirs),
        "runc's SystemdCgroup": False,
        "snapshotter": default.snapshotter,
        "sandbox_image": default.sandbox_image,
        "registry": {},
        "cni.bin_dir": default.cni_bin_dirs[0],
        "cni.bin_dirs": list(default.cni_bin_dirs),
        "cni.conf_dir": default.cni_conf_dir,
    }[setting.name]
