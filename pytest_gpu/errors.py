"""Errors that are not GPU faults; none of them ever becomes a failed verdict."""

from __future__ import annotations


class GpuError(Exception):
    """An error of the suite or its surroundings; a test that raises it ends as error."""


class RecordingError(GpuError):
    """A recording cannot be read: not a recording, damaged, hostile or of a newer format."""


class Unproven(GpuError):  # noqa: N818 - a state of a test, not a mishap
    """A requirement could not be decided; a test that raises this is skipped as unproven."""


class NotInEvidence(Unproven):
    """The evidence has no answer: neither the thing nor the proof that it is absent."""

    def __init__(self, node: str, what: str) -> None:
        super().__init__(f"{what} on {node} is not in the evidence")
        self.node = node
        self.what = what
