"""Settings of a distribution's own: a config.yaml, the folder beside it, its command line.

Sources: docs.k3s.io and docs.rke2.io "Configuration File" (config.yaml, config.yaml.d, ``--config``
and the order in which they count).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import NodeEvidence
from pytest_gpu.parsing import LimitError, MalformedError, yaml_document
from pytest_gpu.stack.host.processes import flag


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductSettings:
    """What the files say together; flags of the command line are not among it and outrank it.

    ``sources`` maps each name to the last file that sets it. ``unread`` are files and folders that
    might say more: nobody looked at them, or they are no settings.
    """

    values: Mapping[str, Any]
    sources: Mapping[str, str]
    unread: tuple[str, ...]


def read(words: Sequence[str], evidence: NodeEvidence, folder: str) -> ProductSettings:
    """Return the settings that a command line reads, usually those in a folder."""
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    unread: list[str] = []
    for path in _files(words, evidence, folder, unread):
        for key, value in _yaml(evidence, path, unread).items():
            name = _add(values, str(key), value)
            sources[name] = path
    return ProductSettings(values=values, sources=sources, unread=tuple(unread))


def _files(
    words: Sequence[str], evidence: NodeEvidence, folder: str, unread: list[str]
) -> Iterator[str]:
    config = flag(tuple(words), "--config", "-c") or f"{folder}/config.yaml"
    yield config
    try:
        names = evidence.names(f"{config}.d") or ()
    except NotInEvidence:
        unread.append(f"{config}.d")
        return
    yield from (f"{config}.d/{name}" for name in sorted(names) if re.search(r"\.ya?ml$", name))


def _yaml(evidence: NodeEvidence, path: str, unread: list[str]) -> Mapping[str, Any]:
    try:
        found = yaml_document(evidence.read(path) or b"")
    except LimitError as error:
        unread.append(f"{path} ({error})")
        return {}
    except (NotInEvidence, MalformedError):
        found = False
    if isinstance(found, dict):
        return found
    if found is not None:
        unread.append(path)
    return {}


def _add(values: dict[str, Any], key: str, value: object) -> str:
    """Lay a setting over those before it; a key that ends in ``+`` adds to a list."""
    name = key.removesuffix("+")
    values[name] = value if name == key else [*items(values.get(name)), *items(value)]
    return name


def items(value: object) -> list[object]:
    """Return the values of a setting that may be given once or as a list."""
    return list(value) if isinstance(value, list) else ([] if value is None else [value])
