"""What systemd would start, according to the manual pages and compared with systemd itself."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_gpu.stack.host.systemd_text import assignments, environment_file, expand, words
from pytest_gpu.stack.host.systemd_unit import FOLDERS, Service, service
from tests.support.fake_evidence import FakeNode

SYSTEMD = Path("/usr/lib/systemd/systemd")
GENERATOR = Path("/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator")
ETC, RUN, _, USR, _ = FOLDERS
UNIT = "[Service]\nExecStart=/usr/bin/kubelet"


def started(files: Mapping[str, str], **more: object) -> Service:
    """Return what systemd would start for kubelet.service on a node with these files only."""
    listed = {f"{path.rpartition('/')[0]}" for path in files}
    absent = [*FOLDERS, "/etc/default", "/etc/sysconfig", "/var/lib/kubelet"]
    node = FakeNode(files=dict(files), complete=[*listed, "/"], absent=absent, **more)  # type: ignore[arg-type] # only what the fake takes
    return service(node, "kubelet")


def test_kubeadms_drop_in_replaces_the_command_and_brings_its_files() -> None:
    """The package's unit starts a bare kubelet; kubeadm's drop-in empties that and sets its own."""
    drop_in = """\
# Note: This dropin only works with kubeadm and kubelet v1.11+
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS \
  $KUBELET_EXTRA_ARGS
"""
    flags = 'KUBELET_KUBEADM_ARGS="--container-runtime-endpoint=unix:///run/a.sock --v=2"\n'
    found = started(
        {
            f"{USR}/kubelet.service": UNIT,
            f"{USR}/kubelet.service.d/10-kubeadm.conf": drop_in,
            "/var/lib/kubelet/kubeadm-flags.env": flags,
            "/etc/default/kubelet": "KUBELET_EXTRA_ARGS=--container-runtime-endpoint=/run/b.sock\n",
        }
    )
    assert found.argv == (
        "/usr/bin/kubelet",
        "--kubeconfig=/etc/kubernetes/kubelet.conf",
        "--config=/var/lib/kubelet/config.yaml",
        "--container-runtime-endpoint=unix:///run/a.sock",
        "--v=2",
        "--container-runtime-endpoint=/run/b.sock",
    )
    assert found.unread == ()
    names = [path.rpartition("/")[2] for path in found.files]
    assert names == ["kubelet.service", "10-kubeadm.conf", "kubeadm-flags.env", "kubelet"]


def test_the_unit_of_amazon_linux_2023() -> None:
    """Its lines go on behind a backslash that touches a variable; nodeadm writes the file."""
    unit = """\
[Service]
EnvironmentFile=/etc/eks/kubelet/environment
ExecStart=/usr/bin/kubelet \\
    --container-runtime-endpoint unix:///run/containerd/containerd.sock \\
    $NODEADM_KUBELET_ARGS\\
    $KUBELET_EXTRA_ARGS

Restart=on-failure
"""
    environment = 'NODEADM_KUBELET_ARGS="--node-ip=10.0.0.1 --config-dir=/etc/k/d"\n'
    files = {f"{ETC}/kubelet.service": unit, "/etc/eks/kubelet/environment": environment}
    assert started(files).argv == (
        "/usr/bin/kubelet",
        "--container-runtime-endpoint",
        "unix:///run/containerd/containerd.sock",
        "--node-ip=10.0.0.1",
        "--config-dir=/etc/k/d",
    )


def test_the_unit_in_etc_hides_the_packages() -> None:
    """A unit file counts whole, and that of the first folder only."""
    found = started({f"{ETC}/kubelet.service": UNIT, f"{USR}/kubelet.service": f"{UNIT} --old"})
    assert found.argv == ("/usr/bin/kubelet",)
    assert found.files == (f"{ETC}/kubelet.service",)


def test_drop_ins_of_all_folders_are_sorted_by_name() -> None:
    """The folder decides only between files of the same name."""

    def set_to(value: str) -> str:
        return f"[Service]\nEnvironment=X={value}\n"

    files = {
        f"{USR}/kubelet.service": f"{UNIT} ${{X}}",
        f"{ETC}/kubelet.service.d/10-a.conf": set_to("etc10"),
        f"{RUN}/kubelet.service.d/20-b.conf": set_to("run20"),
        f"{USR}/kubelet.service.d/20-b.conf": set_to("usr20"),
        f"{USR}/kubelet.service.d/15-c.conf": set_to("usr15"),
        f"{USR}/kubelet.service.d/99-readme.txt": set_to("no drop-in"),
    }
    assert started(files).argv == ("/usr/bin/kubelet", "run20")
    links = {f"{ETC}/kubelet.service.d/20-b.conf": "/dev/null"}
    assert started(files, links=links).argv == ("/usr/bin/kubelet", "usr15")


def test_later_environment_files_outrank_earlier_ones_and_the_unit() -> None:
    """Wherever ``Environment=`` stands, a file's setting counts; an empty line forgets files."""
    unit = f"{UNIT} ${{X}} $Y\nEnvironmentFile=/etc/default/a\nEnvironmentFile=/etc/default/b\n"
    files = {
        f"{ETC}/kubelet.service": f"{unit}Environment=X=unit Y=unit\n",
        "/etc/default/a": "X=a\n",
        "/etc/default/b": "X=b\n",
    }
    assert started(files).argv[1:] == ("b", "unit")
    reset = {**files, f"{ETC}/kubelet.service.d/r.conf": "[Service]\nEnvironmentFile=\n"}
    assert started(reset).argv[1:] == ("unit", "unit")
    globbed = files[f"{ETC}/kubelet.service"].replace("default/a", "default/[ab]")
    assert started({**files, f"{ETC}/kubelet.service": globbed}).argv[1:] == ("b", "unit")


