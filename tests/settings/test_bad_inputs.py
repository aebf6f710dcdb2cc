"""Every option and configuration value, wrong: one line says what is expected, nothing is done."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest

from pytest_gpu.cluster.recording.samples import sample_names
from pytest_gpu.settings import options
from tests.cluster.api.fake_api import FakeApi, FakeServer
from tests.conftest import MakeCluster
from tests.support.runs import QUIET, refused, run_here

SECONDS = "must be a number of seconds greater than 0, at most 86400 (a day); the default is 300"
COUNT = "must be a number of nodes from 1 to 1000; the default is 100"
IMAGE = "is not a valid image name; the default is python:3-slim"
NAMESPACE = "is not a valid namespace name: use up to 63 a-z, 0-9 and dashes"
JSON = "this version writes only .json; name a file that ends in .json"
NODE = "cannot be the name of a node; write names such as gpu-1, gpu-[[]4,7-9] or gpu-[*], or a *"
KEY = "expected a label key, as in key=value, key in (a,b), key or !key"
LABEL_VALUE = "is not a label value: use up to 63 letters, digits, *"
OPERATOR = "expected one of = == != in notin < > or a comma"
LAYERS = "layers are access, hardware, driver, runtime, sandbox, device-plugin, runtimeclass-pod"
NEAREST = "the nearest nodes are gpu-1, gpu-2, cpu-1"

OPTIONS = {
    "--gpu-cluster": {
        "": "is empty; name a cluster, such as current, context:NAME, path:PATH or sample:*",
        " ": "is empty; name a cluster, *",
        "sample:healthy-kubedm": "'healthy-kubedm' is not a sample; the nearest are "
        "healthy-kubeadm, * and * more; --gpu-cluster=sample: lists all",
        "path:nowhere": "nowhere: there is no such folder or .tar.gz file",
        "path:file.txt": "file.txt: is neither a folder nor a .tar.gz",
        "nowhere": "is neither a context of the kubeconfig (contexts: both, "
        "arn:aws:eks:eu:1:cluster/x) nor a path that exists; *",
        "both": "is both a context and a path; write context:both or path:both",
        "empty": "*is not a recording: it has no recording.yaml",
        "current": "the kubeconfig has no current context; *",
        "in-cluster": "this process does not run in a pod with a service account: *",
        "context:any": "the kubeconfig has no context 'any'; contexts: arn:aws:*, both",
        "arn:aws:eks:eu:1:cluster/x": "the context 'arn:aws:eks:eu:1:cluster/x' cannot be used: *",
        "a\nb": "has characters that cannot be printed",
    },
    "--gpu-nodes": {
        "": "is empty; name nodes, such as gpu-1,gpu-2 or gpu-[*], write a label selector, or all",
        "gpu-9": f"no node called gpu-9 (and no node has such a label); {NEAREST}",
        "gpu-1,gpu-9,gpu-8": f"no node called gpu-9, gpu-8 *; {NEAREST}",
        "all,gpu-1": "all must stand alone: leave it out, or the other names",
        "gpu-9,all": "all must stand alone: leave it out, or the other names",
        "gpu-[1-3]": f"no node called gpu-3 *; {NEAREST}",
        "gpu-x*": f"no node's name matches gpu-x[*]; {NEAREST}",
        "gpu-1,pool": "pool is a label, not a node; name either nodes or labels",
        "pool=x": "matches none of the nodes: cpu-1, gpu-1, gpu-2",
        "pool==": "matches none of the nodes: *",
        "pool in (x,y)": "matches none of the nodes: *",
        "!pool": "matches none of the nodes: *",
        "pool>3": "matches none of the nodes: *",
        "gpu-1,,gpu-2": "has a comma without a name beside it",
        ",": "has a comma without a name beside it",
        "gpu-[1,2": "has a bracket without its partner; write gpu-[[]4,7-9]",
        "gpu-1]": "has a bracket without its partner; *",
        "gpu-[a-c]": "[[]a-c] is not a list of numbers; write [[]4,7-9], smaller numbers first",
        "gpu-[2-1]": "[[]2-1] is not a list of numbers; *",
        "gpu-[]": "[[]] is not a list of numbers; *",
        "gpu-[1-99999999]": "stands for more than 10000 nodes; use a pattern such as gpu-[*]",
        "gpu-1 gpu-2": f"'gpu-1 gpu-2' {NODE}",
        "gpü": f"'gpü' {NODE}",
        "a b=c": f"found 'b' after 'a', {OPERATOR}",
        "=x": f"found '=', {KEY}",
        "pool in x": "found 'x' after 'in', expected values in parentheses, as in key in (a,b)",
        "pool in": "found the end after 'in', expected values in parentheses, *",
        "pool in (x": "found the end after 'x', expected a comma or )",
        "!pool=a": "found '=' after 'pool', expected a comma between conditions",
        "pool=-a": f"'-a' {LABEL_VALUE}",
        "gpu\n1": f"'gpu\\n1' {NODE}",
    },
    "--gpu-layers": {
        "": "is empty; name a layer, such as driver",
        "kernel": f"'kernel' is not a layer; {LAYERS}",
        "driver,runtime": f"'driver,runtime' is not a layer; {LAYERS}",
        "Driver": f"'Driver' is not a layer; {LAYERS}",
    },
    "--gpu-workloads": {
        "": "is empty; write a label selector, such as team=a",
        "a=b=c": "found '=' after 'b', expected a comma between conditions",
        "a,": f"found the end after ',', {KEY}",
        "team>b": "'b' is not a whole number, which > compares with",
        "-a": "'-a' is not a label key; one looks like pool or example.com/pool",
        "Ex.com/a": "'Ex.com/a' is not a label key; *",
        f"a={'b' * 64}": f"'{'b' * 64}' {LABEL_VALUE}",
        "a notin": "found the end after 'notin', expected values in parentheses, *",
    },
    "--gpu-kubeconfig": {
        "": "is empty; give the path of a kubeconfig",
        "no/such": "there is no such file",
        "folder.json": "is a folder; name a file",
        "nothing": "is an empty file",
        "a\0b": "cannot be a path: it holds a null byte",
    },
    "--gpu-namespace": {
        "": "is empty; name a namespace; the default is pytest-gpu",
        "GPU": NAMESPACE,
        "a.b": NAMESPACE,
        "-a": NAMESPACE,
        "a" * 64: NAMESPACE,
    },
    "--gpu-image": {
        "": "is empty; name an image; the default is python:3-slim",
        "python 3": IMAGE,
        "https://example.com/python": IMAGE,
        "python:": IMAGE,
        "Python": IMAGE,
        "python@sha256:1": IMAGE,
    },
    "--gpu-parallel": {
        "": "is empty; give a number of nodes; the default is 100",
        "0": COUNT,
        "-3": COUNT,
        "1001": COUNT,
        "9" * 5000: COUNT,
        "many": COUNT,
        "1.5": COUNT,
    },
    "--gpu-node-shell": {
        "": "is empty; choose one of pod, ssh, local, none",
        "telnet": "is not a way into a node; choose one of pod, ssh, local, none",
        "SSH": "is not a way into a node; *",
    },
    "--gpu-timeout": {
        "": "is empty; give a number of seconds; the default is 300",
        "-1": SECONDS,
        "0": SECONDS,
        "soon": SECONDS,
        "nan": SECONDS,
        "inf": SECONDS,
        "1e300": SECONDS,
        "5m": SECONDS,
    },
    "--gpu-crictl": {
        "": "is empty; give the path of the program",
        "no/such": "there is no such file",
        "folder.json": "is a folder; name a file",
        "nothing": "is an empty file",
        "file.txt": "is not a program for Linux; if it is an archive, unpack it first",
    },
    "--gpu-record": {
        "": "is empty; give the path of the recording",
        "file.txt/inside": "its folder cannot be created: * is not a folder",
        "a\0b": "cannot be a path: it holds a null byte",
    },
    "--gpu-report": {
        "": "is empty; give the path of a .json file",
        "out.html": JSON,
        "out": JSON,
        "out.JSON": JSON,
        "file.txt/out.json": "its folder cannot be created: * is not a folder",
        "folder.json": "is a folder; name a file",
        f"{'a' * 300}.json": "File name too long",
    },
    "--gpu-explain": {
        "": "is empty; name a cause such as *",
        "xyzzy": "*no such cause; causes start with *",
        "runtime/binary-mising": "*no such cause; closest are *runtime/binary-missing*",
    },
}
"""Wrong values of each option, and the line's end: the option and the value come first."""

