"""Allure: findings, evidence as attachments, and the run's files. Only this module imports it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import allure
import pytest
from allure_commons import utils
from allure_commons.logger import AllureFileLogger
from allure_commons.model2 import Label, Parameter, Status, StatusDetails, TestResult
from allure_commons.types import LabelType, LinkType

from pytest_gpu.report.failure_text import body_of, defect_of, has_cause
from pytest_gpu.run.ci.run_facts import run_facts
from pytest_gpu.run.outcome import Gpu, gpu_of
from pytest_gpu.run.session import GpuSession
from pytest_gpu.settings.ci_settings import CiSettings
from pytest_gpu.text.visible import visible

_utils: Any = utils  # not annotated

_SKIPPED = {
    "blocked": "Blocked by a lower layer",
    "unproven": "Unproven",
    "not asked": "Not asked",
}
"""The category of a skipped test, by how its reason begins."""

_OTHER = "Other failures"
_ERRORS = {"name": "Errors of the test run", "matchedStatuses": ["broken"]}


class Findings:
    """Tells Allure what was found in each test, in the process that runs it."""

    def __init__(self, listener: Any, settings: CiSettings) -> None:
        self.listener = listener
        self.settings = settings
        self._test = ""
        self._told: list[Mapping[str, Any]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add findings, evidence and fix while the test is still open in Allure."""
        gpu = gpu_of(report)
        if gpu is None or hasattr(report, "node"):
            return
        result = self.listener.allure_logger.get_test(None)
        # An error of the teardown does not replace an earlier result in Allure.
        if result is not None and not (report.failed and result.status == Status.SKIPPED):
            result.statusDetails = _shown(details_of(gpu, report) or result.statusDetails)
            if gpu["state"] == "error":
                result.status = Status.BROKEN
        if self._test != report.nodeid:
            self._test, self._told = report.nodeid, []
        failed = [gpu["finding"], *(found["finding"] for found in gpu.get("below", ()))]
        self._tell("gpu_cause", failed)
        self._tell_what_blocks(gpu.get("blocked_cause"))
        self._tell("gpu_latent", gpu["latent"])

    def _tell(self, label: str, findings: Iterable[Mapping[str, Any] | None]) -> None:
        """Tell findings once, although several reports of one test have them."""
        for finding in findings:
            if finding is not None and finding not in self._told:
                self._told.append(finding)
                self._name(finding["cause"], label)
                _attach(finding)

    def _tell_what_blocks(self, cause: str | None) -> None:
        """Name a cause that no test of this run shows; only one result has its evidence."""
        if cause and all(cause != finding["cause"] for finding in self._told):
            self._told.append({"cause": cause})
            self._name(cause, "gpu_cause")

    def _name(self, cause: str, label: str) -> None:
        """Add the cause as label, as tag, which Allure's pages show, and as link."""
        self.listener.add_label(label, [cause])
        self.listener.add_label(LabelType.TAG, [cause])
        url = self.settings.link_of(cause)
        # Without a pattern of ours Allure's own decides: --allure-link-pattern=tms:https://...{}
        kind = LinkType.TEST_CASE if url is None else LinkType.LINK
        self.listener.add_link(url or cause, kind, cause)


def details_of(gpu: Gpu, report: pytest.TestReport) -> StatusDetails | None:
    """Return message and text of a test that is not passed; Allure groups by the message."""
    if has_cause(gpu):
        return StatusDetails(message=defect_of(gpu), trace=body_of(gpu))
    word = gpu["state"].replace("-", " ")
    if word in _SKIPPED:
        return StatusDetails(message=f"{word}: {gpu['reason']}")
    if report.failed:
        finding = gpu["finding"]
        cause = "" if finding is None else f"{finding['cause']}: "
        reason = gpu["reason"] if finding is None else finding["evidence"][0]["text"]
        return StatusDetails(message=f"{cause}{reason}", trace=report.longreprtext)
    return None


def _shown(details: StatusDetails | None) -> StatusDetails | None:
    if details is None:
        return None
    message, trace = (text and visible(text) for text in (details.message, details.trace))
    return StatusDetails(message=message, trace=trace)


def _attach(finding: Mapping[str, Any]) -> None:
    for part in ("evidence", "fix", "check"):
        lines = [_show(line) for line in finding[part]]
        if lines:
            name = visible(f"{finding['cause']}: {part}")
            allure.attach(visible("\n".join(lines)), name, allure.attachment_type.TEXT)


def _show(line: str | Mapping[str, Any]) -> str:
    if isinstance(line, str):
        return line
    where = line["source"] if line["line"] is None else f"{line['source']}:{line['line']}"
    return f"{where}: {line['text']}"


