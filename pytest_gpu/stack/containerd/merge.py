"""containerd's configuration as its version reads and merges it.

Source: containerd ``cmd/containerd/server/config/config.go`` (1.6, 1.7, 2.x), ``plugins/cri/
runtime/plugin.go`` and ``plugins/cri/images/plugin.go`` (the migrations of 2.x). A
differential test compares with the real ``containerd config dump`` of four generations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_gpu.causes import Evidence
from pytest_gpu.stack.containerd.config_file import CRI_IMAGES, CRI_V2, CRI_V3, ConfigFile
from pytest_gpu.stack.containerd.handlers import BUILT_IN_RUNC, RUNC_OPTIONS, handler_of
from pytest_gpu.stack.containerd.load import (
    Names,
    Read,
    listed,
    load,
    name_problems,
    version_problems,
)
from pytest_gpu.stack.containerd.plugin_tables import NRI_URI, Sections, merged_version, sections
from pytest_gpu.stack.containerd.release import Generation, Version
from pytest_gpu.stack.containerd.schema import defaults
from pytest_gpu.stack.containerd.toml_lines import Path
from pytest_gpu.stack.containerd.values import Decoder, TomlValue
from pytest_gpu.stack.cri.handler import Handler

CDI_DIRS = ("/etc/cdi", "/var/run/cdi")

_IN_CONTAINERD = {"default_runtime_name", "runtimes", "snapshotter"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cni:
    """Where CNI is: ``bin_dirs`` have the programs, ``conf_dir`` their configuration."""

    bin_dirs: tuple[str, ...] = ("/opt/cni/bin",)
    conf_dir: str = "/etc/cni/net.d"


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveConfig:
    """The configuration that containerd reads from its files.

    ``imports`` are the patterns of all files as absolute paths; ``problems`` stop containerd from
    starting with these files. ``values`` are the values that files set, by their place in the CRI
    section; :meth:`origin` reads them.

    Attributes:
        path: the file that containerd is started with.
        files: every file that takes part, in the order in which they are merged.
        version: the number of the configuration's format, 1 to 3.
        runtimes: the handlers by name.
        default_runtime: the handler of pods without a RuntimeClass.
        cdi_enabled: whether CDI devices are injected.
        cdi_dirs: the directories in which CDI specs are read.
        disabled: the plugins in ``disabled_plugins``.
        required: the plugins in ``required_plugins``.
        sandbox_image: the image of the pause container, empty for the built-in one.
        snapshotter: the snapshotter of containers.
        cni: where CNI plugins and their configuration are.
        nri_enabled: whether NRI plugins may change containers.
    """

    path: str
    files: tuple[ConfigFile, ...]
    version: int
    runtimes: Mapping[str, Handler]
    default_runtime: str
    cdi_enabled: bool
    cdi_dirs: tuple[str, ...]
    disabled: tuple[str, ...]
    imports: tuple[str, ...]
    problems: tuple[Evidence, ...]
    required: tuple[str, ...] = ()
    sandbox_image: str = ""
    snapshotter: str = "overlayfs"
    cni: Cni = field(default_factory=Cni)
    nri_enabled: bool = False
    values: Mapping[Path, TomlValue] = field(default_factory=dict)

    @property
    def cri_disabled(self) -> bool:
        """Whether the files disable the CRI, by a name that this containerd recognises."""
        return not {CRI_V2, CRI_V3, CRI_IMAGES}.isdisjoint(self.disabled)

    def origin(self, *keys: str) -> Evidence:
        """Return the file and line that a value comes from.

        Args:
            keys: the value's place in the CRI section, such as ``"cni", "conf_dir"`` or
                ``"runtimes", "nvidia", "options", "BinaryName"``. ``containerd`` in front of
                ``default_runtime_name``, ``runtimes`` and ``snapshotter`` may be left out.
                Outside the CRI section: ``"version"``, ``"disabled_plugins", NAME``,
                ``"required_plugins", NAME``, ``"nri", "disable"``.

        Returns:
            the line, or for a value that no file sets, evidence that it is built in.
        """
        path = ("containerd", *keys) if keys and keys[0] in _IN_CONTAINERD else keys
        told = self.values.get(path)
        if told:
            return told.evidence
        return Evidence(source="containerd", text=f"built-in default: {'.'.join(keys)}")


def merge(read: Read, names: Names, path: str, version: Version) -> EffectiveConfig:
    """Return the effective configuration of containerd ``version`` started with ``path``.

    ``read`` and ``names`` are the look-ups of :class:`~pytest_gpu.evidence.NodeEvidence`.
    """
    generation = Generation(version)
    loaded = load(read, names, path, generation)
    number = merged_version(loaded.roots, generation)
    problems = loaded.problems + version_problems(loaded.roots, number, generation)
    problems += name_problems(loaded.roots, number, modern=generation.takes_over_older_sections)
    found = sections(loaded.roots, number, generation)
    values = {**_flat(found), **_told_options(found), **_outside(loaded.roots, found)}
    get = _Values(values)
    default = defaults(generation)
    name, runtimes = _runtimes(get, found, generation)
    return EffectiveConfig(
        path=path,
        files=tuple(loaded.files),
        version=number,
        runtimes=runtimes,
        default_runtime=name,
        cdi_enabled=get("enable_cdi", default=default.cdi),
        cdi_dirs=tuple(get("cdi_spec_dirs", default=default.cdi_dirs)),
        disabled=found.disabled,
        imports=tuple(loaded.patterns),
        problems=tuple(problems + ([] if _off(found) else found.wrong)),
        required=tuple(name for root in loaded.roots for name, _ in listed(root, _REQUIRED)),
        sandbox_image=get("sandbox_image", default=default.sandbox_image),
        snapshotter=get("containerd", "snapshotter", default=default.snapshotter),
        cni=_cni(get, generation),
        nri_enabled=_nri(get, found.disabled, default=default.nri),
        values=values,
    )


_REQUIRED = "required_plugins"


def _off(found: Sections) -> bool:
    """Say whether the CRI's section is not decoded: 1.x does not load a disabled plugin."""
    return not found.modern and CRI_V2 in found.disabled