PYTESTS_OWN = ("--gpu-all-layers", "--gpu-read-only", "--gpu-allow-unproven")
"""Options without a value: pytest's parser refuses one, in its own words."""

LINK = "is not an address that begins with http:// or https://, such as https://example.com/*"

BOOL = "*invalid truth value *; write true or false"

INI = {
    "gpu_nodes": {
        "": "is empty; name nodes, *",
        "gpu-9": f"no node called gpu-9 (and no node has such a label); {NEAREST}",
        "gpu-[": "has a bracket without its partner; *",
    },
    "gpu_layers": {"": "is empty; name a layer, *", "kernel": f"'kernel' is not a layer; {LAYERS}"},
    "gpu_all_layers": {"": BOOL, "maybe": BOOL},
    "gpu_node_shell": {"": "is empty; choose one of *", "telnet": "is not a way into a node; *"},
    "gpu_kubeconfig": {"": "is empty; *", "no/such": "there is no such file"},
    "gpu_namespace": {"": "is empty; *", "GPU": NAMESPACE},
    "gpu_image": {"": "is empty; *", "python 3": IMAGE},
    "gpu_parallel": {"": "is empty; *", "0": COUNT},
    "gpu_read_only": {"": BOOL, "2": BOOL},
    "gpu_workloads": {"": "is empty; *", "a=b=c": "found '=' after 'b', expected a comma *"},
    "gpu_timeout": {"": "is empty; *", "never": SECONDS},
    "gpu_allow_unproven": {"": BOOL, "perhaps": BOOL},
    "gpu_sandbox_pod_config": {
        "": "is empty; give the path of a JSON file",
        "no.json": "cannot read *no.json: No such file or directory",
        "folder.json": "cannot read *folder.json: Is a directory",
        "file.txt": "*file.txt is not JSON, which crictl needs: *",
        "list.json": "*list.json is not a JSON object, which crictl needs",
    },
    "gpu_causes": {
        "": "is empty; name TOML files, such as causes/[*].toml, or leave it out",
        "no.toml": "no such file",
        "no/*.toml": "no such file",
        "folder.json": "is a folder; name its files: folder.json/[*].toml",
    },
    "gpu_junit_strict": {"": BOOL, "perhaps": BOOL},
    "gpu_junit_unproven": {
        "": "is empty; choose skipped or failure; the default is skipped",
        "error": "must be skipped or failure; the default is skipped",
    },
    "gpu_cause_link": {
        "": "is empty; give an address, such as https://example.com/causes.html#{anchor}",
        "causes.html#{cause}": LINK,
        "https://x y/{cause}": LINK,
        "https://x.y/": "must contain {cause} or {anchor} and nothing else in braces",
        "https://x.y/{cause}/{id}": "must contain {cause} or {anchor} and nothing else in braces",
    },
    "gpu_sandbox_container_config": {
        "": "is empty; give the path of a JSON file",
        "file.txt": "*file.txt is not JSON, which crictl needs: *",
        "list.json": "*list.json is not a JSON object, which crictl needs",
    },
}

