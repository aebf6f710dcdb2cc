"""All hostile inputs."""

from __future__ import annotations

from tests.hostile.inputs import Input
from tests.hostile.recordings import shapes, special, values

ALL: tuple[Input, ...] = (*shapes.INPUTS, *special.INPUTS, *values.INPUTS)