@dataclass(frozen=True, slots=True)
class _Values:
    known: Mapping[Path, TomlValue]

    def __call__(self, *path: str, default: Any) -> Any:
        """Return the value that a file sets, else the default."""
        told = self.known.get(path)
        return default if told is None else told.value


def _flat(found: Sections) -> dict[Path, TomlValue]:
    """Return every value and table of the CRI section by its place."""
    values: dict[Path, TomlValue] = {}
    pending: list[tuple[Path, TomlValue]] = [((), found.cri)] if found.cri else []
    while pending:
        path, told = pending.pop()
        for key, each in told.value.items():
            values[(*path, key)] = each
            if each.is_table:
                pending.append(((*path, key), each))
    return values


def _outside(roots: Sequence[TomlValue], found: Sections) -> dict[Path, TomlValue]:
    """Return the values outside the CRI section."""
    values: dict[Path, TomlValue] = {}
    for root in roots:
        if version := root.get("version"):
            values["version",] = version
        for key in ("disabled_plugins", _REQUIRED):
            values |= {(key, name): told for name, told in reversed(listed(root, key))}
    if told := found.nri and found.nri.get("disable"):
        values["nri", "disable"] = told
    return values


def _nri(get: _Values, disabled: Sequence[str], *, default: bool) -> bool:
    return NRI_URI not in disabled and not get("nri", "disable", default=not default)


def _cni(get: _Values, generation: Generation) -> Cni:
    """Return the CNI's folders; 2.1 reads a list, but the old single folder overrides it."""
    default = defaults(generation)
    conf_dir = get("cni", "conf_dir", default=default.cni_conf_dir)
    several = generation.several_cni_folders
    one = get("cni", "bin_dir", default="" if several else default.cni_bin_dirs[0])
    many = get("cni", "bin_dirs", default=default.cni_bin_dirs) if several else ()
    return Cni(bin_dirs=(one,) if one else tuple(many), conf_dir=conf_dir)


def _runtimes(
    get: _Values, found: Sections, generation: Generation
) -> tuple[str, Mapping[str, Handler]]:
    """Return the default and all handlers; runc is built in, unless 1.x reads a table of runtimes.

    1.x still reads the handlers ``default`` and ``untrusted`` from tables of their own, and uses
    that ``default`` as the default one (``ValidatePluginConfig``).
    """
    name = get("containerd", "default_runtime_name", default=defaults(generation).default_runtime)
    if "default" in _old_tables(found):
        name = "default"
    runtimes = {
        handler: handler_of(handler, entry, modern=found.modern)
        for handler, entry in _handlers(found).items()
    }
    if found.modern or ("containerd", "runtimes") not in get.known:
        runtimes.setdefault("runc", BUILT_IN_RUNC)
    return name, runtimes


_OLD_TABLES = {"untrusted_workload_runtime": "untrusted", "default_runtime": "default"}


def _handlers(found: Sections) -> Mapping[str, TomlValue]:
    """Return the table of every handler by its name."""
    runtimes = found.cri.get("containerd", "runtimes") if found.cri else None
    return {**(runtimes.value if runtimes else {}), **_old_tables(found)}


def _old_tables(found: Sections) -> Mapping[str, TomlValue]:
    """Return the handlers that have tables of their own, which only 1.x reads."""
    if found.modern or found.cri is None:
        return {}
    tables = {name: found.cri.get("containerd", old) for old, name in _OLD_TABLES.items()}
    return {n: t for n, t in tables.items() if t and (kind := t.get("runtime_type")) and kind.value}


def _told_options(found: Sections) -> dict[Path, TomlValue]:
    """Return every handler's runc options by their proper names, however the file spells them."""
    decoder = Decoder(modern=found.modern)
    return {
        ("containerd", "runtimes", handler, "options", name): told
        for handler, entry in _handlers(found).items()
        for name in RUNC_OPTIONS
        if (told := decoder.pick(entry.get("options"), name))
    }
