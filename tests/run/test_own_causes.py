"""Causes of a user's project: where they are named, who knows them, and what is refused."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pytest_gpu.cause_entry import COMMON
from pytest_gpu.run.placeholders import values_for
from pytest_gpu.stack.distributions.distribution import UNKNOWN
from tests.conftest import MakeCluster
from tests.support.runs import QUIET, refused, run_here

MOUNT = """\
["acme/mount-missing"]
layer = "driver"
title = "The data volume {path} is not mounted on {node}"
why = "Training jobs read their data from it."
check = [{ node = "findmnt {path}" }]
explains = ["acme/data-*"]
example.path = "/data"
["acme/mount-missing".fix]
default = ["Mount it:", { node = "sudo mount {path}" }]
"""

TEST = """
import pytest
from pytest_gpu import Layer
from pytest_gpu.causes import Evidence, Finding, fail, latent

pytestmark = pytest.mark.gpu_layer(Layer.DRIVER)
SEEN = Evidence(source="/proc/mounts", text="no line for /data")

def test_mount(gpu_node):
    {call}(Finding.of("{cause}", SEEN, {values}))
"""


def own_test(
    pytester: pytest.Pytester,
    *,
    call: str = "fail",
    cause: str = "acme/mount-missing",
    values: str = "path='/data'",
) -> None:
    """Write a user's test that reports a cause."""
    pytester.makepyfile(test_own=TEST.format(call=call, cause=cause, values=values))


def own_file(pytester: pytest.Pytester, text: str = MOUNT, name: str = "causes.toml") -> Path:
    """Write a file of causes, and the configuration that names it."""
    pytester.makeini(f"[pytest]\ngpu_causes = {name}")
    file: Path = pytester.path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


def test_a_cause_of_ones_own_is_in_every_report(
    pytester: pytest.Pytester, make_cluster: MakeCluster, workers: list[str]
) -> None:
    """Terminal, JSON, JUnit and Allure show its texts, filled in; xdist workers know it, too."""
    own_file(pytester)
    own_test(pytester)
    result = run_here(
        pytester,
        f"--gpu-cluster=path:{make_cluster('gpu-1')}",
        "test_own.py",
        "--gpu-report=out.json",
        "--junitxml=out.xml",
        "--alluredir=allure",
        *workers,
        *QUIET,
    )
    assert result.ret == 1
    title = "The data volume /data is not mounted on gpu-1"
    result.stdout.fnmatch_lines(
        [title, "  cause: acme/mount-missing (layer driver)", "*sudo mount /data"]
    )
    (cause,) = json.loads((pytester.path / "out.json").read_text())["causes"]
    assert (cause["id"], cause["title"]) == ("acme/mount-missing", title)
    assert cause["why"] == "Training jobs read their data from it."
    (failure,) = ElementTree.parse(pytester.path / "out.xml").iter("failure")  # noqa: S314 - ours
    assert title in str(failure.get("message"))
    attached = [file.read_text() for file in (pytester.path / "allure").glob("*-attachment.txt")]
    assert any("$ sudo mount /data" in text for text in attached)


def test_values_of_a_cause_of_ones_own_are_quoted(
    pytester: pytest.Pytester, make_cluster: MakeCluster
) -> None:
    """In its commands; titles and other texts are not for a shell."""
    own_file(pytester)
    own_test(pytester, values="path='/data$(touch PWN); id'")
    cluster = f"--gpu-cluster=path:{make_cluster('gpu-1')}"
    result = run_here(pytester, cluster, "test_own.py", "--gpu-report=out.json", *QUIET)
    assert result.ret == 1
    (cause,) = json.loads((pytester.path / "out.json").read_text())["causes"]
    assert cause["title"] == "The data volume /data$(touch PWN); id is not mounted on gpu-1"
    assert cause["check"] == ["$ findmnt '/data$(touch PWN); id'"]
    assert cause["fix"] == ["Mount it:", "$ sudo mount '/data$(touch PWN); id'"]


