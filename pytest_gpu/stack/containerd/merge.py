"""containerd's configuration as that containerd version reads and merges it.

Source: containerd ``cmd/containerd/server/config/config.go`` (1.6, 1.7, 2.x), ``plugins/cri/
runtime/plugin.go`` and ``plugins/cri/images/plugin.go`` (the migrations of 2.x). The differential
test runs the real ``containerd config dump`` of three generations and decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_gpu.causes import Evidence
from pytest_gpu.stack.containerd.config_file import CRI_IMAGES, CRI_V2, CRI_V3, ConfigFile
from pytest_gpu.stack.containerd.load import (
    Names,
    Read,
    listed,
    load,
    name_problems,
    version_problems,
)
from pytest_gpu.stack.containerd.plugin_tables import NRI_URI, Sections, merged_version, sections
from pytest_gpu.stack.containerd.schema import Version, defaults
from pytest_gpu.stack.containerd.toml_lines import Path
from pytest_gpu.stack.containerd.values import Decoder, Told

CDI_DIRS = ("/etc/cdi", "/var/run/cdi")

_IN_CONTAINERD = {"default_runtime_name", "runtimes", "snapshotter"}
_OPTIONS = (
    *("BinaryName", "SystemdCgroup", "Root", "ShimCgroup", "NoPivotRoot", "NoNewKeyring"),
    *("IoGid", "IoUid", "CriuPath", "CriuImagePath", "CriuWorkPath"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """One handler of the merged table; ``source`` is the line that defines it.

    ``binary`` is ``options.BinaryName``, ``None`` where the runtime's own default (runc) counts.
    ``options`` has runc's options under their own names, in whatever case the file writes them
    and containerd takes them, and all others as the file has them. The annotations are the names
    or patterns of those that are handed on to the runtime.
    """

    name: str
    runtime_type: str
    binary: str | None
    systemd_cgroup: bool
    source: Evidence
    options: Mapping[str, Any] = field(default_factory=dict)
    runtime_path: str = ""
    pod_annotations: tuple[str, ...] = ()
    container_annotations: tuple[str, ...] = ()
    privileged_without_host_devices: bool = False
    base_runtime_spec: str = ""
    cni_conf_dir: str = ""
    snapshotter: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cni:
    """Where containerd looks for CNI: its plugins' programs, and their configuration."""

    bin_dirs: tuple[str, ...] = ("/opt/cni/bin",)
    conf_dir: str = "/etc/cni/net.d"


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveConfig:
    """What containerd makes of its files.

    ``imports`` are the patterns of all files, made absolute; ``problems`` are what keeps
    containerd from starting with these files. ``values`` are the values that files tell, by
    their place in the CRI section; :meth:`origin` reads them.
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
    required: tuple[str, ...] = ()
    sandbox_image: str = ""
    snapshotter: str = "overlayfs"
    cni: Cni = field(default_factory=Cni)
    nri_enabled: bool = False
    values: Mapping[Path, Told] = field(default_factory=dict)

    @property
    def cri_disabled(self) -> bool:
        """Whether the files switch the CRI off, by a name that this containerd goes by."""
        return not {CRI_V2, CRI_V3, CRI_IMAGES}.isdisjoint(self.disabled)

    def origin(self, *keys: str) -> Evidence:
        """Return the file and line that a value comes from.

        Args:
            keys: the value's place in the CRI section, such as ``"cni", "conf_dir"`` or
                ``"runtimes", "nvidia", "options", "BinaryName"``. ``containerd`` in front of
                ``default_runtime_name``, ``runtimes`` and ``snapshotter`` may be left out.
                Beside the CRI section: ``"version"``, ``"disabled_plugins", NAME``,
                ``"required_plugins", NAME``, ``"nri", "disable"``.

        Returns:
            the line, or for a value that no file tells, evidence that it is built in.
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
    loaded = load(read, names, path, version)
    modern = version >= (2,)
    number = merged_version(loaded.roots, version)
    problems = loaded.problems + version_problems(loaded.roots, number, version)
    problems += name_problems(loaded.roots, number, modern=modern)
    found = sections(loaded.roots, number, version)
    values = {**_flat(found), **_told_options(found), **_outside(loaded.roots, found)}
    get = _Values(values)
    default = defaults(version)
    name, runtimes = _runtimes(get, found, version)
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
        cni=_cni(get, version),
        nri_enabled=_nri(get, found.disabled, default=default.nri),
        values=values,
    )


_REQUIRED = "required_plugins"


def _off(found: Sections) -> bool:
    """Say whether the CRI's section is never decoded: 1.x does not load a disabled plugin."""
    return not found.modern and CRI_V2 in found.disabled


@dataclass(frozen=True, slots=True)
class _Values:
    known: Mapping[Path, Told]

    def __call__(self, *path: str, default: Any) -> Any:
        """Return a value as its file tells it, else the default."""
        told = self.known.get(path)
        return default if told is None else told.value


