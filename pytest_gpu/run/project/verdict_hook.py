"""Calls the hook ``pytest_gpu_verdict``; an exception in it is one line, and costs no report."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.settings.settings import shown

HOOK = "pytest_gpu_verdict"


@dataclass(frozen=True, slots=True, kw_only=True)
class HookFailure:
    """A hook that raised: the line to print, and the exit code of the run."""

    line: str
    code: int


def call_verdict_hook(config: pytest.Config, document: Mapping[str, Any]) -> HookFailure | None:
    """Call the hook with a copy of the document; return how it failed, ``None`` if it did not."""
    call = partial(config.hook.pytest_gpu_verdict, config=config, document=deepcopy(document))
    # As pytest calls a test: a user's code may raise anything.
    done = pytest.CallInfo.from_call(call, "call", reraise=KeyboardInterrupt)
    if done.excinfo is None:
        return None
    error = done.excinfo.value
    code: int = pytest.ExitCode.INTERNAL_ERROR
    if isinstance(error, pytest.exit.Exception):
        code = pytest.ExitCode.INTERRUPTED if error.returncode is None else error.returncode
    return HookFailure(line=_line(error, config.rootpath), code=code)


def _line(error: BaseException, root: Path) -> str:
    return f"ERROR: hook {HOOK}: {_place(error, root)}{type(error).__name__}: {shown(error)}"


def _place(error: BaseException, root: Path) -> str:
    """Return the line of the hook that raised; nothing if the hook was not even entered."""
    frames = traceback.extract_tb(error.__traceback__)
    for frame in reversed(frames):
        if frame.name == HOOK:
            path = Path(frame.filename)
            file = path.relative_to(root) if path.is_relative_to(root) else path
            return f"{file}:{frame.lineno}: "
    return ""
