"""The computed output of the toolkit, against what nvidia-ctk 1.17.8 and 1.20.0 wrote."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.stack.toolkit.output import Order, dumps, next_files

CORPUS = Path(__file__).parents[2] / "lab" / "corpus" / "nvidia-ctk"
CONFIG = "/etc/containerd/config.toml"
DROP_IN = "/etc/containerd/conf.d/99-nvidia.toml"
BINARY = "/usr/bin/nvidia-container-runtime"
CASE = re.compile(
    r"(?P<version>\d+\.\d+\.\d+)-(?P<input>.+?)-(?P<how>plain|default|default-cdi|nodropin)"
)


def cases() -> Mapping[str, Mapping[str, Any]]:
    """Return what was measured, by release, input and flags; inputs among them."""
    found: Mapping[str, Mapping[str, Any]] = json.loads((CORPUS / "cases.json").read_text())
    return found


def table(name: str | None) -> Mapping[str, Any] | None:
    """Return a file of the corpus as a table."""
    return tomllib.loads((CORPUS / name).read_text()) if name else None


def order(match: re.Match[str]) -> Order:
    """Return what nvidia-ctk was told in a case."""
    how = match["how"]
    return Order(
        config=CONFIG,
        drop_in=CONFIG if how == "nodropin" else DROP_IN,
        handlers={"nvidia": BINARY},
        default=None if how == "plain" else "nvidia",
        cdi=how in {"default-cdi", "nodropin"},
        version=tuple(map(int, match["version"].split("."))),
    )


MEASURED = sorted(name for name in cases() if CASE.fullmatch(name))


@pytest.mark.parametrize("name", MEASURED)
def test_computed_as_measured(name: str) -> None:
    """Every file that was written is the one that is computed, value by value."""
    match = CASE.fullmatch(name)
    assert match is not None
    start = cases()[f"input-{match['input']}"]["files"]["config.toml"]
    found = next_files(lambda path: table(start) if path == CONFIG else None, order(match))
    written = {f"/etc/containerd/{path}": table(file) for path, file in
               cases()[name]["files"].items()}  # fmt: skip
    for path, expected in written.items():
        computed = tomllib.loads(dumps(found[path])) if path in found else table(start)
        assert computed == expected, path


def test_the_corpus_is_there() -> None:
    """Both ways of writing were measured, for many inputs."""
    assert len([name for name in MEASURED if name.startswith("1.17.8-")]) > 20
    assert len([name for name in MEASURED if name.startswith("1.20.0-")]) > 25


def written(text: str, version: tuple[int, ...] = (1, 18, 0), **more: Any) -> Mapping[str, Any]:
    """Return what is written where this is containerd's file."""
    told = {"config": CONFIG, "drop_in": DROP_IN, "default": None, "cdi": False}
    what = Order(**{**told, "handlers": {"nvidia": BINARY}, "version": version, **more})
    return next_files(lambda path: tomllib.loads(text) if path == CONFIG else None, what)


def test_a_drop_in_of_the_files_own_path_is_lost() -> None:
    """Measured: the file is written after it, with an import and without the handler."""
    found = written("version = 3\n", drop_in=CONFIG)
    assert found == {CONFIG: {"version": 3, "imports": ["/etc/containerd/*.toml"]}}


def test_a_file_of_version_1_gets_a_drop_in_and_no_import() -> None:
    """Measured: nobody reads that drop-in."""
    assert list(written('disabled_plugins = ["cri"]\n')) == [DROP_IN]
    assert written("")[CONFIG] == {"version": 2, "imports": ["/etc/containerd/conf.d/*.toml"]}


def test_it_starts_from_a_dump() -> None:
    """What containerd prints decides over the handlers, the file over the imports."""
    runtimes = {"runc": {"runtime_type": "x", "options": {"SystemdCgroup": True}}}
    section = {"io.containerd.grpc.v1.cri": {"containerd": {"runtimes": runtimes}}}
    what = Order(
        config=CONFIG,
        drop_in=DROP_IN,
        handlers={"nvidia": BINARY},
        default=None,
        cdi=False,
        version=(1, 18, 0),
    )
    found = next_files(lambda _: {"version": 3}, what, {"version": 2, "plugins": section})
    handlers = found[DROP_IN]["plugins"]["io.containerd.grpc.v1.cri"]["containerd"]["runtimes"]
    assert handlers["nvidia"]["options"] == {"SystemdCgroup": True, "BinaryName": BINARY}
    assert found[CONFIG] == {"version": 3, "imports": ["/etc/containerd/conf.d/*.toml"]}


def test_written_text_is_read_as_what_was_meant() -> None:
    """Whatever a table of TOML holds."""
    text = 'a."b\\"c" = "x\\u00e9\\n"\nb = [1, 2.5, true, ["y"]]\n[c.d]\ne = {f = {}}\n'
    assert tomllib.loads(dumps(tomllib.loads(text))) == tomllib.loads(text)
