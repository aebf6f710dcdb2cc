"""Which module imports which, and on which floor of the house each stands.

Imports are read from the source, wherever they stand: at the top, inside a function, or for type
checking only. Modules that are named in strings, such as ``pytest_plugins``, are not seen.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGES: Mapping[str, str] = {
    "pytest_gpu": "pytest_gpu",
    "pytest_gpu.conformance": "conformance",
    "pytest_gpu.fixtures": "fixtures",
}
"""The packages that ship, and their folders in a checkout."""

WORDS = (
    "pytest_gpu",
    "pytest_gpu.asked",
    "pytest_gpu.catalogue",
    "pytest_gpu.cause_entry",
    "pytest_gpu.cause_file",
    "pytest_gpu.causes",
    "pytest_gpu.consequences",
    "pytest_gpu.finding_json",
    "pytest_gpu.checks",
    "pytest_gpu.discriminators",
    "pytest_gpu.errors",
    "pytest_gpu.evidence",
    "pytest_gpu.gpu_node",
    "pytest_gpu.known",
    "pytest_gpu.layers",
    "pytest_gpu.libyaml",
    "pytest_gpu.looks",
    "pytest_gpu.memory",
    "pytest_gpu.message_file",
    "pytest_gpu.messages",
    "pytest_gpu.parsing",
    "pytest_gpu.private_files",
    "pytest_gpu.steps",
)
"""Modules that every room may use."""

ALONE = frozenset({*WORDS, "pytest_gpu.stack"})
"""Names that stand for one module, not for those below it: the others are rooms."""

FLOORS: tuple[tuple[str, ...], ...] = (
    (*WORDS, "pytest_gpu.text", "pytest_gpu.stack", "pytest_gpu.probe"),
    ("pytest_gpu.settings",),
    ("pytest_gpu.stack.host", "pytest_gpu.stack.cri"),
    ("pytest_gpu.stack.distributions", "pytest_gpu.stack.kube", "pytest_gpu.stack.operands"),
    ("pytest_gpu.stack.gpu", "pytest_gpu.stack.containerd"),
    ("pytest_gpu.stack.kubelet",),
    ("pytest_gpu.stack.injection", "pytest_gpu.stack.repair", "pytest_gpu.stack.units"),
    ("pytest_gpu.stack.toolkit",),
    ("pytest_gpu.stack.cdi", "pytest_gpu.stack.docker"),
    ("pytest_gpu.stack.runtime", "pytest_gpu.stack.sandbox", "pytest_gpu.stack.pods"),
    ("pytest_gpu.survey", "pytest_gpu.report"),
    ("pytest_gpu.cluster",),
    ("pytest_gpu.run",),
    ("pytest_gpu.fixtures",),
    ("pytest_gpu.conformance",),
    ("pytest_gpu.plugin", "pytest_gpu.hookspecs"),
)
"""The rooms, lowest floor first. A module may import from its own floor and from those below."""

PARTS = {"pytest_gpu._allure": "pytest_gpu.run", "pytest_gpu._xdist": "pytest_gpu.run"}
"""Modules that are part of a room although they lie elsewhere."""

STACK = tuple(room for floor in FLOORS for room in floor if room.startswith("pytest_gpu.stack"))

ONLY: Mapping[str, tuple[str, ...]] = {
    "pytest_gpu.probe": (),
    "pytest_gpu.conformance": (*WORDS, *STACK, "pytest_gpu.fixtures"),
}
"""Rooms that may import these rooms and themselves, whatever is below them."""


@dataclass(frozen=True, slots=True, order=True)
class Import:
    """One line that imports one of our own modules."""

    importer: str
    line: int
    imported: str

    def __str__(self) -> str:
        """Return the import as a line of a report."""
        return f"{self.importer} (line {self.line}) imports {self.imported}"


def modules(root: Path) -> Mapping[str, Path]:
    """Return every module that ships in a checkout, by its name."""
    return {
        _module_name(package, file.relative_to(root / folder)): file
        for package, folder in PACKAGES.items()
        for file in sorted((root / folder).rglob("*.py"))
    }


def _module_name(package: str, file: Path) -> str:
    parts = file.with_suffix("").parts
    return ".".join((package, *(parts[:-1] if parts[-1] == "__init__" else parts)))


def imports(root: Path) -> tuple[Import, ...]:
    """Return every import of a module that ships by another one, sorted, each line once."""
    known = modules(root)
    found = {
        Import(name, line, target)
        for name, file in known.items()
        for line, target in _targets(file, name, known)
        if target != name
    }
    return tuple(sorted(found))


def _targets(file: Path, name: str, known: Mapping[str, Path]) -> Iterator[tuple[int, str]]:
    """Yield line and name of each known module that a file imports."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        for wanted in _wanted(node, package):
            if target := _known(wanted, known):
                yield getattr(node, "lineno", 0), target


