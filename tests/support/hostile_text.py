"""Texts that would control a terminal or a CI service, where they are put, and who sees them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pytest_gpu.cluster.recording import yaml_io

COMMANDS = ("::error::owned", "  ::set-env name=A::owned", "##[error]owned", "a ##vso[task.x]owned")
CHARACTERS = "\x1b[31m\x1b]0;owned\x07\r\x00\x7f\x9b2J\u202e\u2066\u200b\u2028\u3164\ufeff\ud800"
HOSTILE = CHARACTERS + "".join(f"\n{line}" for line in COMMANDS)
"""What a field of a recording says, beside what it said before."""

QUIET_HOSTILE = "\u202e\u200b\u3164"
"""What may stand in a comment of TOML or YAML."""

_NAMES = frozenset(
    (
        *("apiVersion", "kind", "name", "namespace", "nodeName", "runtimeClassName"),
        *("handler", "role", "origin"),
    )
)

_CHECKED = frozenset(
    {"capacity", "allocatable", "limits", "requests", "labels", "matchLabels", "nodeSelector"}
)
"""Parts that are refused if they hold what Kubernetes would refuse."""

_SAID = frozenset(
    {"message", "note", "stdout", "stderr", "output", "skipped", "trouble", "osImage"}
)


def harmful(text: str) -> Iterator[str]:
    """Yield what a terminal or a CI service would obey, or a reader would not see, in a text."""
    for line in text.split("\n"):
        unseen = [char for char in line if not (char.isprintable() or char == "\t")]
        yield from (f"{char!r} in {line!r}" for char in {*unseen, *(set(line) & set("\u3164"))})
        if line.lstrip().startswith("::") or "##[" in line or "##vso[" in line:
            yield repr(line)


def check_file(path: Path) -> None:
    """Check that a report is UTF-8 and that nothing in it is harmful."""
    assert not [*harmful(path.read_bytes().decode())], path


def poison(folder: Path, *, everywhere: bool) -> None:
    """Add hostile text to what a recording says: to messages and logs, or to every text."""
    for file in folder.rglob("*"):
        if file.suffix in (".yaml", ".json") and "files" not in file.relative_to(folder).parts:
            _rewrite(file, everywhere=everywhere)
        elif file.suffix == ".toml":
            lines = file.read_text().splitlines()
            file.write_text(
                "".join(f"{line} # {QUIET_HOSTILE}\n" if line else "\n" for line in lines)
            )
        elif file.is_file() and "log" in file.parts:
            file.write_bytes(_said(file.read_text()).encode(errors="replace"))


def _rewrite(file: Path, *, everywhere: bool) -> None:
    load: Callable[[bytes, str], Any] = yaml_io.load
    found = load(file.read_bytes(), file.name)
    if file.name == "recording.yaml":
        found |= {"note": HOSTILE, "suite": f"9{HOSTILE}"}
    elif file.name == "commands.yaml":
        for command in found:
            if everywhere or command["argv"][0].endswith(("dmesg", "journalctl")):
                command["stdout"] = _said(command.get("stdout", ""))
            command["stderr"] = command.get("stderr", "") + HOSTILE
    elif file.name not in ("listing.yaml", "elf.yaml", "node.yaml"):
        found = _poisoned(found, "", everywhere=everywhere)
    text = json.dumps(found)
    if isinstance(found, list):
        # It is read as YAML, which refuses lone surrogates; a mapping as JSON, which has them.
        text = text.replace(r"\ud800", "")
    file.write_text(text)


def _poisoned(found: Any, key: str, *, everywhere: bool) -> Any:
    if key in _CHECKED:
        return found
    if isinstance(found, dict):
        inside = everywhere or key == "annotations"
        return {name: _poisoned(value, name, everywhere=inside) for name, value in found.items()}
    if isinstance(found, list):
        return [_poisoned(each, key, everywhere=everywhere) for each in found]
    if isinstance(found, str) and (key in _SAID or (everywhere and key not in _NAMES)):
        return _said(found)
    return found


def _said(text: str) -> str:
    """Return a text with hostile characters in every line, and commands after the last."""
    lines = [f"{line} {CHARACTERS}" for line in text.splitlines()]
    return "\n".join([*lines, *COMMANDS])
