"""Outcomes of this machine itself: its shell is closed, whatever the sandboxes came to."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_gpu.cluster import outcomes
from pytest_gpu.cluster.outcomes import Starter
from pytest_gpu.layers import Layer
from tests.stack.kube.kube_machine import Machine


class Shell:
    """A shell that only notes that it was closed."""

    closed = False

    def close(self) -> None:
        """Note it."""
        self.closed = True


def bring(monkeypatch: pytest.MonkeyPatch, folder: Path, shell: Shell, *, fails: bool) -> None:
    """Try the sandboxes of this machine with a stand-in for crictl."""

    def tried(*_: object) -> dict[str, Any]:
        assert not shell.closed
        if fails:
            raise KeyboardInterrupt
        return {"skipped": "no crictl"}

    monkeypatch.setattr(outcomes, "open_shell", lambda *_: shell)
    monkeypatch.setattr(outcomes, "try_sandboxes", tried)
    live = SimpleNamespace(read_only=False, image="python:3-slim", crictl=None, timeout=5)
    settings: Any = SimpleNamespace(
        live=live,
        timeout=5,
        up_to=Layer.SANDBOX,
        sandbox_pod_config=None,
        sandbox_container_config=None,
    )
    Starter(settings=settings, folder=folder, door=None).bring(Layer.SANDBOX, [Machine().node()])


def test_the_shell_of_this_machine_is_closed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After the sandboxes, not before."""
    shell = Shell()
    bring(monkeypatch, tmp_path, shell, fails=False)
    assert shell.closed


def test_it_is_closed_when_the_user_interrupts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Ctrl-C amid the sandboxes leaves no child behind."""
    shell = Shell()
    with pytest.raises(KeyboardInterrupt):
        bring(monkeypatch, tmp_path, shell, fails=True)
    assert shell.closed
