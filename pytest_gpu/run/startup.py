"""Registers the hooks of a run, by process and installed plugins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.run.final import Final
from pytest_gpu.run.interrupts import interrupts_of
from pytest_gpu.run.ladder import Ladder
from pytest_gpu.run.ledger import Ledger
from pytest_gpu.run.project.own_causes import own_causes, read_files
from pytest_gpu.run.session import SESSION_KEY, GpuSession
from pytest_gpu.run.visible_errors import VisibleReports, has_colours
from pytest_gpu.settings.settings import Settings, read_settings


def start(config: pytest.Config) -> None:
    """Open the session of this process and register its hooks.

    Raises:
        pytest.UsageError: an option cannot be used, or the cluster cannot be tested.
    """
    settings = read_settings(config)
    received = getattr(config, "workerinput", None)
    own = read_files(map(Path, received["gpu_causes"])) if received else own_causes(config)
    if received is not None:
        session = join_session(settings, received)
        config.add_cleanup(session.leave)
        if interrupts_of(config).handles:
            session.ledger.join(str(received["workerid"]))
    else:
        from pytest_gpu.run.opening import open_session  # noqa: PLC0415 - not needed in workers

        session = open_session(config, settings)
        _register_for_controller(config, session)
    session.own_causes, session.cause_files = own.causes, own.files
    config.stash[SESSION_KEY] = session
    worker = None if received is None else str(received["workerid"])
    ladder = Ladder(session, worker)
    config.pluginmanager.register(ladder, "gpu-ladder")
    config.pluginmanager.register(
        VisibleReports(colours=has_colours(config)), "gpu-visible-reports"
    )
    if not config.pluginmanager.has_plugin("dsession"):
        # The controller of xdist runs no test.
        config.pluginmanager.register(Final(session, ladder), "gpu-final")
    if (listener := config.pluginmanager.get_plugin("allure_listener")) is not None:
        from pytest_gpu._allure import Findings  # noqa: PLC0415 - optional dependency

        config.pluginmanager.register(Findings(listener, settings.ci), "gpu-allure")


def _register_for_controller(config: pytest.Config, session: GpuSession) -> None:
    from pytest_gpu.run.progress import Progress  # noqa: PLC0415 - not needed in workers
    from pytest_gpu.run.results import Results  # noqa: PLC0415 - not needed in workers

    results = Results(session)
    config.pluginmanager.register(results, "gpu-results")
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and config.get_verbosity() >= 0:
        config.pluginmanager.register(Progress(terminal, results.standing), "gpu-progress")
    if config.pluginmanager.has_plugin("dsession"):
        from pytest_gpu._xdist import XdistHooks  # noqa: PLC0415 - optional dependency

        config.pluginmanager.register(
            XdistHooks(session, config.hook, interrupts_of(config)), "gpu-xdist"
        )
    if config.getoption("xmlpath", None):
        from pytest_gpu.run.ci.junit import Junit  # noqa: PLC0415 - not needed without its option

        config.pluginmanager.register(Junit(config, session), "gpu-junit")
    if folder := config.getoption("allure_report_dir", None):
        from pytest_gpu._allure import RunFiles  # noqa: PLC0415 - optional dependency

        config.pluginmanager.register(RunFiles(session, Path(folder)), "gpu-allure-run")


def join_session(settings: Settings, received: Mapping[str, Any]) -> GpuSession:
    """Return the session of an xdist worker, from what the controller sent."""
    return GpuSession(
        settings=settings,
        folder=Path(received["gpu_folder"]),
        title=received["gpu_title"],
        names=tuple(received["gpu_nodes"]),
        others=tuple(received["gpu_others"]),
        ledger=Ledger(Path(received["gpu_ledger"])),
        remote=received["gpu_live"],
        shards=int(received["workercount"]),
    )
