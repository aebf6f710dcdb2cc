"""Real differences between clusters raise no alarm, and missing evidence blames nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_gpu.cluster.recording.recorded import open_recording
from tests.samples import noise, test_daemons, test_modern
from tests.samples.sample_copy import SampleCopy
from tests.samples.sample_table import KUBEADM, RKE2, SNAP
from tests.samples.test_samples import Document, judge
from tests.samples.variants import HEALTHY, LATENT, UNPROVEN
from tests.support.changes import Change
from tests.support.judging import judge as judge_here

CRASHED = "CrashLoopBackOff"


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


NOISY = {**HEALTHY, **test_modern.HEALTHY, **test_daemons.CONFORM}


@pytest.mark.parametrize("variant", NOISY)
def test_noise_in_a_healthy_cluster_raises_no_alarm(tmp_path: Path, variant: str) -> None:
    """Runs that failed at boot, errors that were survived, old events: nothing is noted."""
    node = _noisy(*NOISY[variant], tmp_path)
    assert (node["verdict"], node["cause"], node["unproven"]) == ("conforms", None, []), node
    assert (node["latent"], node["errors"]) == ([], [])


@pytest.mark.parametrize("variant", LATENT)
def test_noise_adds_nothing_to_what_is_noted(tmp_path: Path, variant: str) -> None:
    """The one cause is noted, and no other."""
    base, change, cause = LATENT[variant]
    node = _noisy(base, change, tmp_path)
    assert (node["verdict"], [each["cause"] for each in node["latent"]]) == ("conforms", [cause])


def _noisy(base: str, change: Change, folder: Path) -> Document:
    """Return the verdict on the node of a changed sample whose components make noise."""
    copy = SampleCopy(base, folder)
    change(copy)
    noise.add(copy)
    with open_recording(copy.folder, base) as cluster:
        [node] = judge_here(cluster)["nodes"]
    assert isinstance(node, dict)
    return node


@pytest.mark.parametrize("base", [KUBEADM, RKE2, SNAP])
def test_the_same_noise_tells_why_an_operand_fails(tmp_path: Path, base: str) -> None:
    """What no alarm comes from is read: it is quoted once the plugin does not run."""
    copy = SampleCopy(base, tmp_path)
    noise.add(copy)
    copy.edit_yaml(copy.folder / "kubernetes/pods.yaml", _plugin_ends)
    with open_recording(copy.folder, base) as cluster:
        [node] = judge_here(cluster)["nodes"]
    assert node["cause"] == "device-plugin/operand-without-driver"
    assert node["cause"] == "device-plugin/operand-without-driver"
    assert any("failed to initialize NVML" in each["text"] for each in node["evidence"])


def _plugin_ends(pods: Document) -> None:
    [pod] = (e for e in pods["items"] if "device-plugin-daemonset" in e["metadata"]["name"])
    ends = {"ready": False, "restartCount": 1, "state": {"waiting": {"reason": CRASHED}}}
    pod["status"]["containerStatuses"][0] |= ends
