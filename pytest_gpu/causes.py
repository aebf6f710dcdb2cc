"""Findings, and the three functions that report from a conformance test: fail, latent, unproven.

A finding names a cause of the catalogue; its values fill the texts of that cause.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import UnionType
from typing import NoReturn

from pytest_gpu.catalogue import catalogue
from pytest_gpu.cause_entry import Cause
from pytest_gpu.errors import GpuError, Unproven
from pytest_gpu.steps import Slot, Step, Steps, Value, announced, once, typed
from pytest_gpu.text.plain_text import evidence_lines, fix_lines
from pytest_gpu.text.shell import filled
from pytest_gpu.text.shell_places import PLACEHOLDER
from pytest_gpu.text.visible import visible

# A test body cannot reach its item, so the plugin sets this list while the test runs.
LATENT: ContextVar[list[Finding]] = ContextVar("latent findings of the running test")

A_FINDING = "a finding, such as Finding.of('driver/not-loaded', Evidence(source=..., text=...))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One decisive line: where it was found (file, event, command) and what it says.

    Attributes:
        source: the file, event or command.
        text: the line itself.
        line: the line number from 1, ``None`` if there is none.
    """

    source: str
    text: str
    line: int | None = None

    def __post_init__(self) -> None:
        _expect("Evidence: source", "a text", self.source, str)
        _expect("Evidence: text", "a text", self.text, str)
        _expect("Evidence: line", "a number or None", self.line, int | None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A cause found on one node, with the evidence that proves it.

    ``values`` fill the placeholders of the cause's texts, or are steps of its fix. A check adds
    its own; those that every cause may use (the node, its distribution's commands) are added when
    the finding is reported. So is ``entry``, the texts of a cause of a user's project; the others
    are in the catalogue. ``lead`` comes before the title where a fault does more than its cause
    says.
    """

    cause: str
    evidence: tuple[Evidence, ...]
    values: Mapping[str, Value] = field(default_factory=dict)
    entry: Cause | None = None
    lead: str = ""

    def __post_init__(self) -> None:
        _expect("Finding: cause", "the ID of a cause, such as driver/not-loaded", self.cause, str)
        for item in self.evidence:
            _expect("Finding: evidence", "Evidence(source=..., text=...)", item, Evidence)

    @classmethod
    def of(cls, cause: str, *evidence: Evidence, **values: Value) -> Finding:
        """Return a finding of a cause, such as ``runtime/config-invalid`` or one of your own.

        Raises:
            TypeError: the cause, the evidence or a value has another type.
        """
        for name, value in values.items():
            _expect(f"Finding: {name}", "a text, or a tuple of steps", value, str | tuple)
        return cls(cause=cause, evidence=evidence, values=values)


class GpuFailure(AssertionError):  # noqa: N818 - a verdict, not a mishap
    """A requirement is not met. JUnit shows a failure, Allure failed."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.cause)
        self.finding = finding
        self.link = ""

    def tell(self, filled: Finding, link: str = "") -> None:
        """Set the full message; ``link`` is a line that names a cause that is another finding.

        Raises:
            GpuError: there is no such cause, or a placeholder has no value.
        """
        self.finding, self.link = filled, link
        self.args = (message(filled, link),)


def fail(finding: Finding) -> NoReturn:
    """Fail the running conformance test with a finding.

    Raises:
        TypeError: it is not a finding.
    """
    __tracebackhide__ = True
    _expect("fail()", A_FINDING, finding, Finding)
    raise GpuFailure(finding)


def unproven(reason: str) -> NoReturn:
    """End the running conformance test as unproven: it could not be decided."""
    __tracebackhide__ = True
    raise Unproven(reason)


def latent(finding: Finding) -> None:
    """Record a latent finding on a passing test: it works now and breaks at the next restart.

    Raises:
        TypeError: it is not a finding.
    """
    __tracebackhide__ = True
    _expect("latent()", A_FINDING, finding, Finding)
    LATENT.get().append(finding)


def cause_of(finding: Finding) -> Cause:
    """Return the texts of a finding's cause.

    Raises:
        GpuError: neither the catalogue nor the user's project has such a cause.
    """
    cause = finding.entry or catalogue().get(finding.cause)
    if cause is None:
        raise GpuError(
            f"no cause is called {finding.cause!r}: it is not in the catalogue, nor in a file "
            "named by gpu_causes"
        )
    return cause


def fill(text: str, finding: Finding) -> str:
    """Replace the placeholders of a catalogue text by the finding's values.

    Raises:
        GpuError: a placeholder has no value, or its value is steps, which need their own entry.
    """
    return PLACEHOLDER.sub(lambda match: _text_value(finding, match[1]), text)


def fill_step(step: Step, finding: Finding) -> Step:
    """Return a step of the catalogue with its values; those of a command are quoted where needed.

    Raises:
        GpuError: as of :func:`fill`, or a value cannot be quoted where its placeholder stands.
    """
    if not step.is_command:
        return Step(step.kind, fill(step.text, finding))
    try:
        return typed(step.kind, filled(step.text, lambda name: _text_value(finding, name)))
    except ValueError as error:
        raise GpuError(f"{finding.cause}: {step.text}: {error}") from None


def _text_value(finding: Finding, name: str) -> str:
    found = _value(finding, name)
    if not isinstance(found, str):
        alone = f'{{ steps = "{name}" }}'
        raise GpuError(f"{finding.cause}: {{{name}}} has steps: write {alone}")
    return found


def _value(finding: Finding, name: str) -> Value:
    try:
        return finding.values[name]
    except KeyError:
        raise GpuError(
            f"{finding.cause}: no value for {{{name}}}: pass {name} to Finding.of"
        ) from None


def title_of(finding: Finding) -> str:
    """Return the title of a finding, with what comes before it."""
    title = fill(cause_of(finding).title, finding)
    return f"{finding.lead}: {title}" if finding.lead else title


def steps_of(finding: Finding) -> Steps:
    """Return the fix for the finding's distribution, or for its family's, filled in.

    If a step is done on the node itself, the notes for the distribution's admins come first.
    """
    fix = cause_of(finding).fix
    names = [finding.values.get(key) for key in ("distribution", "family")]
    name = next((each for each in names if isinstance(each, str) and each in fix), "default")
    steps = announced(once(tuple(s for entry in fix[name] for s in _filled(entry, finding))))
    how = finding.values.get("how")
    if how and any(step.kind == "node" for step in steps):
        return (Step("words", fill("{how}", finding)), *steps)
    return steps


def _filled(entry: Step | Slot, finding: Finding) -> Iterator[Step]:
    if isinstance(entry, Step):
        if (step := fill_step(entry, finding)).text:
            yield step
        return
    steps = _value(finding, entry.name)
    if isinstance(steps, str):
        raise GpuError(f"{finding.cause}: {{{entry.name}}} is a text, not steps")
    if steps and entry.before:
        yield Step("words", fill(entry.before, finding))
    yield from steps


def fix_of(finding: Finding) -> tuple[str, ...]:
    """Return the steps of the fix as reports show them."""
    return tuple(step.shown for step in steps_of(finding))


def message(finding: Finding, link: str = "") -> str:
    """Return the message of a failed test: title, a link to its cause, decisive lines, fix."""
    lines = [f"{finding.cause}: {title_of(finding)}", *filter(None, [link])]
    for item in finding.evidence:
        lines += evidence_lines(item.source, item.line, item.text)
    lines += ["fix:", *fix_lines(fix_of(finding))]
    return visible("\n".join(lines))


def evidence_at(source: str, text: str, needle: str) -> Evidence:
    """Return the first line of ``text`` that contains ``needle``, with its line number."""
    for number, line in enumerate(text.splitlines(), 1):
        if needle in line:
            return Evidence(source=source, text=line.strip(), line=number)
    return Evidence(source=source, text=f"no line says {needle!r}")


def join(items: Sequence[str]) -> str:
    """Return items as one text, separated by commas."""
    return ", ".join(items)


def _expect(where: str, wanted: str, value: object, types: type | UnionType) -> None:
    """Refuse a value of another type; tests of users need not be type-checked."""
    __tracebackhide__ = True
    if not isinstance(value, types):
        raise TypeError(f"{where}: expected {wanted}, got {type(value).__name__}: {value!r}")
