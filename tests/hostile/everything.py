"""All hostile inputs."""

from __future__ import annotations

from tests.hostile.inputs import Input

ALL: tuple[Input, ...] = ()
