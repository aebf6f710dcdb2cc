"""How much of a node's answers is kept: less than the recording of it may hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from pytest_gpu.errors import GpuError

MAX_FILE = 2 << 20
"""Bytes of one file; the survey asks for 1 MiB at most."""

MAX_OUTPUT = 4 << 20
"""Characters that one command printed, output and errors; the probe keeps 2 MiB of each."""

MAX_NVML = 1 << 20
"""Characters of NVML's answers; those about 16 GPUs have less than 100,000."""

NAMES, FILES, OUTPUT, ELF = "names", "files", "output", "ELF files"

LIMITS: Mapping[str, int] = {NAMES: 8 << 20, FILES: 96 << 20, OUTPUT: 10 << 20, ELF: 4 << 20}
"""Bytes of a whole visit by kind. The probe sends 48 MiB of files; a recording has one file for
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
