"""containerd's configuration as that containerd version reads and merges it.

Source: containerd ``cmd/containerd/server/config/config.go`` (1.6, 1.7, 2.x). The differential
test runs the real ``containerd config dump`` of three generations and decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_gpu.causes import Evidence
from pytest_gpu.node.config_file import (
    CRI_V1,
    CRI_V2,
    CRI_V3,
    ConfigFile,
    Table,
    handler_line,
    subtable,
)
from pytest_gpu.node.config_load import Names, Read, load, name_problems, version_problems

CDI_DIRS = ("/etc/cdi", "/var/run/cdi")


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """One handler of the merged table; ``source`` is the line that defines it.

    ``binary`` is ``options.BinaryName``, ``None`` where the runtime's own default (runc) counts.
    """

    name: str
    runtime_type: str
    binary: str | None
    systemd_cgroup: bool
    source: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveConfig:
    """What containerd makes of its files.

    ``imports`` are the patterns of all files, made absolute; ``problems`` are what keeps
    containerd from starting with these files.
    """

    path: str
    files: tuple[ConfigFile, ...]
    version: int
    runtimes: Mapping[str, Runtime]
    default_runtime: str
    cdi_enabled: bool
    cdi_dirs: tuple[str, ...]
    disabled: tuple[str, ...]
    imports: tuple[str, ...]
    problems: tuple[Evidence, ...]

    @property
    def cri_disabled(self) -> bool:
        """Whether the files switch the CRI off, by any of its names."""
        return not {CRI_V1, CRI_V2, CRI_V3}.isdisjoint(self.disabled)


def merge(read: Read, names: Names, path: str, version: tuple[int, ...]) -> EffectiveConfig:
    """Return the effective configuration of containerd ``version`` started with ``path``.

    ``read`` and ``names`` are the look-ups of :class:`~pytest_gpu.evidence.NodeEvidence`.
    """
    modern = version[0] >= 2
    files, patterns, problems = load(read, names, path, version)
    merged_version = _merged_version(files, modern=modern)
    problems += version_problems(files, merged_version, version)
    problems += name_problems(files, merged_version, modern=modern)
    table, sources = _cri_table(files, merged_version, modern=modern)
    section = subtable(table, "containerd")
    return EffectiveConfig(
        path=path,
        files=tuple(files),
        version=merged_version,
        runtimes=_runtimes(section, sources, modern=modern),
        default_runtime=str(section.get("default_runtime_name", "runc")),
        cdi_enabled=bool(table.get("enable_cdi", modern)),
        cdi_dirs=_directories(table.get("cdi_spec_dirs")),
        disabled=_disabled(files, modern=modern),
        imports=tuple(patterns),
        problems=tuple(problems),
    )


def _directories(told: object) -> tuple[str, ...]:
    """Return where CDI specs are looked for: what is told, else the defaults."""
    return tuple(map(str, told)) if isinstance(told, list) else CDI_DIRS


def _disabled(files: Sequence[ConfigFile], *, modern: bool) -> tuple[str, ...]:
    """Return the plugins switched off; to 1.x the newest name of the CRI means nothing."""
    named = [str(name) for file in files for name in file.table.get("disabled_plugins", ())]
    return tuple(name for name in named if modern or name != CRI_V3)


def _merged_version(files: Sequence[ConfigFile], *, modern: bool) -> int:
    """Return the version the merged configuration is read as: the last one that a file names.

    2.x starts at its own version and brings a file of version 1 up to what it has by then.
    """
    version = 3 if modern else 1
    for file in files:
        if not modern:
            version = file.table.get("version", version)
        elif file.version > 1:
            version = file.version
    return version


def _cri_table(
    files: Sequence[ConfigFile], version: int, *, modern: bool
) -> tuple[Table, Mapping[str, ConfigFile]]:
    """Return the merged CRI section and, by handler, the file that defines it.

    1.x looks at the one name of its version. 2.x at the newest name; while the merged version is
    older it takes over from the older name what the newest does not say, key by key.
    """
    if not modern:
        return _collect(files, CRI_V1 if version == 1 else CRI_V2, modern=False)
    table, sources = _collect(files, CRI_V3, modern=True)
    if version >= 3:
        return table, sources
    older, older_sources = _collect(files, CRI_V2, modern=True)
    section = {**subtable(older, "containerd"), **subtable(table, "containerd")}
    own = "runtimes" in subtable(table, "containerd")
    return {**older, **table, "containerd": section}, sources if own else older_sources


def _collect(
    files: Sequence[ConfigFile], plugin: str, *, modern: bool
) -> tuple[Table, Mapping[str, ConfigFile]]:
    """Merge one plugin's section: 1.x replaces it by that of a later file, 2.x merges deeply."""
    merged: Table = {}
    sources: dict[str, ConfigFile] = {}
    for file in files:
        plugins = _plugins(file, modern=modern)
        if plugin in plugins:
            section = subtable(plugins, plugin)
            merged = _deep(merged, section) if modern else section
            handlers = subtable(subtable(section, "containerd"), "runtimes")
            sources = {**(sources if modern else {}), **dict.fromkeys(handlers, file)}
    return merged, sources


def _plugins(file: ConfigFile, *, modern: bool) -> Table:
    """Return a file's sections; 2.x renames that of version 1 to version 2's, never further."""
    plugins = subtable(file.table, "plugins")
    if modern and file.version < 2 and CRI_V1 in plugins:
        return {**plugins, CRI_V2: plugins[CRI_V1]}
    return plugins


def _deep(into: Table, over: Table) -> Table:
    merged = dict(into)
    for key, value in over.items():
        known = merged.get(key)
        both = isinstance(known, Mapping) and isinstance(value, Mapping)
        merged[key] = _deep(known, value) if both else value  # type: ignore[arg-type] # both are
    return merged


def _runtimes(
    section: Table, sources: Mapping[str, ConfigFile], *, modern: bool
) -> Mapping[str, Runtime]:
    """Return the handlers; the built-in runc stands unless 1.x reads a table of its own."""
    found = {
        name: _runtime(name, entry, sources[name], modern=modern)
        for name, entry in subtable(section, "runtimes").items()
        if isinstance(entry, Mapping)
    }
    if modern or "runtimes" not in section:
        found.setdefault("runc", BUILT_IN_RUNC)
    return found


BUILT_IN_RUNC = Runtime(
    name="runc",
    runtime_type="io.containerd.runc.v2",
    binary=None,
    systemd_cgroup=False,
    source=Evidence(source="containerd", text="built-in default: runc"),
)


def _runtime(name: str, entry: Table, file: ConfigFile, *, modern: bool) -> Runtime:
    default_type = BUILT_IN_RUNC.runtime_type if modern and name == "runc" else ""
    options = subtable(entry, "options")
    binary = _option(options, "BinaryName")
    return Runtime(
        name=name,
        runtime_type=str(entry.get("runtime_type", default_type)),
        binary=str(binary) if binary else None,
        systemd_cgroup=bool(_option(options, "SystemdCgroup")),
        source=handler_line(file, name),
    )


def _option(options: Table, name: str) -> Any:
    """Return an option; containerd's decoder ignores case, and another spelling wins."""
    values = {key: value for key, value in options.items() if key.lower() == name.lower()}
    return next((value for key, value in values.items() if key != name), values.get(name))
