"""The page of the example project: its text is that of the files, which a test runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / "example"
ABOUT = {
    "pyproject.toml": "Defaults for pytest, and for mypy. All names are on the page of "
    "[options](../reference/options.md).",
    "conftest.py": "All [hooks](../reference/hooks.md), one each.",
    "causes/fleet.toml": "A cause of the project's own, with its fix: see "
    "[own causes](own-tests.md#add-causes-of-your-own).",
    "tests/gpu/test_fleet.py": "A check that has a place in the ladder and reports that cause.",
    "tests/gpu/test_fixtures.py": "One test for each [fixture](../reference/fixtures.md). What "
    "they return is in the [reference](../reference/api.md).",
}
"""What each file is for, in the order of the page."""

HEAD = """# An example project

A project to copy: its own check with its own cause, a test for each fixture, and all hooks. It is
the folder `docs/example` of the repository. A test runs it on the samples, and `mypy --strict`
accepts it with the installed package.

```console
$ cp -r docs/example acme-gpu-tests && cd acme-gpu-tests
$ pytest --gpu-cluster=sample:healthy-rke2 --gpu-allow-unproven conformance tests
```

Exit code 0. `conformance` stands for the shipped suite. The test of `node_shell` is unproven: a
recording has no node to connect to. On a live cluster it runs.

```console
$ pytest --gpu-cluster=sample:healthy-kubeadm conformance tests
```

Exit code 1: layer `driver`, cause `acme/driver-too-old`. This cluster conforms to what the shipped
suite requires, but not to what Acme requires.
"""


def pages() -> Mapping[str, str]:
    """Return the generated page by its path below ``docs/``."""
    parts = (_file(name, about) for name, about in ABOUT.items())
    return {"how-to/example.md": "\n".join([HEAD, *parts])}


def _file(name: str, about: str) -> str:
    text = (EXAMPLE / name).read_text(encoding="utf-8")
    language = {".py": "python", ".toml": "toml"}[Path(name).suffix]
    return f"## `{name}`\n\n{about}\n\n```{language}\n{text}```\n"
