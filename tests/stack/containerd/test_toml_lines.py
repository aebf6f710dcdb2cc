"""Every value of a containerd file is found by file and line, however it is written."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_gpu.stack.containerd.config_file import BadToml, parse
from pytest_gpu.stack.containerd.merge import EffectiveConfig
from pytest_gpu.stack.containerd.toml_lines import Path, walk
from pytest_gpu.stack.kubelet.containerd import effective_config
from tests.lab.stack.containerd.configurations import groups, placed, toolkit_cases
from tests.lab.stack.containerd.generated import configurations
from tests.stack.containerd.test_merge import CONFIG, NVIDIA

OLD, NEW = "1.7.24", "2.1.9"


def keys_of(table: Mapping[str, Any], above: Path = ()) -> Iterator[Path]:
    """Return the path of every key of a parsed file."""
    for key, value in table.items():
        yield (*above, key)
        if isinstance(value, Mapping):
            yield from keys_of(value, (*above, key))


def missing_lines(text: str) -> list[Path]:
    """Return the keys whose line is not known, or is one that does not say the key."""
    found = walk(text)
    assert found is not None
    lines = text.splitlines()
    return [
        path
        for path in keys_of(tomllib.loads(text))
        if path not in found.lines or path[-1] not in lines[found.lines[path] - 1]
    ]


@pytest.mark.parametrize("case", toolkit_cases())
def test_every_key_of_a_real_file_has_its_line(case: str) -> None:
    """What nvidia-ctk and ``containerd config default`` write."""
    for text in toolkit_cases()[case]["files"].values():
        assert missing_lines(text) == []


@settings(max_examples=100, derandomize=True, deadline=None, database=None)
@given(files=configurations())
def test_every_key_of_a_random_file_has_its_line(files: Mapping[str, str]) -> None:
    """Headers, dotted keys, inline tables, quoted names."""
    for text in files.values():
        assert missing_lines(text) == []


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(text=st.text(alphabet="ab=[]{}\"'#,.\n \\1", max_size=60))
def test_the_walk_agrees_with_the_parser(text: str) -> None:
    """What the parser takes, the walk takes, with a line for each key."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    found = walk(text)
    assert found is not None
    assert set(keys_of(table)) <= set(found.lines)


SPELLED = f"""\
version = 2
imports = []
disabled_plugins = [
  # the first
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.zfs", # the second
]
[plugins."io.containerd.grpc.v1.cri"]
  enable_cdi = true
  cdi_spec_dirs = [
    "/etc/cdi",
  ]
  containerd.runtimes.dotted.runtime_type = "io.containerd.runc.v2"
  containerd.runtimes.inline = {{ runtime_type = "x", options = {{ BinaryName = "{NVIDIA}" }} }}
["plugins".'io.containerd.grpc.v1.cri'.cni]
conf_dir = '/etc/cni/net.d'
[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes."with.dot"]
runtime_type = "x"
[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.nvidia.options]
systemdCgroup = true
[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.nvidia]
runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.nri.v1.nri']
disable = false
"""


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (("version",), 1),
        (("disabled_plugins", "io.containerd.snapshotter.v1.zfs"), 6),
        (("enable_cdi",), 9),
        (("cdi_spec_dirs",), 10),
        (("runtimes", "dotted", "runtime_type"), 13),
        (("runtimes", "dotted"), 13),
        (("runtimes", "inline", "options", "BinaryName"), 14),
        (("cni", "conf_dir"), 16),
        (("containerd", "runtimes", "with.dot"), 17),
        (("runtimes", "nvidia"), 21),
        (("runtimes", "nvidia", "options", "systemdCgroup"), 20),
        (("nri", "disable"), 24),
        (("sandbox_image",), None),
        (("default_runtime_name",), None),
    ],
)
def test_origin_of_a_value(keys: Path, line: int | None) -> None:
    """Dotted, inline, quoted, over lines, and not told at all."""
    origin = effective_config({CONFIG: SPELLED}, OLD).origin(*keys)
    assert origin.line == line
    if line:
        assert (origin.source, origin.text) == (CONFIG, SPELLED.splitlines()[line - 1].strip())
    else:
        assert origin.text.startswith("built-in default")


