"""The pytest hooks of ``--gpu-cluster=local``: the recording is kept once it is complete."""

from __future__ import annotations

import pytest

from pytest_gpu.cluster.outcomes import leftovers
from pytest_gpu.cluster.recording.copying import record
from pytest_gpu.cluster.recording.recorded import RecordedCluster, open_recording
from pytest_gpu.errors import GpuError
from pytest_gpu.run.session import GpuSession
from pytest_gpu.run.suite import questions
from pytest_gpu.text.visible import visible


class LocalRun:
    """Writes the recording at the end, since sandboxes are tried between the tests."""

    def __init__(self, machine: RecordedCluster, session: GpuSession) -> None:
        self.machine = machine
        self.session = session
        self._troubles: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Keep the recording; errors, and what sandboxes left behind, make the run fail."""
        with open_recording(self.machine.folder, self.machine.title) as seen:
            self._troubles.extend(leftovers(seen))
            to = self.session.settings.record
            if to is not None and not session.config.option.collectonly:
                try:
                    asked = questions(self.session.settings.up_to)
                    record(seen, to, asked, self.session.selected)
                except (GpuError, OSError) as error:
                    self._troubles.append(f"--gpu-record: {to}: {error}")
        if self._troubles and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print what went wrong at the end."""
        for trouble in self._troubles:
            terminalreporter.write_line(visible(f"ERROR: {trouble}"), red=True)
