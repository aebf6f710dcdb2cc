"""What reports say of every cause can be read and trusted, with all values that we have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.catalogue import catalogue, examples
from pytest_gpu.causes import Finding
from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.cluster.recording.samples import sample_path
from pytest_gpu.finding_json import as_json
from pytest_gpu.gpu_node import Node
from pytest_gpu.report.terminal import plain, render
from pytest_gpu.run.placeholders import filled
from tests.samples.runtime_cases import RECORDINGS
from tests.samples.sample_copy import SampleCopy
from tests.samples.sample_table import SAMPLES
from tests.samples.test_sample_breaks import BREAKS
from tests.samples.test_sample_breaks import HEALTHY as WHOLE
from tests.samples.test_sample_moves import MOVES
from tests.samples.test_samples import FAILING
from tests.samples.variants import LATENT, UNPROVEN
from tests.support import named_objects, wording
from tests.support.changes import Change
from tests.support.judging import judge
from tests.support.told import full

COLUMNS = 80

RECORDED: Mapping[str, Path] = {
    **{name: sample_path(name) for name in SAMPLES},
    **{path.name: path for path in sorted(RECORDINGS.iterdir()) if path.is_dir()},
}
CHANGED: Mapping[str, tuple[str, Change]] = {
    **{f"{layer} of {base}": (base, change) for base in WHOLE for layer, change in BREAKS.items()},
    **{name: (base, change) for name, (base, change, *_) in {**LATENT, **UNPROVEN}.items()},
}


def judged(recording: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Mapping[str, Any], list[str]]:
    """Return the report on a recording, and all that is wrong with the words in it."""
    found: list[str] = []

    def noted(finding: Finding, node: Node) -> Finding:
        whole = filled(finding, node)
        told = as_json(whole)
        found.extend([*wording.faults(told), *named_objects.faults(told, node)])
        return whole

    monkeypatch.setattr("tests.support.judging.filled", noted)
    with open_recording(recording, "recording") as cluster:
        return judge(cluster), found


def too_wide(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield lines of the terminal's report that are too long; text to copy is never wrapped."""
    causes = [*document["causes"], *document["latent"]]
    steps = [step.removeprefix("$ ") for each in causes for step in each["fix"]]
    copied = {line.strip() for step in steps for line in step.split("\n")}
    for line in plain(render(document, width=COLUMNS)):
        if len(line) > COLUMNS and " " in line.strip() and line.strip() not in copied:
            yield line


@pytest.mark.parametrize("name", RECORDED)
def test_words_of_a_recording(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Titles, whys and fixes of all findings, noted and also seen ones included."""
    document, found = judged(RECORDED[name], monkeypatch)
    assert found == []
    assert [*too_wide(document)] == []


@pytest.mark.parametrize("name", CHANGED)
def test_words_of_a_changed_sample(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same of samples that the tests break or vary."""
    base, change = CHANGED[name]
    copy = SampleCopy(base, tmp_path / "copy")
    change(copy)
    assert judged(copy.folder, monkeypatch)[1] == []


@pytest.mark.parametrize("name", FAILING)
def test_words_of_a_moved_sample(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With other names of nodes, namespaces, releases and files: a fix names these."""
    copy = SampleCopy(name, tmp_path / "copy")
    copy.rename(MOVES[SAMPLES[name].base or ""])
    assert judged(copy.folder, monkeypatch)[1] == []


@pytest.mark.parametrize("cause", catalogue())
def test_words_of_an_example(cause: str) -> None:
    """Every cause has values for its texts, and is read with them for each distribution."""
    finding = full(Finding(cause=cause, evidence=(), values=examples().get(cause, {})))
    for distribution in catalogue()[cause].fix:
        values = {**finding.values, "distribution": distribution}
        assert wording.faults(as_json(replace(finding, values=values))) == []
