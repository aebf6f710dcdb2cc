"""A finding as plain JSON types, for reports and between the processes of a run."""

from __future__ import annotations

from typing import Any

from pytest_gpu.causes import Finding, cause_of, fill, fill_step, steps_of, title_of


def as_json(finding: Finding) -> dict[str, Any]:
    """Return a finding with all its texts filled in, as plain JSON types.

    Keys: cause, title, why, check, fix, fix_kinds, explains, evidence (source, line, text).
    """
    cause, steps = cause_of(finding), steps_of(finding)
    return {
        "cause": finding.cause,
        "title": title_of(finding),
        "why": fill(cause.why, finding),
        "check": [fill_step(step, finding).shown for step in cause.check],
        "fix": [step.shown for step in steps],
        "fix_kinds": [step.kind for step in steps],
        "explains": list(cause.explains),
        "evidence": [
            {"source": item.source, "line": item.line, "text": item.text}
            for item in finding.evidence
        ],
    }
