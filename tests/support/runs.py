"""Running pytest from a test: in this process, or in one of its own.

Starting Python and loading every plugin of the environment takes about two seconds of processor,
judging a node a tenth of that. So use :func:`run_here`, except where the test is about a process:
its signals, its exit, what it imports, what it leaves behind.
"""

from __future__ import annotations

import importlib
import pkgutil
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

import pytest_gpu
from pytest_gpu.run.suite import suite_path

QUIET = ("-W", "error", "-p", "no:randomly", "-p", "no:cacheprovider")
"""Fail on warnings, keep the order, leave nothing behind."""

OTHERS = {
    "hypothesispytest": (),
    "platformdirs": (),
    "pytest-kind": ("--kind-", "--kubeconfig", "--cluster-name"),
    "allure_pytest": ("--alluredir", "--clean-alluredir"),
    "xdist": ("-n", "--dist", "--tx"),
    "xdist.looponfail": ("-n", "--dist", "--tx"),
}
"""Plugins of the tests' environment that cost time, and the options that ask for them."""

LOADED_BEFORE = "ignore::pytest.PytestAssertRewriteWarning"
"""The plugin of the run around this one is the same module."""


def run_here(pytester: pytest.Pytester, *args: object) -> pytest.RunResult:
    """Run pytest in this process; with ``-n`` in one of its own.

    execnet leaves pipes to its workers open, which would be blamed on a later test.
    """
    if any(str(arg).startswith("-n") for arg in args):
        return run_apart(pytester, *args)
    with keeping_compiled(pytester):
        return pytester.runpytest_inprocess(*_with_what_is_asked(args), "-W", LOADED_BEFORE)


def run_apart(pytester: pytest.Pytester, *args: object) -> pytest.RunResult:
    """Run pytest in a process of its own, which hears signals even if these tests do not."""
    with keeping_compiled(pytester), heard((signal.SIGINT, signal.SIGHUP)):
        return pytester.runpytest_subprocess(*_with_what_is_asked(args))


def refused(result: pytest.RunResult) -> str:
    """Return the one line with which a run was refused."""
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    lines = [line for line in result.errlines if line]
    assert len(lines) == 1, result.stderr.str()
    assert lines[0].startswith("ERROR: ")
    return lines[0].removeprefix("ERROR: ")


@contextmanager
def heard(signals: Sequence[signal.Signals]) -> Iterator[None]:
    """Let processes hear signals that are ignored here, as with ``nohup`` or the shell's ``&``.

    A handler is not inherited, an ignored signal is.
    """
    ignored = [each for each in signals if signal.getsignal(each) == signal.SIG_IGN]
    for each in ignored:
        signal.signal(each, lambda *_: None)
    try:
        yield
    finally:
        for each in ignored:
            signal.signal(each, signal.SIG_IGN)


@contextmanager
def keeping_compiled(pytester: pytest.Pytester) -> Iterator[None]:
    """Let processes share what they compile, also where the environment forbids to write it.

    It lies beside the folders of this run's tests.
    """
    compiled = pytester.path.parent / "compiled"
    forget_compiled(pytester.path, compiled)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("PYTHONPYCACHEPREFIX", str(compiled))
        yield


def forget_compiled(folder: Path, compiled: Path) -> None:
    """Remove what was compiled of a test's own files.

    A file that is written again in the same second with the same size would be taken for the old
    one.
    """
    shutil.rmtree(compiled / folder.relative_to("/"), ignore_errors=True)
    for cache in folder.rglob("__pycache__"):
        shutil.rmtree(cache, ignore_errors=True)


def load_all() -> None:
    """Import all our modules and the shipped suite, before any run in this process does.

    pytester forgets afterwards what such a run was the first to import, so each would import and
    compile it all again.
    """
    for package in (pytest_gpu, importlib.import_module(suite_path().name)):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)


def _with_what_is_asked(args: tuple[object, ...]) -> list[str]:
    given = [str(arg) for arg in args]
    return [*given, *(word for name in _unasked(given) for word in ("-p", f"no:{name}"))]


def _unasked(args: list[str]) -> Iterator[str]:
    for name, options in OTHERS.items():
        if not any(arg.startswith(options) for arg in args if options):
            yield name
