"""Every finding in a sample, and in each variant of one, is read as an admin would read it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.readable import faults_of, findings_made


@pytest.fixture(autouse=True)
def findings_can_be_read() -> Iterator[None]:
    """Fail if a finding of the test breaks a rule of :mod:`tests.support.wording`."""
    with findings_made() as made:
        yield
    assert faults_of(made) == []
