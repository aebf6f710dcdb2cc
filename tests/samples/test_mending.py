"""The patch that a fix shows mends what it was shown for: applied to the recording, it is green."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_gpu.cluster.recording.samples import sample_path
from tests.samples.mending import diffs
from tests.samples.runtime_cases import RECORDINGS, cases
from tests.samples.sample_table import SAMPLES
from tests.samples.test_samples import Document, judge
from tests.stack.runtime.restarting import mended

MENDED = {name: case.restart for name, case in cases().items() if case.restart is not None}
MENDED |= {
    f"sample:{name}": each.restart for name, each in SAMPLES.items() if each.restart is not None
}


STILL_LATENT = {
    # The patch mends the node; what the toolkit is told is mended with Helm, by the same fix.
    "sample:k8s-snap-imports-other-base-dir": ["runtime/next-toolkit-start-loses-systemd-cgroup"],
    # The toolkit of that recording was told the file, and never k0s' own socket.
    "rt-k0s-two-step-import-no-runc": ["runtime/toolkit-signals-other-containerd"],
}


def fix_of(document: Document, cause: str | None) -> list[str]:
    """Return the steps of a cause, whether it fails the node or is only noted."""
    found = [*document["causes"], *document["latent"]]
    return [str(step) for each in found if each["id"] == cause for step in each["fix"]]


def cause_of(name: str) -> str | None:
    """Return the cause that a sample or case comes out with."""
    if not name.startswith("sample:"):
        return cases()[name].cause
    sample = SAMPLES[name.removeprefix("sample:")]
    return sample.cause or sample.latent[0]


def folder_of(name: str) -> Path:
    """Return the folder of a sample or a case."""
    if name.startswith("sample:"):
        return sample_path(name.removeprefix("sample:"))
    sample = cases()[name].sample
    return sample_path(sample) if sample else RECORDINGS / name


@pytest.mark.parametrize("name", sorted(MENDED))
def test_applying_the_patch_turns_the_recording_green(pytester: pytest.Pytester, name: str) -> None:
    """With the patch applied and containerd restarted the node conforms, and nothing is noted.

    Where the sidecar says what else is wrong (``then:``) it comes out as that, and not as before.
    """
    folder = folder_of(name)
    _, broken, _ = judge(pytester, f"path:{folder}")
    fix = fix_of(broken, cause_of(name))
    assert diffs(fix), fix
    copy = mended(folder, MENDED[name], fix, Path(pytester.mkdir("mended")))
    code, document, output = judge(pytester, copy.spec)
    (node,) = document["nodes"]
    then = cases()[name].then if name in cases() else "conforms"
    left = ("fails", then) if "/" in then else (then, None)
    assert (node["verdict"], node["cause"]) == left, output
    assert code == (0 if then == "conforms" else 1)
    assert [each["id"] for each in document["latent"]] == STILL_LATENT.get(name, [])
