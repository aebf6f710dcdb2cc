"""containerd's merge, by generation. tests/lab compares it with the real containerd."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pytest_gpu.stack.containerd.merge import EffectiveConfig, merge
from tests.support.fake_evidence import FakeNode

CRI2 = 'plugins."io.containerd.grpc.v1.cri".containerd'
CRI3 = "plugins.'io.containerd.cri.v1.runtime'.containerd"
NVIDIA = "/usr/bin/nvidia-container-runtime"
CONFIG = "/etc/containerd/config.toml"
DROP_INS = "/etc/containerd/conf.d"
CRI = "io.containerd.grpc.v1.cri"
OLD, NEW = (1, 7, 24), (2, 1, 9)

Version = tuple[int, ...]


def handler(name: str, cri: str = CRI2, *, binary: str = "", systemd: bool = False) -> str:
    """Return one handler's tables."""
    option = f'BinaryName = "{binary}"\n' if binary else ""
    return (
        f'[{cri}.runtimes.{name}]\nruntime_type = "io.containerd.runc.v2"\n'
        f"[{cri}.runtimes.{name}.options]\n{option}SystemdCgroup = {str(systemd).lower()}\n"
    )


def effective(files: Mapping[str, str], version: tuple[int, ...]) -> EffectiveConfig:
    """Merge files as containerd ``version`` does."""
    node = FakeNode(files=files, complete=["/etc/containerd", DROP_INS])
    return merge(node.read, node.names, CONFIG, version)


IMPORTING = f'version = 2\nimports = ["{DROP_INS}/*.toml"]\n'
TWO_DROP_INS = {
    CONFIG: IMPORTING,
    f"{DROP_INS}/00-k8s-runc.toml": "version = 2\n" + handler("runc", systemd=True),
    f"{DROP_INS}/99-nvidia.toml": "version = 2\n" + handler("nvidia", binary=NVIDIA),
}


def test_1x_replaces_the_whole_section_and_2x_merges() -> None:
    """The same two drop-ins leave only nvidia on 1.x, and both handlers on 2.x."""
    assert set(effective(TWO_DROP_INS, OLD).runtimes) == {"nvidia"}
    assert set(effective(TWO_DROP_INS, (1, 6, 20)).runtimes) == {"nvidia"}
    assert set(effective(TWO_DROP_INS, NEW).runtimes) == {"nvidia", "runc"}


def test_order_of_drop_ins_decides_on_1x() -> None:
    """The file that sorts last is the one that counts."""
    moved = {
        CONFIG: IMPORTING,
        f"{DROP_INS}/10-nvidia.toml": TWO_DROP_INS[f"{DROP_INS}/99-nvidia.toml"],
        f"{DROP_INS}/20-runc.toml": TWO_DROP_INS[f"{DROP_INS}/00-k8s-runc.toml"],
    }
    assert set(effective(moved, OLD).runtimes) == {"runc"}


@pytest.mark.parametrize(("version", "left"), [(OLD, {"nvidia"}), (NEW, {"nvidia", "runc"})])
def test_a_table_of_runtimes_removes_the_built_in_runc_on_1x_only(
    version: tuple[int, ...], left: set[str]
) -> None:
    """A root file with nothing but nvidia loses the built-in runc on 1.x."""
    files = {CONFIG: "version = 2\n" + handler("nvidia", binary=NVIDIA)}
    assert set(effective(files, version).runtimes) == left


def test_built_in_runc_stands_without_a_table() -> None:
    """No file, an empty file, or a file without runtimes keep runc."""
    for files in ({}, {CONFIG: ""}, {CONFIG: "version = 2\n"}):
        assert set(effective(files, OLD).runtimes) == {"runc"}


def test_section_of_another_version_counts_for_nothing() -> None:
    """A version 3 section in a version 2 file is another plugin's: nobody reads it."""
    files = {CONFIG: "version = 2\n" + handler("nvidia", CRI3, binary=NVIDIA)}
    assert "nvidia" not in effective(files, OLD).runtimes


def test_single_quotes_and_version_3_are_read() -> None:
    """What 2.x prints and k3s renders."""
    files = {CONFIG: "version = 3\n" + handler("nvidia", CRI3, binary=NVIDIA, systemd=True)}
    runtime = effective(files, NEW).runtimes["nvidia"]
    assert (runtime.binary, runtime.systemd_cgroup) == (NVIDIA, True)
    assert (runtime.source.source, runtime.source.line) == (CONFIG, 2)


