"""Every shipped sample comes out as the table says, for the reason that is in its evidence."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.catalogue import catalogue
from pytest_gpu.cluster.recording.samples import sample_names
from tests.samples.sample_table import SAMPLES, Expected
from tests.support.runs import QUIET, run_here

Document = dict[str, Any]
FAILING = sorted(name for name, each in SAMPLES.items() if each.layer)


def judge(pytester: pytest.Pytester, spec: str, *args: str) -> tuple[int, Document, str]:
    """Judge a recording as a run on its own; return exit code, document and output."""
    report = pytester.path / "out.json"
    options = (f"--gpu-cluster={spec}", f"--gpu-report={report}", *QUIET)
    result = run_here(pytester, *options, *args)
    return int(result.ret), json.loads(report.read_text()), result.stdout.str()


def words_of(document: Document) -> str:
    """Return everything the causes of a document say, one line after the other."""
    lines = []
    for cause in document["causes"]:
        lines += [cause["title"], cause["why"], *cause["fix"]]
        lines += [f"{e['source']}: {e['text']}" for e in cause["evidence"]]
    return "\n".join(lines)


def test_the_table_names_every_sample() -> None:
    """A sample that nobody expects anything of proves nothing."""
    assert sorted(sample_names()) == sorted(SAMPLES)
    assert {each.cause for each in SAMPLES.values() if each.cause} <= set(catalogue())


@pytest.mark.parametrize("sample", sorted(name for name in SAMPLES if name != "mixed-fleet"))
def test_sample_comes_out_right(pytester: pytest.Pytester, sample: str) -> None:
    """Layer, cause, exit code and decisive words are those of the table, and no others."""
    expected = SAMPLES[sample]
    code, document, output = judge(pytester, f"sample:{sample}")
    assert [(n["layer"], n["cause"]) for n in document["nodes"]] == [
        (expected.layer, expected.cause)
    ]
    assert code == (1 if expected.layer else 0)
    assert tuple(each["id"] for each in document["latent"]) == expected.latent
    for words in expected.says:
        assert words in words_of(document), words_of(document)
    assert "conform" in output or expected.layer
    assert "/unexplained" not in output
    if expected.layer is None:
        assert_clean(document)


def assert_clean(document: Document) -> None:
    """Assert that nothing is unproven, failed or in error."""
    for node in document["nodes"]:
        assert (node["verdict"], node["unproven"], node["also_seen"]) == ("conforms", [], [])
        assert len(node["layers"]) == 7
        assert all(layer["passed"] > 0 for layer in node["layers"].values())


@pytest.mark.parametrize("sample", FAILING)
def test_dropping_the_overlay_is_green(pytester: pytest.Pytester, sample: str) -> None:
    """The repair of a failing sample is dropping what it lays over a healthy one."""
    expected: Expected = SAMPLES[sample]
    folder = Path(pytester.mkdir("dropped"))
    manifest = f"format: 1\ntaken: 2025-11-21T10:00:00Z\nbase: sample:{expected.base}\n"
    (folder / "recording.yaml").write_text(manifest)
    code, document, _ = judge(pytester, f"path:{folder}")
    assert code == 0
    assert_clean(document)


def test_mixed_fleet_tells_two_causes_apart(pytester: pytest.Pytester) -> None:
    """Twelve nodes: three with one cause, one with another, eight green; two blocks."""
    code, document, output = judge(pytester, "sample:mixed-fleet")
    verdicts = Counter(node["verdict"] for node in document["nodes"])
    assert code == 1
    assert verdicts == {"conforms": 8, "fails": 4}
    assert sorted(len(cause["nodes"]) for cause in document["causes"]) == [1, 3]
    for cause in document["causes"]:
        named = {n["name"] for n in document["nodes"] if n["cause"] == cause["id"]}
        assert named == set(cause["nodes"])
        assert cause["title"] in " ".join(output.split())  # long titles are wrapped
