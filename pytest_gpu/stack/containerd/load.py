"""The files containerd reads, in its order, and the errors in them that stop it from starting."""

from __future__ import annotations

import posixpath
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pytest_gpu.causes import Evidence
from pytest_gpu.errors import Unproven
from pytest_gpu.stack.containerd.config_file import BadToml, ConfigFile, parse
from pytest_gpu.stack.containerd.import_glob import BadPatternError, clean, expand
from pytest_gpu.stack.containerd.release import Generation
from pytest_gpu.stack.containerd.schema import ROOT
from pytest_gpu.stack.containerd.toml_lines import (
    BROKEN_INLINE,
    BYTE_ORDER_MARK,
    CONTROL,
    NOT_UTF8,
    TRAILING_COMMA,
)
from pytest_gpu.stack.containerd.values import Decoder, TomlValue, told

Read = Callable[[str], bytes | None]
Names = Callable[[str], Sequence[str] | None]

MAX_FILES = 200
"""Most files and patterns that one configuration imports; real ones import a handful."""

# What each generation's parser tolerates although the TOML standard does not.
_GENEROUS = {
    False: {BYTE_ORDER_MARK, NOT_UTF8, CONTROL, BROKEN_INLINE},
    True: {BROKEN_INLINE, TRAILING_COMMA},
}


@dataclass(slots=True, kw_only=True)
class Loaded:
    """The decoded files in merge order, and the import patterns as absolute paths."""

    files: list[ConfigFile] = field(default_factory=list)
    roots: list[TomlValue] = field(default_factory=list)
    patterns: list[str] = field(default_factory=list)
    problems: list[Evidence] = field(default_factory=list)


def load(read: Read, names: Names, path: str, generation: Generation) -> Loaded:
    """Read the root file and, breadth first as containerd does, everything it imports.

    Raises:
        Unproven: there are too many files, or one is too large to be read.
    """
    loaded = Loaded()
    pending, seen = deque([path]), set[str]()
    while pending:
        current = pending.popleft()
        if current in seen:
            continue
        seen.add(current)
        if len(seen) > MAX_FILES or len(loaded.patterns) > MAX_FILES:
            raise Unproven(f"{path} imports more than {MAX_FILES} files")
        root = _file(read, current, loaded, generation, is_root=current == path)
        if root is None:
            continue
        for pattern in _imports(root)[: MAX_FILES + 1]:
            absolute = _absolute(pattern, current, generation)
            loaded.patterns.append(absolute)
            pending += _expand(names, root, absolute, loaded)
    return loaded


def _imports(root: TomlValue) -> list[str]:
    found = root.get("imports")
    return [str(pattern) for pattern in found.value] if found else []


def _file(
    read: Read, path: str, loaded: Loaded, generation: Generation, *, is_root: bool
) -> TomlValue | None:
    """Read and decode one file; a missing import is a problem, a missing root file is not."""
    content = read(path)
    if content is None:
        if not is_root:
            loaded.problems.append(
                Evidence(source=path, text="imported, but there is no such file")
            )
        return None
    try:
        file = parse(path, content)
    except BadToml as bad:
        loaded.problems.append(bad.evidence)
        return None
    if file.strict_error and not file.generous <= _GENEROUS[generation.go_toml_2]:
        loaded.problems.append(file.strict_error)
        return None
    return _decoded(file, loaded, modern=generation.go_toml_2)


def _decoded(file: ConfigFile, loaded: Loaded, *, modern: bool) -> TomlValue | None:
    decoder = Decoder(modern=modern)
    root = decoder.decode(ROOT, [told(file)])
    plugins = root.get("plugins") if root else None
    if plugins and not modern:
        decoder.check_tables(plugins)
    loaded.problems += decoder.wrong
    if decoder.wrong or root is None:
        return None
    loaded.files.append(file)
    loaded.roots.append(root)
    return root


def _absolute(pattern: str, parent: str, generation: Generation) -> str:
    """Resolve an import; containerd 1.6 resolves a relative glob in its working directory, /."""
    if "*" in pattern and not generation.imports_from_own_folder:
        return pattern if pattern.startswith("/") else f"/{pattern}"
    if pattern.startswith("/"):
        return clean(pattern)
    return clean(posixpath.join(posixpath.dirname(parent), pattern))


def _expand(names: Names, root: TomlValue, pattern: str, loaded: Loaded) -> list[str]:
    """Return the files that an import names; without ``*`` it is one file name, not a pattern."""
    if "*" not in pattern:
        return [pattern]
    try:
        return expand(names, pattern)
    except BadPatternError as error:
        imports = root.get("imports")
        line = imports.evidence if imports else Evidence(source=root.file.path, text="")
        loaded.problems.append(Evidence(source=line.source, line=line.line, text=str(error)))
        return []


def version_problems(
    roots: Sequence[TomlValue], merged: int, generation: Generation
) -> list[Evidence]:
    """Return the version numbers with which containerd refuses to start; 1.6 accepts all."""
    if not generation.refuses_unknown_config:
        return []
    text = f"containerd config version `{merged}` is not supported"
    found = _versions(roots)
    problems = [
        _with(each, text) for each in found if each.value == merged > generation.newest_config
    ]
    if generation.refuses_newer_drop_ins:
        first = next((each.value for each in found if each.value), 0)
        text = f"drop-in config version {{}} higher than root config version {first}"
        problems += [_with(e, text.format(e.value)) for e in found if e.value > first]
    if generation.migrates_each_file:
        problems += [_with(e, "containerd panics") for e in found if e.value < 0]
    return problems


def _versions(roots: Sequence[TomlValue]) -> list[TomlValue]:
    found = (root.get("version") for root in roots)
    return [each for each in found if each]


def _with(told: TomlValue, text: str) -> Evidence:
    line = told.evidence
    return Evidence(source=line.source, line=line.line, text=f"{line.text}: {text}")


def name_problems(roots: Sequence[TomlValue], merged: int, *, modern: bool) -> list[Evidence]:
    """Return the names that stop containerd: version 1 names in a later version's configuration.

    2.x checks only the listed plugins, and renames those of a version 1 file.
    """
    found: list[Evidence] = []
    for root in roots if modern or merged > 1 else ():
        for kind in ("disabled", "required"):
            for name, where in listed(root, f"{kind}_plugins"):
                if not (modern and is_old(root)) and not _is_uri(name, modern=modern):
                    found.append(_bad(f"{kind} plugin", name, where))
        plugins = root.get("plugins")
        for name, each in plugins.value.items() if plugins and not modern else ():
            if not _is_uri(name, modern=modern):
                found.append(_bad("plugin key", name, each))
    return found


def _bad(kind: str, name: str, where: TomlValue) -> Evidence:
    line = where.evidence
    text = f"{line.text}: invalid {kind} URI {name!r} expect io.containerd.x.vx"
    return Evidence(source=line.source, line=line.line, text=text)


def listed(root: TomlValue, key: str) -> list[tuple[str, TomlValue]]:
    """Return the names in a list of a file, each with its position."""
    found = root.get(key)
    if found is None:
        return []
    return [
        (name, TomlValue(name, found.file, (*found.path, str(index))))
        for index, name in enumerate(found.value)
    ]


def is_old(root: TomlValue) -> bool:
    """Say whether a file has version 1: it says so, or sets none."""
    version = root.get("version")
    return version is None or version.value in {0, 1}


def _is_uri(name: str, *, modern: bool) -> bool:
    if modern:
        return "." in name
    return name.startswith("io.containerd.") and name.count(".") >= 3