class RunFiles:
    """Writes Allure's files about the whole run, in the controller."""

    def __init__(self, session: GpuSession, folder: Path) -> None:
        self.session = session
        self.folder = folder
        self.causes: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember the causes that were found."""
        gpu = gpu_of(report) or {}
        causes = ((gpu.get("finding") or {}).get("cause"), gpu.get("blocked_cause"))
        self.causes.update(cause for cause in causes if cause)

    @pytest.hookimpl(optionalhook=True, trylast=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        """Write the result of a test whose xdist worker crashed before it could."""
        gpu = gpu_of(report)
        if gpu is not None:
            logger: Any = AllureFileLogger  # not annotated
            logger(str(self.folder)).report_result(_broken(crashitem, gpu))

    def pytest_sessionfinish(self) -> None:
        """Write the files last: ``--clean-alluredir`` empties the folder at the start."""
        folder = self.folder
        folder.mkdir(parents=True, exist_ok=True)
        facts = run_facts(self.session)
        properties = [f"{name}={_escaped(visible(value))}\n" for name, value in facts.items()]
        _write(folder / "environment.properties", "".join(properties))
        write_categories(folder / "categories.json", self.causes)


def write_categories(path: Path, causes: Iterable[str]) -> None:
    """Write the categories of a run; keep a user's own file, and causes of earlier runs."""
    earlier: frozenset[str] | None = frozenset()
    if path.exists():
        earlier = _causes_in(path.read_text(encoding="utf-8"))
    if earlier is not None:
        found = categories({*causes, *earlier})
        _write(path, json.dumps(found, indent=2) + "\n")


def _write(path: Path, text: str) -> None:
    """Write a file of ASCII text, with the mode of Allure's own; a link is replaced."""
    path.unlink(missing_ok=True)
    with path.open("x", encoding="ascii") as file:
        file.write(text)


def categories(causes: Iterable[str]) -> list[dict[str, Any]]:
    """Return one category for each cause, then those for all other tests.

    No test is in two of them: Allure 2 shows a test in each category that matches.
    """
    starts = {cause: _BLOCKED + f"{re.escape(cause)}: " for cause in sorted(causes)}
    known = [_category(cause, ("failed", "skipped"), start) for cause, start in starts.items()]
    no_cause = "".join(f"(?!{start})" for start in starts.values())
    other = _category(_OTHER, ("failed",), no_cause)
    skipped = [
        _category(name, ("skipped",), f"{no_cause}{word}: ") for word, name in _SKIPPED.items()
    ]
    return [*known, other, *skipped, _ERRORS]


_BLOCKED = r"(?:blocked: [^\n]*: )?"
"""What stands before the cause in the reason of a test that it blocks."""


def _category(name: str, statuses: Iterable[str], start: str) -> dict[str, Any]:
    # Allure 2 compares the whole message, and has Java's expressions; Allure 3 has JavaScript's.
    regex = rf"^{start}[\s\S]*"
    return {"name": name, "matchedStatuses": [*statuses], "messageRegex": regex}


def _causes_in(text: str) -> frozenset[str] | None:
    """Return the causes in a file that an earlier run wrote, ``None`` if it is a user's."""
    try:
        found = json.loads(text)
        names = [each["name"] for each in found]
    except (ValueError, TypeError, KeyError):
        return None
    ours = frozenset(names) - {_OTHER, _ERRORS["name"], *_SKIPPED.values()}
    return ours if found and found == categories(ours) else None


def _broken(nodeid: str, gpu: Gpu) -> TestResult:
    moment = int(time.time() * 1000)
    suites = {LabelType.PARENT_SUITE: gpu["node"], LabelType.SUITE: gpu["layer"]}
    full_name = _full_name(nodeid)
    return TestResult(
        uuid=str(uuid4()),
        historyId=_utils.md5(full_name, gpu["node"]),
        testCaseId=_utils.md5(full_name),
        name=nodeid.rpartition("::")[2],
        fullName=full_name,
        description=gpu["requirement"],
        status=Status.BROKEN,
        statusDetails=_shown(StatusDetails(message=gpu["reason"])),
        labels=[Label(name=name, value=value) for name, value in suites.items()],
        parameters=[Parameter(name="gpu_node", value=_utils.represent(gpu["node"]))],
        start=moment,
        stop=moment,
    )


def _full_name(nodeid: str) -> str:
    """Return a test's name as Allure's plugin makes it, so that its history goes on."""
    file, *names = nodeid.partition("[")[0].split("::")
    package = file.removesuffix(".py").replace("/", ".")
    return f"{'.'.join((package, *names[:-1]))}#{names[-1]}"


def _escaped(value: str) -> str:
    """Return a value escaped for Java's Properties.load."""
    backslashes = value.replace("\\", "\\\\")
    return backslashes.encode("ascii", "backslashreplace").decode("ascii").replace("\n", "\\n")
