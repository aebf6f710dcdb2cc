"""All hostile inputs."""

from __future__ import annotations

from tests.hostile.inputs import Input
from tests.hostile.recordings import archives, hardware, node_files, shapes, special, values

ALL: tuple[Input, ...] = (
    *shapes.INPUTS,
    *special.INPUTS,
    *values.INPUTS,
    *archives.INPUTS,
    *node_files.INPUTS,
    *hardware.INPUTS,
)
