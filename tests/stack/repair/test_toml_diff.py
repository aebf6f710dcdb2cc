"""Patches of TOML files: they apply with the real ``patch``, and change what they say, no more."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_gpu.stack.containerd.config_file import parse
from pytest_gpu.stack.repair.patch import patch
from pytest_gpu.stack.repair.toml_diff import changed, edited, told, with_handler
from tests.samples.mending import applied, apply, diffs, shown

PATH = "/etc/containerd/config.toml"
CRI = ("plugins", "io.containerd.grpc.v1.cri")
RUNTIMES = (*CRI, "containerd", "runtimes")
NVIDIA = {"runtime_type": "io.containerd.runc.v2", "options": {"SystemdCgroup": True}}

HEADER = '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]'
LAYOUTS = {
    "plain": f'version = 2\n{HEADER}\nruntime_type = "x"\n',
    "comments": (
        "# first\n\nversion = 2  # two\n# between\n[plugins] # p\n  # inside\n"
        '  [plugins."io.containerd.grpc.v1.cri"]\n    enable_cdi = true # on\n'
        f"    {HEADER} # runc\n      # about the type\n"
        '      runtime_type = "x"\n# last\n[debug]\nlevel = "info"\n# very last\n'
    ),
    "dotted": f'version = 2\n{HEADER[1:-1]}.runtime_type = "x"\n',
    "inline": (
        'version = 2\n[plugins]\n"io.containerd.grpc.v1.cri" = '
        '{containerd = {runtimes = {runc = {runtime_type = "x"}}}}  # all in one\n'
    ),
    "out of order": (
        f'version = 2\n{HEADER}\nruntime_type = "x"\n[grpc]\naddress = "/run/x"\n'
        '[plugins."io.containerd.grpc.v1.cri".cni]\nbin_dir = "/opt"\n'
        '[plugins."io.containerd.grpc.v1.cri".containerd]\ndefault_runtime_name = "runc"\n'
    ),
    "tabs": f'version = 2\n\n{HEADER}\n\truntime_type\t=\t"x"\t# t\n\n\n',
    "literal quotes": "version = 2\n[plugins.'io.containerd.grpc.v1.cri']\nenable_cdi = true\n",
    "odd line breaks": f'# a\u2028b\u0085c\nversion = 2\n{HEADER}\nruntime_type = "x"\n',
    "only the version": "version = 2\n",
}
ENDS = {"": lambda text: text, "crlf": lambda text: text.replace("\n", "\r\n")}
ENDS |= {"no final newline": lambda text: text.rstrip("\n")}
CHANGES: dict[str, dict[tuple[str, ...], Any]] = {
    "add a handler": {(*RUNTIMES, "nvidia"): NVIDIA},
    "set a value": {(*RUNTIMES, "runc", "options", "SystemdCgroup"): True},
    "change a value": {(*RUNTIMES, "runc", "runtime_type"): "io.containerd.runc.v2"},
    "remove a value": {(*RUNTIMES, "runc", "runtime_type"): None},
    "remove nothing": {(*RUNTIMES, "crun", "runtime_type"): None, ("version",): 2},
    "import": {("imports",): ["/etc/containerd/conf.d/*.toml"]},
}
EMPTIED = ("dotted", "remove a value")
"""With the last dotted key its tables would go, too; to containerd 1.x an empty one counts."""


def put(path: Path, text: str) -> None:
    """Write a file with its own line ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_patch_applies_to_every_layout(tmp_path: Path, layout: str, end: str, change: str) -> None:
    """The real program takes it; comments stay; the file says what was wanted, nothing else."""
    text = ENDS[end](LAYOUTS[layout])
    put(tmp_path / PATH[1:], text)
    fix = changed(PATH, text, CHANGES[change])
    if (layout, change) == EMPTIED:
        (words,) = fix
        assert "by hand" in words.text
        return
    apply(shown(fix), tmp_path)
    after = (tmp_path / PATH[1:]).read_bytes().decode()
    wanted = tomllib.loads(text)
    for keys, value in CHANGES[change].items():
        put_plain(wanted, keys, value)
    assert tomllib.loads(after) == wanted
    comments = {line for line in text.splitlines() if line[:1] == "#"}
    assert comments <= set(after.splitlines())


def put_plain(table: dict[str, Any], keys: tuple[str, ...], value: object) -> None:
    """Put a value where the keys lead to, or take it away; once more, and simply."""
    for key in keys[:-1]:
        if value is None and key not in table:
            return
        table = table.setdefault(key, {})
    if value is None:
        table.pop(keys[-1], None)
    else:
        table[keys[-1]] = value


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("version = 2\nplugins = 3\n", {(*RUNTIMES, "nvidia"): NVIDIA}),
        ("version = 2\n[plugins\n", {("version",): 3}),
        ("version = 2\n[[plugins]]\n", {(*RUNTIMES, "nvidia"): NVIDIA}),
    ],
)
def test_what_cannot_be_patched_is_told_in_words(text: str, changes: dict[Any, Any]) -> None:
    """No wrong patch is shown: words name the file and what it shall say."""
    (step,) = changed(PATH, text, changes)
    assert step.kind == "words"
    assert step.text.startswith(f"Edit {PATH} by hand so that it contains:\n")
    put_into: dict[str, Any] = {}
    for keys, value in changes.items():
        put_plain(put_into, keys, value)
    assert tomllib.loads(step.text.partition("\n")[2]) == put_into


