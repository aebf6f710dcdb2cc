"""crictl on a node: the one that is there or a copied one; on the kubelet's socket only."""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from pytest_gpu.errors import Unproven
from pytest_gpu.evidence import CommandResult
from pytest_gpu.parsing import json_document
from pytest_gpu.stack.distributions import every
from pytest_gpu.stack.distributions.detect import Distribution

CALL_TIME = 30.0
"""Seconds that the runtime may take for one call; crictl's own default of 2 is too short."""

LOOK_TIME = 15.0

PROGRAM_FOLDERS = ("/tmp", "/var/tmp", "/opt", "/var/lib")  # noqa: S108 - a private folder below
"""Where a program may be copied to; hardened nodes forbid execution in some (noexec)."""

IMAGE_PARTS: Mapping[str, type] = {"id": str, "repoTags": list, "repoDigests": list}
SANDBOX_PARTS: Mapping[str, type] = {
    "id": str,
    "state": str,
    "metadata": dict,
    "labels": dict,
    "annotations": dict,
}
"""What is read of crictl's images and sandboxes."""

MAX_ERROR = 1 << 16
"""Last characters of errors that are kept; an error of containerd has a few hundred."""

CHUNK = 96 << 10
"""Characters of one argument: the kernel accepts at most 128 KiB (MAX_ARG_STRLEN)."""

_VERSION = re.compile(r"\bv?\d+\.\d+\.\d+\S*")
_MAKE_FOLDER = 'umask 077; mkdir "$1"'
_APPEND = 'printf %s "$2" | base64 -d >>"$1"'
_UNPACK = 'gzip -d <"$1" >"$2" && rm "$1" && chmod 700 "$2"'


class Shell(Protocol):
    """The part of a node shell that crictl needs: commands by argument list, as root."""

    def run(self, argv: Sequence[str], timeout: float = 60.0) -> CommandResult:
        """Run a command; exit code 124: it was ended after ``timeout`` seconds."""


class CrictlFailed(Unproven):
    """A call of crictl that failed: the short ``command``, and how it ended."""

    def __init__(self, command: str, done: CommandResult) -> None:
        said = " ".join((done.stderr or done.stdout).split())[-300:]
        super().__init__(f"{command} failed with exit code {done.exit}: {said}")
        self.command = command
        self.done = done

    @property
    def by_runtime(self) -> bool:
        """Whether the runtime answered and refused, rather than crictl itself."""
        return self.done.exit != 124 and "rpc error: code = " in self.done.stderr


@dataclass(frozen=True, slots=True, kw_only=True)
class Crictl:
    """A crictl that starts on this node; ``argv`` is its command, ``socket`` the kubelet's."""

    shell: Shell
    argv: tuple[str, ...]
    version: str
    socket: str

    @property
    def endpoint(self) -> str:
        """The runtime endpoint as crictl takes it."""
        return f"unix://{self.socket}"

    def run(self, *arguments: str, timeout: float = 2 * CALL_TIME) -> CommandResult:
        """Run one sub-command against the kubelet's runtime."""
        ends = ("--runtime-endpoint", self.endpoint, "--image-endpoint", self.endpoint)
        wait = ("--timeout", f"{CALL_TIME:.0f}s")
        done = self.shell.run((*self.argv, *ends, *wait, *arguments), timeout)
        return replace(done, stderr=done.stderr[-MAX_ERROR:])

    def ask(self, *arguments: str) -> Mapping[str, Any]:
        """Return the JSON that a sub-command prints.

        Raises:
            CrictlFailed: it fails, or prints something else.
        """
        done = self.run(*arguments, "--output", "json")
        try:
            found = json_document(done.stdout) if done.exit == 0 else None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise CrictlFailed(f"crictl {arguments[0]}", done)
        return found

    def listed(
        self, key: str, parts: Mapping[str, type], *arguments: str
    ) -> Sequence[Mapping[str, Any]]:
        """Return the objects that a sub-command lists under a key.

        ``parts`` are the types of what is read of each; all but ``id`` may be missing.

        Raises:
            Unproven: it fails, or what it prints has another shape.
        """
        found = self.ask(*arguments).get(key) or []
        if not isinstance(found, list) or not all(_has(each, parts) for each in found):
            raise Unproven(f"crictl {arguments[0]} printed {key} of another shape than it should")
        return found

    def as_json(self) -> dict[str, str]:
        """Return an outcome's part about crictl."""
        return {"path": " ".join(self.argv), "endpoint": self.endpoint, "version": self.version}


