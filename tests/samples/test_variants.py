"""Real differences between clusters raise no alarm, and missing evidence blames nothing."""

from __future__ import annotations

import pytest

from tests.samples.sample_copy import SampleCopy
from tests.samples.test_samples import Document, judge
from tests.samples.variants import HEALTHY, LATENT, UNPROVEN
from tests.support.changes import Change


def judged(pytester: pytest.Pytester, base: str, change: Change) -> tuple[int, Document]:
    """Judge a changed copy of a healthy sample; return exit code and document."""
    copy = SampleCopy(base, pytester.mkdir("varied"))
    change(copy)
    code, document, output = judge(pytester, copy.spec)
    assert not [node for node in document["nodes"] if node["verdict"] == "error"], output
    return code, document


@pytest.mark.parametrize("variant", HEALTHY)
def test_a_healthy_cluster_of_another_kind_conforms(
    pytester: pytest.Pytester, variant: str
) -> None:
    """Nothing fails, nothing is unproven, nothing is noted."""
    code, document = judged(pytester, *HEALTHY[variant])
    (node,) = document["nodes"]
    assert (code, node["verdict"], node["cause"]) == (0, "conforms", None), node
    assert document["latent"] == []


@pytest.mark.parametrize("variant", LATENT)
def test_what_harms_nobody_yet_is_noted(pytester: pytest.Pytester, variant: str) -> None:
    """The node conforms; the cause stands among the latent ones."""
    base, change, cause = LATENT[variant]
    code, document = judged(pytester, base, change)
    assert (code, [each["id"] for each in document["latent"]]) == (0, [cause])


@pytest.mark.parametrize("variant", UNPROVEN)
def test_missing_evidence_is_unproven_and_blames_nothing(
    pytester: pytest.Pytester, variant: str
) -> None:
    """No cause is named; what is missing is."""
    base, change, words = UNPROVEN[variant]
    code, document = judged(pytester, base, change)
    (node,) = document["nodes"]
    assert (code, node["verdict"], node["cause"]) == (1, "unproven", None), node
    assert any(words in str(each) for each in node["unproven"]), node["unproven"]
