"""Every finding that a test makes is read as an admin would read it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pytest_gpu.causes import Finding
from pytest_gpu.errors import GpuError
from pytest_gpu.finding_json import as_json
from tests.support import wording
from tests.support.told import full


@contextmanager
def findings_made() -> Iterator[list[Finding]]:
    """Return a list of all findings that are made until the end of the block."""
    made: list[Finding] = []
    checked = Finding.__post_init__

    def noted(self: Finding) -> None:
        checked(self)
        made.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Finding, "__post_init__", noted)
        yield made


def faults_of(made: list[Finding]) -> list[str]:
    """Return what is wrong with the texts of findings, each fault once."""
    return [*dict.fromkeys(fault for each in made for fault in _faults(each))]


def _faults(finding: Finding) -> list[str]:
    """Return what is wrong with a finding's texts; one that a test made by hand has none."""
    try:
        return wording.faults(as_json(full(finding)))
    except GpuError:
        return []
