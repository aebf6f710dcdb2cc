"""A command line that may be longer than what is known of it, and files with more arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import NodeEvidence
from pytest_gpu.parsing import MalformedError, shell_words

ENDPOINT = "--container-runtime-endpoint"
"""The kubelet's flag for its CRI socket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """A command line; ``unread`` is what might say more and nobody looked at."""

    argv: tuple[str, ...]
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgumentsFile:
    """A file that a script reads flags from, and the variables that it sets before."""

    path: str
    variables: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_snap(cls, snap: str, path: str) -> ArgumentsFile:
        """Return the file of a snap, which has two folders of its own below /var/snap."""
        data = f"/var/snap/{snap}"
        return cls(
            path=path, variables={"SNAP_DATA": f"{data}/current", "SNAP_COMMON": f"{data}/common"}
        )


def with_arguments(
    argv: tuple[str, ...], path: str, variables: Mapping[str, str], evidence: NodeEvidence
) -> CommandLine:
    """Return a command line with the arguments in a file, as a shell reads them."""
    try:
        text = (evidence.read(path) or b"").decode(errors="replace")
    except NotInEvidence:
        return CommandLine(argv=argv, unread=(path,))
    text = re.sub(r"\$\{?(\w+)\}?", lambda match: variables.get(match[1], match[0]), text)
    return CommandLine(argv=(*argv, *split(text)))


def split(text: str) -> tuple[str, ...]:
    """Return a shell's words, none where it would find an open quote."""
    try:
        return shell_words(text, comments=True)
    except MalformedError:
        return ()
