"""The real containerd's merge of a configuration, in the form of our own merge."""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pytest_gpu.stack.containerd.merge import EffectiveConfig, merge
from pytest_gpu.stack.cri.handler import Handler

RUNTIME = "io.containerd.cri.v1.runtime"
SERVICE = "io.containerd.grpc.v1.cri"
IMAGES = "io.containerd.cri.v1.images"
NRI = "io.containerd.nri.v1.nri"
NO_FILE = "no such file"

# Debian builds containerd with another folder for the CNI's programs.
_DEBIAN_CNI = {("/usr/lib/cni",), ("/usr/lib/cni", "/opt/cni/bin")}
_CNI = ("/opt/cni/bin",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What counts of an effective configuration, comparable between the real one and ours.

    A handler is a mapping of its own; ``cdi`` is (switched on, directories) or ``None`` for a
    containerd that has no CDI; ``cni`` is (programs' folders, configuration's folder).
    """

    runtimes: Mapping[str, Mapping[str, Any]]
    default: str
    cdi: tuple[bool, tuple[str, ...]] | None
    cni: tuple[tuple[str, ...], str]
    sandbox_image: str
    snapshotter: str
    nri: bool


CRI_OFF = "containerd runs without the CRI"


def dumped(program: Path, path: Path) -> Facts | str:
    """Return what ``containerd config dump`` prints, or the error with which it stops.

    Its working directory is ``/``, as under systemd: relative globs are resolved there.
    """
    argv = [str(program), "--config", str(path), "config", "dump"]
    done = subprocess.run(
        argv, check=False, cwd="/", capture_output=True, text=True, errors="replace", timeout=60
    )
    if done.returncode:
        return done.stderr.strip() or "stopped without a word"
    return facts_of(tomllib.loads(done.stdout))


def facts_of(config: Mapping[str, Any]) -> Facts | str:
    """Return the facts in a printed configuration."""
    return CRI_OFF if _switched_off(config) else _dumped_facts(config["plugins"])


def daemon_stops(program: Path, path: Path) -> str:
    """Return the error with which the daemon itself stops at once when started with ``path``."""
    own = [f"--{name}={path.parent / name}" for name in ("root", "state", "address")]
    argv = [str(program), "--config", str(path), *own]
    done = subprocess.run(argv, check=False, cwd="/", capture_output=True, text=True, timeout=20)
    assert done.returncode, f"containerd started: {done.stderr}"
    return done.stderr.strip()


def _switched_off(config: Mapping[str, Any]) -> bool:
    """Say whether the CRI is off: 2.x prints its section all the same, 1.x leaves it out."""
    disabled = {SERVICE, RUNTIME, IMAGES} & set(config["disabled_plugins"])
    missing = not {SERVICE, RUNTIME} & set(config["plugins"])
    return missing or bool(disabled and config["version"] > 2)


def _dumped_facts(plugins: Mapping[str, Any]) -> Facts:
    section = plugins[RUNTIME] if RUNTIME in plugins else plugins[SERVICE]
    containerd = section["containerd"]
    images = plugins.get(IMAGES, {})
    default, runtimes = _with_old_tables(containerd)
    known = "cdi_spec_dirs" in section
    return Facts(
        runtimes={
            name: _handler(entry, modern=RUNTIME in plugins) for name, entry in runtimes.items()
        },
        default=default,
        # From 2.4 on there is no switch: it is always on.
        cdi=(section.get("enable_cdi", True), tuple(section["cdi_spec_dirs"])) if known else None,
        cni=_cni(section["cni"]),
        sandbox_image=section.get("sandbox_image", images.get("pinned_images", {}).get("sandbox")),
        snapshotter=containerd.get("snapshotter", images.get("snapshotter")),
        nri=not plugins.get(NRI, {"disable": True})["disable"],
    )


def _with_old_tables(containerd: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Apply what 1.x does with its old tables after the dump (``ValidatePluginConfig``)."""
    default, runtimes = containerd["default_runtime_name"], dict(containerd.get("runtimes", {}))
    old = {"untrusted": "untrusted_workload_runtime", "default": "default_runtime"}
    for name, table in old.items():
        if containerd.get(table, {}).get("runtime_type"):
            runtimes[name] = containerd[table]
            default = name if name == "default" else default
    return default, runtimes


def _cni(section: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    one, many = section.get("bin_dir"), tuple(section.get("bin_dirs", ()))
    folders = (one,) if one else many
    return _CNI if folders in _DEBIAN_CNI else folders, section["conf_dir"]


def _handler(entry: Mapping[str, Any], *, modern: bool) -> Mapping[str, Any]:
    keys = ("runtime_type", "runtime_path", "base_runtime_spec", "cni_conf_dir", "snapshotter")
    lists = ("pod_annotations", "container_annotations")
    return {
        **{key: entry.get(key, "") for key in keys},
        **{key: tuple(entry[key]) for key in lists},
        "privileged_without_host_devices": entry["privileged_without_host_devices"],
        "options": _options(_decoded(entry.get("options", {}), modern=modern)),
    }


def _decoded(options: Mapping[str, Any], *, modern: bool) -> Mapping[str, Any]:
    """Return options with one spelling each: the dump has them before they are decoded."""
    order = sorted(options, key=None if modern else _preference)
    return {name.lower(): options[name] for name in order}


def _preference(name: str) -> int:
    """Return how go-toml 1 ranks the spellings of a name, the decisive one highest."""
    if name[0].islower() and not name.islower():
        return 0
    return 1 if name.isupper() else 2 if name.islower() else 3


def _options(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return options that say something, without regard to case: the dump does not decode them."""
    return {key.lower(): str(value) for key, value in sorted(options.items()) if value}


def merged(path: Path, version: tuple[int, ...]) -> Facts | str:
    """Return what our merge makes of the same files, or what it says keeps containerd down."""
    return words(merge(read, names, str(path), version), version)


def words(config: EffectiveConfig, version: tuple[int, ...]) -> Facts | str:
    """Return the facts of our effective configuration."""
    if config.problems:
        return "; ".join(f"{problem.source}: {problem.text}" for problem in config.problems)
    if config.cri_disabled:
        return CRI_OFF
    return Facts(
        runtimes={name: _ours(runtime) for name, runtime in config.runtimes.items()},
        default=config.default_runtime,
        cdi=(config.cdi_enabled, config.cdi_dirs) if version >= (1, 7) else None,
        cni=(_CNI if config.cni.bin_dirs in _DEBIAN_CNI else config.cni.bin_dirs,
             config.cni.conf_dir),
        sandbox_image=config.sandbox_image,
        snapshotter=config.snapshotter,
        nri=config.nri_enabled,
    )  # fmt: skip


def _ours(runtime: Handler) -> Mapping[str, Any]:
    facts = {each.name: getattr(runtime, each.name) for each in fields(runtime)}
    for name in ("name", "binary", "systemd_cgroup", "source"):
        del facts[name]
    return {**facts, "options": _options(runtime.options)}


def read(path: str) -> bytes | None:
    """Return a file's bytes, ``None`` where containerd would find nothing to read."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return None


def names(path: str) -> tuple[str, ...] | None:
    """Return the names in a folder."""
    folder = Path(path)
    return tuple(entry.name for entry in folder.iterdir()) if folder.is_dir() else None