def _wanted(node: ast.AST, package: str) -> Iterator[str]:
    """Yield the dotted names that a statement imports; the last part may be no module."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = _base(node, package)
        yield from (f"{base}.{alias.name}" for alias in node.names)


def _base(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    above = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join((*above, *filter(None, [node.module])))


def _known(wanted: str, known: Mapping[str, Path]) -> str | None:
    """Return the module that a dotted name is in: the name itself, or what stands before it."""
    parent = wanted.rpartition(".")[0]
    return next((name for name in (wanted, parent) if name in known), None)


def room_of(module: str) -> str | None:
    """Return the room a module is in, ``None`` if it has no floor yet."""
    place = PARTS.get(module, module)
    return next((room for floor in FLOORS for room in floor if is_in(place, room)), None)


def is_in(module: str, room: str) -> bool:
    """Say whether a module is a room or stands in it."""
    return module == room or (room not in ALONE and module.startswith(f"{room}."))


def floor_of(module: str) -> int | None:
    """Return the number of a module's floor, 0 the lowest, ``None`` if it has none yet."""
    room = room_of(module)
    return next((number for number, floor in enumerate(FLOORS) if room in floor), None)


def without_floor(root: Path) -> tuple[str, ...]:
    """Return the modules that :func:`upward` cannot judge: they are in no room."""
    return tuple(name for name in modules(root) if room_of(name) is None)


def upward(root: Path) -> list[str]:
    """Return the imports that run upwards, and those that their room is not allowed.

    An import from or of a module without a floor is not judged.
    """
    return [f"{each}: {why}" for each in imports(root) if (why := _wrong(each))]


def _wrong(each: Import) -> str:
    own, other = floor_of(each.importer), floor_of(each.imported)
    if own is None or other is None:
        return ""
    if own < other:
        return "upward"
    return "" if _is_allowed(each) else "not allowed here"


def _is_allowed(each: Import) -> bool:
    own = str(room_of(each.importer))
    return own not in ONLY or room_of(each.imported) in (own, *ONLY[own])


def circles(root: Path) -> list[tuple[str, ...]]:
    """Return the groups of modules that import each other in a circle."""
    return _circles((each.importer, each.imported) for each in imports(root))


def circles_of_rooms(root: Path) -> list[tuple[str, ...]]:
    """Return the groups of rooms that import each other in a circle; no room, no circle."""
    pairs = ((room_of(each.importer), room_of(each.imported)) for each in imports(root))
    return _circles((one, other) for one, other in pairs if one and other and one != other)


def _circles(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, ...]]:
    direct: dict[str, set[str]] = {}
    for one, other in pairs:
        direct.setdefault(one, set()).add(other)
    reached = {name: _reached(name, direct) for name in direct}
    groups = {
        tuple(sorted(n for n in found if name in reached.get(n, ())))
        for name, found in reached.items()
        if name in found
    }
    return sorted(groups)


def _reached(name: str, direct: Mapping[str, set[str]]) -> set[str]:
    """Return what is imported by a module, and by what it imports; itself only in a circle."""
    found: set[str] = set()
    ahead = set(direct.get(name, ()))
    while ahead:
        found |= ahead
        ahead = {target for each in ahead for target in direct.get(each, ())} - found
    return found
