"""What a distribution is: the commands, paths and habits in which one differs from another.

A :class:`Distribution` is one as a node runs it, with all that a caller asks. A :class:`Product`
is what is known of it before any node is seen: its signs, and the places that are looked at on
every node. Each product stands in a module of its own in ``products``; nothing else names one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_gpu.evidence import NodeEvidence
from pytest_gpu.stack.distributions.command_line import ArgumentsFile, CommandLine
from pytest_gpu.stack.distributions.rendered import Rendered
from pytest_gpu.stack.distributions.signs import Observed, Signs

SYSTEMCTL = "sudo systemctl restart"

HandsOn = Callable[[Sequence[str], NodeEvidence], CommandLine]
"""Returns a program's command line with what it hands on to the kubelet that it starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A distribution's commands and default paths.

    ``config`` and ``socket`` are containerd's; ``rendered`` says how ``config`` is made anew at
    every start of it, and ``source`` is what an admin then edits; ``crictl`` is the command line
    that starts crictl; ``home`` is where its programs are installed, if it brings its own.

    ``arguments`` is the file that its kubelet's flags stand in. ``settings`` is the folder of a
    ``config.yaml`` that the distribution's own ``programs`` read, and ``hands_on`` what such a
    program makes of its command line and settings for the kubelet.

    ``sealed`` says that no file on the node is an admin's to change: all are made of settings.
    ``family`` is whose fixes serve here, too. ``how`` is what an admin must know before a change
    on the node itself: where its files come from, and how commands get there. In ``how``,
    NODE stands for the node; in commands ``{node}`` does.

    Attributes:
        name: the name, such as ``rke2``.
        restart: the command that restarts containerd.
        kubelet_unit: the systemd unit of the kubelet.
        restart_kubelet: the command that restarts the kubelet.
        containerd_unit: the systemd unit of containerd.
        containerd_log: the file that containerd logs to, ``None`` where it is the unit's journal.
    """

    name: str
    restart: str
    kubelet_unit: str
    restart_kubelet: str
    config: str = "/etc/containerd/config.toml"
    socket: str = "/run/containerd/containerd.sock"
    source: str | None = None
    rendered: Rendered | None = None
    crictl: tuple[str, ...] = ("crictl",)
    containerd_unit: str = "containerd"
    containerd_log: str | None = None
    home: str | None = None
    arguments: ArgumentsFile | None = None
    settings: str | None = None
    programs: tuple[str, ...] = ()
    hands_on: HandsOn | None = None
    sealed: bool = False
    family: str = ""
    how: str = ""

    @property
    def finds_runtimes(self) -> bool:
        """Whether it adds handlers for the NVIDIA runtimes that it finds, without being told."""
        return self.rendered is not None and bool(self.rendered.found)

    @property
    def environment_files(self) -> tuple[str, ...]:
        """The files that may set variables of containerd's service."""
        unit = self.containerd_unit
        return (f"/etc/default/{unit}", f"/etc/sysconfig/{unit}", f"/etc/systemd/system/{unit}.env")


UNKNOWN = Distribution(
    name="unknown",
    restart=f"{SYSTEMCTL} containerd",
    kubelet_unit="kubelet",
    restart_kubelet=f"{SYSTEMCTL} kubelet",
)
"""A node that nothing speaks for: treated like one with a plain containerd and kubelet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnContainerd:
    """A containerd that shows no flags: the folder of its program, and what it then uses."""

    folder: str
    config: str
    socket: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What is known of a distribution before any node is seen.

    ``names`` are those of the distributions that ``on`` returns, as a node runs it; ``signs`` tell
    whether it does. The rest is asked of every node, whatever that runs: ``configs`` are the usual
    files of its containerd, ``crictl`` the command lines of its crictl, ``settings`` its own
    settings file, ``libraries`` where its images keep the driver's libraries, and ``copied`` the
    files of its images that are copied over containerd's. ``embedding`` maps programs with a
    kubelet inside to the sub-commands under which it runs, none of them: always.
    """

    names: tuple[str, ...]
    signs: Signs
    on: Callable[[Observed], Distribution]
    rendered: Rendered | None = None
    configs: tuple[str, ...] = ()
    crictl: tuple[tuple[str, ...], ...] = ()
    settings: str | None = None
    libraries: tuple[str, ...] = ()
    copied: tuple[str, ...] = ()
    containerd: OwnContainerd | None = None
    embedding: Mapping[str, frozenset[str]] = field(default_factory=dict)
