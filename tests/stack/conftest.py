"""Every finding that a test of a check makes is read as an admin would read it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.readable import faults_of, findings_made

HOSTILE = "test_hostile_files.py"
"""Its values are nonsense on purpose; what becomes of them is its own subject."""


@pytest.fixture(autouse=True)
def findings_can_be_read(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail if a finding that the test made breaks a rule of :mod:`tests.support.wording`."""
    with findings_made() as made:
        yield
    if request.path.name != HOSTILE:
        assert faults_of(made) == []