IMPORTED = "/etc/containerd/conf.d/99-nvidia.toml"
TWO_FILES = {
    CONFIG: 'version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n'
    "[plugins.'io.containerd.grpc.v1.cri']\nsandbox_image = 'p'\n"
    "[plugins.'io.containerd.grpc.v1.cri'.containerd]\nsnapshotter = 'overlayfs'\n"
    "[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc.options]\n"
    "SystemdCgroup = true\n",
    IMPORTED: "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.containerd]\n"
    "default_runtime_name = 'nvidia'\n"
    "[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.nvidia.options]\n"
    f"BinaryName = '{NVIDIA}'\n",
}


def test_origin_is_the_file_that_counts() -> None:
    """1.x is left with the drop-in's section; 2.x takes the image from the root file."""
    old, new = effective_config(TWO_FILES, OLD), effective_config(TWO_FILES, NEW)
    for config in (old, new):
        assert config.origin("default_runtime_name").source == IMPORTED
        assert config.origin("runtimes", "nvidia").line == 4
    assert old.origin("sandbox_image").source == "containerd"
    assert (new.origin("sandbox_image").source, new.origin("sandbox_image").line) == (CONFIG, 4)
    assert new.origin("snapshotter").line == 6
    assert new.origin("runtimes", "runc", "options", "SystemdCgroup").line == 8
    assert (old.sandbox_image, new.sandbox_image) == ("registry.k8s.io/pause:3.8", "p")


def test_both_spellings_have_the_line_of_the_one_that_counts() -> None:
    """The exact spelling on 1.x, the last one in sorted order on 2.x."""
    text = "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.containerd]\n"
    text += "Default_Runtime_Name = 'b'\ndefault_runtime_name = 'a'\n"
    for release in (OLD, NEW):
        config = effective_config({CONFIG: text}, release)
        assert (config.default_runtime, config.origin("default_runtime_name").line) == ("a", 4)
    upper = text.replace("default_runtime_name = 'a'\n", "")
    assert effective_config({CONFIG: upper}, OLD).default_runtime == "runc"
    assert effective_config({CONFIG: upper}, NEW).origin("default_runtime_name").line == 3


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"version = 2\n[plugins\n", 2),
        (b"version = 2\na = 'b\n", 2),
        (b"a = 1\n\na = 2\n", 3),
        (b"a = [1,\n", 2),
        (b"\0", 1),
    ],
)
def test_broken_toml_says_file_and_line(content: bytes, line: int) -> None:
    """The line that the parser tells, the last one at the end of a half-written file."""
    with pytest.raises(BadToml) as caught:
        parse(CONFIG, content)
    assert caught.value.evidence.source == CONFIG
    assert caught.value.evidence.line in {line, line + 1}


@pytest.mark.parametrize("name", [name for name, _ in groups()["types"].items()][::7])
def test_a_wrong_type_says_file_and_line(name: str) -> None:
    """Whatever keeps containerd from starting is told with its place."""
    files = {CONFIG: groups()["types"][name]["config.toml"]}
    for problem in effective_config(files, OLD).problems:
        assert (problem.source, bool(problem.line)) == (CONFIG, True)


@pytest.mark.parametrize("name", toolkit_cases())
def test_toolkit_output_is_read_as_containerd_printed_it(name: str) -> None:
    """Recorded once from ``config dump`` of three generations; needs no containerd."""
    case = toolkit_cases()[name]
    files = placed(case["files"], "/etc/containerd")
    for release, printed in case.get("printed", {}).items():
        config = effective_config(files, release)
        assert bool(config.problems) == (printed == "stops")
        if printed != "stops":
            assert_printed(config, printed)


def assert_printed(config: EffectiveConfig, printed: Mapping[str, Any]) -> None:
    """Assert that a configuration is as containerd printed it; 1.x prints no CRI that is off."""
    off = printed["default"] is None or "io.containerd.grpc.v1.cri" in printed["disabled"]
    assert config.cri_disabled == off
    if off:
        return
    handlers = {
        name: [runtime.binary or "", runtime.systemd_cgroup]
        for name, runtime in config.runtimes.items()
    }
    assert (config.default_runtime, handlers) == (printed["default"], printed["handlers"])
    assert printed.get("cdi", config.cdi_enabled) == config.cdi_enabled
    assert tuple(printed.get("cdi_dirs", config.cdi_dirs)) == config.cdi_dirs
