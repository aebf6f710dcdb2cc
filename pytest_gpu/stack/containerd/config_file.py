"""One containerd configuration file: its parsed content, and the lines of its keys."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pytest_gpu.causes import Evidence
from pytest_gpu.errors import Unproven
from pytest_gpu.parsing import LimitError, check_toml, words_of
from pytest_gpu.stack.containerd.toml_lines import BYTE_ORDER_MARK, NOT_UTF8, Path, walk

CRI_V1 = "cri"
CRI_V2 = "io.containerd.grpc.v1.cri"
CRI_V3 = "io.containerd.cri.v1.runtime"
CRI_IMAGES = "io.containerd.cri.v1.images"
RUNC_TYPE = "io.containerd.runc.v2"

Table = Mapping[str, Any]


class BadToml(ValueError):  # noqa: N818 - a fact about a file, not an error of ours
    """A file is not valid TOML; ``evidence`` has the file, the line and the parser's message."""

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence.text)
        self.evidence = evidence


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConfigFile:
    """One file of the merge set.

    ``strict_error`` says why the TOML standard rejects a file that some containerd still reads,
    and ``generous`` names what that containerd has to tolerate (toml_lines.py).

    Attributes:
        path: where the file is.
        version: the number of its format, 1 if it sets none.
        text: what the file contains.
    """

    path: str
    version: int
    table: Table
    text: str
    strict_error: Evidence | None = None
    generous: frozenset[str] = frozenset()

    def at(self, key: Path) -> Evidence:
        """Return the line of a key, or of the nearest table around it that has a line."""
        lines = _lines(self)
        for length in range(len(key), 0, -1):
            if number := lines.get(key[:length]):
                text = _text_lines(self)[number - 1].strip()
                return Evidence(source=self.path, line=number, text=text)
        return Evidence(source=self.path, text="does not mention it")


@lru_cache(maxsize=512)
def parse(path: str, content: bytes) -> ConfigFile:
    """Parse one configuration file; results are cached, since a fleet's files are alike.

    Raises:
        BadToml: no containerd reads it.
        Unproven: it is too large or nested too deeply for our parser, but not for containerd's.
    """
    try:
        check_toml(content)
    except LimitError as error:
        raise Unproven(f"{path}: {error}") from None
    text = content.decode(errors="replace").removeprefix("\ufeff")
    try:
        return _file(path, text, tomllib.loads(content.decode()))
    except RecursionError:
        raise Unproven(f"{path} is nested too deeply to be read") from None
    except ValueError as error:
        evidence = _complaint(path, content, error)
    found = walk(text)
    generous = found.generous if found else frozenset[str]()
    generous |= {BYTE_ORDER_MARK} if content.startswith(b"\xef\xbb\xbf") else set()
    generous |= {NOT_UTF8} if not _is_utf8(content) else set()
    try:
        table = tomllib.loads(found.strict if found else "\0")
    except ValueError:
        raise BadToml(evidence) from None
    return _file(path, text, table, strict_error=evidence, generous=generous)


def _file(path: str, text: str, table: Table, **more: Any) -> ConfigFile:
    version = next((value for key, value in table.items() if key.lower() == "version"), 1)
    known = version if isinstance(version, int) and version else 1
    return ConfigFile(path=path, version=known, table=table, text=text, **more)


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _complaint(path: str, content: bytes, error: ValueError) -> Evidence:
    """Return what is wrong and in which line; tomllib puts the line into its message."""
    if isinstance(error, UnicodeDecodeError):
        line = content.count(b"\n", 0, error.start) + 1
        return Evidence(source=path, line=line, text=f"is not valid TOML: {error.reason}")
    told = re.search(r"at line (\d+)", str(error))
    # At the end of the document tomllib names no line.
    line = int(told[1]) if told else content.count(b"\n") + 1
    return Evidence(source=path, line=line, text=f"is not valid TOML: {words_of(error)}")


@lru_cache(maxsize=512)
def _text_lines(file: ConfigFile) -> list[str]:
    return file.text.splitlines()


@lru_cache(maxsize=512)
def _lines(file: ConfigFile) -> Mapping[Path, int]:
    # A line of a template that Go fills in is not TOML; without it the others can be read.
    lines = ("" if line.lstrip().startswith("{{") else line for line in file.text.split("\n"))
    found = walk("\n".join(lines))
    return found.lines if found else {}


def evidence_of_version(file: ConfigFile) -> Evidence:
    """Return the line of a file that sets its version; a file without one has version 1."""
    key = next((key for key in file.table if key.lower() == "version"), None)
    return file.at((key,)) if key else Evidence(source=file.path, text="sets no version: it is 1")


def cri_plugin(version: int) -> str:
    """Return the name of the CRI section in a file of this version."""
    return {1: CRI_V1, 2: CRI_V2}.get(version, CRI_V3)


def handler_line(file: ConfigFile, handler: str) -> Evidence:
    """Return the line of a file that opens a handler's table."""
    for plugin, section in subtable(file.table, "plugins").items():
        runtimes = subtable(subtable(section, "containerd"), "runtimes")
        if handler in runtimes:
            return file.at(("plugins", plugin, "containerd", "runtimes", handler))
    return Evidence(source=file.path, text=f"defines the handler {handler}")


def subtable(table: Any, key: str) -> Table:
    """Return a table within a table, an empty one if there is none."""
    value = table.get(key) if isinstance(table, Mapping) else None
    return value if isinstance(value, Mapping) else {}