def test_what_nobody_looked_at_is_named() -> None:
    """A drop-in folder or a file of environment that is unknown may change everything."""
    node = FakeNode(
        files={f"{ETC}/kubelet.service": f"{UNIT} $X\nEnvironmentFile=-/etc/default/kubelet\n"},
        complete=[ETC],
        absent=FOLDERS[1:],
    )
    found = service(node, "kubelet")
    assert found.argv == ("/usr/bin/kubelet",)
    assert found.unread == ("/etc/default/kubelet",)
    nobody = service(FakeNode(), "kubelet")
    assert nobody.argv == ()
    assert {f"{ETC}/kubelet.service", f"{ETC}/kubelet.service.d"} <= {*nobody.unread}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/bin/k $A ${A} x${A}y $B $N ${N}", ("/bin/k", "1", "2", "1 2", "x1 2y", "p q", "")),
        ("/bin/k $A.x $$A %n", ("/bin/k", "$A.x", "$A", "%n")),
        ("-@/bin/k kubelet --v=2", ("/bin/k", "--v=2")),
        (":/bin/k ${A} $A $$", ("/bin/k", "${A}", "$A", "$$")),
        ("/bin/k --a ; /bin/second", ("/bin/k", "--a")),
        (r"/bin/k \x2dv 'a b' \z", ("/bin/k", "-v", "a b", r"\z")),
        ('/bin/k "a', ()),
    ],
)
def test_command_lines(line: str, expected: tuple[str, ...]) -> None:
    """Variables as words of their own are split, quotes in them respected; in braces never."""
    unit = f'[Service]\nEnvironment="A=1 2" \'B="p q"\'\nExecStart={line}\n'
    assert started({f"{ETC}/kubelet.service": unit}).argv == expected


def test_only_the_service_section_counts() -> None:
    """An assignment of another section is another setting; comments may stand in a long line."""
    text = "[Unit]\nExecStart=no\n[Service]\nExecStart=a \\\n# not b\n; nor c\n  d\n"
    assert [*assignments(text, "Service")] == [("ExecStart", "a    d")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\n# B=2\n;C=3\n\nno line\nD = x y  \n", {"A": "1", "D": "x y"}),
        ("A='x y'\" z\" w\nexport B=1\n", {"A": "x y zw"}),
        ('A="a\\"b\\$c\\d\\\ne"\n', {"A": 'a"b$c\\de'}),
        ("A=one\\\ntwo\nA=last\n", {"A": "last"}),
        ("A=one\\\ntwo", {"A": "onetwo"}),
        ('A="two\nlines"\n', {"A": "two\nlines"}),
        ("# goes on \\\nA=1 \\\nA=2\nB=2\n", {"B": "2"}),
        ("", {}),
    ],
)
def test_environment_files(text: str, expected: dict[str, str]) -> None:
    """Nearly a shell's quotes: without variables, without export."""
    assert environment_file(text) == expected


def test_variables_that_nobody_set() -> None:
    """A word of its own vanishes, braces become nothing, half a quote in a value is forgiven."""
    assert expand(("$X", "${X}", "a${X}b"), {}) == ("", "ab")
    assert expand(("$X",), {"X": "a 'b c"}) == ("a", "b c")


