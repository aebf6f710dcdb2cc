"""The shipped suite in any directory: what runs, and what its tests are called."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_gpu.layers import Layer
from pytest_gpu.run.suite import located, nodeid_of, suite_path, with_suite
from tests.conftest import MakeCluster
from tests.support.runs import LOADED_BEFORE, QUIET, keeping_compiled, run_here

COLLECT = ("--collect-only", "-q", *QUIET)


def collected(result: pytest.RunResult) -> list[str]:
    """Return the IDs of the tests that were collected."""
    return [line for line in result.outlines if "::" in line]


@pytest.mark.parametrize(
    "configuration",
    [
        "",
        "[pytest]\npython_files = check_*.py",
        "[pytest]\ntestpaths = own",
        "[pytest]\nnorecursedirs = conformance pytest_gpu",
        "[pytest]\nstrict = true",
        "[pytest]\naddopts = --import-mode=importlib",
    ],
)
def test_suite_and_nothing_else_runs(
    pytester: pytest.Pytester, make_cluster: MakeCluster, configuration: str
) -> None:
    """Whatever tests and settings the directory has."""
    pytester.makeini(configuration)
    for name in ("test_own", "check_own", "own/test_inner"):
        file = pytester.path / f"{name}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text("def test_own(): assert False\n")
    result = run_here(pytester, f"--gpu-cluster={make_cluster('gpu-1')}", *COLLECT)
    tests = collected(result)
    assert tests
    assert all(re.match(r"conformance/test_\w+\.py::test_\w+\[gpu-1", test) for test in tests)


def test_workers_run_the_same_suite(pytester: pytest.Pytester, make_cluster: MakeCluster) -> None:
    """They start from the same command line."""
    pytester.makepyfile(test_own="def test_own(): assert False")
    cluster = f"--gpu-cluster={make_cluster('gpu-1', 'gpu-2')}"
    inline = collected(run_here(pytester, cluster, *COLLECT))
    result = run_here(pytester, cluster, "-n2", "-v", *QUIET)
    ran = {line.split()[-1] for line in result.outlines if line.startswith("[gw")}
    assert ran == set(inline)


def test_option_may_stand_in_the_configuration(
    pytester: pytest.Pytester, make_cluster: MakeCluster
) -> None:
    """A directory that is about one cluster."""
    pytester.makeini(f"[pytest]\naddopts = --gpu-cluster={make_cluster('gpu-1')}")
    assert collected(run_here(pytester, *COLLECT))[0].startswith("conformance/")


def test_explicit_paths_are_taken(pytester: pytest.Pytester, make_cluster: MakeCluster) -> None:
    """Own tests, the installed package, and an ID copied from a report."""
    pytester.makepyfile(test_own="def test_own(gpu_node): pass")
    cluster = f"--gpu-cluster={make_cluster('gpu-1')}"
    assert collected(run_here(pytester, cluster, "test_own.py", *COLLECT)) == [
        "test_own.py::test_own[gpu-1]"
    ]
    [first, *_] = collected(run_here(pytester, cluster, *COLLECT))
    assert collected(run_here(pytester, cluster, first, *COLLECT)) == [first]
    module = first.partition("::")[0].removesuffix(".py").replace("/", ".")
    installed = run_here(pytester, cluster, "--pyargs", f"pytest_gpu.{module}", *COLLECT)
    assert first in collected(installed)


OWN = """
import pytest

