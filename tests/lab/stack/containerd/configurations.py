"""Every configuration that is compared with the real containerd, by group and name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tests.lab.stack.containerd.corners import PATTERNS, SPELLINGS, SYNTAX, TYPES
from tests.lab.stack.containerd.distributions import DISTRIBUTIONS
from tests.lab.stack.containerd.pieces import DROP_INS, LAYOUTS, MISSING_IMPORTS, ROOTS

CORPUS = Path(__file__).parents[2] / "corpus"
FOLDER = "/etc/containerd"

Files = Mapping[str, str | bytes]


@cache
def groups() -> Mapping[str, Mapping[str, Files]]:
    """Return all configurations: files by their paths below the root file's folder."""
    single: Mapping[str, Mapping[str, str | bytes]] = {
        "spellings": SPELLINGS,
        "types": TYPES,
        "syntax": SYNTAX,
    }
    return {
        "nvidia-ctk": {name: case["files"] for name, case in toolkit_cases().items()},
        "distributions": DISTRIBUTIONS,
        "layouts": {**LAYOUTS, **MISSING_IMPORTS, **PATTERNS},
        **{
            group: {name: {"config.toml": text} for name, text in texts.items()}
            for group, texts in single.items()
        },
        "pairs": dict(_pairs()),
    }


def _pairs() -> list[tuple[str, Files]]:
    """Return each root file with each drop-in."""
    imports = 'imports = ["@DIR@/conf.d/*.toml"]\n'
    found: list[tuple[str, Files]] = [(root, {"config.toml": ROOTS[root]}) for root in ROOTS]
    for root, text in ROOTS.items():
        for name, drop_in in DROP_INS.items():
            files = {"config.toml": imports + text, "conf.d/99-nvidia.toml": drop_in}
            found.append((f"{root}+{name}", files))
    return found


@cache
def toolkit_cases() -> Mapping[str, Mapping[str, Any]]:
    """Return what ``nvidia-ctk runtime configure`` wrote, and what containerd made of it.

    ``files`` are the files; ``printed`` says by containerd version what ``config dump`` printed
    (default, handlers with binary and cgroup switch, CDI) or ``stops``.
    """
    folder = CORPUS / "nvidia-ctk"
    cases = json.loads((folder / "cases.json").read_text())
    for case in cases.values():
        case["files"] = {
            path: (folder / name).read_text().replace(FOLDER, "@DIR@")
            for path, name in case["files"].items()
        }
    return cases  # type: ignore[no-any-return] # our own JSON


def digest(files: Files) -> str:
    """Return what tells configurations apart: their files."""
    parts = sorted((name, _bytes(content)) for name, content in files.items())
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def placed(files: Files, folder: str) -> dict[str, bytes]:
    """Return the files by their absolute paths in a folder."""
    return {
        f"{folder}/{name}": _bytes(content).replace(b"@DIR@", folder.encode())
        for name, content in files.items()
    }


def _bytes(content: str | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.encode()
