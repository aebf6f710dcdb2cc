"""What systemd would start for a service: unit file, drop-ins and environment files, merged.

Sources: systemd.unit(5) for the files' places and precedence, systemd.service(5) for
``ExecStart=``, systemd.exec(5) for ``Environment=`` and ``EnvironmentFile=``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import NodeEvidence
from pytest_gpu.stack.host.systemd_text import (
    TooLongError,
    assignments,
    environment_file,
    expand,
    words,
)

FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
"""Directories of units, highest precedence first (systemd.unit(5), "System Unit Search Path")."""

_PREFIXES = "@-:+!|"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """How systemd would start a service, as far as known.

    ``argv`` is the command line with its variables replaced, empty if no unit has one; ``files``
    are the files read, in order, environment files last; ``unread`` are paths that could change the
    result but were not collected.
    """

    argv: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def service(evidence: NodeEvidence, name: str) -> Service:
    """Return how systemd would start a service; ``.service`` in ``name`` is optional."""
    looked = _Look(evidence)
    unit = f"{name.removesuffix('.service')}.service"
    files = list(looked.unit_files(unit))
    texts = [looked.text(path) for path in files]
    lines = [pair for text in texts for pair in assignments(text, "Service")]
    argv = _command(lines)
    environment = looked.environment(lines)
    try:
        argv = (*argv[:1], *expand(argv[1:], environment))
    except TooLongError:
        argv = ()
        looked.unread.append(f"a command line of {unit} that can be started")
    return Service(
        argv=argv,
        files=(*files, *looked.environment_files),
        unread=tuple(dict.fromkeys(looked.unread)),
    )


class _Look:
    """A reader of evidence that notes which paths were not collected."""

    def __init__(self, evidence: NodeEvidence) -> None:
        self._evidence = evidence
        self.unread: list[str] = []
        self.environment_files: list[str] = []

    def text(self, path: str) -> str:
        """Return a file's text, empty if it does not exist or was not collected."""
        return self._read(path) or ""

    def _read(self, path: str) -> str | None:
        try:
            if self._evidence.resolve(path) == "/dev/null":
                return ""
            content = self._evidence.read(path)
        except NotInEvidence:
            self.unread.append(path)
            return None
        return None if content is None else content.decode(errors="replace")

    def _names(self, folder: str) -> Sequence[str]:
        try:
            return self._evidence.names(folder) or ()
        except NotInEvidence:
            self.unread.append(folder)
            return ()

    def unit_files(self, unit: str) -> Iterator[str]:
        """Yield the unit file in effect, then its drop-ins in the order they are read."""
        folders = list(dict.fromkeys(self._evidence.resolve(folder) for folder in FOLDERS))
        paths = (f"{folder}/{unit}" for folder in folders)
        yield from [path for path in paths if self._read(path) is not None][:1]
        yield from self._drop_ins(unit, folders)

    def _drop_ins(self, unit: str, folders: Sequence[str]) -> Iterator[str]:
        """Yield drop-ins sorted by file name; of equal names, the one in the first folder."""
        found: dict[str, str] = {}
        for name in _drop_in_names(unit):
            for folder in folders:
                for file in self._names(f"{folder}/{name}"):
                    if file.endswith(".conf"):
                        found.setdefault(file, f"{folder}/{name}/{file}")
        yield from (found[file] for file in sorted(found))

    def environment(self, lines: Sequence[tuple[str, str]]) -> dict[str, str]:
        """Return the variables; files override the unit, later files override earlier ones."""
        found: dict[str, str] = {}
        for value in _list(lines, "Environment"):
            found |= dict(pair.split("=", 1) for pair in _words(value) if "=" in pair)
        for value in _list(lines, "EnvironmentFile"):
            for path in self._expanded(value.removeprefix("-")):
                text = self._read(path)
                self.environment_files += [] if text is None else [path]
                found |= environment_file(text or "")
        return found

    def _expanded(self, path: str) -> Iterator[str]:
        folder, _, pattern = path.rpartition("/")
        if not any(sign in pattern for sign in "*?["):
            yield path
            return
        fitting = (name for name in self._names(folder) if fnmatchcase(name, pattern))
        yield from (f"{folder}/{name}" for name in sorted(fitting))


def _drop_in_names(unit: str) -> Iterator[str]:
    """Yield the names of drop-in folders: for the unit, for its prefixes, for all services."""
    stem = unit.removesuffix(".service")
    yield f"{unit}.d"
    parts = stem.split("-")
    for count in range(len(parts) - 1, 0, -1):
        yield f"{'-'.join(parts[:count])}-.service.d"
    yield "service.d"


def _list(lines: Sequence[tuple[str, str]], key: str) -> list[str]:
    """Return the values assigned to a list; an empty value clears the values before it."""
    found: list[str] = []
    for name, value in lines:
        if name == key:
            found = _added(found, value)
    return found


def _added(found: list[str], value: str) -> list[str]:
    if not value:
        return []
    found.append(value)
    return found


def _command(lines: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Return the last command of ``ExecStart=``, without prefixes, with variables unreplaced."""
    commands = [found for value in _list(lines, "ExecStart") if (found := _words(value))]
    if not commands:
        return ()
    found = commands[-1]
    if ";" in found:
        found = found[: found.index(";")]
    bare = found[0].lstrip(_PREFIXES)
    marks = found[0][: len(found[0]) - len(bare)]
    rest = found[2:] if "@" in marks else found[1:]
    # With ":" no variable is replaced; expand() turns the doubled dollar signs into single ones.
    return (bare, *(w.replace("$", "$$") if ":" in marks else w for w in rest))


def _words(value: str) -> tuple[str, ...]:
    try:
        return words(value)
    except ValueError:
        return ()
