"""Windows' driver has no kernel module, so the operator's wrapper starts runc: a recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_gpu.cluster.recording.recorded import open_recording
from tests.samples import variants_kinds as kinds
from tests.samples.sample_copy import SampleCopy
from tests.samples.sample_table import KUBEADM
from tests.stack.toolkit.test_check_aside import LOOKS, PLAIN, PROGRAM, WRAPPER
from tests.support.judging import judge


def judged(folder: Path, wrapper: str) -> dict[str, Any]:
    """Return the verdict document on a node of WSL with this wrapper."""
    copy = SampleCopy(KUBEADM, folder)
    kinds.wsl(copy)
    for path, text in ((PROGRAM, wrapper), ("/proc/modules", "zfs 1 0 - Live\n")):
        file = copy.node / f"files{path}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    with open_recording(copy.folder, copy.spec) as cluster:
        return judge(cluster)


def test_the_wrapper_is_why_nothing_is_injected(tmp_path: Path) -> None:
    """The driver works, so the layer is the runtime's."""
    document = judged(tmp_path, WRAPPER)
    (node,) = document["nodes"]
    assert (node["layer"], node["cause"]) == ("runtime", "runtime/wrapper-steps-aside"), node
    (cause,) = document["causes"]
    assert LOOKS in str(cause["evidence"])
    fix = "\n".join(cause["fix"])
    assert fix.index("toolkit.enabled=false") < fix.index("nvidia-ctk runtime configure")


def test_a_wrapper_that_does_not_look_is_fine(tmp_path: Path) -> None:
    """The same node, without that line."""
    assert judged(tmp_path, PLAIN)["nodes"][0]["verdict"] == "conforms"
