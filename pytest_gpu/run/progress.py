"""Live progress: which layer is being climbed, on how many nodes."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from pytest_gpu.layers import Layer
from pytest_gpu.run.items import rung_of
from pytest_gpu.text.visible import visible


class Progress:
    """Writes one line when the first test of a layer starts, in the controller.

    Under xdist the controller starts no test: there the first report of a layer counts. Each
    line is complete, so that a CI log without colour and ``-v`` both stay readable.
    """

    def __init__(self, terminal: pytest.TerminalReporter, standing: Callable[[], str]) -> None:
        self._terminal = terminal
        self._standing = standing
        self._climbing: Layer | None = None
        self._letters = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Announce the layer of a test before pytest writes the test's own line."""
        rung = rung_of(item)
        if rung is not None and self._is_next(rung.layer):
            self._terminal.ensure_newline()
            # No line end: pytest starts a line before it writes a new file or test.
            self._terminal.write(visible(f"{self._start}{self._line(rung.layer)}"), flush=True)
        return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Announce the layer of a report that came from an xdist worker."""
        if not hasattr(report, "node"):
            return
        layer = dict(report.user_properties).get("gpu_layer")
        if layer is not None and self._is_next(Layer.parse(str(layer))):
            # xdist writes letters without telling the terminal reporter that a line is open.
            start = "\n" if self._letters else ""
            self._terminal.ensure_newline()
            self._terminal.write_line(visible(f"{start}{self._line(Layer.parse(str(layer)))}"))
            self._letters = False
        self._letters |= report.when == "call" and self._terminal.verbosity == 0

    @property
    def _start(self) -> str:
        """Return what starts a line: a reporter of another plugin may not know of an open one."""
        return "" if type(self._terminal) is pytest.TerminalReporter else "\n"

    def _is_next(self, layer: Layer) -> bool:
        is_next = self._climbing is None or layer > self._climbing
        if is_next:
            self._climbing = layer
        return is_next

    def _line(self, layer: Layer) -> str:
        return f"gpu: climbing {layer} ({layer.value} of {len(Layer)}), {self._standing()}"