TOGETHER = {
    "--gpu-record=out.json --gpu-report=out.json": "--gpu-record: *: is the file of --gpu-report*",
    "--gpu-record=file.txt": "--gpu-record: */file.txt: is in use; name a path that does not exist",
    "--gpu-cluster=local --gpu-layers=device-plugin": "--gpu-layers: device-plugin: "
    "--gpu-cluster=local can only test up to sandbox",
    "--gpu-cluster=current --gpu-kubeconfig=file.txt": "--gpu-cluster: current: the kubeconfig *"
    "file.txt cannot be read: *",
    "--gpu-report=new/out.json --gpu-timeout=0": "--gpu-timeout: 0: *",
    "--gpu-report=new/out.json --gpu-nodes=gpu-9": "--gpu-nodes: gpu-9: *",
    "--gpu-record=new/kept --gpu-nodes=gpu-9": "--gpu-nodes: gpu-9: *",
}
"""Values that are wrong together, or that must leave nothing of the right one before them."""


def case(option: str, value: str, message: str) -> tuple[list[str], str]:
    """Return a run's arguments, and the pattern of the line."""
    given = value if value.isprintable() else repr(value)[1:-1]
    literal = re.sub(r"([*?[])", r"[\1]", f"{given[:200]}{'…' if len(given) > 200 else ''}")
    shown = "" if message.startswith("is empty;") or message == BOOL else f" {literal}:"
    start = option if option.startswith("-") else f"-o {option}"
    words = [f"{option}={value}"] if option.startswith("-") else [f"-o{option}={value}"]
    return words, f"{start}:{shown} {message}"


CASES = [
    *(
        case(*each)
        for table in (OPTIONS, INI)
        for each in [
            (option, value, message)
            for option, wrong in table.items()
            for value, message in wrong.items()
        ]
    ),
    *((option.split(), message) for option, message in TOGETHER.items()),
]