@pytest.mark.gpu_layer("{layer}")
def test_own(gpu_node): pass
"""


@pytest.mark.parametrize("paths", [["conformance", "own"], ["own", "conformance/"]])
def test_the_suite_and_own_tests_climb_one_ladder(
    pytester: pytest.Pytester, make_cluster: MakeCluster, workers: list[str], paths: list[str]
) -> None:
    """The word ``conformance`` is the shipped suite; layer by layer, whatever comes first."""
    for layer in ("driver", "sandbox"):
        file = pytester.path / "own" / f"test_{layer}_own.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(OWN.format(layer=layer))
    # No file is found by its name alone.
    pytester.makeini("[pytest]\npython_files = test_*_own.py")
    cluster = f"--gpu-cluster={make_cluster('gpu-1')}"
    tests = collected(run_here(pytester, cluster, *paths, *COLLECT))
    alone = collected(run_here(pytester, cluster, *COLLECT))
    assert [test for test in tests if test.startswith("conformance/")] == alone
    layers = [re.sub(r".*test_(\w+?)(_own)?\.py.*", r"\1", test) for test in tests]
    first = list(dict.fromkeys(layers))
    assert layers == sorted(layers, key=first.index)
    assert first == [str(layer).replace("-", "_") for layer in Layer]
    assert {"own/test_driver_own.py::test_own[gpu-1]", *alone} < set(tests)
    if workers:
        result = run_here(pytester, cluster, *paths, "-v", *workers, *QUIET)
        ran = {line.split()[-1] for line in result.outlines if line.startswith("[gw")}
        assert ran == set(tests)


def test_a_folder_of_ones_own_is_not_taken_for_the_suite(
    pytester: pytest.Pytester, make_cluster: MakeCluster
) -> None:
    """Where a project has its own ``conformance/``, the word is that folder."""
    file = pytester.mkdir("conformance") / "test_ours.py"
    file.write_text("def test_own(gpu_node): pass")
    result = run_here(pytester, f"--gpu-cluster={make_cluster('gpu-1')}", "conformance", *COLLECT)
    assert collected(result) == ["conformance/test_ours.py::test_own[gpu-1]"]
    cluster = f"--gpu-cluster={make_cluster('gpu-1', folder='other')}"
    package = run_here(pytester, cluster, "--pyargs", "pytest_gpu.conformance", *COLLECT)
    assert collected(package) == collected(run_here(pytester, cluster, *COLLECT))


def test_ones_own_folder_called_conformance_is_asked_what_no_recording_knows(
    pytester: pytest.Pytester, make_cluster: MakeCluster
) -> None:
    """Only a shipped test is not asked because an older suite did not look."""
    cluster = make_cluster("gpu-1")
    manifest = cluster / "recording.yaml"
    manifest.write_text(f"{manifest.read_text()}asked: [access/test_x]\n")
    file = pytester.mkdir("conformance") / "test_ours.py"
    file.write_text(OWN.format(layer="access"))
    result = run_here(pytester, f"--gpu-cluster=path:{cluster}", "conformance", *QUIET)
    result.assert_outcomes(passed=1)


def test_hidden_suite_says_why(pytester: pytest.Pytester, make_cluster: MakeCluster) -> None:
    """Nothing was tested, which is no success; the directory's configuration is the reason."""
    pytester.makeini("[pytest]\npython_functions = check_*")
    result = run_here(pytester, f"--gpu-cluster={make_cluster('gpu-1')}", *QUIET)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(["gpu: nothing was tested: *sets python_functions = check_[*]*"])


def test_selecting_nothing_says_so(pytester: pytest.Pytester, make_cluster: MakeCluster) -> None:
    """A typo in -k must not look like a green run."""
    cluster = f"--gpu-cluster={make_cluster('gpu-1')}"
    result = run_here(pytester, cluster, "-k", "nonsense", *QUIET)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(["gpu: nothing was tested: -k, -m *"])


def test_without_the_option_nothing_changes(pytester: pytest.Pytester) -> None:
    """The plugin is inert in projects that merely have it installed."""
    pytester.makepyfile("def test_mine(): pass")
    result = run_here(pytester, *QUIET)
    result.assert_outcomes(passed=1)
    assert "gpu:" not in result.stdout.str()


def test_fixtures_and_options_are_documented(pytester: pytest.Pytester) -> None:
    """Everything users meet has a text and our prefix."""
    text = run_here(pytester, "--fixtures", "-q").stdout.str()
    for fixture in ("gpu_cluster", "gpu_node", "gpu_settings"):
        assert re.search(rf"^{fixture} \[session scope\]", text, re.MULTILINE)
    assert "no docstring available" not in text
    page = Path(__file__).parents[2] / "docs" / "reference" / "options.md"
    help_ = run_here(pytester, "--help").stdout.str()
    names = re.findall(r"^  (--gpu-[a-z-]+|gpu_[a-z_]+)", help_, re.MULTILINE)
    assert {"--gpu-cluster", "--gpu-explain", "gpu_nodes", "gpu_sandbox_pod_config"} <= set(names)
    assert [name for name in names if f"`{name}" not in page.read_text()] == []


def test_ids_and_arguments() -> None:
    """Only the shipped modules get an ID of their own, and only their IDs become paths."""
    [module, *_] = sorted(suite_path().glob("test_*.py"))
    assert nodeid_of(module) == f"conformance/{module.name}"
    assert nodeid_of(Path("/elsewhere/conformance/test_driver.py")) is None
    (found,) = located("conformance/test_no_such_thing.py::test_x")
    assert found.endswith("/test_no_such_thing.py::test_x")
    assert located("tests/test_own.py::test_x") == ["tests/test_own.py::test_x"]
    assert with_suite(["-k", "x", "a.py"], ["a.py"]) == ["-k", "x", "a.py"]
    assert with_suite(["-q"], [])[-1] == "-q"


SPELLINGS = (
    "./conformance",
    "conformance/",
    "./conformance/",
    ".//conformance",
)


@pytest.mark.parametrize("spelt", SPELLINGS)
def test_the_suite_is_found_however_it_is_spelt(
    pytester: pytest.Pytester, make_cluster: MakeCluster, spelt: str
) -> None:
    """A shell completes paths in this way. A folder of one's own is still one's own."""
    path = f"{spelt}/test_driver.py::test_x[gpu-1]"
    assert located(spelt) == located("conformance") != [spelt]
    assert located(path) == located("conformance/test_driver.py::test_x[gpu-1]") != [path]
    cluster = f"--gpu-cluster=path:{make_cluster('gpu-1')}"
    result = run_here(pytester, cluster, spelt, "--collect-only", "-q", *QUIET)
    assert modules(result) == WHOLE
    (pytester.mkdir("conformance") / "test_driver.py").write_text("")
    assert located(spelt) == [spelt]
    assert located(path) == [path]


