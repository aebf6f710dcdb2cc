"""Redacts everything in a recording: files, commands, Kubernetes objects, answers.

Pure functions. What is not a secret stays as it is; redacting twice changes nothing more.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_gpu.cluster.redaction.following_lines import blank
from pytest_gpu.cluster.redaction.known_programs import hide_words
from pytest_gpu.cluster.redaction.redact_text import redact_text
from pytest_gpu.cluster.redaction.secret_names import is_harmless, is_secret_env, is_secret_name
from pytest_gpu.evidence import REDACTED, CommandResult, KubeObject

__all__ = [
    "redact_argv",
    "redact_command",
    "redact_file",
    "redact_object",
    "redact_text",
    "redact_value",
]

_ARGUMENTS = re.compile(r"/proc/\d++/cmdline")
_ENVIRONMENT = re.compile(r"/proc/\d++/environ")
_CONTROL = re.compile(rb"[\x01-\x08\x0e-\x1a\x1c-\x1f]")


def redact_file(path: str, content: bytes) -> bytes:
    """Return a node's file without secrets; what is not text, such as PCI config space, stays.

    Text of another encoding is redacted, too. ``path`` shows which files procfs separates by NUL.
    """
    if path.startswith("/sys/"):
        return content
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _redact_utf16(content)
    if _is_binary(path, content):
        return content
    text = content.decode(errors="surrogateescape")
    if _ARGUMENTS.fullmatch(path):
        text = _redact_separated(text)
    elif _ENVIRONMENT.fullmatch(path):
        text = "\0".join(map(_redact_variable, text.split("\0")))
    else:
        text = "\0".join(redact_text(part) for part in text.split("\0"))
    return text.encode(errors="surrogateescape")


def _redact_utf16(content: bytes) -> bytes:
    try:
        text = content.decode("utf-16")
    except UnicodeDecodeError:
        return content
    order = "utf-16-le" if content.startswith(codecs.BOM_UTF16_LE) else "utf-16-be"
    return content[:2] + redact_text(text).encode(order)


def redact_argv(argv: Sequence[str]) -> tuple[str, ...]:
    """Return a command line without secrets: after ``--password=``, or in the next argument."""
    return tuple(map(redact_text, hide_words(argv)))


def redact_command(result: CommandResult) -> CommandResult:
    """Return a command without secrets in its arguments and in what it printed."""
    return replace(
        result,
        argv=redact_argv(result.argv),
        stdout=redact_text(result.stdout),
        stderr=redact_text(result.stderr),
    )


def redact_object(item: KubeObject) -> dict[str, Any] | None:
    """Return a Kubernetes object without secrets, ``None`` if it is a Secret itself.

    managedFields go, and so does what repeats the whole object as text, such as kubectl's
    last-applied-configuration, and a ConfigMap's binaryData, which nobody can look into.
    """
    if item.get("kind") == "Secret":
        return None
    found = {key: _redact_member(key, value) for key, value in item.items()}
    metadata = found.get("metadata")
    if isinstance(metadata, dict):
        metadata.pop("managedFields", None)
    return found


def redact_value(value: Any) -> Any:
    """Return plain data (as JSON has it) without secrets, in every text at any depth.

    Lists under ``args``, ``command`` and ``argv`` are command lines; a mapping with ``name`` (or
    ``key``) and ``value`` is an environment variable or a header; Kubernetes objects inside are
    redacted as such.
    """
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, Mapping):
        return _redact_mapping(value)
    if isinstance(value, list | tuple):
        kept = (item for item in value if not _is_secret(item))
        return [_redact_item(item) for item in kept]
    return value


def _redact_item(item: Any) -> Any:
    return redact_object(item) if _is_object(item) else redact_value(item)


def _redact_mapping(value: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: _redact_member(key, member) for key, member in value.items()}
    name = value.get("name", value.get("key"))
    if isinstance(name, str) and is_secret_env(name) and isinstance(value.get("value"), str):
        found["value"] = _hidden(name, value["value"])
    return found | _redact_container(value)


def _redact_container(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a container's command and arguments: its program may take a secret after ``-p``."""
    command, args = value.get("command"), value.get("args")
    if not (command and args and _is_argv(command) and _is_argv(args)):
        return {}
    argv = redact_argv([*command, *args])
    return {"command": list(argv[: len(command)]), "args": list(argv[len(command) :])}


def _redact_member(key: str, value: Any) -> Any:
    if isinstance(key, str) and is_secret_name(key) and _is_hideable(value):
        return _hidden(key, value)
    if key in ("args", "command", "argv") and _is_argv(value):
        return list(redact_argv(value))
    if key == "binaryData" and isinstance(value, Mapping):
        return dict.fromkeys(value, REDACTED)
    if key == "httpHeaders" and isinstance(value, list):
        return [_redact_header(header) for header in value]
    if _is_object(value):
        return redact_object(value)
    return redact_value(value)


def _redact_header(header: Any) -> Any:
    """Return a header of a probe: whoever names it may call a token anything."""
    has_value = isinstance(header, Mapping) and header.get("value")
    return {**header, "value": REDACTED} if has_value else header


def _is_hideable(value: Any) -> bool:
    """Return whether a value under a secret's name can be one: a text, a long number, a list."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value > 999
    return isinstance(value, str) or (bool(value) and _is_argv(value))


def _hidden(name: str, value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_hidden(name, each) for each in value]
    return value if isinstance(value, str) and is_harmless(name, value) else REDACTED


def _is_argv(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)


def _is_object(value: Any) -> bool:
    return isinstance(value, Mapping) and "kind" in value and "metadata" in value


def _is_secret(value: Any) -> bool:
    return _is_object(value) and value["kind"] == "Secret"


def _is_binary(path: str, content: bytes) -> bool:
    """Return whether content is not text: it has a NUL that is not procfs's, and more control.

    A log is text, whatever a crash of the machine left in it.
    """
    is_log = path.startswith("/var/log/") or path.endswith(".log")
    is_text = is_log or _ARGUMENTS.fullmatch(path) or _ENVIRONMENT.fullmatch(path)
    if b"\0" not in content or is_text:
        return False
    return _CONTROL.search(content) is not None or not content.strip(b"\0")


def _redact_separated(text: str) -> str:
    """Redact /proc/PID/cmdline: NUL between arguments, or one per line if written by hand."""
    separator = "\0" if "\0" in text else "\n"
    return separator.join(redact_argv(text.split(separator)))


def _redact_variable(text: str) -> str:
    """Return a variable of /proc/PID/environ; its value may have several lines."""
    name, equals, value = text.partition("=")
    if "\n" in value and is_secret_env(name):
        return f"{name}{equals}{blank(value)}"
    return redact_text(text)