def test_a_list_loses_and_gains_single_items() -> None:
    """Comments beside the other items stay."""
    text = 'disabled_plugins = [\n  "cri",\n  "aufs", # no such kernel\n]\nversion = 2\n'
    after = edited(text, {("disabled_plugins",): ["aufs", "zfs"]})
    assert after is not None
    assert tomllib.loads(after) == {"disabled_plugins": ["aufs", "zfs"], "version": 2}
    assert "# no such kernel" in after
    assert "\nversion = 2\n" in after


def test_a_changed_value_keeps_its_comment() -> None:
    """The admin's own note beside the value is not lost."""
    text = "[a]\nb = 1  # mine\nc = 2\n"
    assert edited(text, {("a", "b"): 3}) == "[a]\nb = 3  # mine\nc = 2\n"


def test_a_new_file_is_made_with_its_folders(tmp_path: Path) -> None:
    """An empty text makes a file; its version stands first."""
    file = parse("/etc/containerd/conf.d/99-nvidia.toml", b"version = 2\n")
    empty = parse(file.path, b"")
    fix = with_handler(empty, "nvidia", binary="/usr/bin/x", systemd_cgroup=True)
    apply(shown(fix), tmp_path)
    written = tomllib.loads((tmp_path / file.path[1:]).read_text())
    assert written["version"] == 1
    assert written["plugins"]["cri"]["containerd"]["runtimes"]["nvidia"]["runtime_type"]


def test_a_patch_shows_no_line_that_was_redacted(tmp_path: Path) -> None:
    """The node's file says something else there: such a line must not be context."""
    seen = 'version = 2\n[auth]\npassword = "<redacted>"\n[cri]\nx = 1\ny = 2\n'
    real = seen.replace("<redacted>", "hunter2")
    put(tmp_path / PATH[1:], real)
    fix = changed(PATH, seen, {("cri", "x"): 5})
    assert "<redacted>" not in str(fix)
    apply(shown(fix), tmp_path)
    assert (tmp_path / PATH[1:]).read_text() == real.replace("x = 1", "x = 5")
    (words,) = changed(PATH, seen, {("auth", "password"): "new"})
    assert words.kind == "words"
    assert "by hand" in words.text


def test_nothing_to_change_is_no_step() -> None:
    """What is already so needs no patch."""
    assert changed(PATH, "version = 2\n", {("version",): 2}) == ()


def test_what_is_to_be_removed_is_told_as_a_comment() -> None:
    """TOML cannot say that something is not there."""
    assert told({("a", "b"): None, ("c",): 1}) == "# without a.b\nc = 1"


LINES = st.text(st.sampled_from("ab#= \t\u2028\u0085é"), max_size=6)
TEXTS = st.lists(LINES, max_size=12).map("\n".join)


@settings(deadline=None, max_examples=200)
@given(TEXTS, TEXTS)
def test_every_patch_leads_from_one_text_to_the_other(before: str, after: str) -> None:
    """Whatever the two texts are, with or without line feeds at their ends."""
    fix = patch("/x", before, after)
    assert before == after if not fix else applied(diffs(shown(fix))[0], before) == after


@settings(deadline=None, max_examples=25)
@given(before=TEXTS, after=TEXTS)
def test_the_real_patch_agrees(
    tmp_path_factory: pytest.TempPathFactory, before: str, after: str
) -> None:
    """GNU patch makes the same of it."""
    folder = tmp_path_factory.mktemp("patched")
    if before and after and (fix := patch("/x", before, after)):
        put(folder / "x", before)
        apply(shown(fix), folder)
        assert (folder / "x").read_bytes().decode() == after


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(sorted(LAYOUTS)), st.sampled_from(sorted(CHANGES)), st.data())
def test_comments_at_odd_places_survive(layout: str, change: str, data: st.DataObject) -> None:
    """A comment line may stand anywhere between others."""
    lines = LAYOUTS[layout].split("\n")
    for number in range(data.draw(st.integers(1, 4))):
        lines.insert(data.draw(st.integers(0, len(lines) - 1)), f"  # odd {number}")
    text = "\n".join(lines)
    after = edited(text, CHANGES[change])
    if (layout, change) == EMPTIED:
        assert after is None
        return
    wanted = tomllib.loads(text)
    for keys, value in CHANGES[change].items():
        put_plain(wanted, keys, value)
    assert after is not None
    assert tomllib.loads(after) == wanted
    assert after.count("# odd ") == text.count("# odd ")


HEALTHY_NODE = """
import inspect, sys
from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.cluster.recording.samples import sample_path
from pytest_gpu.conformance import test_runtime
from pytest_gpu.run.node_face import GpuNode

with open_recording(sample_path("healthy-kubeadm"), "sample") as cluster:
    for name, test in inspect.getmembers(test_runtime, inspect.isfunction):
        if name.startswith("test_"):
            test(GpuNode("gpu-1", cluster))
print("tomlkit" in sys.modules)
"""


def test_tomlkit_is_loaded_for_a_finding_only() -> None:
    """A healthy node does not wait for it, whatever its tests read."""
    argv = [sys.executable, "-c", HEALTHY_NODE]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_new_table_stands_apart_from_its_neighbours() -> None:
    """An empty line before and after it, and no second one where there is one already."""
    layouts = {"comments": "\n# last\n\n[", "out of order": '\nruntime_type = "x"\n\n['}
    for layout, before in layouts.items():
        after = edited(LAYOUTS[layout], CHANGES["add a handler"])
        assert after is not None
        assert before in after
        assert re.search(r"SystemdCgroup = true\n\n\[(debug|grpc)\]", after)
        assert "\n\n\n" not in after
