"""JUnit: what readers of the file show, and the schema of the xUnit plugin for Jenkins."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import xmlschema

from tests.conftest import CAUSE, MakeCluster, MakeSuite
from tests.support.runs import QUIET, run_apart, run_here

SCHEMA = Path(__file__).with_name("junit-10.xsd")

SUITE = {
    "hardware": "def test_it(gpu_node, request):\n"
    "    request.node.user_properties.append(('mine', 1))\n    latent(finding(gpu_node))\n",
    "driver": "def test_it(gpu_node):\n"
    "    print('printed by the test')\n"
    "    if gpu_node.name == 'gpu-1': fail(finding(gpu_node))\n"
    "    if gpu_node.name == 'gpu-2': unproven('nobody looked')\n"
    "    if gpu_node.name == 'gpu-3': raise GpuError('the door is shut')\n"
    "    if gpu_node.name == 'gpu-4': assert gpu_node.name == 'other'\n",
    "runtime": "@pytest.fixture\ndef torn():\n    yield\n    raise OSError('in the teardown')\n\n"
    "def test_it(gpu_node, torn):\n    fail(finding(gpu_node))\n\n"
    "def test_other(gpu_node, torn): pass\n",
}
NODES = ("gpu-1", "gpu-2", "gpu-3", "gpu-4")

HOSTILE = "a\x00b\x1b[31mc\x7fd\ud800e]]>f&lt;<g>\ufffeh\u2028\U0001f600\r\n\ti"


def run(pytester: pytest.Pytester, cluster: Path, *args: str) -> ElementTree.Element:
    """Run with a JUnit file and return its root; it is well-formed."""
    run_here(pytester, f"--gpu-cluster=path:{cluster}", ".", "--junit-xml=junit.xml", *QUIET, *args)
    return read(pytester)


def read(pytester: pytest.Pytester) -> ElementTree.Element:
    """Return the root of the file."""
    return ElementTree.parse(pytester.path / "junit.xml").getroot()  # noqa: S314 - pytest wrote it


def errors(path: Path) -> list[str]:
    """Return what the schema says against a file."""
    schema = xmlschema.XMLSchema(str(SCHEMA))
    return [str(error.reason) for error in schema.iter_errors(str(path))]


def case(root: ElementTree.Element, name: str) -> ElementTree.Element:
    """Return the first test case of a name, such as ``test_driver.test_it[gpu-1]``."""
    return next(
        each
        for each in root.iter("testcase")
        if f"{each.get('classname')}.{each.get('name')}" == name
    )


def child(root: ElementTree.Element, name: str, tag: str) -> ElementTree.Element:
    """Return a child of a test case."""
    found = case(root, name).find(tag)
    assert found is not None, name
    return found


def suite_properties(root: ElementTree.Element) -> dict[str, str]:
    """Return the properties of the suite."""
    found = root.iterfind("testsuite/properties/property")
    return {each.get("name", ""): each.get("value", "") for each in found}


def strict(*more: str) -> list[str]:
    """Return the options that ask for the schema."""
    return ["-ogpu_junit_strict=true", *(f"-o{each}" for each in more)]


@pytest.mark.parametrize(
    ("workers", "family"),
    [([], "xunit1"), (["-n2"], "xunit2")],
    ids=["inline-xunit1", "xdist-xunit2"],
)
def test_strict_file_is_valid(
    pytester: pytest.Pytester,
    make_cluster: MakeCluster,
    make_suite: MakeSuite,
    workers: list[str],
    family: str,
) -> None:
    """In every state of a test, with output, a user's property, and two errors of one test."""
    make_suite(**SUITE)
    (pytester.path / "test_broken.py").write_text("import no_such_module\n")
    more = ("--continue-on-collection-errors", "--gpu-all-layers", *workers)
    run(
        pytester,
        make_cluster(*NODES),
        *strict(f"junit_family={family}", "junit_logging=all"),
        *more,
    )
    assert errors(pytester.path / "junit.xml") == []