def test_a_backslash_in_a_variable_protects_one_character() -> None:
    """As a real systemd starts services (tests/lab/stack/host/test_systemd_start.py)."""
    assert expand(("$X", "${X}"), {"X": r"a\tb\ c\\"}) == (r"atb c" + "\\", r"a\tb\ c" + "\\\\")
    assert expand(("$X",), {"X": "a\\"}) == ("a",)


def dumped(folder: Path) -> str:
    """Return what systemd itself says of the units in two folders below ``folder``."""
    (folder / "b/check.target").write_text("[Unit]\nWants=kubelet.service\n")
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o777)
    argv = [str(SYSTEMD), "--test", "--user", "--unit=check.target"]
    if os.geteuid() == 0:  # It refuses to be tried out by root.
        argv = ["setpriv", "--reuid=65534", "--clear-groups", *argv]
    units = {"XDG_RUNTIME_DIR": str(folder), "SYSTEMD_UNIT_PATH": f"{folder}/a:{folder}/b"}
    result = subprocess.run(
        argv, env={**os.environ, **units}, capture_output=True, text=True, check=False, timeout=60
    )
    return result.stdout + result.stderr


ITEM = st.sampled_from(
    [
        "--a=b",
        '"c d"',
        "'e f'",
        "--g='h i'",
        r"\x41",
        r"j\tk",
        r"l\"m",
        r"\101",
        "%%",
        "n\\\n",
        "$$",
    ]
)
LINE = st.lists(ITEM, max_size=6).map(" ".join)


@pytest.mark.skipif(not SYSTEMD.exists(), reason="there is no systemd to compare with")
def test_systemd_itself_reads_the_same() -> None:
    """Commands of random words, in the unit and in drop-ins: the words are systemd's."""
    compared: list[str] = []

    @settings(max_examples=15, deadline=None, database=None, derandomize=True)
    @given(LINE, st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), LINE), max_size=4))
    def compare(line: str, drop_ins: list[tuple[str, bool, str]]) -> None:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        texts = {"b/kubelet.service": f"[Service]\nExecStart=/bin/true 0 {line}\n"}
        for name, high, command in drop_ins:
            text = f"[Service]\nExecStart=\nExecStart=/bin/true {name}{high} {command}\n"
            texts[f"{'a' if high else 'b'}/kubelet.service.d/{name}.conf"] = text
        for name, text in texts.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        said = re.findall(r"\n\s*Command Line: (.*)", dumped(folder))
        place = {"a": ETC, "b": USR}
        files = {f"{place[path[0]]}{path[1:]}": text for path, text in texts.items()}
        ours = [word.replace("%%", "%") for word in unexpanded(files)]
        assert said, "systemd did not load the unit"
        compared.append(line)
        # It quotes for display, with the escapes of C: read back by our own reader of words.
        assert [word.replace("\\$", "$") for word in words(said[-1])] == ours

    with ExitStack() as stack:
        compare()
    assert len(compared) >= 10


def unexpanded(files: Mapping[str, str]) -> list[str]:
    """Return our command line; a doubled dollar sign stays, as systemd shows it."""
    doubled = {path: text.replace("$$", "$$$$") for path, text in files.items()}
    return list(started(doubled).argv)


VALUE = st.text(alphabet="ab '\"\\\n#;\t=", max_size=14)


@pytest.mark.skipif(not GENERATOR.exists(), reason="there is no systemd to compare with")
def test_systemds_reader_of_environment_files_agrees(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The same parser reads environment.d: random text comes out the same."""
    compared: list[str] = []

    @settings(max_examples=200, deadline=None, database=None, derandomize=True)
    @given(VALUE, VALUE)
    def compare(first: str, second: str) -> None:
        text = f"A={first}\nB={second}\nZ=end\n"
        home = Path(tmp_path_factory.mktemp("home"))
        (home / "environment.d").mkdir()
        (home / "environment.d/x.conf").write_text(text)
        said = subprocess.run(
            [GENERATOR], env={"XDG_CONFIG_HOME": str(home)}, capture_output=True, check=False
        )
        ours = environment_file(text)
        compared.append(text)
        for key in "AB":
            # It shows values in double quotes with escapes, and leaves empty ones out.
            match = re.search(rf"(?m)^{key}=(.+)$", said.stdout.decode())
            value = words(match[1])[0] if match else ""
            assert ours.get(key, "") == value, (text, said.stdout)

    compare()
    assert len(compared) >= 100
