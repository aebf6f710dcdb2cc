"""A node's file system as recorded: several layers over each other, with three answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from pytest_gpu.cluster.recording.listing import Listing
from pytest_gpu.evidence import ElfSummary, Entry

ABSENT = "absent"
UNKNOWN = "unknown"

MAX_LINKS = 40
"""Symbolic links followed in one path, as many as Linux follows (path_resolution(7))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What one folder records of a node's paths; ``files`` maps a path to where its bytes are."""

    listing: Listing = field(default_factory=Listing)
    files: Mapping[str, str] = field(default_factory=dict)
    directories: Sequence[str] = ()
    elves: Sequence[ElfSummary] = ()


@dataclass(slots=True, kw_only=True)
class View:
    """What is known about a node's paths. All keys are absolute paths without links above them.

    ``files`` maps a path to where its bytes are on this machine. ``complete`` directories were
    listed whole: what is not known below them is proven absent. ``elves`` are the summaries of
    ELF files, by path with every link followed.
    """

    files: dict[str, str] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    directories: set[str] = field(default_factory=lambda: {"/"})
    complete: set[str] = field(default_factory=set)
    absent: set[str] = field(default_factory=set)
    elves: dict[str, ElfSummary] = field(default_factory=dict)
    _children: dict[str, tuple[str, ...]] | None = None

    def kind(self, path: str) -> str:
        """Return the kind of a path without links above it, ABSENT or UNKNOWN."""
        if path in self.entries:
            return self.entries[path].kind
        if path in self.files:
            return "file"
        if path in self.directories:
            return "directory"
        return ABSENT if self._proven_absent(path) else UNKNOWN

    def resolve(self, path: str, *, last: bool = True) -> str | None:
        """Follow every symbolic link, the last part's only if asked; ``None`` if they loop."""
        todo = path.split("/")[::-1]
        done, hops = "", 0
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                done = done.rpartition("/")[0]
                continue
            done = f"{done}/{part}"
            target = self.links.get(done) if last or any(todo) else None
            if target is not None:
                hops += 1
                if hops > MAX_LINKS:
                    return None
                done = "" if target.startswith("/") else done.rpartition("/")[0]
                todo.extend(target.split("/")[::-1])
        return done or "/"

    def names(self, directory: str) -> tuple[str, ...]:
        """Return the sorted names known in a directory."""
        if self._children is None:
            self._children = self._all_children()
        return self._children.get(directory, ())

    def copy(self) -> View:
        """Return a view that can be changed without changing this one."""
        return View(
            files=self.files.copy(),
            entries=self.entries.copy(),
            links=self.links.copy(),
            directories=self.directories.copy(),
            complete=self.complete.copy(),
            absent=self.absent.copy(),
            elves=self.elves.copy(),
        )

    def remove(self, *paths: str) -> None:
        """Mark paths and everything below them as proven absent; their directories stay."""
        gone = {self._above(path) for path in paths}
        self._children = None
        for known in (self.files, self.entries, self.links, self.elves) if gone else ():
            for key in [key for key in known if _is_below(key, gone)]:
                del known[key]
        for known_paths in (self.directories, self.complete, self.absent) if gone else ():
            known_paths.difference_update([key for key in known_paths if _is_below(key, gone)])
        self.absent |= gone
        self.directories.add("/")

    def overlay(self, recorded: Recorded) -> None:
        """Add to this view what one folder records: that is no longer absent."""
        listing = recorded.listing
        self._children = None
        for entry in listing.entries:  # links first: other paths may be below them
            if entry.kind == "symlink":
                self._put_entry(entry)
        self.remove(*listing.absent)
        for path in (*recorded.directories, *listing.complete):
            self._put_directory(path)
        self.complete.update(self._through(path) for path in listing.complete)
        for path, source in recorded.files.items():
            self._put_file(path, source)
        for entry in listing.entries:
            self._put_entry(entry)
        for summary in recorded.elves:
            self._put_elf(summary)

    def _put_directory(self, path: str) -> None:
        path = self._through(path)
        self._exists(f"{path}/.")

    def _put_file(self, path: str, source: str) -> None:
        path = self._through(path) if path in self.links else self._above(path)
        self._exists(path)
        self.files[path] = source
        known = self.entries.get(path)
        if known and known.kind != "file":
            del self.entries[path]
        elif known and known.size is not None:
            self.entries[path] = replace(known, size=None)

    def _put_entry(self, entry: Entry) -> None:
        path = self._above(entry.path)
        self._exists(path)
        if entry.kind != "file":
            self.files.pop(path, None)
        self.links.pop(path, None)
        if entry.target is not None:
            self.links[path] = entry.target
        self.entries[path] = entry if entry.path == path else replace(entry, path=path)

    def _put_elf(self, summary: ElfSummary) -> None:
        path = self._through(summary.path)
        self._exists(path)
        if path not in self.files:
            self.entries.setdefault(path, Entry(path=path, kind="file"))
        self.elves[path] = summary

    def _exists(self, path: str) -> None:
        """Note that a path exists: so do its directories, and none of them is a file."""
        self.absent.discard(path)
        above = path.rpartition("/")[0]
        while above and above not in self.directories:
            self.directories.add(above)
            self.absent.discard(above)
            self.files.pop(above, None)
            known = self.entries.get(above)
            if known and known.kind != "directory":
                del self.entries[above]
            above = above.rpartition("/")[0]

    def _through(self, path: str) -> str:
        return self.resolve(path) or path

    def _above(self, path: str) -> str:
        return self.resolve(path, last=False) or path

    def _proven_absent(self, path: str) -> bool:
        above = "/"
        for step in _steps(path):
            if step in self.absent or (above in self.complete and not self._known(step)):
                return True
            if step != path and not self._may_hold(step):
                return True
            above = step
        return False

    def _known(self, path: str) -> bool:
        return path in self.directories or path in self.entries or path in self.files

    def _may_hold(self, path: str) -> bool:
        """Return whether there can be anything below a path: only below a directory."""
        if path in self.directories:
            return True
        if path in self.entries:
            return self.entries[path].kind == "directory"
        return path not in self.files

    def _all_children(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, set[str]] = {path: set() for path in self.complete}
        for path in {*self.directories, *self.entries, *self.files} - {"/"}:
            above, _, name = path.rpartition("/")
            if above in found or (not above and "/" in found):
                found[above or "/"].add(name)
        return {path: tuple(sorted(names)) for path, names in found.items()}


def _steps(path: str) -> Iterator[str]:
    """Yield ``/a``, ``/a/b``, ``/a/b/c`` for ``/a/b/c``."""
    end = path.find("/", 1)
    while end > 0:
        yield path[:end]
        end = path.find("/", end + 1)
    yield path


def _is_below(path: str, gone: AbstractSet[str]) -> bool:
    return "/" in gone or any(step in gone for step in _steps(path))
