"""What the processes of a run must know about each other, kept in small files.

Files rather than memory: when xdist replaces a crashed worker, the new process must still know
what failed, and the controller must learn what the old one was doing.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pytest_gpu import private_files
from pytest_gpu.cluster.recording.owner import pid_of, this_process
from pytest_gpu.cluster.recording.temporary import new_folder, remove
from pytest_gpu.layers import Layer


class Ledger:
    """The first failing layer of every node, the plan, and the test each worker is running."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        # One process runs all tests of a node; only one that replaces it has to read its file.
        self._failed: dict[str, Layer | None] = {}

    def record(self, node: str, layer: Layer) -> None:
        """Note that ``layer`` failed on ``node``; the first (lowest) one is kept."""
        known = self.first_failure(node)
        if known is None or layer < known:
            self._failed[node] = layer
            self._write("failed", node, layer.name)

    def first_failure(self, node: str) -> Layer | None:
        """Return the lowest layer that failed on ``node``, if any."""
        if node not in self._failed:
            text = self._read("failed", node)
            self._failed[node] = None if text is None else Layer[text]
        return self._failed[node]

    def plan(self, plan: Mapping[str, Any]) -> None:
        """Note which tests were selected: every worker selects the same ones."""
        self._write("plan", "", json.dumps(plan))

    def planned(self) -> dict[str, Any]:
        """Return what :meth:`plan` noted; empty if no collection was finished."""
        return dict(json.loads(self._read("plan", "") or "{}"))

    def begin(self, worker: str, test: Mapping[str, Any]) -> None:
        """Note the test that an xdist worker is about to run."""
        self._write("running", worker, json.dumps(test))

    def running(self, worker: str) -> dict[str, Any]:
        """Return the test that a worker ran last; empty if it ran none."""
        return dict(json.loads(self._read("running", worker) or "{}"))

    def join(self, worker: str) -> None:
        """Note that this process is a worker, which a signal ends in order."""
        self._write("process", worker, this_process())

    def end_workers(self) -> None:
        """Tell the workers that run on this machine to end."""
        for file in self.directory.glob("process-*"):
            pid = pid_of(file.read_text("utf-8"))
            if pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)

    def _path(self, kind: str, name: str) -> Path:
        # Names in a recording are not trusted: quoted, they cannot leave the directory.
        return self.directory / f"{kind}-{quote(name, safe='')}"

    def _read(self, kind: str, name: str) -> str | None:
        try:
            return self._path(kind, name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def _write(self, kind: str, name: str, text: str) -> None:
        """Write all or nothing: a process may be killed at any moment.

        Workers write the plan at the same time, so each has a half file of its own.
        """
        half = self.directory / f".{os.getpid()}"
        private_files.write(half, text.encode())
        half.replace(self._path(kind, name))


def new_ledger() -> tuple[Ledger, Callable[[], None]]:
    """Return an empty ledger, and a function that removes it when the run is over."""
    folder = new_folder()
    return Ledger(folder), partial(remove, folder)
