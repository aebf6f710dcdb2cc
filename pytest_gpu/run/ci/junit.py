"""JUnit: completes the file that pytest writes with ``--junit-xml``, in the controller.

Pytest's own plugin stays the writer. Its objects are reached through the plugin manager; what is
used of them is the same in all versions of pytest that we support.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from typing import Any
from xml.etree.ElementTree import Element, SubElement

import pytest

from pytest_gpu.report.failure_text import body_of, has_cause, message_of
from pytest_gpu.run.ci.run_facts import run_facts
from pytest_gpu.run.outcome import Gpu, gpu_of
from pytest_gpu.run.session import GpuSession
from pytest_gpu.text.visible import visible

_ATTRIBUTES = frozenset({"name", "classname", "time", "group"})
"""The attributes of a test case that the schema of the xUnit plugin for Jenkins knows."""


_OUR_SKIPS = frozenset({"blocked", "unproven", "not-asked"})


class Junit:
    """Writes findings instead of tracebacks, and facts of the run; keeps to a schema if asked."""

    def __init__(self, config: pytest.Config, session: GpuSession) -> None:
        plugin: Any = config.pluginmanager.get_plugin("junitxml")
        self.session = session
        self.settings = session.settings.ci
        self.log = config.stash[plugin.xml_key]
        self.escape = plugin.bin_xml_escape
        self._last: dict[Any, pytest.TestReport] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, None, None]:
        """Complete what pytest's plugin adds to the file for this report."""
        case = self.log.node_reporter(report)
        elements, cases = len(case.nodes), len(self.log.node_reporters_ordered)
        yield
        for each in (case, *self.log.node_reporters_ordered[cases:]):
            self._last[each] = report
        if (gpu := gpu_of(report)) is not None:
            # A case that ends with this report has been closed and emptied.
            for element in vars(case).get("nodes", ())[elements:]:
                self._complete(element, gpu, report)

    def _complete(self, element: Element, gpu: Gpu, report: pytest.TestReport) -> None:
        if element.tag in ("failure", "error") and _shows_cause(report, gpu):
            self._make_failure(element, gpu["finding"]["cause"])
            element.set("message", self.escape(visible(message_of(gpu))))
            element.text = self.escape(visible(body_of(gpu, place_of(report))))
        if element.tag == "skipped" and gpu["state"] in _OUR_SKIPS:
            # Pytest's text begins with a path of this machine.
            element.text = f"{element.get('message')}\ntest: {place_of(report)}"
        unproven = element.tag == "skipped" and gpu["state"] == "unproven"
        if unproven and self.settings.junit_unproven == "failure":
            self._make_failure(element, "unproven")

    def _make_failure(self, element: Element, kind: str) -> None:
        """Make a skip, or an error of a fixture, the failure that it is in the verdict."""
        self.log.stats[element.tag] -= 1
        element.tag = "failure"
        self.log.add_stats("failure")
        element.set("type", kind)

    @pytest.hookimpl(tryfirst=True)
    def pytest_gpu_verdict(self, document: Mapping[str, Any]) -> None:
        """Add the verdict on each node to the properties of the suite."""
        for node in document["nodes"]:
            self._property(f"gpu_node:{node['name']}", _verdict(node))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Add the facts of the run; complete every test case before pytest writes the file."""
        for name, value in run_facts(self.session).items():
            self._property(f"gpu_{name}", value)
        for case in self.log.node_reporters_ordered:
            self._close(case)

    def _property(self, name: str, value: str) -> None:
        self.log.add_global_property(self.escape(visible(name)), visible(value))

    def _close(self, case: Any) -> None:
        report = self._last.get(case)
        if "nodes" in vars(case):
            if report is not None and not case.attrs:
                _interrupted(case, report)
            case.finalize()
        place = None if report is None else place_of(report)
        element = case.to_xml()
        if self.settings.junit_strict:
            keep_to_schema(element, place)
        elif report is not None and place is not None:
            _drop_pytests_place(element, report)
            _locate(element, place)


def _shows_cause(report: pytest.TestReport, gpu: Gpu) -> bool:
    """Return whether this report is about the finding, not only about the same test."""
    return has_cause(gpu) and f"GpuFailure: {gpu['finding']['cause']}" in report.longreprtext


def place_of(report: pytest.TestReport) -> str:
    """Return file and line of a test, the file as in its ID."""
    path, line = report.nodeid.partition("::")[0], report.location[1]
    return path if line is None else f"{path}:{line + 1}"


def keep_to_schema(case: Element, place: str | None) -> None:
    """Move what the schema does not allow in a test case to its standard output."""
    lines = [*_taken_out(case)]
    if place is not None:
        lines.append(f"file: {place}")
    if lines:
        output = case.find("system-out")
        if output is None:
            output = SubElement(case, "system-out")
        output.text = "\n".join([*lines, output.text or ""])


def _taken_out(case: Element) -> Iterator[str]:
    """Remove properties and attributes; yield them as lines."""
    for properties in case.findall("properties"):
        case.remove(properties)
        yield from (f"{each.get('name')}: {each.get('value')}" for each in properties)
    for name in sorted(set(case.attrib) - _ATTRIBUTES):
        value = case.attrib.pop(name)
        if name not in ("file", "line"):
            yield f"{name}: {value}"


def _drop_pytests_place(case: Element, report: pytest.TestReport) -> None:
    """Remove what pytest writes for xunit1: the file as this machine has it, the line from 0.

    What a test set itself stays.
    """
    path, line, _ = report.location
    for name, value in {"file": path, "line": str(line)}.items():
        if case.get(name) == value:
            del case.attrib[name]


def _locate(case: Element, place: str) -> None:
    """Name file and line as attributes, which GitLab and actions of GitHub read."""
    path, _, line = place.rpartition(":")
    if path and line.isdecimal():
        case.attrib.setdefault("file", path)
        case.attrib.setdefault("line", line)
    else:
        case.attrib.setdefault("file", place)


def _interrupted(case: Any, report: pytest.TestReport) -> None:
    """Make a test that was begun and never ended an error: without a result it reads as passed."""
    case.record_testreport(report)
    case.append(Element("error", message="interrupted: the test did not end"))


def _verdict(node: Mapping[str, Any]) -> str:
    if node["cause"] is None:
        return str(node["verdict"])
    return f"{node['verdict']} at {node['layer']}: {node['cause']}"
