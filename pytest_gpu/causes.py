"""Causes, findings, and the three words a conformance test has: fail, latent, unproven.

The catalogue is data: ``catalogue/<prefix>.toml`` holds the causes ``<prefix>/<name>``. The
prefix says whose thing must be fixed. A new cause is one entry there.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any, NoReturn

from pytest_gpu.errors import GpuError, Unproven

_PLACEHOLDER = re.compile(r"\{([a-z][a-z_]*)\}")

# A test body has no way to reach its item, so the plugin lends it this list while it runs.
LATENT: ContextVar[list[Finding]] = ContextVar("latent findings of the running test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One root cause of the catalogue.

    Texts hold ``{placeholders}`` for a finding's values. ``fix`` maps a distribution (or
    ``default``) to lines; a line that starts with ``$ `` is a command. ``explains`` holds
    patterns of causes that are mere consequences of this one.
    """

    id: str
    title: str
    why: str
    check: tuple[str, ...]
    fix: Mapping[str, tuple[str, ...]]
    explains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One decisive line: where it stands (file, event, command) and what it says."""

    source: str
    text: str
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A cause as seen on one node, with the evidence that decides for it.

    ``values`` fill the placeholders of the cause's texts. A check gives its own; those that every
    cause may use (the node, its distribution's commands) are added when the finding is reported.
    """

    cause: str
    evidence: tuple[Evidence, ...]
    values: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, cause: str, *evidence: Evidence, **values: str) -> Finding:
        """Return a finding of a cause of the catalogue, such as ``runtime/config-invalid``."""
        return cls(cause=cause, evidence=evidence, values=values)


class GpuFailure(AssertionError):  # noqa: N818 - a verdict, not a mishap
    """A requirement is not met. JUnit shows a failure, Allure failed."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.cause)
        self.finding = finding

    def tell(self, filled: Finding) -> None:
        """Say it in full: with the values that every cause may use.

        Raises:
            GpuError: the catalogue has no such cause, or a placeholder has no value.
        """
        self.args = (message(filled),)
        self.finding = filled


def fail(finding: Finding) -> NoReturn:
    """Fail the running conformance test with a finding."""
    __tracebackhide__ = True
    raise GpuFailure(finding)


def unproven(reason: str) -> NoReturn:
    """End the running conformance test as unproven: it could not be decided."""
    __tracebackhide__ = True
    raise Unproven(reason)


def latent(finding: Finding) -> None:
    """Note, on a test that passes, what works now and breaks at the next restart."""
    LATENT.get().append(finding)


@cache
def catalogue() -> Mapping[str, Cause]:
    """Return every cause by its ID."""
    found: dict[str, Cause] = {}
    for file in sorted(files("pytest_gpu.catalogue").iterdir(), key=lambda f: f.name):
        if file.name.endswith(".toml"):
            prefix = file.name.removesuffix(".toml")
            for name, entry in tomllib.loads(file.read_text(encoding="utf-8")).items():
                found[f"{prefix}/{name}"] = _cause(f"{prefix}/{name}", entry)
    return found


def _cause(cause_id: str, entry: Mapping[str, Any]) -> Cause:
    return Cause(
        id=cause_id,
        title=entry["title"],
        why=entry["why"].strip(),
        check=tuple(entry["check"]),
        fix={name: tuple(lines) for name, lines in entry["fix"].items()},
        explains=tuple(entry.get("explains", ())),
    )


def cause_of(finding: Finding) -> Cause:
    """Return the catalogue's entry for a finding.

    Raises:
        GpuError: the catalogue has no such cause.
    """
    try:
        return catalogue()[finding.cause]
    except KeyError:
        raise GpuError(f"the catalogue has no cause {finding.cause!r}") from None


def fill(text: str, finding: Finding) -> str:
    """Replace the placeholders of a catalogue text by the finding's values.

    Raises:
        GpuError: a placeholder has no value.
    """

    def value(match: re.Match[str]) -> str:
        try:
            return finding.values[match[1]]
        except KeyError:
            raise GpuError(f"{finding.cause}: no value for {match[0]}") from None

    return _PLACEHOLDER.sub(value, text)


def fix_of(finding: Finding) -> tuple[str, ...]:
    """Return the fix for the finding's distribution, or for its family's, filled in.

    A value may bring several steps of its own, parted by empty lines, or none. Where something is
    done on the node itself, what its distribution's admins must know comes first.
    """
    fix = cause_of(finding).fix
    names = (finding.values.get(key, "default") for key in ("distribution", "family"))
    lines = next((fix[name] for name in names if name in fix), fix["default"])
    steps = [step for line in lines for step in fill(line, finding).split("\n\n") if step]
    values = finding.values
    if (how := values.get("how")) and any(_on_the_node(step, values) for step in steps):
        steps.insert(0, how)
    return tuple(steps)


def _on_the_node(step: str, values: Mapping[str, str]) -> bool:
    restarts = (values.get("restart"), values.get("restart_kubelet"))
    return "sudo " in step or any(each and each in step for each in restarts)


def message(finding: Finding) -> str:
    """Return what a failed test says: title, decisive lines, fix."""
    cause = cause_of(finding)
    lines = [f"{finding.cause}: {fill(cause.title, finding)}"]
    lines += [f"  {show(item)}" for item in finding.evidence]
    lines += ["fix:", *(f"  {line}" for line in fix_of(finding))]
    return "\n".join(lines)


def show(item: Evidence) -> str:
    """Return a piece of evidence as ``source:line: text``."""
    where = item.source if item.line is None else f"{item.source}:{item.line}"
    return f"{where}: {item.text}"


def explains(cause_id: str, other: str) -> bool:
    """Say whether the first cause has the second as its mere consequence."""
    cause = catalogue().get(cause_id)
    return cause is not None and any(fnmatchcase(other, pattern) for pattern in cause.explains)


def as_json(finding: Finding) -> dict[str, Any]:
    """Return a finding with all its texts filled in, as plain JSON types.

    Keys: cause, title, why, check, fix, explains, evidence (source, line, text).
    """
    cause = cause_of(finding)
    return {
        "cause": finding.cause,
        "title": fill(cause.title, finding),
        "why": fill(cause.why, finding),
        "check": [fill(line, finding) for line in cause.check],
        "fix": list(fix_of(finding)),
        "explains": list(cause.explains),
        "evidence": [
            {"source": item.source, "line": item.line, "text": item.text}
            for item in finding.evidence
        ],
    }


def evidence_at(source: str, text: str, needle: str) -> Evidence:
    """Return the first line of ``text`` that contains ``needle``, with its line number."""
    for number, line in enumerate(text.splitlines(), 1):
        if needle in line:
            return Evidence(source=source, text=line.strip(), line=number)
    return Evidence(source=source, text=f"no line says {needle!r}")


def join(items: Sequence[str]) -> str:
    """Return items as people list them."""
    return ", ".join(items)