def _has(thing: object, parts: Mapping[str, type]) -> bool:
    """Return whether a thing is an object with parts of these types."""
    if not isinstance(thing, dict) or not isinstance(thing.get("id"), str):
        return False
    return all(
        thing.get(key) is None or isinstance(thing[key], kind) for key, kind in parts.items()
    )


def find_crictl(
    shell: Shell, socket: str, distribution: Distribution, ran: Iterable[CommandResult]
) -> Crictl | None:
    """Return the crictl of a node, ``None`` if it has none.

    Args:
        shell: the node.
        socket: the kubelet's CRI socket.
        distribution: whose crictl is tried first.
        ran: commands that were run on the node before: one that succeeded is known to exist.
    """
    for argv in dict.fromkeys(_candidates(distribution, ran)):
        if found := _tried(shell, argv, socket):
            return found
    return None


def _candidates(
    distribution: Distribution, ran: Iterable[CommandResult]
) -> Iterator[tuple[str, ...]]:
    for result in ran:
        words = next((n for n in (1, 2) if _is_crictl(result.argv[:n])), 0)
        if words and result.exit == 0:
            yield result.argv[:words]
    yield distribution.crictl
    yield from every.crictl_commands()


def _is_crictl(argv: Sequence[str]) -> bool:
    return argv[-1].rpartition("/")[2] == "crictl" if argv else False


def _tried(shell: Shell, argv: tuple[str, ...], socket: str) -> Crictl | None:
    done = shell.run((*argv, "--version"), LOOK_TIME)
    version = _VERSION.search(done.stdout)
    if done.exit != 0 or version is None:
        return None
    return Crictl(shell=shell, argv=argv, version=version[0], socket=socket)


def bring_crictl(shell: Shell, socket: str, program: Path, name: str) -> Crictl:
    """Copy a crictl into a private folder of the node.

    Args:
        shell: the node.
        socket: the kubelet's CRI socket.
        program: the file to copy.
        name: the folder's name; it must be new.

    Raises:
        Unproven: it cannot be copied there, or does not start there.
    """
    packed = base64.b64encode(gzip.compress(program.read_bytes(), 6)).decode("ascii")
    why = ""
    for place in PROGRAM_FOLDERS:
        folder = f"{place}/{name}"
        done = _upload(shell, folder, packed)
        if done.exit == 0 and (found := _tried(shell, (f"{folder}/crictl",), socket)):
            return found
        why = " ".join((done.stderr or done.stdout or "it does not start there").split())
        remove_folders(shell, [folder])
    raise Unproven(f"{program.name} could not be copied to this node: {why}")


def _upload(shell: Shell, folder: str, packed: str) -> CommandResult:
    half, whole = f"{folder}/crictl.gz", f"{folder}/crictl"
    done = make_folder(shell, folder)
    for start in range(0, len(packed), CHUNK):
        if done.exit != 0:
            return done
        part = packed[start : start + CHUNK]
        done = shell.run(("sh", "-c", _APPEND, "sh", half, part), LOOK_TIME)
    return done if done.exit else shell.run(("sh", "-c", _UNPACK, "sh", half, whole), CALL_TIME)


def make_folder(shell: Shell, folder: str) -> CommandResult:
    """Create a folder that only root can read; it is an error if it exists."""
    return shell.run(("sh", "-c", _MAKE_FOLDER, "sh", folder), LOOK_TIME)


def remove_folders(shell: Shell, folders: Sequence[str]) -> CommandResult:
    """Remove folders of ours with everything in them."""
    return shell.run(("rm", "-rf", "--", *folders), LOOK_TIME)
