"""The NVIDIA runtime's own ``config.toml``, as the runtime itself reads it.

Sources: nvidia-container-toolkit ``internal/config`` (``GetConfigFilePath``, ``GetDefault``, the
``toml`` tags of ``Config``), its CHANGELOG, and the wrapper that its installer writes for each
program.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pytest_gpu.causes import Evidence
from pytest_gpu.errors import Unproven
from pytest_gpu.evidence import NodeEvidence
from pytest_gpu.known import known
from pytest_gpu.parsing import LimitError, MalformedError, toml
from pytest_gpu.stack.toolkit.release import SYSTEM_FOLDERS, Version, version_of

OWN_CONFIG = "nvidia-container-runtime/config.toml"
"""Below /etc, or below the folder in XDG_CONFIG_HOME."""

CLI = "nvidia-container-cli"
RUNTIME = "nvidia-container-runtime"
ENVVAR = "accept-nvidia-visible-devices-envvar-when-unprivileged"
VOLUME_MOUNTS = "accept-nvidia-visible-devices-as-volume-mounts"
ACCEPTED_BY = {"volume-mounts": VOLUME_MOUNTS, "envvar": ENVVAR}
"""By which setting the runtime accepts the devices of a plugin's strategy."""

DEFAULTS: Mapping[str, Any] = {
    "disable-require": False,
    "swarm-resource": "",
    ENVVAR: True,
    VOLUME_MOUNTS: False,
    "supported-driver-capabilities": "compat32,compute,display,graphics,ngx,utility,video",
    "features": {},
    f"{CLI}.root": "",
    f"{CLI}.path": "",
    f"{CLI}.ldconfig": "",
    f"{CLI}.ldcache": "",
    f"{CLI}.no-cgroups": False,
    f"{CLI}.user": "",
    f"{CLI}.load-kmods": True,
    f"{CLI}.environment": [],
    f"{RUNTIME}.mode": "auto",
    f"{RUNTIME}.log-level": "info",
    f"{RUNTIME}.runtimes": ["docker-runc", "runc"],
    f"{RUNTIME}.modes.cdi.default-kind": "nvidia.com/gpu",
    f"{RUNTIME}.modes.cdi.annotation-prefixes": ["cdi.k8s.io/"],
    f"{RUNTIME}.modes.cdi.spec-dirs": ["/etc/cdi", "/var/run/cdi"],
    f"{RUNTIME}.modes.csv.mount-spec-path": (
        "/etc/nvidia-container-runtime/host-files-for-container.d"
    ),
    f"{RUNTIME}.modes.legacy.cuda-compat-mode": "ldconfig",
    f"{RUNTIME}-hook.path": "nvidia-container-runtime-hook",
    f"{RUNTIME}-hook.skip-mode-detection": False,
    "nvidia-ctk.path": "nvidia-ctk",
}
"""The defaults; their types are those that the runtime decodes into."""

MODES = ("auto", "cdi", "csv", "legacy")
JIT_CDI = "jit-cdi"
JIT_CDI_SINCE = (1, 18, 0)
"""From this release on the mode ``jit-cdi`` exists; ``auto`` selects it on nodes with NVML."""

CRUN_SINCE = (1, 15, 0)
NORMALIZED_SINCE = (1, 15, 0)
"""Since then ``@/sbin/ldconfig`` and ``@/sbin/ldconfig.real`` mean whichever exists."""

HOST_LDCONFIG_SINCE = (1, 17, 3)
"""Since then an ldconfig of the container (without ``@``) is refused unless a feature allows it."""