def test_the_schema_refuses_the_usual_file(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """The check can fail: properties and lines of test cases are not in the schema."""
    make_suite(**SUITE)
    run(pytester, make_cluster(*NODES))
    found = errors(pytester.path / "junit.xml")
    assert any("'properties'" in error for error in found)
    assert any("'line'" in error for error in found)


def test_strict_file_keeps_the_facts(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite, workers: list[str]
) -> None:
    """What a test case may not have as a property is in its output, before what it printed."""
    make_suite(**SUITE)
    root = run(pytester, make_cluster("gpu-1"), *strict("junit_logging=all"), *workers)
    output = child(root, "test_driver.test_it[gpu-1]", "system-out")
    said = (output.text or "").splitlines()
    assert said[:5] == [
        "gpu_node: gpu-1",
        "gpu_layer: driver",
        f"gpu_cause: {CAUSE}",
        "gpu_verdict: failed",
        f"file: test_driver.py:{line_of(pytester, 'test_driver.py')}",
    ]
    assert "printed by the test" in said
    assert len(case(root, "test_driver.test_it[gpu-1]").findall("system-out")) == 1
    latent = child(root, "test_hardware.test_it[gpu-1]", "system-out").text or ""
    assert {"mine: 1", f"gpu_latent: {CAUSE}"} <= set(latent.splitlines())


def line_of(pytester: pytest.Pytester, module: str) -> int:
    """Return the line where a module's test is defined."""
    lines = (pytester.path / module).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.startswith("def test_it"))


