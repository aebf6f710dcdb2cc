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


def built(*components: Component) -> tuple[Path, ...]:
    """Return for each component the folder that holds its programs; build those that are missing.

    Raises:
        Missing: no Go, no C compiler where one is needed, or a build failed.
    """
    go = golang.find()
    warm = all(_place(component, go).is_dir() for component in components)
    folders = tuple(_built(component, go) for component in components)
    if not warm:
        forget_scratch(go)
    return folders


def forget_scratch(go: golang.Go) -> None:
    """Remove what only builds need, several gigabytes: the modules' sources and Go's own cache."""
    with debian.locked(go.work / "build.lock"):
        for scratch in go.scratch:
            shutil.rmtree(scratch, ignore_errors=True)


def _built(component: Component, go: golang.Go) -> Path:
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
    return _tell([COMPONENTS[name] for name in names])


def _tell(components: Sequence[Component]) -> int:
    """Build components that share Go's cache, and return the exit code."""
    try:
        go = golang.find()
    except debian.Missing as missing:
        print(missing)  # noqa: T201 - a script
        return 1
    code = max([_told(component, go) for component in components])
    if code == 0:
        forget_scratch(go)
    return code


def _told(component: Component, go: golang.Go) -> int:
    """Build one, print what it cost or why it is missing, and return the exit code."""
    title = f"{component.name} {component.version}"
    start, before = time.monotonic(), _used()
    try:
        folder = _built(component, go)
    except debian.Missing as missing:
        print(f"{title}: {missing}", flush=True)  # noqa: T201
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