_WRAPPER_SIZE = 1 << 14


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolkitConfig:
    """The file at ``path``; a missing file (``text`` is ``None``) means all defaults.

    ``error`` says why it is not valid TOML; ``version`` is the toolkit's, ``None`` where unknown.
    """

    path: str
    text: str | None
    table: Mapping[str, Any]
    version: Version | None = None
    error: str = ""

    def value(self, name: str) -> Any:
        """Return a setting, from the file or by default; ``name`` is a key of ``DEFAULTS``.

        The default also replaces a value of the wrong type, which the runtime could not use.
        """
        found = _lookup(self.table, name)
        return found if type(found) is type(DEFAULTS[name]) else self._default(name)

    def told(self, name: str) -> bool:
        """Say whether the file itself has a setting."""
        return _lookup(self.table, name) is not None

    def evidence(self, name: str) -> Evidence:
        """Return the line with a setting, or evidence that it has its default."""
        for number, full, line in _lines(self.text or ""):
            if full == name:
                return Evidence(source=self.path, line=number, text=line)
        key = name.rpartition(".")[2]
        return Evidence(source=self.path, text=f"{key} = {_toml(self.value(name))} (the default)")

    def mistyped(self) -> Iterator[str]:
        """Yield the settings whose value has a type that the runtime cannot decode."""
        for name, default in DEFAULTS.items():
            found = _lookup(self.table, name)
            if found is not None and type(found) is not type(default):
                yield name

    def _default(self, name: str) -> Any:
        crun = name == f"{RUNTIME}.runtimes" and (self.version or CRUN_SINCE) >= CRUN_SINCE
        return [*DEFAULTS[name], "crun"] if crun else DEFAULTS[name]

    @property
    def mode(self) -> str:
        """How GPUs are injected: auto, cdi, jit-cdi, legacy, csv, or whatever the file says."""
        return str(self.value(f"{RUNTIME}.mode"))

    @property
    def by_hook(self) -> bool:
        """Whether nvidia-container-cli injects GPUs: its root, ldconfig and cgroups then count."""
        return self.mode == "legacy" or (self.mode == "auto" and not self._makes_cdi_itself)

    @property
    def by_own_cdi(self) -> bool:
        """Whether the runtime makes a CDI spec for each container, with hooks of nvidia-ctk."""
        return self.mode == JIT_CDI or (self.mode == "auto" and self._makes_cdi_itself)

    @property
    def _makes_cdi_itself(self) -> bool:
        """Whether ``auto`` means ``jit-cdi`` in this release."""
        return self.version is not None and self.version >= JIT_CDI_SINCE


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')


def _lookup(table: Any, name: str) -> Any:
    """Return the value under a dotted name, ``None`` if there is none."""
    for key in name.split("."):
        if not isinstance(table, Mapping):
            return table
        table = table.get(key)
    return table


def _lines(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield number, dotted name and text of every line that sets a value."""
    section = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if line.startswith("["):
            section = line.strip("[]").replace('"', "").replace("'", "").strip()
        elif "=" in line and not line.startswith("#"):
            key = line.partition("=")[0].strip().strip("\"'")
            yield number, f"{section}.{key}" if section else key, line


def own_config(evidence: NodeEvidence, binary: str) -> ToolkitConfig:
    """Return the configuration that an NVIDIA runtime reads.

    Raises:
        NotInEvidence: it was not collected.
        Unproven: it is nested too deeply to be read here, but the runtime can read it.
    """
    path = config_path(evidence, binary)
    content = evidence.read(path)
    version = version_of(evidence, binary)
    if content is None:
        return ToolkitConfig(path=path, text=None, table={}, version=version)
    table, error = _parse(path, content)
    text = content.decode(errors="replace")
    return ToolkitConfig(path=path, text=text, table=table, version=version, error=error)


def _parse(path: str, content: bytes) -> tuple[Mapping[str, Any], str]:
    try:
        return toml(content), ""
    except LimitError as error:
        raise Unproven(f"{path}: {error}") from None
    except MalformedError as error:
        return {}, str(error)


def config_path(evidence: NodeEvidence, binary: str) -> str:
    """Return where a runtime looks for its configuration.

    The toolkit's container installs wrappers that set XDG_CONFIG_HOME, by default to a folder
    beside them; a package's programs look in /etc. The wrapper of Talos' extension is a program
    that uses /usr/local/etc (nvidia-container-runtime-wrapper/main.go in siderolabs/extensions).
    """
    folder = posixpath.dirname(binary)
    real = known(partial(evidence.entry, f"{binary}.real"))
    if folder == "/usr/local/bin" and real:
        return f"/usr/local/etc/{OWN_CONFIG}"
    if folder in SYSTEM_FOLDERS:
        return f"/etc/{OWN_CONFIG}"
    told = re.search(r"\bXDG_CONFIG_HOME=([^\s\\]+)", _wrapper(evidence, binary))
    home = told[1].strip("\"'") if told else f"{folder}/.config"
    return posixpath.join(home, OWN_CONFIG)


def _wrapper(evidence: NodeEvidence, binary: str) -> str:
    """Return the text of a wrapper, ``""`` for a program, which would be megabytes to fetch."""
    entry = known(lambda: evidence.entry(evidence.resolve(binary)))
    if entry is None or (entry.size or 0) > _WRAPPER_SIZE:
        return ""
    content = known(lambda: evidence.read(binary)) or b""
    return content.decode(errors="replace") if content.startswith(b"#!") else ""
