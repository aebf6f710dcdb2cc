"""Every finding that a test of a check makes is read as an admin would read it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_gpu.causes import Finding
from pytest_gpu.errors import GpuError
from pytest_gpu.finding_json import as_json
from tests.support import wording
from tests.support.told import full

HOSTILE = "test_hostile_files.py"
"""Its values are nonsense on purpose; what becomes of them is its own subject."""


@pytest.fixture(autouse=True)
def findings_can_be_read(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail if a finding that the test made breaks a rule of :mod:`tests.support.wording`."""
    made: list[Finding] = []
    checked = Finding.__post_init__

    def noted(self: Finding) -> None:
        checked(self)
        made.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Finding, "__post_init__", noted)
        yield
    if request.path.name != HOSTILE:
        assert [*dict.fromkeys(fault for each in made for fault in _faults(each))] == []


def _faults(finding: Finding) -> list[str]:
    """Return what is wrong with a finding's texts; one that a test made by hand has none."""
    try:
        return wording.faults(as_json(full(finding)))
    except GpuError:
        return []
