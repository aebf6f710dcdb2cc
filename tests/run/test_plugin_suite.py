"""The shipped suite in any directory: what runs, and what its tests are called."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_gpu.layers import Layer
from pytest_gpu.run.suite import located, nodeid_of, suite_path, with_suite
from tests.conftest import MakeCluster
from tests.support.runs import QUIET, run_here

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
    assert with_suite(["-q"], [])[0] == "-q"
