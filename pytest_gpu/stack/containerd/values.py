"""Values that know where they were set, and how each generation's decoder chooses among them.

1.x decodes with go-toml 1: a field takes its exact key, else the key in lower case, in upper case,
or with a small first letter; only the first one found counts. 2.x decodes with go-toml 2: keys
match in any case, and are applied in sorted order, each over the previous one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pytest_gpu.causes import Evidence
from pytest_gpu.stack.containerd.config_file import ConfigFile
from pytest_gpu.stack.containerd.schema import Anything, Kind, Scalar, Strings, Struct, Table
from pytest_gpu.stack.containerd.toml_lines import Path


@dataclass(frozen=True, slots=True)
class TomlValue:
    """A value with the file and key that set it; a table's value maps keys to ``TomlValue``."""

    value: Any
    file: ConfigFile
    path: Path

    @property
    def is_table(self) -> bool:
        """Whether the value is a table."""
        return isinstance(self.value, dict)

    @property
    def evidence(self) -> Evidence:
        """The line that sets it."""
        return self.file.at(self.path)

    def get(self, *keys: str) -> TomlValue | None:
        """Return the value below these keys, ``None`` if there is none."""
        found: TomlValue | None = self
        for key in keys:
            found = found.value.get(key) if found and found.is_table else None
        return found

    def plain(self) -> Any:
        """Return the value as plain TOML."""
        if not self.is_table:
            return self.value
        return {key: told.plain() for key, told in self.value.items()}


@lru_cache(maxsize=1024)
def told(file: ConfigFile) -> TomlValue:
    """Return a whole file as values that know where they were set."""
    return _told(file, file.table, ())


def _told(file: ConfigFile, value: Any, path: Path) -> TomlValue:
    if not isinstance(value, Mapping):
        return TomlValue(value, file, path)
    return TomlValue(
        {key: _told(file, each, (*path, key)) for key, each in value.items()}, file, path
    )


def merged(into: TomlValue | None, over: TomlValue) -> TomlValue:
    """Merge as 2.x merges two files: tables key by key; other values are replaced."""
    if into is None or not (into.is_table and over.is_table):
        return over
    value = dict(into.value)
    for key, each in over.value.items():
        value[key] = merged(value.get(key), each)
    return TomlValue(value, over.file, over.path)


@dataclass(slots=True)
class Decoder:
    """Decodes by one generation's rules; ``wrong`` collects values of a wrong type."""

    modern: bool
    wrong: list[Evidence] = field(default_factory=list)

    def decode(self, kind: Kind, sources: Sequence[TomlValue]) -> TomlValue | None:
        """Return the decoded value of a field; tables use the fields' own names as keys."""
        if not sources:
            return None
        if not isinstance(kind, Struct | Table):
            return self._checked(kind, sources)
        tables = [source for source in sources if source.is_table]
        if len(tables) < len(sources):
            self.wrong += [_says(s, "must be a table") for s in sources if not s.is_table]
        if not tables:
            return None
        fields = self._fields(kind, tables)
        value = {name: self.decode(inner, found) for name, inner, found in fields}
        last = tables[-1]
        return TomlValue({k: v for k, v in value.items() if v is not None}, last.file, last.path)

    def _fields(
        self, kind: Struct | Table, tables: Sequence[TomlValue]
    ) -> Iterator[tuple[str, Kind, list[TomlValue]]]:
        if isinstance(kind, Struct):
            for name, inner in kind.fields.items():
                yield name, inner, [each for table in tables for each in self.named(table, name)]
            return
        for key in dict.fromkeys(key for table in tables for key in table.value):
            yield key, kind.of, [table.value[key] for table in tables if key in table.value]

    def named(self, table: TomlValue, name: str) -> list[TomlValue]:
        """Return the values of a table that are decoded into a field, the decisive one last."""
        if self.modern:
            keys = sorted(key for key in table.value if key.lower() == name.lower())
            return [table.value[key] for key in keys]
        spellings = (name, name.lower(), name.upper(), name[:1].lower() + name[1:])
        return [table.value[key] for key in spellings if key in table.value][:1]

    def refuse(self, told: TomlValue, why: str) -> None:
        """Note a value that containerd does not accept."""
        self.wrong.append(_says(told, why))

    def check_tables(self, table: TomlValue) -> None:
        """Note every value of a table that is not a table itself."""
        entries = table.value.values()
        self.wrong += [_says(each, "must be a table") for each in entries if not each.is_table]

    def pick(self, table: TomlValue | None, name: str) -> TomlValue | None:
        """Return the one value that a field of a table gets."""
        found = self.named(table, name) if table and table.is_table else []
        return found[-1] if found else None

    def _checked(
        self, kind: Scalar | Strings | Anything, sources: Sequence[TomlValue]
    ) -> TomlValue | None:
        """Return the decisive value among those of the right type."""
        good = [source for source in sources if _fits(kind, source.value)]
        if len(good) < len(sources):
            wish = "a list of strings" if isinstance(kind, Strings) else getattr(kind, "name", "")
            bad = (source for source in sources if source not in good)
            self.wrong += [_says(source, f"must be {wish}") for source in bad]
        return good[-1] if good else None


def _fits(kind: Scalar | Strings | Anything, value: object) -> bool:
    """Say whether a value fits; a TOML number has 64 bits, and a boolean is not a number."""
    if isinstance(kind, Anything):
        return True
    if isinstance(kind, Strings):
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    if kind.type is int:
        return type(value) is int and -(2**63) <= value < 2**63
    return isinstance(value, kind.type)


def _says(source: TomlValue, wish: str) -> Evidence:
    line = source.evidence
    return Evidence(
        source=line.source, line=line.line, text=f"{line.text}: {source.path[-1]} {wish}"
    )