@pytest.mark.parametrize(
    ("line", "old", "new"),
    [
        ('binaryName = "runc"', NVIDIA, "runc"),
        ('BINARYNAME = "runc"', NVIDIA, NVIDIA),
        ('Binaryname = "runc"', NVIDIA, "runc"),
    ],
)
def test_another_spelling_of_binaryname_beside_it(line: str, old: str, new: str) -> None:
    """1.x takes the exact spelling, where it is there; 2.x the one that sorts last."""
    text = "version = 2\n" + handler("nvidia", binary=NVIDIA) + line + "\n"
    assert effective({CONFIG: text}, OLD).runtimes["nvidia"].binary == old
    assert effective({CONFIG: text}, NEW).runtimes["nvidia"].binary == new


@pytest.mark.parametrize(
    ("spelling", "old", "new"),
    [
        ("binaryName", True, True),
        ("binaryname", True, True),
        ("BINARYNAME", True, True),
        ("Binaryname", False, True),
        ("binary_name", False, False),
    ],
)
def test_another_spelling_of_binaryname_alone(spelling: str, old: bool, new: bool) -> None:
    """go-toml 1 knows four spellings of a field's name, go-toml 2 every case of its letters."""
    text = "version = 2\n" + handler("nvidia") + f'{spelling} = "{NVIDIA}"\n'
    assert effective({CONFIG: text}, OLD).runtimes["nvidia"].binary == (NVIDIA if old else None)
    assert effective({CONFIG: text}, NEW).runtimes["nvidia"].binary == (NVIDIA if new else None)


def test_missing_import_and_broken_toml_are_problems() -> None:
    """Each keeps containerd from starting, and says which file."""
    missing = effective({CONFIG: 'version = 2\nimports = ["/etc/containerd/gone.toml"]\n'}, OLD)
    assert missing.problems[0].source == "/etc/containerd/gone.toml"
    broken = effective({CONFIG: "version = 2\n[plugins\n"}, OLD)
    assert "is not valid TOML" in broken.problems[0].text


def test_imports_are_followed_through_imports_once() -> None:
    """A file that imports back does not loop, and a nested import is read."""
    files = {
        CONFIG: 'version = 2\nimports = ["/etc/containerd/a.toml"]\n',
        "/etc/containerd/a.toml": f'version = 2\nimports = ["b.toml", "{CONFIG}"]\n',
        "/etc/containerd/b.toml": "version = 2\n" + handler("nvidia", binary=NVIDIA),
    }
    config = effective(files, OLD)
    assert [file.path for file in config.files][-1] == "/etc/containerd/b.toml"
    assert "nvidia" in config.runtimes


@pytest.mark.parametrize(
    ("version", "name", "release", "off"),
    [
        (1, "cri", OLD, True),
        (1, "cri", NEW, True),
        (1, CRI, OLD, False),
        (1, CRI, NEW, True),
        (2, CRI, OLD, True),
        (2, CRI, NEW, True),
        (2, "io.containerd.cri.v1.images", OLD, False),
        (2, "io.containerd.cri.v1.images", NEW, True),
        (1, "aufs", OLD, False),
        (2, "io.containerd.snapshotter.v1.aufs", NEW, False),
    ],
)
def test_disabled_cri_is_seen(version: int, name: str, release: Version, off: bool) -> None:
    """By the name that counts: the short one of version 1 (Docker's package), or the full one."""
    files = {CONFIG: f'version = {version}\ndisabled_plugins = [\n  "{name}",\n]\n'}
    config = effective(files, release)
    assert config.cri_disabled == off
    assert config.origin("disabled_plugins", name).line == 3


def test_cdi_is_on_by_default_from_2x() -> None:
    """And off on 1.7, unless the file says otherwise."""
    assert not effective({}, OLD).cdi_enabled
    assert effective({}, NEW).cdi_enabled
    on = 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nenable_cdi = true\n'
    assert effective({CONFIG: on}, OLD).cdi_enabled


V3_NVIDIA = "version = 3\n" + handler("nvidia", CRI3, binary=NVIDIA)


