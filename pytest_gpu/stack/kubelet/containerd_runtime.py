"""containerd as a container runtime: what its files say, and what it says itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from pytest_gpu.causes import Evidence
from pytest_gpu.memory import Memory
from pytest_gpu.stack.containerd.merge import EffectiveConfig
from pytest_gpu.stack.containerd.release import Generation, Version
from pytest_gpu.stack.cri.handler import Handler
from pytest_gpu.stack.host.nvidia_programs import is_nvidia, prove_known
from pytest_gpu.stack.host.processes import Process
from pytest_gpu.stack.kubelet.live_handlers import LiveHandlers

_IN_CRI: Mapping[str, str] = {
    "default_runtime": "default_runtime_name",
    "cdi_enabled": "enable_cdi",
    "cdi_dirs": "cdi_spec_dirs",
    "pause_image": "sandbox_image",
}
_IN_HANDLER: Mapping[str, tuple[str, ...]] = {
    "binary": ("options", "BinaryName"),
    "runtime_type": ("runtime_type",),
    "systemd_cgroup": ("options", "SystemdCgroup"),
}
"""Where containerd's files have the values that every runtime has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Containerd:
    """One containerd on the node: who it is, what its files say, what it says itself.

    ``process`` is ``None`` when nothing listens on the kubelet's socket; the configuration is
    then the one that would be read at the next start.

    Its version and its files are looked up when they are asked for: what needs neither is known
    without them.

    Attributes:
        tell_version: returns the version.
        tell_config: returns the effective configuration.
        config_path: the file that it is started with.
        socket: the path of its socket.
    """

    tell_version: Callable[[], Version]
    tell_config: Callable[[], EffectiveConfig]
    process: Process | None
    config_path: str
    socket: str
    live: LiveHandlers | None
    _memory: Memory = field(default_factory=Memory, init=False, repr=False, compare=False)

    @property
    def version(self) -> Version:
        """The version numbers, such as (1, 7, 24).

        Raises:
            Unproven: the version is not known.
        """
        return self._memory.recall("version", self.tell_version)

    @property
    def config(self) -> EffectiveConfig:
        """The effective configuration in its files.

        Raises:
            Unproven: its version is not known, or a file was not read or is nested too deeply.
        """
        return self._memory.recall("config", self.tell_config)

    @property
    def name(self) -> str:
        """What people call it."""
        return "containerd"

    @property
    def release(self) -> str:
        """The version as people write it, such as ``1.7.24``."""
        return ".".join(map(str, self.version))

    @property
    def generation(self) -> Generation:
        """What a containerd of this version does otherwise than older and newer ones."""
        return Generation(self.version)

    def knows(self, handler: str) -> bool:
        """Say whether a pod with this handler finds a runtime now: live if known, else on disk."""
        return not handler or handler in self.handlers

    @property
    def _answered(self) -> LiveHandlers | None:
        """What it told of itself, ``None`` where nobody asked or the CRI did not answer."""
        return self.live if self.live and not self.live.error else None

    @property
    def handlers(self) -> tuple[str, ...]:
        """The names of its handlers, sorted: live if known, else on disk."""
        return tuple(sorted(self._answered.handlers if self._answered else self.config.runtimes))

    @property
    def loaded(self) -> frozenset[str] | None:
        """The names of the live handlers, none if the CRI did not answer; ``None`` if not asked."""
        return self.live.handlers if self.live else None

    @property
    def told_by(self) -> str:
        """The command that told of its handlers, else its configuration file."""
        return (self._answered.command if self._answered else "") or self.config_path

    @property
    def error(self) -> str:
        """What crictl said when the CRI did not answer."""
        return self.live.error if self.live else ""

    @property
    def serves_cri(self) -> bool:
        """Whether the files on disk let it serve the CRI."""
        config = self.config
        wrong = config.problems or config.cri_disabled
        return not wrong and config.default_runtime in config.runtimes

    @property
    def default_runtime(self) -> str:
        """The handler of pods that name none: live if known, else on disk."""
        if self.live and self.live.default:
            return self.live.default
        return self.config.default_runtime

    def injects(self, handler: str) -> bool:
        """Say whether containers under a handler (``""``: the default one) get GPUs injected.

        Raises:
            Unproven: it has NVIDIA's name and starts an unknown program.
        """
        runtime = self.now(handler or self.default_runtime)
        if runtime is None:
            return False
        prove_known(runtime.name, runtime.binary or "")
        return is_nvidia(runtime.binary or "")

    def program(self, handler: str) -> str | None:
        """Return the ``BinaryName`` of a handler (``""``: runc): loaded if told, else on disk.

        ``None`` where only the handler's name is known.
        """
        loaded = self.live.program(handler) if self.live else None
        if loaded is not None:
            return loaded
        runtime = self.config.runtimes.get(handler)
        return (runtime.binary or "") if runtime else None

    @property
    def loaded_gpu_handlers(self) -> frozenset[str]:
        """The handlers of the running containerd that run an NVIDIA runtime, as far as known.

        One whose program nobody tells, and that no file has, is known by its name alone.
        """
        names = self.live.handlers if self.live else ()
        return frozenset(name for name in names if self._brings_gpus(name))

    def _brings_gpus(self, name: str) -> bool:
        program = self.program(name)
        return name.startswith("nvidia") if program is None else is_nvidia(program)

    def handler(self, name: str) -> Handler | None:
        """Return a handler as the files define it."""
        return self.config.runtimes.get(name)

    def origin(self, value: str, handler: str = "") -> Evidence:
        """Return the file and line that a value comes from.

        Args:
            value: ``default_runtime``, ``cdi_enabled``, ``cdi_dirs`` or ``pause_image``; of a
                handler: ``binary``, ``runtime_type`` or ``systemd_cgroup``.
            handler: the handler whose value is meant, empty for containerd's own.

        Raises:
            KeyError: there is no such value.
        """
        if handler:
            return self.config.origin("runtimes", handler, *_IN_HANDLER[value])
        return self.config.origin(_IN_CRI[value])

    @property
    def cdi_enabled(self) -> bool:
        """Whether its files let it inject CDI devices."""
        return self.config.cdi_enabled

    @property
    def cdi_dirs(self) -> tuple[str, ...]:
        """Where it looks for CDI specs."""
        return self.config.cdi_dirs

    @property
    def newest_cdi(self) -> Version:
        """The newest version of CDI specs that it surely reads."""
        return self.generation.newest_cdi

    @property
    def tells_cgroup_driver(self) -> bool:
        """Whether it tells a kubelet that asks which cgroup driver to use."""
        return self.generation.tells_cgroup_driver

    @property
    def driver_handler(self) -> Handler | None:
        """The handler whose option it tells the kubelet: the default one first."""
        config = self.config
        names = sorted(config.runtimes, key=lambda name: (name != config.default_runtime, name))
        return next((config.runtimes[n] for n in names if config.runtimes[n].is_runc), None)

    def now(self, name: str) -> Handler | None:
        """Return a handler of the files as it runs now: with the values that are loaded, if told.

        What the files say counts from the next restart on.
        """
        runtime = self.config.runtimes.get(name)
        loaded = self.live.config.runtimes.get(name) if self.live and self.live.config else None
        if runtime is None or loaded is None:
            return runtime
        if loaded.runtime_type is not None:
            runtime = replace(runtime, runtime_type=loaded.runtime_type)
        if loaded.container_annotations is not None:
            runtime = replace(runtime, container_annotations=loaded.container_annotations)
        if loaded.binary is None:
            return runtime
        return replace(
            runtime, binary=loaded.binary or None, systemd_cgroup=bool(loaded.systemd_cgroup)
        )

    @property
    def gpu_handlers(self) -> tuple[str, ...]:
        """The handlers of the merged table that inject GPUs, the plain ``nvidia`` first."""
        found = [name for name in self.config.runtimes if handler_injects(self.config, name)]
        return tuple(sorted(found, key=lambda name: (name != "nvidia", name)))


def handler_injects(config: EffectiveConfig, handler: str) -> bool:
    """Say whether a handler runs an NVIDIA runtime rather than runc itself."""
    runtime = config.runtimes.get(handler)
    return runtime is not None and is_nvidia(runtime.binary or "")
