"""Which questions a recording answers: those that were asked when it was taken.

A question is a requirement of the suite, ``LAYER/NAME`` as in ``driver/nvml_answers``. A recording
that is older than a question cannot answer it: the test is then neither failed nor unproven.
"""

from __future__ import annotations

from pytest_gpu.layers import Layer

Asked = frozenset[str] | None
"""The names of the questions; ``None``: every question counts as asked."""


def question_of(layer: Layer, test: str) -> str:
    """Return the name of the question that a conformance test asks."""
    return f"{layer}/{test.partition('[')[0].removeprefix('test_')}"


def why_not_asked(asked: Asked, question: str, suite: str) -> str | None:
    """Return why a recording does not answer a question, ``None`` if it was asked.

    Args:
        asked: the questions that the recording lists.
        question: the name of the question.
        suite: the version that took the recording, empty if it does not say.
    """
    if asked is None or question in asked:
        return None
    return f"this recording was taken by {by(suite)}, which did not look at {question}"


def by(suite: str | None) -> str:
    """Return the version that took a recording, for use in a sentence."""
    return suite or "an unknown version"
