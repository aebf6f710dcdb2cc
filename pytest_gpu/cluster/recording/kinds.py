"""Kinds of evidence that an overlay can remove from its base under ``absent:``, by their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath

FILES_OF_KIND: Mapping[str, Sequence[str]] = {
    "outcomes": ("outcomes/sandbox.yaml", "outcomes/pod.yaml"),
    "nvml": ("nvml.json",),
    "elf": ("elf.yaml",),
    "commands": ("commands.yaml",),
}
"""Kinds of evidence that are whole files of a node."""


def _program(argv: Sequence[str]) -> str:
    return PurePosixPath(argv[0]).name


def is_crictl_info(argv: Sequence[str]) -> bool:
    """Return whether a command asks the running container runtime what it has loaded."""
    is_crictl = _program(argv) == "crictl" or "crictl" in argv[1:2]
    return is_crictl and argv[-1] == "info"


def _prints_kernel_log(argv: Sequence[str]) -> bool:
    kernel = not {"-k", "--dmesg"}.isdisjoint(argv)
    return _program(argv) == "dmesg" or (_program(argv) == "journalctl" and kernel)


def _prints_journal(argv: Sequence[str]) -> bool:
    return _program(argv) == "journalctl" and not _prints_kernel_log(argv)


COMMANDS_OF_KIND: Mapping[str, Callable[[Sequence[str]], bool]] = {
    "crictl-info": is_crictl_info,
    "kernel-log": _prints_kernel_log,
    "journals": _prints_journal,
    "unit-status": lambda argv: _program(argv) == "systemctl",
    "versions": lambda argv: argv[-1] == "--version",
}
"""Kinds of evidence that are outputs of commands on a node."""

RUNTIME_HANDLERS = "runtime-handlers"
"""What the kubelet reports about its runtime: ``status.runtimeHandlers`` of the Node object."""

RESOURCE_KINDS = ("events",)
"""Kinds of evidence that are resources of Kubernetes."""

NODE_KINDS = (*FILES_OF_KIND, *COMMANDS_OF_KIND, RUNTIME_HANDLERS)
KINDS = (*NODE_KINDS, *RESOURCE_KINDS)
