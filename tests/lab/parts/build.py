"""Build the components of ``components.py`` once, and keep them in the cache folder.

``python -m tests.lab.parts.build [NAME ...]`` builds them and prints how long it took.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.lab.parts import debian, golang
from tests.lab.parts.components import COMPONENTS, Component


def built(component: Component) -> Path:
    """Return the folder that holds all programs of a component, built at the first call.

    Raises:
        Missing: no Go, no C compiler where one is needed, or the build failed.
    """
    go = golang.find()
    folder = _place(component, go)
    if not folder.is_dir():
        with debian.locked(go.work / "build.lock"):
            if not folder.is_dir():
                _build(component, go, folder)
    return folder


def _place(component: Component, go: golang.Go) -> Path:
    return go.work / "programs" / component.key(go.run(component.folder, "env", "GOVERSION"))


def _build(component: Component, go: golang.Go, folder: Path) -> None:
    """Build into ``folder``, which is there whole or not at all."""
    if component.cgo and not shutil.which("gcc"):
        raise debian.Missing(f"needs gcc to build {component.name}")
    unfinished = go.work / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    go.run(component.folder, *component.arguments(unfinished), cgo=component.cgo)
    folder.parent.mkdir(exist_ok=True)
    unfinished.rename(folder)


def main(arguments: Sequence[str]) -> int:
    """Build the named components, by default all but the older Kubernetes, and print the times.

    Returns:
        The exit code: 1 if a component is missing.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.lab.parts.build")
    usual = [name for name in COMPONENTS if name != "kubernetes-older"]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(COMPONENTS)}")
    names = parser.parse_args(arguments).names or usual
    if unknown := set(names) - set(COMPONENTS):
        parser.error(f"there is no component {', '.join(sorted(unknown))}")
    return max([_told(COMPONENTS[name]) for name in names])


def _told(component: Component) -> int:
    """Build one, print what it cost or why it is missing, and return the exit code."""
    title = f"{component.name} {component.version}"
    start, before = time.monotonic(), _used()
    try:
        folder = built(component)
    except debian.Missing as missing:
        print(f"{title}: {missing}", flush=True)  # noqa: T201 - a script
        return 1
    wall, used = time.monotonic() - start, _used() - before
    print(f"{title}: {wall:.1f} s, {used:.1f} s of CPU, {folder}", flush=True)  # noqa: T201
    return 0


def _used() -> float:
    """Return the CPU seconds of all commands so far."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
