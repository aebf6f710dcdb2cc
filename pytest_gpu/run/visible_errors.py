"""What goes wrong, made visible: usage errors, and the reports of tests that others write."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from pytest_gpu.text.visible import visible, visible_but_colours


@contextmanager
def visible_usage_errors() -> Iterator[None]:
    """Make the message of a usage error harmless: it may quote a recording or an API server."""
    try:
        yield
    except pytest.UsageError as error:
        make_visible(error)
        raise


def make_visible(error: BaseException) -> None:
    """Make what an exception says harmless, in place: other plugins write it, too."""
    error.args = tuple(visible(each) if isinstance(each, str) else each for each in error.args)


class VisibleReports:
    """Makes what failed tests say and print harmless, before other plugins read it.

    ``colours`` says whether pytest colours its own comparisons and logs; these colours stay.
    """

    def __init__(self, *, colours: bool) -> None:
        self._shown = visible_but_colours if colours else visible

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Change every text of the report."""
        report = yield
        report.longrepr = self._all(report.longrepr)
        report.sections = self._all(report.sections)
        return report

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_fixture_setup(self) -> Generator[None, object, object]:
        """Change what an error of a fixture says: Allure writes it before there is a report."""
        try:
            return (yield)
        except Exception as error:
            make_visible(error)
            raise

    def _all(self, found: Any) -> Any:
        """Return texts, or what pytest keeps them in, made visible; its own objects in place."""
        if isinstance(found, str):
            return self._shown(found)
        if isinstance(found, list | tuple):
            return type(found)(map(self._all, found))
        if is_dataclass(found) and hasattr(found, "toterminal"):
            for field in fields(found):
                setattr(found, field.name, self._all(getattr(found, field.name)))
        return found


def has_colours(config: pytest.Config) -> bool:
    """Return whether pytest writes colours; an xdist worker has no terminal of its own."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    return config.getoption("color", "auto") == "yes" or bool(terminal and terminal.hasmarkup)
