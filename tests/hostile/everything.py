"""All hostile inputs."""

from __future__ import annotations

from tests.hostile.api_inputs import api_inputs
from tests.hostile.inputs import Input
from tests.hostile.node_inputs import node_inputs
from tests.hostile.recordings import archives, hardware, node_files, objects, shapes, special
from tests.hostile.recordings import values as recorded_values
from tests.hostile.texts import places
from tests.hostile.texts import values as option_values

ALL: tuple[Input, ...] = (
    *shapes.INPUTS,
    *special.INPUTS,
    *objects.INPUTS,
    *recorded_values.INPUTS,
    *archives.INPUTS,
    *node_files.INPUTS,
    *hardware.INPUTS,
    *places.INPUTS,
    *option_values.INPUTS,
    *node_inputs(),
    *api_inputs(),
)