def test_file_and_line_of_the_test(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """GitLab and the actions of GitHub read them; a shipped test is named as in its ID."""
    make_suite(driver=SUITE["driver"])
    root = run(pytester, make_cluster("gpu-1"))
    found = case(root, "test_driver.test_it[gpu-1]")
    line = str(line_of(pytester, "test_driver.py"))
    assert (found.get("file"), found.get("line")) == ("test_driver.py", line)
    run_here(pytester, "--gpu-cluster=sample:healthy-rke2", "--junit-xml=junit.xml", *QUIET)
    files = {each.get("file", "") for each in read(pytester).iter("testcase")}
    assert "conformance/test_driver.py" in files
    assert all(file.startswith("conformance/") for file in files)


def test_file_and_line_are_the_same_in_every_family(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite, workers: list[str]
) -> None:
    """Xunit1 has both already, but with the path of this machine and one line too early."""
    run_here(
        pytester,
        "--gpu-cluster=sample:healthy-rke2",
        "--junit-xml=junit.xml",
        "-ojunit_family=xunit1",
        *QUIET,
        *workers,
    )
    cases = list(read(pytester).iter("testcase"))
    assert len(cases) > 30
    for each in cases:
        assert each.get("file", "").startswith("conformance/")
    make_suite(driver=SUITE["driver"])
    quiet = ("-W", "ignore::pytest.PytestExperimentalApiWarning")
    with (pytester.path / "test_driver.py").open("a") as file:
        file.write(
            "\ndef test_named(gpu_node, record_xml_attribute):\n"
            "    record_xml_attribute('file', 'mine.py')\n"
        )
    root = run(pytester, make_cluster("gpu-5"), "-ojunit_family=xunit1", *quiet, *workers)
    found = case(root, "test_driver.test_it[gpu-5]")
    line = str(line_of(pytester, "test_driver.py"))
    assert (found.get("file"), found.get("line")) == ("test_driver.py", line)
    if not workers:
        assert case(root, "test_driver.test_named[gpu-5]").get("file") == "mine.py"


def test_facts_of_the_run(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite, workers: list[str]
) -> None:
    """The suite says what was tested, with what, when, and what came out for each node."""
    make_suite(**SUITE)
    cluster = make_cluster("gpu-1", "gpu-2")
    found = suite_properties(run(pytester, cluster, *workers))
    assert found.pop("gpu_suite").startswith("pytest-gpu ")
    assert found == {
        "gpu_cluster": f"path:{cluster}",
        "gpu_taken": "2026-11-21T10:00:00+00:00",
        "gpu_nodes": "2",
        "gpu_node_names": "gpu-[1-2]",
        "gpu_layers": "up to runtimeclass-pod",
        "gpu_node:gpu-1": f"fails at driver: {CAUSE}",
        "gpu_node:gpu-2": f"fails at runtime: {CAUSE}",
    }


def test_failure_is_the_finding(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """The message is short; the body has evidence and fix, and no source of Python."""
    make_suite(**SUITE)
    root = run(pytester, make_cluster("gpu-1"))
    failure = child(root, "test_driver.test_it[gpu-1]", "failure")
    message, body = failure.get("message", ""), failure.text or ""
    title, where = message.split("\n")
    assert where == f"{CAUSE} on gpu-1 (layer driver)"
    assert body.startswith(f"{title}\ncause: {CAUSE} (layer driver)\nnode: gpu-1\nevidence:\n")
    assert "\n  /etc/x.toml:3: it is broken\n" in body
    assert "\nfix:\n" in body
    assert body.endswith(f"\ntest: test_driver.py:{line_of(pytester, 'test_driver.py')}")
    assert failure.get("type") == CAUSE
    for source in ("def test_it", "fail(finding", "GpuFailure", "E   "):
        assert source not in message + body


EFFECT = """
def test_it(gpu_node):
    fail(Finding.of('device-plugin/not-deployed', Evidence(source={file}, line=3, text='odd')))
"""


@pytest.mark.parametrize("file", ["/etc/x.toml", "/etc/other.toml"])
def test_a_failure_names_the_latent_finding_that_causes_it(
    pytester: pytest.Pytester,
    make_cluster: MakeCluster,
    make_suite: MakeSuite,
    workers: list[str],
    file: str,
) -> None:
    """As the verdict does; a finding about another file has nothing to do with it."""
    make_suite(hardware=SUITE["hardware"], device_plugin=EFFECT.format(file=repr(file)))
    root = run(pytester, make_cluster("gpu-1"), "--gpu-report=report.json", *workers)
    (node,) = json.loads((pytester.path / "report.json").read_text())["nodes"]
    same = file == "/etc/x.toml"
    assert node["cause"] == (CAUSE if same else "device-plugin/not-deployed")
    body = child(root, "test_device_plugin.test_it[gpu-1]", "failure").text or ""
    link = f"caused by {CAUSE}: The handler nvidia starts /opt/gone, which is not installed"
    assert (link in body.splitlines()) is same
    assert ("caused by" in body) is same


def test_failure_in_a_fixture_is_a_failure(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """As in the verdict, not an error as pytest calls it."""
    make_suite(
        driver="@pytest.fixture\ndef ready(gpu_node): fail(finding(gpu_node))\n\n"
        "def test_it(gpu_node, ready): pass\n"
    )
    root = run(pytester, make_cluster("gpu-1"), *strict())
    failure = child(root, "test_driver.test_it[gpu-1]", "failure")
    assert failure.get("message", "").endswith(f"\n{CAUSE} on gpu-1 (layer driver)")
    [suite] = root.iter("testsuite")
    assert (suite.get("failures"), suite.get("errors"), suite.get("tests")) == ("1", "0", "1")


def test_each_failed_subtest_has_its_own_text(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """A finding is told only where it was found, not in pytest's count of failed subtests."""
    make_suite(
        driver="def test_it(gpu_node, subtests):\n"
        "    with subtests.test(): fail(finding(gpu_node))\n"
        "    with subtests.test(): fail(finding(gpu_node, 'driver/module-not-loaded'))\n"
    )
    root = run(pytester, make_cluster("gpu-1"), *strict())
    failures = case(root, "test_driver.test_it[gpu-1]").findall("failure")
    one, other, both = ((each.text or "") + each.get("message", "") for each in failures)
    assert f"cause: {CAUSE} " in one
    assert "driver/module-not-loaded" in other
    assert CAUSE not in other
    assert "contains 2 failed subtests" in both
    assert errors(pytester.path / "junit.xml") == []


def test_failure_without_a_cause_keeps_its_traceback(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """A bare assertion of a user's test: the traceback is all that is known."""
    make_suite(**SUITE)
    root = run(pytester, make_cluster("gpu-3", "gpu-4"))
    failure = child(root, "test_driver.test_it[gpu-4]", "failure")
    assert failure.get("message", "").startswith("AssertionError: assert 'gpu-4' == 'other'")
    assert "assert gpu_node.name == 'other'" in (failure.text or "")
    error = child(root, "test_driver.test_it[gpu-3]", "failure")
    assert "the door is shut" in error.get("message", "")


@pytest.mark.parametrize("value", ["skipped", "failure"])
def test_unproven_counts_as_asked(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite, value: str
) -> None:
    """A pipeline that looks only at JUnit can be told that unproven is not good."""
    make_suite(driver=SUITE["driver"])
    options = strict(f"gpu_junit_unproven={value}")
    root = run(pytester, make_cluster("gpu-2", "gpu-5"), *options)
    element = child(root, "test_driver.test_it[gpu-2]", value)
    assert element.get("message") == "unproven: nobody looked"
    [suite] = root.iter("testsuite")
    counts = {name: suite.get(name) for name in ("tests", "failures", "skipped", "errors")}
    one = {"failure": ("1", "0"), "skipped": ("0", "1")}[value]
    assert counts == {"tests": "2", "failures": one[0], "skipped": one[1], "errors": "0"}
    assert errors(pytester.path / "junit.xml") == []


def test_a_skip_begins_with_its_reason(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite, workers: list[str]
) -> None:
    """Not with a path of this machine; a user's own skip is as pytest writes it."""
    make_suite(
        driver=SUITE["driver"],
        runtime="def test_it(gpu_node): pass\n\ndef test_own(gpu_node): pytest.skip('mine')\n",
    )
    root = run(pytester, make_cluster("gpu-1", "gpu-2"), *workers)
    unproven = child(root, "test_driver.test_it[gpu-2]", "skipped").text
    line = line_of(pytester, "test_driver.py")
    assert unproven == f"unproven: nobody looked\ntest: test_driver.py:{line}"
    blocked = child(root, "test_runtime.test_it[gpu-1]", "skipped").text or ""
    line = line_of(pytester, "test_runtime.py")
    assert blocked.startswith("blocked: ")
    assert blocked.endswith(f"\ntest: test_runtime.py:{line}")
    assert (child(root, "test_runtime.test_own[gpu-2]", "skipped").text or "").endswith(": mine")


def test_unproven_is_skipped_unless_asked(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """As in pytest itself."""
    make_suite(driver=SUITE["driver"])
    root = run(pytester, make_cluster("gpu-2"))
    assert child(root, "test_driver.test_it[gpu-2]", "skipped") is not None


def hostile_suite(make_suite: MakeSuite) -> None:
    """Write a suite whose evidence, reasons and output are hostile."""
    text = ascii(HOSTILE)
    make_suite(
        hardware="def test_it(gpu_node):\n"
        f"    latent(Finding.of('{CAUSE}', Evidence(source={text}, text={text}), handler='x',"
        f" binary={text}, patch=()))\n",
        driver="def test_it(gpu_node):\n"
        f"    if gpu_node.name == 'gpu-2': unproven({text})\n"
        f"    if gpu_node.name == 'gpu-3': raise GpuError({text})\n"
        f"    fail(Finding.of('{CAUSE}', Evidence(source={text}, text={text}), handler='x',"
        f" binary={text}, patch=()))\n",
    )


def test_hostile_text_leaves_the_file_well_formed(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite, workers: list[str]
) -> None:
    """Nodes may be hostile: their text ends no element and cannot control a terminal."""
    hostile_suite(make_suite)
    root = run(pytester, make_cluster("gpu-1", "gpu-2", "gpu-3"), *strict(), *workers)
    failure = child(root, "test_driver.test_it[gpu-1]", "failure")
    assert "]]>f&lt;<g>" in (failure.text or "")
    skipped = child(root, "test_driver.test_it[gpu-2]", "skipped")
    for text in (failure.text, failure.get("message"), skipped.get("message")):
        assert text
        assert not set("\x00\x1b\ufffe") & set(text)
    assert errors(pytester.path / "junit.xml") == []


def test_strict_file_of_a_crash_is_valid(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """The test that crashed its worker has its facts, too."""
    make_suite(driver="def test_it(gpu_node):\n    if gpu_node.name == 'gpu-1': os._exit(3)\n")
    root = run(pytester, make_cluster("gpu-1", "gpu-2"), *strict(), "-n2")
    assert errors(pytester.path / "junit.xml") == []
    assert child(root, "test_driver.test_it[gpu-1]", "error") is not None
    output = child(root, "test_driver.test_it[gpu-1]", "system-out").text or ""
    assert "gpu_verdict: error" in output.splitlines()


def test_interrupted_test_is_no_pass(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """Without a result a reader would count it as passed, and without a name nothing is valid."""
    make_suite(
        driver="def test_it(gpu_node):\n    if gpu_node.name == 'gpu-2': raise KeyboardInterrupt\n"
    )
    options = [f"--gpu-cluster=path:{make_cluster('gpu-1', 'gpu-2')}", ".", *strict(), *QUIET]
    result = run_apart(pytester, *options, "--junit-xml=junit.xml")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    error = child(read(pytester), "test_driver.test_it[gpu-2]", "error")
    assert error.get("message") == "interrupted: the test did not end"
    [suite] = read(pytester).iter("testsuite")
    assert (suite.get("tests"), suite.get("errors")) == ("2", "1")
    assert errors(pytester.path / "junit.xml") == []


def test_tests_off_the_ladder_are_as_pytest_writes_them(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """A user's other tests keep their traceback; in a strict file their properties move, too."""
    make_suite(driver="def test_it(gpu_node): pass\n")
    (pytester.path / "test_mine.py").write_text(
        "def test_x(request):\n"
        "    request.node.user_properties.append(('mine', 'a fact'))\n    assert 1 == 2\n"
    )
    root = run(pytester, make_cluster("gpu-1"))
    assert "assert 1 == 2" in (child(root, "test_mine.test_x", "failure").text or "")
    assert case(root, "test_mine.test_x").find("properties") is not None
    root = run(pytester, make_cluster("gpu-1", folder="again"), *strict())
    assert "mine: a fact" in (child(root, "test_mine.test_x", "system-out").text or "")
    assert errors(pytester.path / "junit.xml") == []


def test_without_its_option_nothing_is_loaded(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """A run without a JUnit file pays nothing for it."""
    make_suite(
        driver="import sys\n\n"
        "def test_it(gpu_node, request):\n"
        "    assert 'pytest_gpu.run.ci.junit' not in sys.modules\n"
        "    assert not request.config.pluginmanager.has_plugin('gpu-junit')\n"
    )
    options = [f"--gpu-cluster=path:{make_cluster('gpu-1')}", ".", *strict(), *QUIET]
    run_apart(pytester, *options).assert_outcomes(passed=1)


def states(root: ElementTree.Element) -> Iterator[str]:
    """Yield the kind of each test case's result."""
    for each in root.iter("testcase"):
        yield next((kid.tag for kid in each if kid.tag in ("failure", "error", "skipped")), "ok")


def test_sample_is_valid(pytester: pytest.Pytester) -> None:
    """The shipped suite on twelve nodes; no result is another one."""
    options = ["--gpu-cluster=sample:mixed-fleet", "--junit-xml=junit.xml", *QUIET]
    run_here(pytester, *options)
    usual = [*states(read(pytester))]
    run_here(pytester, *options, *strict())
    assert errors(pytester.path / "junit.xml") == []
    assert sorted(states(read(pytester))) == sorted(usual)
    assert {"failure", "ok", "skipped"} <= set(usual)
