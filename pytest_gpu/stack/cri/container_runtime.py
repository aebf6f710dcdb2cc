"""The interface to the container runtime that a kubelet uses, whichever program it is.

Checks of pods, sandboxes and injection use nothing else, so a class with these properties is
enough to add a runtime. Faults in a runtime's own files are found by checks of that runtime.
"""

from __future__ import annotations

from typing import Protocol

from pytest_gpu.causes import Evidence
from pytest_gpu.stack.cri.handler import Handler
from pytest_gpu.stack.host.processes import Process


class ContainerRuntime(Protocol):
    """A container runtime, described by its files and, if it was asked, by the running program."""

    @property
    def name(self) -> str:
        """Its usual name, such as ``containerd``."""

    @property
    def release(self) -> str:
        """Its version in the usual form, such as ``1.7.24``."""

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
        """The command that listed its handlers, else the file that defines them."""

    @property
    def error(self) -> str:
        """Its error if it does not serve the CRI, empty if it does or was not asked."""

    @property
    def serves_cri(self) -> bool:
        """Whether its files let it serve the CRI at the next start."""

    @property
    def handlers(self) -> tuple[str, ...]:
        """The names of the handlers that it has now, sorted: loaded if known, else on disk."""

    @property
    def loaded(self) -> frozenset[str] | None:
        """The names of the handlers that are loaded, ``None`` if it was not asked."""

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
            Unproven: the handler has NVIDIA's name and starts an unknown program.
        """

    def program(self, handler: str) -> str | None:
        """Return the program of a handler (``""``: runc), ``None`` if only its name is known."""

    def handler(self, name: str) -> Handler | None:
        """Return a handler as the files define it, ``None`` if they do not."""

    def now(self, name: str) -> Handler | None:
        """Return a handler of the files, with the loaded values as far as they are known."""

    def origin(self, value: str, handler: str = "") -> Evidence:
        """Return the file and line that an effective value comes from.

        Args:
            value: the name of a property of this class that is set in the files
                (``default_runtime``, ``cdi_enabled``, ``cdi_dirs``) or ``pause_image``, or with
                ``handler`` one of a :class:`Handler` (``binary``, ``runtime_type``,
                ``systemd_cgroup``).
            handler: the handler's name.

        Returns:
            the line, or evidence that the value is built in if no file sets it.
        """

    @property
    def cdi_enabled(self) -> bool:
        """Whether its files let it inject CDI devices."""

    @property
    def cdi_dirs(self) -> tuple[str, ...]:
        """The directories that it searches for CDI specs."""

    @property
    def newest_cdi(self) -> tuple[int, ...]:
        """The newest version of CDI specs that it is known to read."""

    @property
    def tells_cgroup_driver(self) -> bool:
        """Whether it answers a kubelet that asks which cgroup driver to use."""

    @property
    def driver_handler(self) -> Handler | None:
        """The handler whose cgroup driver it reports to the kubelet, ``None`` if none."""