def test_a_value_may_be_a_command(pytester: pytest.Pytester, make_cluster: MakeCluster) -> None:
    """If the function that quotes made it; the example is one that the file's author wrote."""
    text = MOUNT.replace("findmnt {path}", "{look} | cat").replace(
        "example.path", 'example.look.command = "ls /x"\nexample.path'
    )
    own_file(pytester, text)
    made = "__import__('pytest_gpu.text.shell').text.shell.command('ls {path}', path='/a b')"
    own_test(pytester, values=f"path='/data', look={made}")
    cluster = f"--gpu-cluster=path:{make_cluster('gpu-1')}"
    run_here(pytester, cluster, "test_own.py", "--gpu-report=out.json", *QUIET)
    (cause,) = json.loads((pytester.path / "out.json").read_text())["causes"]
    assert cause["check"] == ["$ ls '/a b' | cat"]
    shown = run_here(pytester, "--gpu-explain=acme/mount-missing", *QUIET).stdout
    shown.fnmatch_lines(["*$ ls /x | cat"])


def test_it_may_be_latent(pytester: pytest.Pytester, make_cluster: MakeCluster) -> None:
    """As any finding."""
    own_file(pytester)
    own_test(pytester, call="latent")
    cluster = f"--gpu-cluster=path:{make_cluster('gpu-1')}"
    result = run_here(pytester, cluster, "test_own.py", "--gpu-report=out.json", *QUIET)
    assert result.ret == 0
    (found,) = json.loads((pytester.path / "out.json").read_text())["latent"]
    assert found["id"] == "acme/mount-missing"


def test_a_hook_names_files_too(
    pytester: pytest.Pytester, make_cluster: MakeCluster, workers: list[str]
) -> None:
    """Patterns and paths; a file that the configuration names, too, is read once."""
    own_file(pytester, name="causes/mount.toml")
    (pytester.path / "causes" / "fan.toml").write_text(MOUNT.replace("mount-missing", "fan-slow"))
    pytester.makeconftest(
        "def pytest_gpu_causes(config):\n"
        "    assert not hasattr(config, 'workerinput')\n"
        "    return ['causes/*.toml', config.rootpath / 'causes' / 'fan.toml']\n"
    )
    own_test(pytester, cause="acme/fan-slow")
    cluster = f"--gpu-cluster=path:{make_cluster('gpu-1')}"
    result = run_here(pytester, cluster, "test_own.py", *workers, *QUIET)
    result.stdout.fnmatch_lines(["  cause: acme/fan-slow (layer driver)"])


def test_patterns_are_looked_up_in_any_folder(pytester: pytest.Pytester) -> None:
    """Also in one with brackets in its name, and absolute; folders that match are left out."""
    folder = pytester.mkdir("a[b]")
    (folder / "pytest.ini").write_text("[pytest]\ngpu_causes = own/**/*.toml own/*\n")
    for name in ("x/fan.toml", "y.toml"):
        file = folder / "own" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(MOUNT.replace("mount-missing", file.stem))
    (pytester.path / "z.toml").write_text(MOUNT)
    (folder / "conftest.py").write_text(
        f"def pytest_gpu_causes(): return ['{pytester.path}/*.toml']"
    )
    result = run_here(pytester, f"--rootdir={folder}", "--gpu-explain=acme/", str(folder), *QUIET)
    assert result.outlines[0] == "3 causes have 'acme/' in their name:"


def test_a_run_leaves_nothing_to_the_next_one(
    pytester: pytest.Pytester, make_cluster: MakeCluster
) -> None:
    """Two runs in one process: the second does not know the causes of the first."""
    own_file(pytester)
    own_test(pytester)
    cluster = f"--gpu-cluster=path:{make_cluster('gpu-1')}"
    assert run_here(pytester, cluster, "test_own.py", *QUIET).ret == 1
    pytester.makeini("[pytest]\n")
    result = run_here(pytester, cluster, "test_own.py", "--gpu-report=out.json", *QUIET)
    (node,) = json.loads((pytester.path / "out.json").read_text())["nodes"]
    assert node["verdict"] == "error"
    assert "no cause is called 'acme/mount-missing'" in " ".join(result.stdout.str().split())


@pytest.mark.parametrize(
    ("cause", "values", "why"),
    [
        ("acme/mount-missing", "", "no value for {path}: pass path to Finding.of"),
        ("acme/mount-gone", "path='/data'", "no cause is called 'acme/mount-gone'"),
        ("acme/mount-missing", "path=()", '{path} has steps: write { steps = "path" }'),
    ],
)
def test_a_test_that_does_not_fit_its_cause_is_an_error(
    pytester: pytest.Pytester, make_cluster: MakeCluster, cause: str, values: str, why: str
) -> None:
    """Verdict and traceback say what is missing; the node is not blamed."""
    own_file(pytester)
    own_test(pytester, cause=cause, values=values)
    cluster = f"--gpu-cluster=path:{make_cluster('gpu-1')}"
    result = run_here(pytester, cluster, "test_own.py", "--gpu-report=out.json", *QUIET)
    document = json.loads((pytester.path / "out.json").read_text())
    assert [node["verdict"] for node in document["nodes"]] == ["error"]
    assert document["causes"] == []
    assert result.stdout.str().count(why.partition(":")[0]) > 1


