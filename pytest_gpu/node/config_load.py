"""The files containerd reads, in its order, and what in them keeps it from starting."""

from __future__ import annotations

import posixpath
import tomllib
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from pytest_gpu.causes import Evidence, evidence_at
from pytest_gpu.node.config_file import ConfigFile, evidence_of_version, parse, subtable

# What containerd decodes into fields of these types, and does not start with anything else.
_TYPES = {"version": int, "imports": list, "disabled_plugins": list, "plugins": dict}

Read = Callable[[str], bytes | None]
Names = Callable[[str], Sequence[str] | None]


def load(
    read: Read, names: Names, path: str, version: tuple[int, ...]
) -> tuple[list[ConfigFile], list[str], list[Evidence]]:
    """Read the root file and, breadth first as containerd does, everything it imports."""
    files: list[ConfigFile] = []
    patterns: list[str] = []
    problems: list[Evidence] = []
    pending, seen = [path], set[str]()
    while pending:
        current = pending.pop(0)
        if current in seen:
            continue
        seen.add(current)
        file = _file(read, current, problems, is_root=current == path)
        if file is None:
            continue
        files.append(file)
        for pattern in file.table.get("imports", ()):
            absolute = _absolute(str(pattern), current, version)
            patterns.append(absolute)
            pending += _expand(names, absolute)
    return files, patterns, problems


def _file(read: Read, path: str, problems: list[Evidence], *, is_root: bool) -> ConfigFile | None:
    content = read(path)
    if content is None:
        if not is_root:
            problems.append(Evidence(source=path, text="imported, but there is no such file"))
        return None
    try:
        file = parse(path, content)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(Evidence(source=path, text=f"is no valid TOML: {error}"))
        return None
    wrong = [
        key for key, kind in _TYPES.items() if not isinstance(file.table.get(key, kind()), kind)
    ]
    problems += [evidence_at(path, file.text, key) for key in wrong]
    return None if wrong else file


def _absolute(pattern: str, parent: str, version: tuple[int, ...]) -> str:
    """Resolve an import; containerd 1.6 leaves a relative glob to its working directory, /."""
    if pattern.startswith("/"):
        return posixpath.normpath(pattern)
    base = "/" if "*" in pattern and version < (1, 7) else posixpath.dirname(parent)
    return posixpath.normpath(posixpath.join(base, pattern))


def _expand(names: Names, pattern: str) -> list[str]:
    """Return the files a pattern stands for, sorted as filepath.Glob sorts them."""
    if "*" not in pattern:
        return [pattern]
    before, star, after = pattern.partition("*")
    folder, _, begin = before.rpartition("/")
    found = [folder]
    for part in f"{begin}{star}{after}".split("/"):
        found = [
            f"{base}/{name}"
            for base in found
            for name in sorted(names(base or "/") or ())
            if fnmatchcase(name, part)
        ]
    return found


def version_problems(
    files: Sequence[ConfigFile], merged: int, version: tuple[int, ...]
) -> list[Evidence]:
    """Return what containerd refuses to start with because of version numbers; 1.6 never does."""
    if version[0] < 2:
        newest = 2 if version >= (1, 7) else merged
    else:
        newest = 3 if version < (2, 3) else 4
    return [
        evidence_of_version(file, f"containerd config version `{merged}` is not supported")
        for file in files
        if file.version == merged > newest
    ]


def name_problems(files: Sequence[ConfigFile], merged: int, *, modern: bool) -> list[Evidence]:
    """Return the names that stop containerd: those of version 1 in a configuration of a later one.

    2.x looks at the disabled plugins only, and renames those of a version 1 file.
    """
    found: list[Evidence] = []
    for file in files if modern or merged > 1 else ():
        disabled = () if modern and file.version < 2 else file.table.get("disabled_plugins", ())
        plugins = () if modern else subtable(file.table, "plugins")
        for kind, names in (("disabled plugin", disabled), ("plugin key", plugins)):
            bad = [name for name in names if not _is_uri(str(name), modern=modern)]
            text = "invalid {} URI {!r} expect io.containerd.x.vx"
            found += [Evidence(source=file.path, text=text.format(kind, name)) for name in bad]
    return found


def _is_uri(name: str, *, modern: bool) -> bool:
    return name.startswith("io.containerd.") and (modern or name.count(".") >= 3)