GREEDY = """
def pytest_addoption(parser):
    parser.addoption("--maybe", nargs="?", const="left out")
    parser.addoption("--several", nargs="*")

def pytest_report_header(config):
    return f"maybe: {config.option.maybe}, several: {config.option.several}"
"""


def run_as_given(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    """Run pytest with these arguments last; what tests need stands before them."""
    folder = f"--basetemp={pytester.path.parent / 'basetemp'}"
    run = pytester.runpytest_subprocess if "-n2" in args else pytester.runpytest_inprocess
    with keeping_compiled(pytester):
        return run(folder, *QUIET, "-W", LOADED_BEFORE, "-p", "greedy", *args)


def modules(result: pytest.RunResult) -> set[str]:
    """Return the modules whose tests were collected or ran."""
    return set(re.findall(r"(\S+\.py)::", result.stdout.str()))


WHOLE = {f"conformance/{path.name}" for path in suite_path().glob("test_*.py")}

ENDS = {
    "maybe": ("--maybe",),
    "several": ("--several", "a", "b"),
    "pyargs": ("--pyargs", "--maybe"),
    "dashes": ("--maybe", "--"),  # behind which there are only paths
    "file": ("@arguments",),
    "short": ("-k", "test_", "--maybe"),
}


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a plugin with options whose values may be left out, and tests of a project."""
    monkeypatch.syspath_prepend(pytester.path)
    monkeypatch.setenv("PYTHONPATH", str(pytester.path))
    pytester.makepyfile(greedy=GREEDY)
    (pytester.mkdir("own") / "test_own.py").write_text("def test_own(): assert False\n")
    (pytester.path / "arguments").write_text("--several\na\n--maybe\n")
    pytester.makeini("[pytest]\ntestpaths = own")


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.usefixtures("project")
def test_an_option_at_the_end_swallows_no_test(
    pytester: pytest.Pytester, make_cluster: MakeCluster, end: tuple[str, ...]
) -> None:
    """An option whose value may be left out takes what comes next, which must not be a path."""
    cluster = f"--gpu-cluster={make_cluster('gpu-1')}"
    assert modules(run_as_given(pytester, cluster, "--collect-only", "-q", *end)) == WHOLE


@pytest.mark.parametrize("end", ["maybe", "several", "file"])
@pytest.mark.parametrize("place", ["addopts", "environment"])
@pytest.mark.usefixtures("project")
def test_nor_does_one_of_the_configuration(
    pytester: pytest.Pytester,
    make_cluster: MakeCluster,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    end: str,
) -> None:
    """What ``addopts`` and PYTEST_ADDOPTS say comes before the command line."""
    given = f"--gpu-cluster={make_cluster('gpu-1')} {' '.join(ENDS[end])}"
    if place == "addopts":
        pytester.makeini(f"[pytest]\ntestpaths = own\naddopts = {given}")
    else:
        monkeypatch.setenv("PYTEST_ADDOPTS", given)
    assert modules(run_as_given(pytester, "--collect-only", "-q")) == WHOLE


@pytest.mark.parametrize("end", ["maybe", "pyargs", "dashes", "file"])
@pytest.mark.usefixtures("project")
def test_workers_get_the_whole_suite_too(
    pytester: pytest.Pytester, make_cluster: MakeCluster, end: str
) -> None:
    """They read the command line themselves, and the configuration's part of it."""
    cluster = make_cluster("gpu-1")
    pytester.makeini(f"[pytest]\ntestpaths = own\naddopts = --gpu-cluster={cluster} --maybe")
    assert modules(run_as_given(pytester, "-n2", "-v", *ENDS[end])) == WHOLE


@pytest.mark.usefixtures("project")
def test_a_value_that_is_missing_is_told(
    pytester: pytest.Pytester, make_cluster: MakeCluster
) -> None:
    """``-k`` at the end needs a value, and gets none."""
    result = run_as_given(pytester, f"--gpu-cluster={make_cluster('gpu-1')}", "-k")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*argument -k: expected one argument"])


def test_the_value_of_a_conftests_option_is_no_path(
    pytester: pytest.Pytester, make_cluster: MakeCluster, workers: list[str]
) -> None:
    """Only the project's conftest.py knows that the option takes a value."""
    pytester.makeconftest("def pytest_addoption(parser): parser.addoption('--place')")
    pytester.makepyfile(test_own="def test_own(): assert False")
    cluster = f"--gpu-cluster={make_cluster('gpu-1')}"
    result = run_here(pytester, cluster, "-v", *workers, *QUIET, "--place", "lab")
    assert modules(result) == WHOLE


def test_paths_in_a_file_of_arguments_are_found(
    pytester: pytest.Pytester, make_cluster: MakeCluster
) -> None:
    """A list of tests that failed, one to a line."""
    cluster = f"--gpu-cluster={make_cluster('gpu-1')}"
    first, second, *_ = collected(run_here(pytester, cluster, *COLLECT))
    (pytester.path / "more").write_text(f"{second}\n")
    (pytester.path / "failed").write_text(f"{first}\n@more\n")
    assert collected(run_here(pytester, cluster, "@failed", *COLLECT)) == [first, second]