def _flat(found: Sections) -> dict[Path, Told]:
    """Return every value and table of the CRI section by its place."""
    values: dict[Path, Told] = {}
    pending: list[tuple[Path, Told]] = [((), found.cri)] if found.cri else []
    while pending:
        path, told = pending.pop()
        for key, each in told.value.items():
            values[(*path, key)] = each
            if each.is_table:
                pending.append(((*path, key), each))
    return values


def _outside(roots: Sequence[Told], found: Sections) -> dict[Path, Told]:
    """Return the values beside the CRI section."""
    values: dict[Path, Told] = {}
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


def _cni(get: _Values, version: Version) -> Cni:
    """Return the CNI's folders; 2.1 knows several, and the old single one counts alone."""
    default = defaults(version)
    conf_dir = get("cni", "conf_dir", default=default.cni_conf_dir)
    several = version >= (2, 1)
    one = get("cni", "bin_dir", default="" if several else default.cni_bin_dirs[0])
    many = get("cni", "bin_dirs", default=default.cni_bin_dirs) if several else ()
    return Cni(bin_dirs=(one,) if one else tuple(many), conf_dir=conf_dir)


def _runtimes(get: _Values, found: Sections, version: Version) -> tuple[str, Mapping[str, Runtime]]:
    """Return the default and all handlers; the built-in runc stands unless 1.x reads a table.

    1.x still takes the handlers ``default`` and ``untrusted`` from tables of their own, and that
    ``default`` is the default one (``ValidatePluginConfig``).
    """
    name = get("containerd", "default_runtime_name", default=defaults(version).default_runtime)
    if "default" in _old_tables(found):
        name = "default"
    runtimes = {
        handler: _runtime(handler, entry, modern=found.modern)
        for handler, entry in _handlers(found).items()
    }
    if found.modern or ("containerd", "runtimes") not in get.known:
        runtimes.setdefault("runc", BUILT_IN_RUNC)
    return name, runtimes


_OLD_TABLES = {"untrusted_workload_runtime": "untrusted", "default_runtime": "default"}


def _handlers(found: Sections) -> Mapping[str, Told]:
    """Return the table of every handler by its name."""
    runtimes = found.cri.get("containerd", "runtimes") if found.cri else None
    return {**(runtimes.value if runtimes else {}), **_old_tables(found)}


def _old_tables(found: Sections) -> Mapping[str, Told]:
    """Return the handlers that have tables of their own, which only 1.x reads."""
    if found.modern or found.cri is None:
        return {}
    tables = {name: found.cri.get("containerd", old) for old, name in _OLD_TABLES.items()}
    return {n: t for n, t in tables.items() if t and (kind := t.get("runtime_type")) and kind.value}


def _told_options(found: Sections) -> dict[Path, Told]:
    """Return runc's options of every handler by their own names, however the file writes them."""
    decoder = Decoder(modern=found.modern)
    return {
        ("containerd", "runtimes", handler, "options", name): told
        for handler, entry in _handlers(found).items()
        for name in _OPTIONS
        if (told := decoder.pick(entry.get("options"), name))
    }


BUILT_IN_RUNC = Runtime(
    name="runc",
    runtime_type="io.containerd.runc.v2",
    binary=None,
    systemd_cgroup=False,
    source=Evidence(source="containerd", text="built-in default: runc"),
)


def _runtime(name: str, entry: Told, *, modern: bool) -> Runtime:
    get = _Values({(key,): told for key, told in entry.value.items()})
    default_type = BUILT_IN_RUNC.runtime_type if modern and name == "runc" else ""
    options = _options(entry.get("options"), modern=modern)
    binary = options.get("BinaryName")
    return Runtime(
        name=name,
        runtime_type=get("runtime_type", default=default_type),
        binary=binary if isinstance(binary, str) and binary else None,
        systemd_cgroup=options.get("SystemdCgroup") is True,
        source=entry.evidence,
        options=options,
        runtime_path=get("runtime_path", default=""),
        pod_annotations=tuple(get("pod_annotations", default=())),
        container_annotations=tuple(get("container_annotations", default=())),
        privileged_without_host_devices=get("privileged_without_host_devices", default=False),
        base_runtime_spec=get("base_runtime_spec", default=""),
        cni_conf_dir=get("cni_conf_dir", default=""),
        snapshotter=get("snapshotter", default=""),
    )


def _options(table: Told | None, *, modern: bool) -> Mapping[str, Any]:
    """Return the options; runc's are decoded into fields, whose case counts less or not."""
    if table is None:
        return {}
    decoder = Decoder(modern=modern)
    known = {name: decoder.pick(table, name) for name in _OPTIONS}
    found = {name: told.plain() for name, told in known.items() if told}
    taken = {name.lower() for name in found}
    rest = {key: each.plain() for key, each in table.value.items() if key.lower() not in taken}
    return {**found, **rest}
