"""The table of messages: what its files may say, and what each of its rows knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_gpu import messages
from pytest_gpu.catalogue import catalogue
from pytest_gpu.causes import Evidence
from pytest_gpu.discriminators import Discriminator, registered
from pytest_gpu.errors import GpuError, NotInEvidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.message_file import Where
from pytest_gpu.messages import load, meanings, table, understood
from tests.support.fake_evidence import FakeCluster, FakeNode, node_object

ROW = """
[["runtime/x"]]
pattern = 'no (?P<file>\\S+) here'
where = ["pod", "sandbox"]
source = "acme v1, a.c"
match = "no /a here"
near_miss = "no /a there"
"""


def write(folder: Path, text: str, name: str = "runtime") -> Path:
    """Write a package's messages; return the file."""
    file = folder / name / "messages.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return file


def node() -> Node:
    """Return a node of which nothing is known."""
    return Node("gpu-1", FakeCluster(nodes={"gpu-1": FakeNode()}, objects={"n": [node_object()]}))


ROWS = {f"{row.cause}-{number}": row for number, row in enumerate(table())}
PLACES = [(name, where) for name, row in ROWS.items() for where in sorted(row.where)]


@pytest.mark.parametrize(("name", "where"), PLACES)
def test_each_row_knows_its_message_and_not_its_near_miss(name: str, where: Where) -> None:
    """The message ends in the row's cause although other rows know it, too."""
    row = ROWS[name]
    found = meanings(row.match, where)
    assert found[0].cause == row.cause
    assert row.pattern.search(row.match)
    assert not row.pattern.search(row.near_miss)
    assert row.cause not in {meaning.cause for meaning in meanings(row.near_miss, where)}


@pytest.mark.parametrize("name", ROWS)
def test_each_row_leads_to_a_cause_that_uses_its_values(name: str) -> None:
    """And names discriminators that exist."""
    row = ROWS[name]
    assert row.cause in catalogue()
    assert row.pattern.groupindex.keys() <= catalogue()[row.cause].placeholders()
    assert {*row.needs, *row.shows} <= registered().keys()


def test_every_file_of_the_stack_is_in_the_table() -> None:
    """None is left out, and the files are read once."""
    files = (Path(messages.__file__).parent / "stack").rglob("messages.toml")
    assert sum(file.read_text().count("\npattern = ") for file in files) == len(table()) > 15
    assert table() is table()


def test_every_discriminator_is_used() -> None:
    """One that no row names decides nothing."""
    used = {name for row in table() for name in (*row.needs, *row.shows)}
    assert registered().keys() == used


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('source = "acme v1, a.c"', "", "runtime/x: 0: source missing"),
        ("source =", "sauce = 1\nsource =", "runtime/x: 0.sauce: unknown key; known keys are"),
        ("no (?P", "no ((?P", "runtime/x: 0.pattern: is not a pattern: missing )"),
        ('"pod", "sandbox"', "", "runtime/x: 0.where: must be a list of control, sandbox, pod"),
        ('"sandbox"', '"sandpit"', "runtime/x: 0.where: must be a list of control, sandbox, pod"),
        ('"sandbox"', "3", "runtime/x: 0.where: must be a list of texts"),
        ('"no /a there"', '" "', "runtime/x: 0.near_miss: must be a text"),
        ('"no /a there"', '"b"\ngeneral = 1', "runtime/x: 0.general: must be true or false"),
        ('"no /a there"', '"b"\nneeds = "c"', "runtime/x: 0.needs: must be a list of texts"),
        ('[["runtime/x"]]', '["runtime/x"]', "runtime/x: must be an array of tables"),
        ('[["runtime/x"]]', '"runtime/x" = [1]\n["runtime/y"]', "runtime/x: 0: must be a table"),
        ("pattern = ", "pattern ", "is not TOML"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, old: str, new: str, why: str) -> None:
    """File, cause, number of the row, key and fault, in one line."""
    assert old in ROW
    file = write(tmp_path, ROW.replace(old, new))
    with pytest.raises(GpuError) as error:
        load(tmp_path)
    assert str(error.value).startswith(f"{file}: {why}")
    assert "\n" not in str(error.value)


def test_a_pattern_stands_once_in_a_place(tmp_path: Path) -> None:
    """In two files, too; in another place it may mean something else."""
    write(tmp_path, ROW)
    second = write(tmp_path, ROW.replace("/x", "/y").replace('"pod", ', ""), "sandbox")
    with pytest.raises(GpuError) as error:
        load(tmp_path)
    assert str(error.value) == f"{second}: runtime/y: another row has this pattern already"
    second.write_text(ROW.replace("/x", "/y").replace('"pod", "sandbox"', '"control"'))
    assert [row.cause for row in load(tmp_path)] == ["runtime/x", "runtime/y"]


def made(cause: str, pattern: str, more: str = "") -> str:
    """Return a row of a file."""
    return f"""
[["{cause}"]]
pattern = '{pattern}'
where = ["pod"]
source = "x"
match = "x"
near_miss = "y"
{more}
"""


