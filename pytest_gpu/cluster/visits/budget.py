"""How much of a node's answers is kept: less than the recording of it may hold."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pytest_gpu.cluster.recording import shapes
from pytest_gpu.errors import GpuError, RecordingError

MAX_FILE = 2 << 20
"""Bytes of one file; the survey asks for 1 MiB at most."""

MAX_OUTPUT = 4 << 20
"""Characters that one command printed, output and errors; the probe keeps 2 MiB of each."""

MAX_LEVELS = 50
"""Levels of nesting of an answer; NVML's have five, and a recording may have a hundred."""

MAX_NVML = 1 << 20
"""Characters of NVML's answers; those about 16 GPUs have less than 100,000."""

NAMES, FILES, OUTPUT, ELF = "names", "files", "output", "ELF files"

LIMITS: Mapping[str, int] = {NAMES: 8 << 20, FILES: 16 << 20, OUTPUT: 10 << 20, ELF: 4 << 20}
"""Bytes of a whole visit by kind. The probe sends 15 MiB of files; a recording has one file for
all names, and one for all commands, of 64 MiB each, in which a character may take six bytes."""


class Budget:
    """What one visit may still keep."""

    def __init__(self) -> None:
        self._spent = Counter[str]()

    def spend(self, kind: str, size: int) -> None:
        """Count what is kept.

        Raises:
            GpuError: it is too much.
        """
        self._spent[kind] += size
        if self._spent[kind] > LIMITS[kind]:
            limit = LIMITS[kind] >> 20
            raise GpuError(f"cut off after {limit} MiB of {kind}, more than any visit needs")


def nvml_trouble(answers: Mapping[str, Any]) -> str:
    """Return why NVML's answers cannot be kept, empty if they can."""
    if _is_deeper(answers, MAX_LEVELS):
        return f"NVML: is nested deeper than {MAX_LEVELS} levels"
    try:
        shapes.bounded(answers, "NVML")
    except RecordingError as error:
        return str(error)
    too_long = len(json.dumps(answers)) > MAX_NVML
    return f"NVML: cut off after {MAX_NVML >> 20} MiB" if too_long else ""


def _is_deeper(value: Any, levels: int) -> bool:
    """Return whether a value of JSON has more levels than this; nothing here recurses."""
    layer = [value]
    for _ in range(levels):
        layer = [part for each in layer for part in _parts(each)]
    return bool(layer)


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
