"""Causes of a user's project: TOML files named by ``gpu_causes`` or by a hook.

They are read when a run starts and handed to its session; the catalogue is not changed.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pytest_gpu.catalogue import catalogue
from pytest_gpu.cause_entry import Cause
from pytest_gpu.cause_file import EntryError, check_placeholders, read_causes
from pytest_gpu.layers import Layer
from pytest_gpu.settings.ini import ini_source, ini_value
from pytest_gpu.stack.containerd.toml_lines import walk
from pytest_gpu.stack.distributions.products.kubeadm import KUBEADM
from pytest_gpu.stack.distributions.usual import names
from pytest_gpu.steps import Value

INI = "gpu_causes"
HOOK = "pytest_gpu_causes"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCauses:
    """The causes of a user's project by ID, and the files that they were read from."""

    files: tuple[Path, ...] = ()
    causes: Mapping[str, Cause] = field(default_factory=dict)


def own_causes(config: pytest.Config) -> OwnCauses:
    """Return the causes that the configuration file and the hook name.

    Raises:
        pytest.UsageError: a file is missing or wrong; the message names file, line and key.
    """
    files = [
        *_found(ini_source(config, INI), config.rootpath, _ini(config)),
        *(
            file
            for paths in config.hook.pytest_gpu_causes(config=config)
            for file in _found(f"hook {HOOK}", config.rootpath, _checked(f"hook {HOOK}", paths))
        ),
    ]
    return read_files(dict.fromkeys(files))


def _ini(config: pytest.Config) -> Sequence[Path]:
    source = ini_source(config, INI)
    try:
        found = ini_value(config, INI)
    except ValueError as error:
        raise pytest.UsageError(f"{source}: {error}") from error
    if found is None:
        return ()
    if not found:
        raise pytest.UsageError(
            f"{source}: is empty; name TOML files, such as causes/*.toml, or leave it out"
        )
    folder = config.inipath.parent if config.inipath else config.invocation_params.dir
    return [folder / each for each in _checked(source, found)]


def _checked(source: str, paths: object) -> Sequence[str | Path]:
    if isinstance(paths, list | tuple) and all(isinstance(each, str | Path) for each in paths):
        return paths
    raise pytest.UsageError(f"{source}: {paths!r}: must be a list of paths")


def _found(source: str, folder: Path, paths: Iterable[str | Path]) -> Iterator[Path]:
    for each in paths:
        path = folder / each
        if path.is_file():
            yield path
            continue
        shown = path.relative_to(folder) if path.is_relative_to(folder) else path
        if path.is_dir():
            raise pytest.UsageError(
                f"{source}: {shown}: is a folder; name its files: {shown}/*.toml"
            )
        files = [file for file in _matches(str(shown), folder) if file.is_file()]
        if not files:
            raise pytest.UsageError(f"{source}: {shown}: no such file")
        yield from files


def _matches(pattern: str, folder: Path) -> Iterator[Path]:
    # Not Path.glob: a plugin's pattern is an absolute one.
    for name in sorted(glob.glob(pattern, root_dir=folder, recursive=True)):  # noqa: PTH207
        yield folder / name


def read_files(files: Iterable[Path]) -> OwnCauses:
    """Return the causes of files.

    Raises:
        pytest.UsageError: a file cannot be read, an entry is wrong, or an ID occurs twice.
    """
    found: dict[str, tuple[Path, Cause]] = {}
    read = tuple(files)
    for file in read:
        for cause_id, cause in _read(file).items():
            if cause_id in found:
                raise pytest.UsageError(
                    f"{_place(file, (cause_id,))}: {cause_id}: {found[cause_id][0]} has this "
                    "cause already"
                )
            found[cause_id] = (file, cause)
    return OwnCauses(files=read, causes={name: cause for name, (_, cause) in found.items()})


def _read(file: Path) -> Mapping[str, Cause]:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise pytest.UsageError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise pytest.UsageError(f"{file}: is not UTF-8: {error.reason}") from error
    try:
        causes = read_causes(text)
        for cause in causes.values():
            _check(cause)
    except EntryError as error:
        raise pytest.UsageError(f"{_place(file, error.keys, text)}: {error}") from error
    return causes


def _check(cause: Cause) -> None:
    """Refuse what only a cause of a user's project can get wrong."""
    prefix = cause.id.partition("/")[0]
    if prefix in reserved():
        raise EntryError(
            f"the prefix {prefix}/ is reserved for pytest-gpu; choose one of your own", (cause.id,)
        )
    for name in cause.fix:
        _check_distribution(name, ("default",), (cause.id, "fix", name))
    _check_distribution(
        cause.example.get("distribution", KUBEADM.name), (), (cause.id, "example", "distribution")
    )
    try:
        check_placeholders(cause)
    except EntryError as error:
        raise EntryError(error.problem, (cause.id, *error.keys)) from None


def reserved() -> frozenset[str]:
    """Return the prefixes that causes of a user's project may not have."""
    return frozenset({*map(str, Layer), *(each.partition("/")[0] for each in catalogue())})


def _check_distribution(name: Value, others: tuple[str, ...], keys: tuple[str, ...]) -> None:
    known = (*others, *names())
    if name not in known:
        raise EntryError(f"is not a distribution: {', '.join(known)}", keys)


def _place(file: Path, keys: tuple[str, ...], text: str | None = None) -> str:
    """Return a file with the line of a key, of the nearest key above it if it has none."""
    walked = walk(file.read_text(encoding="utf-8") if text is None else text)
    lines = walked.lines if walked else {}
    depths = range(len(keys), 0, -1)
    line = next((lines[keys[:depth]] for depth in depths if keys[:depth] in lines), None)
    return str(file) if line is None else f"{file}:{line}"
