"""Files of containerd's that a distribution makes anew at every start, and what it adds by itself.

How a template is read is containerd's matter; here stands which file is read, and when.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateFile:
    """A template's file name, and the version of the configuration that is made with it."""

    name: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A configuration that is made anew at every start, and from what.

    ``end`` is what its path ends with, below any data folder. ``templates`` may lie beside it; the
    first that is read and is there counts. ``base`` is the line with which a template takes over
    the built-in one, ``""`` where there is no built-in one. ``found`` maps the handlers that the
    built-in template adds by itself to the programs that the start looks for: in ``folders``, then
    along the service's PATH. ``merged_since`` maps minor versions of Kubernetes to the first patch
    in which a template is merged over the built-in one, instead of replacing it.
    """

    end: str
    templates: tuple[TemplateFile, ...]
    base: str = ""
    found: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    merged_since: Mapping[int, int] = field(default_factory=dict)

    @property
    def not_found(self) -> str:
        """What is said of a program that the start will not find."""
        if not self.folders:
            return "is not along the service's PATH"
        return f"is neither in {' nor in '.join(self.folders)} nor along the service's PATH"

    def read_up_to(self, newest: int) -> tuple[TemplateFile, ...]:
        """Return the templates that are read, best first.

        That depends on the newest version of the configuration that the node's containerd reads.
        """
        return tuple(each for each in self.templates if each.version <= newest)

    def merges(self, minor: int, patch: int) -> bool:
        """Say whether a release of Kubernetes merges a template over the built-in one."""
        newest = max(self.merged_since, default=minor)
        return minor > newest or patch >= self.merged_since.get(minor, patch + 1)