@pytest.fixture
def place(
    pytester: pytest.Pytester, make_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Return the option of a recording, in a folder with files of several kinds."""
    (pytester.path / "file.txt").write_text("{")
    (pytester.path / "list.json").write_text("[]")
    (pytester.path / "nothing").write_text("")
    (pytester.path / "pytest.ini").write_text("[pytest]\n")
    for name in ("folder.json", "both", "empty", "temporary"):
        (pytester.path / name).mkdir()
    kubeconfig = pytester.path / "kubeconfig"
    kubeconfig.write_text("contexts: [{name: both}, {name: 'arn:aws:eks:eu:1:cluster/x'}]\n")
    monkeypatch.setenv("KUBECONFIG", f"{kubeconfig}:/no/such/file")
    monkeypatch.setattr(tempfile, "tempdir", str(pytester.path / "temporary"))
    cluster = make_cluster("gpu-1", "gpu-2", plain=["cpu-1"], labels={"pool": "a"})
    return f"--gpu-cluster=path:{cluster}"


def files(folder: Path) -> dict[Path, int]:
    """Return what a folder has, and when each file was changed.

    Private folders of a process, which go with it, are left out.
    """
    found = (path for path in folder.rglob("*") if not path.match("temporary/pytest-gpu-*"))
    return {path: path.stat().st_mtime_ns if path.is_file() else 0 for path in found}


@pytest.mark.parametrize(
    ("words", "message"),
    CASES,
    ids=[repr(words)[:60] + str(n) for n, (words, _) in enumerate(CASES)],
)
def test_wrong_value_is_told_in_one_line_and_nothing_is_done(
    pytester: pytest.Pytester, place: str, words: list[str], message: str
) -> None:
    """The line names where the value came from, the value, and what would be right; exit 4."""
    cluster = [] if words[0].startswith(("--gpu-cluster", "--gpu-explain")) else [place]
    before = files(pytester.path)
    result = run_here(pytester, *cluster, *words, *QUIET)
    pytest.LineMatcher([refused(result)]).fnmatch_lines([message])
    assert files(pytester.path) == before


@pytest.mark.parametrize("option", PYTESTS_OWN)
def test_value_of_a_switch_is_refused_by_pytest(
    pytester: pytest.Pytester, place: str, option: str
) -> None:
    """As for every option without a value."""
    result = run_here(pytester, place, f"{option}=yes", *QUIET)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*error: argument {option}: ignored explicit argument 'yes'"])


PREFIXES = {
    "sample:": f"names no sample; choose one of {', '.join(sample_names())}",
    "path:": "names no path; write path:PATH",
    "context:": "names no context; write context:NAME",
}


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefix_alone_is_told_with_one_colon(pytester: pytest.Pytester, prefix: str) -> None:
    """Nothing else prints the names of all samples."""
    line = refused(run_here(pytester, f"--gpu-cluster={prefix}", *QUIET))
    assert line == f"--gpu-cluster: {prefix} {PREFIXES[prefix]}"


def test_no_option_and_no_value_is_missing_here(pytester: pytest.Pytester) -> None:
    """What the parser knows is what the tables have."""
    help_ = run_here(pytester, "--help").stdout.str()
    known = set(re.findall(r"^  (--gpu-[a-z-]+|gpu_[a-z_]+)", help_, re.MULTILINE))
    assert known == {*OPTIONS, *PYTESTS_OWN, *INI}
    assert len(CASES) >= 60
    assert all(values for values in (*OPTIONS.values(), *INI.values()))


def test_value_in_a_file_is_told_with_the_file(pytester: pytest.Pytester, place: str) -> None:
    """Also one of several lines, and in a file of TOML one of another type."""
    (pytester.path / "pytest.ini").write_text("[pytest]\ngpu_nodes =\n  gpu-1\n  gpu-2\n")
    line = refused(run_here(pytester, place, *QUIET))
    assert line.startswith(r"gpu_nodes in pytest.ini: gpu-1\ngpu-2: 'gpu-1\ngpu-2' cannot be the")
    (pytester.path / "pytest.ini").unlink()
    for wrong in ("gpu_parallel = 5", 'gpu_read_only = "maybe"'):
        (pytester.path / "pytest.toml").write_text(f"[pytest]\n{wrong}\n")
        line = refused(run_here(pytester, place, *QUIET))
        assert line.startswith(f"{wrong.split()[0]} in pytest.toml: ")
        assert "expects a" in line


@pytest.mark.parametrize(
    ("option", "asks"),
    [
        ("--gpu-nodes=", False),
        ("--gpu-nodes=gpu-[", False),
        ("--gpu-nodes=pool in x", False),
        ("--gpu-workloads=a=b=c", False),
        ("--gpu-record=file.txt", False),
        ("--gpu-nodes=gpu-9", True),
        ("--gpu-nodes=pool=x", True),
    ],
)
def test_nothing_is_begun_in_a_live_cluster(
    pytester: pytest.Pytester, place: str, option: str, *, asks: bool
) -> None:
    """Only the names of nodes need the cluster; it is read, and nothing is created."""
    api = FakeApi()
    node = {"metadata": {"name": "gpu-1"}, "status": {"capacity": {"nvidia.com/gpu": "1"}}}
    api.put("nodes", node)
    with FakeServer(api) as server:
        kubeconfig = f"--gpu-kubeconfig={server.kubeconfig(pytester.path)}"
        before = files(pytester.path)
        refused(run_here(pytester, "--gpu-cluster=current", kubeconfig, option, *QUIET))
    assert files(pytester.path) == before
    assert bool(api.requests) is asks
    reviews = api.asked("POST /apis/authorization.k8s.io/*")
    assert set(api.asked("*")) - set(api.asked("GET *")) == set(reviews)


TEXTS = sorted(set(options.INI) - set(options.SWITCHES))


@pytest.mark.parametrize(
    ("name", "value"),
    [*((name, '["a", "b"]') for name in TEXTS), ("nodes", "[]"), ("nodes", "[3]")],
)
def test_list_in_the_configuration_is_refused(
    pytester: pytest.Pytester, place: str, name: str, value: str
) -> None:
    """What reads the value expects a text; pytest lets a list through."""
    text = f"[tool.pytest.ini_options]\ngpu_{name} = {value}\n"
    (pytester.path / "pytest.ini").unlink()
    (pytester.path / "pyproject.toml").write_text(text)
    line = refused(run_here(pytester, place, *QUIET))
    shown = value.replace('"', "'")
    assert line == f"gpu_{name} in pyproject.toml: {shown}: must be a text, not a list"


@pytest.mark.parametrize("value", ["[3]", '["a.toml", 3]'])
def test_list_of_causes_has_only_paths(pytester: pytest.Pytester, place: str, value: str) -> None:
    """The message names what is expected, not what Python cannot do."""
    text = f"[tool.pytest.ini_options]\ngpu_causes = {value}\n"
    (pytester.path / "pytest.ini").unlink()
    (pytester.path / "pyproject.toml").write_text(text)
    line = refused(run_here(pytester, place, *QUIET))
    assert line == f"gpu_causes in pyproject.toml: {value}: must be a list of paths".replace(
        '"', "'"
    )


@pytest.mark.parametrize("words", ["gpu_causes =", "gpu_causes =\n\n"])
def test_empty_list_of_causes_is_refused(pytester: pytest.Pytester, place: str, words: str) -> None:
    """As every other value that is empty."""
    (pytester.path / "pytest.ini").write_text(f"[pytest]\n{words}\n")
    line = refused(run_here(pytester, place, *QUIET))
    wanted = "is empty; name TOML files, such as causes/*.toml, or leave it out"
    assert line == f"gpu_causes in pytest.ini: {wanted}"
    line = refused(run_here(pytester, place, "-o", "gpu_causes=", *QUIET))
    assert line == f"-o gpu_causes: {wanted}"


def test_value_given_with_an_option_is_told_with_it(pytester: pytest.Pytester, place: str) -> None:
    """Also if the file has the value, too."""
    (pytester.path / "pytest.ini").write_text("[pytest]\ngpu_timeout = 8\ngpu_image = a\n")
    line = refused(run_here(pytester, place, "-o", "gpu_timeout=x", *QUIET))
    assert line.startswith("-o gpu_timeout: x: must be a number")
    line = refused(run_here(pytester, place, "-o", "gpu_timeout=", *QUIET))
    assert line.startswith("-o gpu_timeout: is empty; give a number of seconds")
    line = refused(run_here(pytester, place, "-o", "gpu_read_only=x", *QUIET))
    assert line.startswith("-o gpu_read_only: ")
    line = refused(run_here(pytester, place, "-o", "gpu_causes=no.toml", *QUIET))
    assert line.startswith("-o gpu_causes: no.toml: ")
    result = run_here(pytester, place, "-o", "gpu_timeout=7", "--collect-only", *QUIET)
    result.stdout.fnmatch_lines(["gpu: timeout: 7 s (from -o gpu_timeout)"])
    result.stdout.fnmatch_lines(["gpu: image: a (from gpu_image in pytest.ini)"])
