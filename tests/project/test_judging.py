"""The short way to a verdict, without pytest, comes to the same verdicts as a run does."""

from __future__ import annotations

import pytest

from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.cluster.recording.samples import sample_path
from pytest_gpu.layers import Layer
from tests.samples.sample_table import SAMPLES
from tests.support.judging import judge, requirements


@pytest.mark.parametrize("sample", sorted(name for name in SAMPLES if name != "mixed-fleet"))
def test_sample_comes_out_as_in_a_run(sample: str) -> None:
    """Layer, cause, latent findings and exit code are those of the table."""
    expected = SAMPLES[sample]
    with open_recording(sample_path(sample), f"sample:{sample}") as cluster:
        document = judge(cluster)
    (node,) = document["nodes"]
    assert (node["layer"], node["cause"]) == (expected.layer, expected.cause)
    assert tuple(each["id"] for each in document["latent"]) == expected.latent
    assert document["run"]["exit_code"] == (1 if expected.layer else 0)


def test_every_layer_has_its_requirements() -> None:
    """None is left out, so that none can pass by not being tried."""
    assert all(len(requirements(layer)) >= 3 for layer in Layer)
