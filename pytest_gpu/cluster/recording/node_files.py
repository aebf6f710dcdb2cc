"""The files of ``nodes/NAME/`` that are not the node's own: commands, ELF, NVML, outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_gpu.cluster.recording import shapes, yaml_io, yaml_writer
from pytest_gpu.cluster.recording.listing import clean
from pytest_gpu.errors import RecordingError
from pytest_gpu.evidence import CommandResult, Door, ElfSummary
from pytest_gpu.parsing import LimitError, MalformedError, shell_words

OUTCOMES = ("sandbox", "pod")

_DOORS = ("pod", "ssh", "local", "none")
_NODE_KEYS = ("like", "door", "reason")
_COMMAND_KEYS = ("argv", "exit", "stdout", "stderr", "duration")
_ELF_KEYS = (
    "machine",
    "interpreter",
    "needed",
    "versions",
    "defines",
    "runpath",
    "error",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeHead:
    """What ``node.yaml`` says; ``None`` for what it does not say."""

    like: str | None = None
    door: str | None = None
    reason: str | None = None


def parse_head(data: bytes, where: str) -> NodeHead:
    """Return what a ``node.yaml`` says.

    Raises:
        RecordingError: something in it is wrong.
    """
    raw = shapes.mapping(yaml_io.load(data, where) or {}, where, _NODE_KEYS)
    said = {key: shapes.text(value, f"{where}: {key}") for key, value in raw.items()}
    if said.get("door", "pod") not in _DOORS:
        raise RecordingError(
            f"{where}: door is {said['door']!r}, must be one of {', '.join(_DOORS)}"
        )
    return NodeHead(like=said.get("like"), door=said.get("door"), reason=said.get("reason"))


def write_head(like: str | None, door: Door) -> bytes:
    """Return a ``node.yaml``."""
    raw = {"like": like, "door": door.kind, "reason": door.reason}
    return yaml_writer.dump({key: value for key, value in raw.items() if value})


def parse_commands(data: bytes, where: str) -> tuple[CommandResult, ...]:
    """Return what a ``commands.yaml`` says.

    Raises:
        RecordingError: something in it is wrong.
    """
    raw = shapes.items(yaml_io.load(data, where), where)
    return tuple(_command(item, f"{where}: command {at}") for at, item in enumerate(raw, 1))


def _command(item: Any, where: str) -> CommandResult:
    raw = shapes.mapping(item, where, _COMMAND_KEYS)
    return CommandResult(
        argv=_argv(raw.get("argv"), f"{where}: argv"),
        exit=shapes.integer(raw.get("exit", 0), f"{where}: exit"),
        stdout=shapes.text(raw.get("stdout") or "", f"{where}: stdout"),
        stderr=shapes.text(raw.get("stderr") or "", f"{where}: stderr"),
        duration=_optional_seconds(raw.get("duration"), f"{where}: duration"),
    )


def _argv(value: Any, where: str) -> tuple[str, ...]:
    try:
        found = shell_words(value) if isinstance(value, str) else shapes.texts(value, where)
    except LimitError as error:
        raise RecordingError(f"{where}: is {error}; write it as a list") from None
    except MalformedError as error:
        raise RecordingError(f"{where}: {error} in {value!r}") from None
    if not found or not found[0]:
        raise RecordingError(f"{where}: is missing; every command must have one")
    return tuple(found)


def _optional_seconds(value: Any, where: str) -> float | None:
    return None if value is None else shapes.seconds(value, where)


def write_command(result: CommandResult) -> Mapping[str, Any]:
    """Return a command as an item of ``commands.yaml``."""
    raw: dict[str, Any] = {"argv": list(result.argv), "exit": result.exit}
    raw |= {"stdout": result.stdout} if result.stdout else {}
    raw |= {"stderr": result.stderr} if result.stderr else {}
    raw |= {"duration": result.duration} if result.duration is not None else {}
    return raw


def parse_elf(data: bytes, where: str) -> tuple[ElfSummary, ...]:
    """Return what an ``elf.yaml`` says.

    Raises:
        RecordingError: something in it is wrong.
    """
    raw = shapes.mapping(yaml_io.load(data, where) or {}, where)
    return tuple(_elf(path, item, f"{where}: {path}") for path, item in raw.items())


def _elf(path: str, item: Any, where: str) -> ElfSummary:
    raw = shapes.mapping(item, where, _ELF_KEYS)
    interpreter = raw.get("interpreter")
    versions = shapes.mapping(raw.get("versions") or {}, f"{where}: versions")
    return ElfSummary(
        path=clean(path, where),
        machine=shapes.text(raw.get("machine"), f"{where}: machine"),
        interpreter=interpreter and shapes.text(interpreter, f"{where}: interpreter"),
        needed=shapes.texts(raw.get("needed"), f"{where}: needed"),
        versions={
            key: shapes.texts(found, f"{where}: versions") for key, found in versions.items()
        },
        defines=shapes.texts(raw.get("defines"), f"{where}: defines"),
        runpath=shapes.texts(raw.get("runpath"), f"{where}: runpath"),
        error=shapes.text(raw.get("error") or "", f"{where}: error"),
    )


def write_elf(summary: ElfSummary) -> Mapping[str, Any]:
    """Return an ELF summary as a value of ``elf.yaml``."""
    raw: dict[str, Any] = {"machine": summary.machine}
    raw |= {"interpreter": summary.interpreter} if summary.interpreter else {}
    raw |= {"needed": list(summary.needed)} if summary.needed else {}
    if summary.versions:
        raw["versions"] = {library: list(found) for library, found in summary.versions.items()}
    raw |= {"defines": list(summary.defines)} if summary.defines else {}
    raw |= {"runpath": list(summary.runpath)} if summary.runpath else {}
    return raw | ({"error": summary.error} if summary.error else {})
