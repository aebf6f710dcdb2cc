"""What the real containerd makes of a configuration, in the words of our own merge."""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_gpu.node.config_merge import EffectiveConfig, merge

RUNTIME = "io.containerd.cri.v1.runtime"
SERVICE = "io.containerd.grpc.v1.cri"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What counts of an effective configuration, comparable between the real one and ours.

    A handler is (runtime_type, BinaryName, SystemdCgroup); ``cdi`` is (switched on, directories)
    or ``None`` for a containerd that has no CDI.
    """

    runtimes: Mapping[str, tuple[str, str, bool]]
    default: str
    cdi: tuple[bool, tuple[str, ...]] | None


CRI_OFF = "containerd runs without the CRI"


def dumped(program: Path, path: Path) -> Facts | str:
    """Return what ``containerd config dump`` prints, or the error with which it stops.

    Its working directory is ``/``, as under systemd: relative globs are resolved there.
    """
    argv = [str(program), "--config", str(path), "config", "dump"]
    done = subprocess.run(argv, check=False, cwd="/", capture_output=True, text=True, timeout=60)
    if done.returncode:
        return done.stderr.strip()
    config = tomllib.loads(done.stdout)
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
    disabled = {SERVICE, RUNTIME} & set(config["disabled_plugins"])
    missing = not {SERVICE, RUNTIME} & set(config["plugins"])
    return missing or bool(disabled and config["version"] > 2)


def _dumped_facts(plugins: Mapping[str, Any]) -> Facts:
    section = plugins[RUNTIME] if RUNTIME in plugins else plugins[SERVICE]
    runtimes = section["containerd"].get("runtimes", {})
    known = "enable_cdi" in section
    return Facts(
        runtimes={name: _handler(entry) for name, entry in runtimes.items()},
        default=section["containerd"]["default_runtime_name"],
        cdi=(section["enable_cdi"], tuple(section["cdi_spec_dirs"])) if known else None,
    )


def _handler(entry: Mapping[str, Any]) -> tuple[str, str, bool]:
    options = {key.lower(): value for key, value in entry.get("options", {}).items()}
    return (
        entry["runtime_type"],
        options.get("binaryname", ""),
        options.get("systemdcgroup", False),
    )


def merged(path: Path, version: tuple[int, ...]) -> Facts | str:
    """Return what our merge makes of the same files, or what it says keeps containerd down."""
    config = merge(_read, _names, str(path), version)
    if config.problems:
        return "; ".join(f"{problem.source}: {problem.text}" for problem in config.problems)
    return CRI_OFF if config.cri_disabled else _facts(config, has_cdi=version >= (1, 7))


def _facts(config: EffectiveConfig, *, has_cdi: bool) -> Facts:
    return Facts(
        runtimes={
            name: (runtime.runtime_type, runtime.binary or "", runtime.systemd_cgroup)
            for name, runtime in config.runtimes.items()
        },
        default=config.default_runtime,
        cdi=(config.cdi_enabled, config.cdi_dirs) if has_cdi else None,
    )


def _read(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes()
    except OSError:
        return None


def _names(path: str) -> tuple[str, ...] | None:
    folder = Path(path)
    return tuple(entry.name for entry in folder.iterdir()) if folder.is_dir() else None
