"""The pytest plugin. Without ``--gpu-cluster`` it does nothing and imports nothing heavy."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import AbstractContextManager, nullcontext

import pytest

from pytest_gpu import hookspecs
from pytest_gpu.run.session import SESSION_KEY
from pytest_gpu.settings import look_alikes, options

pytest_plugins = [
    "pytest_gpu.fixtures.cluster",
    "pytest_gpu.fixtures.containerd_config",
    "pytest_gpu.fixtures.crictl_sandbox",
    "pytest_gpu.fixtures.gpu_pod",
    "pytest_gpu.fixtures.node_shell",
    "pytest_gpu.fixtures.sandbox",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the ``--gpu-*`` options and their twins in the configuration file."""
    options.add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the ``pytest_gpu_*`` hooks."""
    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None, object, object]:
    """Run the shipped suite when ``--gpu-cluster`` comes without a path; handle signals.

    The first ``conftest.py`` files are loaded before: the value of an option that they declare
    would look like a path. xdist workers start from the same command line, so they run this hook
    too.
    """
    with _ending_in_order(early_config, args):
        result = yield
    known = parser.parse_known_args(args)
    if known.gpu_cluster is not None:
        from pytest_gpu.run.suite import with_suite  # noqa: PLC0415 - keeps start-up fast

        early_config.stash[look_alikes.GIVEN_KEY] = look_alikes.given(known, early_config.option)
        args[:] = with_suite(args, known.file_or_dir)
    return result


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Answer ``--gpu-explain``, which needs neither cluster nor tests."""
    cause = config.getoption("gpu_explain")
    if cause is None:
        return None
    from pytest_gpu.errors import GpuError  # noqa: PLC0415 - keeps start-up fast
    from pytest_gpu.run.explaining.explain import explain  # noqa: PLC0415 - keeps start-up fast
    from pytest_gpu.run.project.own_causes import own_causes  # noqa: PLC0415 - keeps start-up fast
    from pytest_gpu.run.visible_errors import visible_usage_errors  # noqa: PLC0415 - keeps start-up fast
    from pytest_gpu.settings.settings import shown  # noqa: PLC0415 - keeps start-up fast
    from pytest_gpu.text.visible import is_unicode, visible  # noqa: PLC0415 - keeps start-up fast

    with visible_usage_errors():
        try:
            text = explain(cause, own_causes(config).causes)
        except GpuError as error:
            given = f"{shown(cause)}: " if cause.strip() else ""
            raise pytest.UsageError(f"--gpu-explain: {given}{error}") from error
    sys.stdout.write(visible(text, unicode=is_unicode(sys.stdout.encoding)))
    return 0


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register the marker; keep an xdist worker from emptying Allure's results.

    Every worker would clean the directory again; one that replaces a crashed worker would lose
    all results so far. The controller cleans once.
    """
    config.addinivalue_line(
        "markers", "gpu_layer(layer): the layer of the GPU stack that a test with gpu_node tests"
    )
    if _is_active(config) and hasattr(config, "workerinput"):
        config.option.clean_alluredir = False


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Open the cluster and register the hooks that do the work.

    First, because pytest-sugar asks for the header in this hook.
    """
    if _is_active(session.config):
        from pytest_gpu.run.startup import start  # noqa: PLC0415 - keeps start-up fast
        from pytest_gpu.run.visible_errors import (  # noqa: PLC0415 - keeps start-up fast
            visible_usage_errors,
        )

        with visible_usage_errors():
            start(session.config)


def pytest_report_header(config: pytest.Config) -> list[str] | None:
    """Show the cluster, its nodes and the settings, and where each of them came from."""
    session = config.stash.get(SESSION_KEY, None)
    if session is None:
        return None
    from pytest_gpu.run.header import header  # noqa: PLC0415 - keeps start-up fast
    from pytest_gpu.run.page import page_of  # noqa: PLC0415 - keeps start-up fast
    from pytest_gpu.text.visible import visible  # noqa: PLC0415 - keeps start-up fast

    return [visible(line) for line in header(session, page_of(config))]


def _ending_in_order(config: pytest.Config, args: list[str]) -> AbstractContextManager[None]:
    """Handle signals from the first moment of a run with ``--gpu-cluster``."""
    if not any(arg.startswith("--gpu-cluster") for arg in args):
        return nullcontext()
    from pytest_gpu.run.interrupts import starting  # noqa: PLC0415 - keeps start-up fast

    return starting(config)


def _is_active(config: pytest.Config) -> bool:
    return config.getoption("gpu_cluster") is not None