LAYERS = "access, hardware, driver, runtime, sandbox, device-plugin, runtimeclass-pod"
WRONG = {
    "why = ->reson = ": (":4", "acme/mount-missing: reson: unknown key; known keys are title*"),
    '"driver"->"drivers"': (
        ":2",
        f"acme/mount-missing: layer: 'drivers' is not a layer; layers are {LAYERS}",
    ),
    'layer = "driver"\n->': (":1", f"acme/mount-missing: layer missing; layers are {LAYERS}"),
    '"findmnt {path}"->"findmnt {Path}"': (
        ":5",
        "acme/mount-missing: check.0: {Path} is not a placeholder: it may have lower-case*",
    ),
    "is not mounted->is not {mounted}": (
        ":1",
        "acme/mount-missing: {mounted} has no example: it is not filled in for every cause; add "
        'example.mounted = "..." and pass mounted to Finding.of',
    ),
    'example.path = "/data"->example.path = "/data"\nexample.disk = "sda"': (
        ":8",
        "acme/mount-missing: example.disk: no text has the placeholder {disk}",
    ),
    'example.path = "/data"->example.path = "/data"\nexample.node = "n"': (
        ":8",
        "acme/mount-missing: example.node: is filled in for every cause",
    ),
    'example.path = "/data"->example.path = 3': (
        ":7",
        "acme/mount-missing: example.path: must be a text, a list of steps, or { command = TEXT }",
    ),
    '"sudo mount {path}"->\'sudo sh -c "mount {path}"\'': (
        ":9",
        "acme/mount-missing: fix.default.1: {path} stands in double quotes; use single ones, or*",
    ),
    '"findmnt {path}"->"sed s/x/$(cat {path})/ /etc/fstab"': (
        ":5",
        "acme/mount-missing: check.0: nothing can be filled in safely beside $(",
    ),
    "default = ->rke3 = ": (":8", "acme/mount-missing: fix: default missing"),
    "default = ->default = []\nrke3 = ": (
        ":10",
        "acme/mount-missing: fix.rke3: is not a distribution: default, *rke2*",
    ),
    '"Mount it:"->3': (":9", "acme/mount-missing: fix.default.0: 3 is not a step: *"),
    '{ node = "sudo->{ nod = "sudo': (":9", "acme/mount-missing: fix.default.1: * is not a step*"),
    "check = [{->check = {->}]\nexplains->}\nexplains": (
        ":5",
        "acme/mount-missing: check: must be a list",
    ),
    'title = "The->title = 3 # "The': (":3", "acme/mount-missing: title: must be a text"),
    'explains = ["acme/data-*"]->explains = [1]': (
        ":6",
        "acme/mount-missing: explains: must be a list of texts",
    ),
    'layer = "driver"->layer = 3': (":2", "acme/mount-missing: layer: must be a text"),
    'title = "The->title = "x { The': (
        ":3",
        "acme/mount-missing: title: has a brace without its partner; a placeholder looks like *",
    ),
    'why = "->why = "}': (":4", "acme/mount-missing: why: has a brace without*"),
    **{
        f'explains = ["acme/data-*"]->explains = ["acme/x", {wrong}]': (
            ":6",
            f"acme/mount-missing: explains: {wrong} is not a cause's ID or a pattern of some, "
            "such as acme/disk-full or acme/*",
        )
        for wrong in ("'foo'", "''", "'driver'", "'*'", "'Driver/x'", "'driver/'", "'a b/*'")
    },
    "acme/->driver/": (
        ":1",
        "driver/mount-missing: the prefix driver/ is reserved for pytest-gpu; choose one of your*",
    ),
    "acme/->docker/": (":1", "docker/mount-missing: the prefix docker/ is reserved*"),
    "acme/mount-missing->mount-missing": (
        ":1",
        'mount-missing: the ID must have a prefix: ["prefix/name"], in lower case',
    ),
    "acme/mount-missing->acme/Mount": (":1", "acme/Mount: the ID must have a prefix*"),
    'why = "->why = ': ("", "is not TOML: *(at line 4, column 7)"),
    '"acme/mount-missing".fix->"acme/mount-missing"': ("", "is not TOML: *line 8*"),
}
"""What is changed in the file, the line that is named, and the rest of the message."""


