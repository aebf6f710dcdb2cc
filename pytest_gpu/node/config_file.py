"""One containerd configuration file: parsing it, and finding its lines again."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pytest_gpu.causes import Evidence

CRI_V1 = "cri"
CRI_V2 = "io.containerd.grpc.v1.cri"
CRI_V3 = "io.containerd.cri.v1.runtime"

Table = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    """One file of the merge set; ``version`` 1 where it names none."""

    path: str
    version: int
    table: Table
    text: str


@lru_cache(maxsize=512)
def parse(path: str, content: bytes) -> ConfigFile:
    """Parse one configuration file; a fleet's files are alike, so results are kept.

    Raises:
        tomllib.TOMLDecodeError: it is no TOML.
        UnicodeDecodeError: it is no UTF-8.
    """
    text = content.decode()
    table = tomllib.loads(text)
    version = table.get("version", 1)
    return ConfigFile(
        path=path, version=version if isinstance(version, int) else 1, table=table, text=text
    )


def evidence_of_version(file: ConfigFile, text: str) -> Evidence:
    """Return the line of a file that names its version."""
    for number, line in enumerate(file.text.splitlines(), 1):
        if line.replace(" ", "").startswith("version="):
            return Evidence(source=file.path, line=number, text=f"{line.strip()}: {text}")
    return Evidence(source=file.path, text=text)


def handler_line(file: ConfigFile, handler: str) -> Evidence:
    """Return the line of a file that opens a handler's table."""
    for number, line in enumerate(file.text.splitlines(), 1):
        bare = line.replace("'", "").replace('"', "").strip()
        if bare.startswith("[") and bare.endswith(f".runtimes.{handler}]"):
            return Evidence(source=file.path, line=number, text=line.strip())
    return Evidence(source=file.path, text=f"defines the handler {handler}")


def subtable(table: Table, key: str) -> Table:
    """Return a table within a table, an empty one where there is none."""
    value = table.get(key)
    return value if isinstance(value, Mapping) else {}
