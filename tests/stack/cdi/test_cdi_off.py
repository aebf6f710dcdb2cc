"""enable_cdi, written once or several times: the value that counts, by containerd's generation."""

from __future__ import annotations

import pytest

from pytest_gpu.stack.cdi.cdi_off import cdi_off, switch_on
from tests.samples.mending import applied, diffs, shown, target
from tests.stack.containerd.test_merge import CONFIG
from tests.stack.runtime.runtime_machine import Machine

DROP_IN = "/etc/containerd/conf.d/50-site.toml"
CRI2 = 'plugins."io.containerd.grpc.v1.cri"'
CRI3 = "plugins.'io.containerd.cri.v1.runtime'"
ON, OFF = "enable_cdi = true\n", "enable_cdi = false\n"
IMPORTING = f'version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n[{CRI2}]\n'

FILES: dict[str, dict[str, str]] = {
    "nothing": {CONFIG: "version = 2\n"},
    "two sections, the newer one off": {
        CONFIG: f"version = 2\n[{CRI2}]\n{ON}[{CRI3}]\n{OFF}",
    },
    "two sections, the older one off": {
        CONFIG: f"version = 2\n[{CRI2}]\n{OFF}[{CRI3}]\n{ON}",
    },
    "the newer section alone": {CONFIG: f"version = 2\n[{CRI3}]\n{ON}"},
    "another spelling": {CONFIG: f"version = 2\n[{CRI2}]\nEnable_CDI = true\n"},
    "another spelling, off": {CONFIG: f"version = 2\n[{CRI2}]\nEnable_CDI = false\n"},
    "a drop-in says off": {CONFIG: IMPORTING + ON, DROP_IN: f"version = 2\n[{CRI2}]\n{OFF}"},
    "a drop-in says nothing": {
        CONFIG: IMPORTING + ON,
        DROP_IN: f"version = 2\n[{CRI2}]\nsandbox_image = 'pause:9'\n",
    },
    "version 1, in the table below": {CONFIG: "[plugins.cri.containerd]\nenable_cdi = true\n"},
}
IS_ON: dict[str, set[str]] = {
    "1.7.24": {"two sections, the newer one off"},
    "2.1.9": {
        *("nothing", "two sections, the older one off", "the newer section alone"),
        *("another spelling", "a drop-in says nothing", "version 1, in the table below"),
    },
    "2.4.2": set(FILES),
}


@pytest.mark.parametrize("version", IS_ON)
@pytest.mark.parametrize("name", FILES)
def test_the_value_that_counts_and_its_repair(version: str, name: str) -> None:
    """The line that decides is quoted, and the patch changes what is effective."""
    machine = Machine(files=dict(FILES[name]), version=version, live=None)
    assert (cdi_off(machine.node()) == ()) == (name in IS_ON[version])
    if name in IS_ON[version]:
        return
    for diff in diffs(shown(switch_on(machine.node()))):
        machine.files[target(diff)] = applied(diff, machine.files[target(diff)])
    assert cdi_off(machine.node()) == ()


def test_1_6_knows_no_cdi_whatever_is_written() -> None:
    """There is nothing to patch."""
    for files in FILES.values():
        machine = Machine(files=dict(files), version="1.6.20", live=None)
        (seen,) = cdi_off(machine.node())
        assert "does not support CDI" in seen.text
        assert diffs(shown(switch_on(machine.node()))) == []


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("the newer section alone", 3),
        ("another spelling", 3),
        ("a drop-in says nothing", 4),
        ("version 1, in the table below", 2),
    ],
)
def test_what_is_written_in_vain_is_quoted(name: str, line: int) -> None:
    """1.7 reads it nowhere of these: the default counts, and the line shows why it is no help."""
    machine = Machine(files=dict(FILES[name]), version="1.7.26", live=None)
    default, vain = cdi_off(machine.node())
    assert default.text == "built-in default: enable_cdi = false"
    assert (vain.source, vain.line) == (CONFIG, line)
    assert "containerd 1.7.26 does not read it there" in vain.text


@pytest.mark.parametrize(
    ("head", "owned"),
    [
        ("# Ansible managed: containerd.toml.j2\n", True),
        ("# This file is maintained by kubespray\n", True),
        ("# do not edit, see the wiki\n", True),
        ("# our own file, edited by hand\n", False),
        ("", False),
    ],
)
def test_a_file_with_an_owner_is_changed_at_its_owner_first(head: str, *, owned: bool) -> None:
    """The patch is still there: it helps until the owner writes again."""
    files = {CONFIG: f"{head}version = 2\n[{CRI2}]\n{OFF}"}
    steps = shown(switch_on(Machine(files=files, version="1.7.24", live=None).node()))
    assert len(diffs(steps)) == 1
    assert any("has an owner who will write it again" in step for step in steps) == owned