@pytest.mark.parametrize("change", WRONG)
def test_what_is_wrong_in_a_file_is_one_line(pytester: pytest.Pytester, change: str) -> None:
    """File, line, key and fault, before the cluster is opened."""
    text = MOUNT
    parts = change.split("->")
    for old, new in zip(parts[::2], parts[1::2], strict=True):
        assert old in text
        text = text.replace(old, new)
    file = own_file(pytester, text)
    line, said = WRONG[change]
    found = refused(run_here(pytester, "--gpu-cluster=path:none", *QUIET))
    pattern = f"{file}{line}: {said}".replace("[", "[[]")
    assert fnmatchcase(found, pattern), found


LITERAL = (
    "echo ${path}",
    "docker ps --format {{json}}",
    "docker ps --format '{{json}} {{.ID}}'",
    "awk '{ print }' /etc/fstab",
)


@pytest.mark.parametrize("command", LITERAL)
def test_braces_of_a_shell_or_a_template_are_kept(pytester: pytest.Pytester, command: str) -> None:
    """What stands behind a dollar, in two pairs of braces or between blanks is no placeholder."""
    own_file(pytester, MOUNT.replace('"findmnt {path}"', f'"{command}"'))
    result = run_here(pytester, "--gpu-explain=acme/mount-missing", *QUIET)
    assert f"$ {command}" in {line.strip() for line in result.outlines}
    own_file(pytester, MOUNT.replace("is not mounted", "{path} is not {{mounted}}"))
    result = run_here(pytester, "--gpu-explain=acme/mount-missing", *QUIET)
    result.stdout.fnmatch_lines(["*/data is not {{mounted}}*"])


def test_an_id_that_two_files_have_is_refused(pytester: pytest.Pytester) -> None:
    """The second file is named with its line, the first one beside it."""
    first = own_file(pytester, name="a.toml")
    second = pytester.path / "b.toml"
    second.write_text(f"# more\n{MOUNT}")
    pytester.makeini("[pytest]\ngpu_causes = a.toml b.toml")
    found = refused(run_here(pytester, "--gpu-cluster=path:none", *QUIET))
    assert found == f"{second}:2: acme/mount-missing: {first} has this cause already"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("none.toml", "gpu_causes in tox.ini: none.toml: no such file"),
        ("*.tml", "gpu_causes in tox.ini: *.tml: no such file"),
        (".", "gpu_causes in tox.ini: .: is a folder; name its files: ./*.toml"),
        ("bytes.toml", "{folder}/bytes.toml: is not UTF-8: invalid start byte"),
    ],
)
def test_a_path_that_is_no_file_of_causes_is_refused(
    pytester: pytest.Pytester, value: str, said: str
) -> None:
    """It names the configuration file and the path."""
    pytester.makeini(f"[pytest]\ngpu_causes = {value}")
    (pytester.path / "bytes.toml").write_bytes(b"\xff")
    found = refused(run_here(pytester, "--gpu-cluster=path:none", *QUIET))
    assert found == said.format(folder=pytester.path)


def test_a_value_of_the_wrong_type_is_refused(pytester: pytest.Pytester) -> None:
    """In pytest's own TOML, where a list is needed."""
    (pytester.path / "pytest.toml").write_text('[pytest]\ngpu_causes = "causes.toml"\n')
    found = refused(run_here(pytester, "--gpu-cluster=path:none", *QUIET))
    assert "gpu_causes" in found


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("'causes.toml'", "hook pytest_gpu_causes: 'causes.toml': must be a list of paths"),
        ("[3]", "hook pytest_gpu_causes: [3]: must be a list of paths"),
        ("['none.toml']", "hook pytest_gpu_causes: none.toml: no such file"),
    ],
)
def test_what_the_hook_returns_is_checked(
    pytester: pytest.Pytester, returned: str, said: str
) -> None:
    """A wrong hook is one line, too."""
    pytester.makeconftest(f"def pytest_gpu_causes(): return {returned}")
    found = refused(run_here(pytester, "--gpu-cluster=path:none", *QUIET))
    assert found == said.format(folder=pytester.path)


def test_the_common_placeholders_are_those_that_a_run_fills_in() -> None:
    """No more and no fewer."""
    assert set(values_for("gpu-1", UNKNOWN, UNKNOWN.socket)) == COMMON
