"""What goes wrong, made visible: usage errors, and the reports of tests that others write."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from pytest_gpu.visible import visible, visible_but_colours


@contextmanager
def visible_usage_errors() -> Iterator[None]:
    """Make the message of a usage error harmless: it may quote a recording or an API server."""
    try:
        yield
    except pytest.UsageError as error:
        error.args = tuple(visible(str(each)) for each in error.args)
        raise


class VisibleReports:
    """Makes what failed tests say and print harmless, before other plugins read it."""

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Change every text of the report; colours of pytest's comparisons and logs stay."""
        report = yield
        report.longrepr = _shown(report.longrepr)
        report.sections = _shown(report.sections)
        return report


def _shown(found: Any) -> Any:
    """Return texts, or what pytest keeps them in, made visible; its own objects in place."""
    if isinstance(found, str):
        return visible_but_colours(found)
    if isinstance(found, list | tuple):
        return type(found)(map(_shown, found))
    if is_dataclass(found) and hasattr(found, "toterminal"):
        for field in fields(found):
            setattr(found, field.name, _shown(getattr(found, field.name)))
    return found