def use(monkeypatch: pytest.MonkeyPatch, folder: Path, *rows: str) -> None:
    """Let these rows be all that there are."""
    write(folder, "".join(rows))
    found = load(folder)
    monkeypatch.setattr("pytest_gpu.messages.table", lambda: found)


@pytest.mark.parametrize(
    ("text", "causes"),
    [
        ("outer: inner", ["a/inner", "a/outer", "a/general"]),
        ("inner: outer", ["a/outer", "a/inner", "a/general"]),
        ("network: outer: inner", ["a/decisive", "a/inner", "a/outer", "a/general"]),
        ("wrapped: anything", ["a/general"]),
        ("nothing", []),
    ],
)
def test_the_innermost_error_counts(
    text: str, causes: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A row that is decisive comes before all, one that is general after all."""
    rows = (
        made("a/general", r"\w+:.*$", "general = true"),
        made("a/outer", "outer"),
        made("a/inner", "inner"),
        made("a/decisive", "network", "decisive = true"),
    )
    use(monkeypatch, tmp_path, *rows)
    assert [meaning.cause for meaning in meanings(text, Where.POD)] == causes
    assert meanings(text, Where.CONTROL) == ()


def test_values_are_those_that_the_message_holds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A group that took no part has none; blanks around a value are no part of it."""
    use(monkeypatch, tmp_path, made("a/b", r"at (?P<file>\S+)(?: in (?P<why>.*))?"))
    assert meanings("at /a in  b ", Where.POD)[0].values == {"file": "/a", "why": "b"}
    assert meanings("at /a", Where.POD)[0].values == {"file": "/a"}


SEEN = Evidence(source="dmesg", text="denied")


def _unknown(node: Node) -> Iterator[Evidence]:
    raise NotInEvidence(node.name, "the kernel log")


LOOKS = {
    "a/holds": Discriminator("a/holds", lambda _: [SEEN]),
    "a/does-not": Discriminator("a/does-not", lambda _: []),
    "a/unknown": Discriminator("a/unknown", _unknown),
}


@pytest.mark.parametrize(
    ("more", "cause", "evidence"),
    [
        ('needs = ["a/holds"]', "a/specific", (SEEN,)),
        ('needs = ["a/does-not"]', "a/plain", ()),
        ('needs = ["a/unknown"]', "a/plain", ()),
        ('needs = ["a/holds", "a/does-not"]', "a/plain", ()),
        ('needs = ["a/holds"]\nshows = ["a/holds"]', "a/specific", (SEEN, SEEN)),
        ('shows = ["a/holds", "a/unknown"]', "a/specific", (SEEN,)),
        ('shows = ["a/does-not"]', "a/specific", ()),
    ],
)
def test_what_must_hold_besides_decides(
    more: str,
    cause: str,
    evidence: tuple[Evidence, ...],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Where it does not hold, or nobody looked, the next row counts; what holds is shown."""
    monkeypatch.setattr("pytest_gpu.messages.registered", lambda: LOOKS)
    use(monkeypatch, tmp_path, made("a/plain", "refused"), made("a/specific", "permission", more))
    found = understood(node(), "refused: permission", Where.POD)
    assert found is not None
    assert (found.cause, found.evidence) == (cause, evidence)
    assert understood(node(), "something new", Where.POD) is None


@pytest.mark.parametrize(
    "text",
    [
        "can't find shim for sandbox",
        "cannot start a stopped process: unknown",
        "OCI runtime start failed: cannot start a container that has stopped: unknown",
        "rpc error: code = NotFound desc = an error occurred when try to find sandbox: not found",
        "failed to create containerd task: namespace path: lstat /proc/4211/ns/ipc: no such file"
        " or directory",
        "ttrpc: closed: unknown",
        "context deadline exceeded",
        "failed to pull image: failed to resolve reference",
        "",
    ],
)
@pytest.mark.parametrize("where", [Where.SANDBOX, Where.CONTROL, Where.POD])
def test_what_proves_nothing_means_nothing(text: str, where: Where) -> None:
    """Sandboxes that the kubelet removed, pulls and deadlines are no fault of the GPU stack."""
    assert meanings(text, where) == ()


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (
            'failed to setup network for sandbox "1": plugin type="flannel" failed (add):'
            " fork/exec /opt/cni/bin/flannel: no such file or directory",
            "kubernetes/pod-network-fails",
        ),
        (
            "/usr/bin/nvidia-container-runtime did not terminate sucessfully",
            "sandbox/runtime-program-fails",
        ),
        (
            "error running hook #0: nvidia-container-cli.real: initialization error: nvml error:"
            " insufficient permissions",
            "sandbox/device-access-refused",
        ),
    ],
)
def test_of_several_rows_the_right_one_counts(text: str, cause: str) -> None:
    """The network's own words decide; elsewhere the innermost error does."""
    assert meanings(text, Where.POD)[0].cause == cause
