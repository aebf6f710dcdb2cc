"""Who wrote a file that containerd refuses, and where it must be fixed first."""

from __future__ import annotations

import pytest

from pytest_gpu.causes import Finding
from pytest_gpu.finding_json import as_json
from pytest_gpu.stack.runtime import check_cri
from tests.stack.containerd.test_merge import CONFIG
from tests.stack.runtime.runtime_machine import HEALTHY, Machine
from tests.stack.runtime.test_check_runtime import toolkit_daemonset
from tests.support.told import full

BROKEN = f"{HEALTHY}[plugins\n"
DROP_IN = "/etc/containerd/conf.d/99-nvidia.toml"
IMPORTS = f'imports = ["/etc/containerd/conf.d/*.toml"]\n{HEALTHY}'
COPIED = "/etc/eks/containerd/containerd-config.toml"
OWNED = f"# Maintained by puppet, class kubernetes::containerd\n{BROKEN}"


def found(machine: Machine) -> Finding:
    """Return the finding of a file that containerd refuses."""
    finding = check_cri.unreadable(machine.node())
    assert finding is not None
    assert finding.cause == "runtime/config-invalid"
    return full(finding)


def first_step(finding: Finding) -> str:
    """Return what must be done first."""
    return str(as_json(finding)["fix"][0])


@pytest.mark.parametrize(
    ("files", "daemonset", "expected"),
    [
        ({CONFIG: BROKEN}, False, f"Nothing in the evidence shows who wrote {CONFIG}"),
        ({CONFIG: BROKEN}, True, "The container toolkit (DaemonSet gpu-operator/"),
        ({CONFIG: OWNED}, False, f"{CONFIG} says in line 1 who maintains it"),
        ({CONFIG: OWNED}, True, f"{CONFIG} says in line 1 who maintains it"),
        (
            {CONFIG: BROKEN, COPIED: BROKEN},
            False,
            f"bootstrap script copies {COPIED} over {CONFIG}",
        ),
        ({CONFIG: BROKEN, COPIED: HEALTHY}, False, "Nothing in the evidence"),
        ({CONFIG: IMPORTS, DROP_IN: "[plugins\n"}, False, "`nvidia-ctk runtime configure` puts"),
    ],
)
def test_the_writer_comes_first(files: dict[str, str], expected: str, *, daemonset: bool) -> None:
    """By marks in the file, copies, settings and places; without any of them it says so."""
    machine = Machine(files=files, objects=toolkit_daemonset() if daemonset else {})
    assert expected in first_step(found(machine))


def test_a_toolkit_that_writes_elsewhere_is_not_the_writer() -> None:
    """Its settings name another file."""
    machine = Machine(files={CONFIG: BROKEN})
    machine.objects = toolkit_daemonset(CONTAINERD_CONFIG="/etc/other.toml")
    assert "Nothing in the evidence" in first_step(found(machine))


def test_title_and_fix_name_the_place() -> None:
    """A root file has nothing to be taken out of; an import has."""
    root = found(Machine(files={CONFIG: BROKEN}))
    assert f"{CONFIG}, line" in as_json(root)["title"]
    assert "Fix the line named above." in as_json(root)["fix"]
    imported = found(Machine(files={CONFIG: IMPORTS, DROP_IN: "[plugins\n"}))
    assert f"{DROP_IN}, line" in as_json(imported)["title"]
    assert "take the file out of `imports`" in str(as_json(imported)["fix"])


def test_a_file_that_is_fine_has_no_finding() -> None:
    """The repaired twin."""
    assert check_cri.unreadable(Machine().node()) is None
