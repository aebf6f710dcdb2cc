"""What is too large is refused in one line, as evidence, and never passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_gpu.cluster.recording.node_files import parse_commands
from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.errors import RecordingError, Unproven
from pytest_gpu.parsing import (
    MAX_ITEMS,
    MAX_KEYS,
    MAX_TEXT,
    MAX_WORDS,
    LimitError,
    shell_words,
    toml,
    yaml_document,
)
from pytest_gpu.stack.cdi import specs
from pytest_gpu.stack.containerd.import_glob import compiled, expand
from pytest_gpu.stack.containerd.load import MAX_FILES, load
from pytest_gpu.stack.containerd.release import Generation
from pytest_gpu.stack.host.systemd_unit import service
from pytest_gpu.stack.repair import line_diff, toml_edit
from tests.stack.test_hostile_files import damaged
from tests.support.fake_evidence import FakeNode
from tests.support.runs import run_apart

MANY = "k{}: 1\n"
KEYS = ".".join(["a"] * (MAX_KEYS + 2))

TOML = {
    "many": ("".join(f"k{n} = 1\n" for n in range(MAX_ITEMS + 1)), "more than 50,000 values"),
    "long": (f'k = "{"a" * MAX_TEXT}"\n', "longer than 4 MiB"),
    "dotted": (f"{KEYS} = 1\n", "more than 32 parts"),
    "section": (f"[{KEYS}]\n", "more than 32 parts"),
    "inline": (f"k = {{a = 1, {KEYS} = 1}}\n", "more than 32 parts"),
}
YAML = {
    "many": ("".join(map(MANY.format, range(MAX_ITEMS))), "more than 50,000 values"),
    "long": (f"k: {'a' * MAX_TEXT}\n", "longer than 4 MiB"),
    "alias": ("a: &a [1]\nb: *a\n", "it has an alias (*a)"),
    "deep": ("[" * 101 + "]" * 101, "nested too deeply"),
    "deep-block": ("- " * 101 + "a\n", "nested too deeply"),
}


@pytest.mark.parametrize("kind", [*TOML])
def test_toml_beyond_a_limit_is_refused(kind: str) -> None:
    """With the limit in the message."""
    text, why = TOML[kind]
    with pytest.raises(LimitError, match=why.replace("(", r"\(")):
        toml(text.encode())


@pytest.mark.parametrize("kind", [*YAML])
def test_yaml_beyond_a_limit_is_refused(kind: str) -> None:
    """Aliases, too: eleven of them in eleven make a billion values."""
    text, why = YAML[kind]
    with pytest.raises(LimitError) as caught:
        yaml_document(text.encode())
    assert why in str(caught.value)


def test_dots_that_are_no_key_are_read() -> None:
    """In comments and in values."""
    text = f"# {'.' * 200}\nx = 1 # {'.' * 200}\ny = '10.0.0.1,10.0.0.2,{'10.0.0.3,' * 40}'\n"
    assert toml(text.encode())["x"] == 1


def test_a_number_in_base_60_is_text() -> None:
    """As for Kubernetes; the safe loader of PyYAML works out 190 and multiplies on."""
    assert yaml_document(b"a: 3:10\nb: 1:30.5\nc: 10\n") == {"a": "3:10", "b": "1:30.5", "c": 10}
    assert len(yaml_document(b"a: 1" + b":10" * 100_000)["a"]) == 300_001


@pytest.mark.parametrize(
    ("sample", "path", "kinds"),
    [
        ("healthy-kubeadm", "/etc/containerd/config.toml", TOML),
        ("healthy-eks", "/etc/nvidia-container-runtime/config.toml", TOML),
        ("healthy-rke2", "/var/lib/rancher/rke2/agent/etc/containerd/config.toml.tmpl", TOML),
        ("healthy-rke2", "/etc/rancher/rke2/config.yaml", YAML),
    ],
)
def test_a_file_beyond_a_limit_is_unproven(
    sample: str, path: str, kinds: dict[str, tuple[str, str]]
) -> None:
    """The reason names the file and the limit, in one line."""
    for text, why in kinds.values():
        judged = damaged(sample, {path: text.encode()})
        said = [each for each in judged.unproven if path in each]
        assert said, why
        assert any(why in each for each in said), (why, said)
        assert all("\n" not in each for each in said)
        assert not [each for each in judged.failed if path in str(each)]


def test_a_command_line_beyond_the_limit() -> None:
    """In a recording it can be written as a list."""
    with pytest.raises(LimitError, match="more than 65,536 characters"):
        shell_words("a" * (MAX_WORDS + 1))
    text = f'- argv: "{"a" * (MAX_WORDS + 1)}"\n'
    with pytest.raises(RecordingError, match="argv: is a command line of more than 65,536"):
        parse_commands(text.encode(), "commands.yaml")


def test_imports_beyond_the_limit() -> None:
    """A file that imports the next one, and one that imports very many."""
    chain = {f"/c/{n}": f'imports = ["/c/{n + 1}"]\n'.encode() for n in range(MAX_FILES + 5)}
    listed = ", ".join(f'"/d/{n}"' for n in range(MAX_FILES + 5))
    for files in (chain, {"/c/0": f"imports = [{listed}]\n".encode()}):
        with pytest.raises(Unproven, match="/c/0 imports more than 200 files"):
            load(files.get, lambda _: None, "/c/0", Generation((2, 1, 0)))


def test_many_stars_in_a_pattern_take_no_time() -> None:
    """Each takes the first place that fits, and never goes back."""
    pattern = compiled("*a" * 40 + "b")
    assert not pattern.fullmatch("a" * 250)
    assert pattern.fullmatch("a" * 250 + "b")
    assert compiled("a*b*c").fullmatch("abbcbc")
    assert not compiled("a*b*c").fullmatch("acb")
    assert compiled("**").fullmatch("")


def test_a_pattern_of_many_folders_is_unproven() -> None:
    """It would be followed folder by folder."""
    with pytest.raises(Unproven, match="longer than any real one"):
        expand(lambda _: ["a"], "/*" * 200)


def test_variables_that_multiply_are_unproven() -> None:
    """A thousand variables of a thousand words; Linux would not start that."""
    unit = f"[Service]\nEnvironment='A={'b ' * 3000}'\nExecStart=/bin/kubelet {'$A ' * 3000}\n"
    node = FakeNode(files={"/etc/systemd/system/kubelet.service": unit}, complete=["/"])
    found = service(node, "kubelet")
    assert found.argv == ()
    assert "a command line of kubelet.service that can be started" in found.unread


def test_a_cdi_spec_beyond_the_limit_is_unknown() -> None:
    """It may be valid: nobody read it."""
    content = b'{"cdiVersion": "0.6.0", "kind": "' + b"a" * MAX_TEXT + b'"}'
    node = FakeNode(files={"/etc/cdi/a.json": content}, complete=["/etc/cdi"])
    found = specs.read(node, ["/etc/cdi"])
    assert not found.specs
    assert found.unknown == ("/etc/cdi/a.json (it is longer than 4 MiB)",)


def test_a_large_file_is_changed_by_hand() -> None:
    """Because tomlkit copies what it has read for every new table."""
    text = "".join(f"k{n} = 1\n" for n in range(toml_edit.MAX_LINES + 1))
    assert toml_edit.edited(text, {("version",): 3}) is None
    assert toml_edit.edited("a = 1\n", {("version",): 3}) == "a = 1\nversion = 3\n"


def test_a_long_difference_is_right() -> None:
    """Equal lines by the thousand; the diff changes the one line that differs."""
    before = ["x\n"] * 3000
    after = [*before[:1500], "y\n", *before[1501:]]
    hunks = "".join(line_diff.unified(before, after, 1))
    assert hunks == "@@ -1500,3 +1500,3 @@\n x\n-x\n+y\n x\n"


def test_a_recording_beyond_a_limit_is_refused(pytester: pytest.Pytester) -> None:
    """Exit code 4 and one line, without a traceback."""
    folder = pytester.mkdir("recorded")
    (folder / "recording.yaml").write_text("format: 1\nnote: [" + "1, " * 400_001 + "]\n")
    result = run_apart(pytester, f"--gpu-cluster=path:{folder}")
    assert result.ret == 4
    output = f"{result.outlines}{result.errlines}"
    assert "recording.yaml: holds more than 400,000 values; as JSON it may hold" in output
    assert "Traceback" not in output


def test_a_path_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    """No path on Linux is longer."""
    (tmp_path / "recording.yaml").write_text("format: 1\ntaken: 2026-11-21T10:00:00Z\n")
    node = tmp_path / "nodes" / "a"
    node.mkdir(parents=True)
    (node / "listing.yaml").write_text(f"complete: ['/{'a/' * 3000}']\n")
    with (
        pytest.raises(RecordingError, match="a path has more than 4,096 characters or 100 folders"),
        open_recording(tmp_path, "x") as cluster,
    ):
        cluster.node("a").names("/a")