def test_23_migrates_each_file_before_it_merges() -> None:
    """A version 2 drop-in between files of version 3: 2.1 passes over it, 2.3 takes it.

    Source: LoadConfigWithPlugins in containerd's cmd/containerd/server/config/config.go.
    """
    files = {
        CONFIG: f'imports = ["{DROP_INS}/*.toml"]\n{V3_NVIDIA}',
        f"{DROP_INS}/50.toml": "version = 2\n" + handler("other", binary="/opt/other"),
        f"{DROP_INS}/99.toml": "version = 3\n",
    }
    assert set(effective(files, NEW).runtimes) == {"nvidia", "runc"}
    assert set(effective(files, (2, 3, 0)).runtimes) == {"nvidia", "other", "runc"}


@pytest.mark.parametrize(("root", "drop_in", "stops"), [(2, 3, True), (3, 2, False), (4, 4, False)])
def test_23_refuses_a_drop_in_newer_than_the_root_file(
    root: int, drop_in: int, stops: bool
) -> None:
    """2.1 does not, and reads the mixture as it can."""
    files = {
        CONFIG: f'version = {root}\nimports = ["{DROP_INS}/*.toml"]\n',
        f"{DROP_INS}/99.toml": f"version = {drop_in}\n",
    }
    problems = effective(files, (2, 3, 0)).problems
    assert bool(problems) == stops
    for problem in problems:
        assert (problem.source, problem.line) == (f"{DROP_INS}/99.toml", 1)
        assert f"version {drop_in} higher than root config version {root}" in problem.text


@pytest.mark.parametrize("version", [(2, 3, 5), (2, 4, 2)])
def test_235_takes_a_drop_in_newer_than_the_root_file(version: Version) -> None:
    """The check of 2.3.0 is gone: the file is migrated like any other."""
    files = {CONFIG: IMPORTING, f"{DROP_INS}/99.toml": V3_NVIDIA}
    found = effective(files, version)
    assert found.problems == ()
    assert set(found.runtimes) == {"nvidia", "runc"}


RUNTIME_3 = "io.containerd.cri.v1.runtime"


def test_24_injects_cdi_devices_whatever_the_file_says() -> None:
    """``enable_cdi`` is no setting any more; even one of a wrong type is passed over."""
    files = {CONFIG: f'version = 3\n[plugins."{RUNTIME_3}"]\nenable_cdi = false\n'}
    assert not effective(files, (2, 3, 7)).cdi_enabled
    assert effective(files, (2, 4, 2)).cdi_enabled
    wrong = {CONFIG: files[CONFIG].replace("false", '"x"')}
    assert effective(wrong, (2, 3, 7)).problems
    assert effective(wrong, (2, 4, 2)).problems == ()


@pytest.mark.parametrize(
    ("version", "file", "folder"),
    [
        ((2, 3, 7), f'version = 3\n[plugins."{RUNTIME_3}".cni]\nbin_dir = "/x"\n', "/x"),
        ((2, 4, 2), f'version = 3\n[plugins."{RUNTIME_3}".cni]\nbin_dir = "/x"\n', "/opt/cni/bin"),
        ((2, 4, 2), f'version = 2\n[plugins."{CRI}".cni]\nbin_dir = "/x"\n', "/x"),
    ],
)
def test_24_reads_the_single_cni_folder_from_old_files_only(
    version: Version, file: str, folder: str
) -> None:
    """It migrates ``bin_dir`` of version 2 to ``bin_dirs``, and passes over that of version 3."""
    assert effective({CONFIG: file}, version).cni.bin_dirs == (folder,)


@pytest.mark.parametrize(
    ("version", "tag"),
    [((2, 1, 9), "3.10"), ((2, 2, 1), "3.10.1"), ((2, 3, 4), "3.10.2"), ((2, 4, 2), "3.10.2")],
)
def test_the_built_in_sandbox_image(version: Version, tag: str) -> None:
    """It changed with 2.2 and 2.3."""
    assert effective({}, version).sandbox_image == f"registry.k8s.io/pause:{tag}"


def test_23_stops_at_a_version_below_zero() -> None:
    """It looks for the migration of that version, and panics."""
    files = {CONFIG: "version = -1\n"}
    assert effective(files, NEW).problems == ()
    [problem] = effective(files, (2, 3, 7)).problems
    assert (problem.source, problem.line) == (CONFIG, 1)
