"""What is asked of the container runtime that a kubelet uses, whichever program it is.

Checks of pods, sandboxes and injection know nothing else of it, so that a runtime can be added by
a class with these properties. What is wrong with its own files, its own checks say.
"""

from __future__ import annotations

from typing import Protocol

from pytest_gpu.causes import Evidence
from pytest_gpu.stack.cri.handler import Handler
from pytest_gpu.stack.host.processes import Process


class ContainerRuntime(Protocol):
    """A container runtime as its files and, where it was asked, the running program tell of it."""

    @property
    def name(self) -> str:
        """What people call it, such as ``containerd``."""

    @property
    def release(self) -> str:
        """Its version as people write it, such as ``1.7.24``."""

    @property
    def process(self) -> Process | None:
        """The process behind the kubelet's socket, ``None`` if nothing listens there."""

    @property
    def socket(self) -> str:
        """The path of its CRI socket."""

    @property
    def config_path(self) -> str:
        """The configuration file that it is started with."""

    @property
    def told_by(self) -> str:
        """The command that told which handlers it has, else the file that defines them."""

    @property
    def error(self) -> str:
        """What it said instead of serving the CRI, empty if it serves it or nobody asked."""

    @property
    def serves_cri(self) -> bool:
        """Whether its files let it serve the CRI at the next start."""

    @property
    def handlers(self) -> tuple[str, ...]:
        """The names of the handlers that it has now, sorted: loaded if known, else on disk."""

    @property
    def loaded(self) -> frozenset[str] | None:
        """The names of the handlers that are loaded, ``None`` where nobody asked."""

    @property
    def default_runtime(self) -> str:
        """The handler of pods that name none: loaded if known, else on disk."""

    @property
    def gpu_handlers(self) -> tuple[str, ...]:
        """The handlers on disk that inject GPUs, the plain ``nvidia`` first."""

    def knows(self, handler: str) -> bool:
        """Say whether a pod with this handler (``""``: the default one) starts now."""

    def injects(self, handler: str) -> bool:
        """Say whether containers under a handler (``""``: the default one) get GPUs injected.

        Raises:
            Unproven: it has NVIDIA's name and starts an unknown program.
        """

    def program(self, handler: str) -> str | None:
        """Return the program of a handler (``""``: runc), ``None`` where only its name is known."""

    def handler(self, name: str) -> Handler | None:
        """Return a handler as the files define it, ``None`` if they do not."""

    def now(self, name: str) -> Handler | None:
        """Return a handler of the files, with the values that are loaded as far as told."""

    def origin(self, value: str, handler: str = "") -> Evidence:
        """Return the file and line that an effective value comes from.

        Args:
            value: the name of a property here that is a value of the files (``default_runtime``,
                ``cdi_enabled``, ``cdi_dirs``), or with ``handler`` one of a :class:`Handler`
                (``binary``, ``runtime_type``, ``systemd_cgroup``).
            handler: the handler's name.

        Returns:
            the line, or for a value that no file tells, evidence that it is built in.
        """

    @property
    def cdi_enabled(self) -> bool:
        """Whether its files let it inject CDI devices."""

    @property
    def cdi_dirs(self) -> tuple[str, ...]:
        """Where it looks for CDI specs."""

    @property
    def newest_cdi(self) -> tuple[int, ...]:
        """The newest version of CDI specs that it surely reads."""

    @property
    def tells_cgroup_driver(self) -> bool:
        """Whether it tells a kubelet that asks which cgroup driver to use."""

    @property
    def driver_handler(self) -> Handler | None:
        """The handler whose cgroup driver is the one it tells, ``None`` if none has one."""
