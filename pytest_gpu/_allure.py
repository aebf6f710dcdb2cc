"""Allure: evidence as attachments, and the run's own files. Only this module imports it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

import allure
import pytest
from allure_commons.logger import AllureFileLogger
from allure_commons.model2 import Label, Status, StatusDetails, TestResult
from allure_commons.types import LabelType

from pytest_gpu.run.outcome import Gpu, gpu_of
from pytest_gpu.run.session import GpuSession

CATEGORIES = (
    {"name": "GPU stack", "matchedStatuses": ["failed"]},
    {
        "name": "Blocked by a lower layer",
        "matchedStatuses": ["skipped"],
        "messageRegex": r"(?s).*blocked: .*",
    },
    {
        "name": "Unproven",
        "matchedStatuses": ["skipped"],
        "messageRegex": r"(?s).*unproven: .*",
    },
    {
        "name": "Not asked",
        "matchedStatuses": ["skipped"],
        "messageRegex": r"(?s).*not asked: .*",
    },
    {"name": "Errors of the test run", "matchedStatuses": ["broken"]},
)


class Attachments:
    """Attaches evidence and fix to each test, in the process that runs it."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Attach evidence and fix while the test is still open in Allure."""
        gpu = gpu_of(report)
        if gpu is not None and not hasattr(report, "node"):
            below = (found["finding"] for found in gpu.get("below", ()))
            for finding in [gpu["finding"], *below, *gpu["latent"]]:
                if finding is not None:
                    _attach(finding)


def _attach(finding: Mapping[str, Any]) -> None:
    for part in ("evidence", "fix", "check"):
        lines = [_show(line) for line in finding[part]]
        if lines:
            name = f"{finding['cause']}: {part}"
            allure.attach("\n".join(lines), name, allure.attachment_type.TEXT)


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
        properties = [f"{name}={_escaped(value)}\n" for name, value in self._facts().items()]
        (folder / "environment.properties").write_text("".join(properties), encoding="ascii")
        categories = folder / "categories.json"
        if not categories.exists():
            # Keep a user's own file.
            categories.write_text(json.dumps(CATEGORIES, indent=2) + "\n", encoding="utf-8")

    def _facts(self) -> dict[str, str]:
        return {
            "cluster": self.session.settings.cluster,
            "taken": self.session.cluster.taken.isoformat(),
            "nodes": str(len(self.session.names)),
            "layers": f"up to {self.session.settings.up_to}",
            "suite": f"pytest-gpu {version('pytest-gpu')}",
        }


def _broken(nodeid: str, gpu: Gpu) -> TestResult:
    moment = int(time.time() * 1000)
    suites = {LabelType.PARENT_SUITE: gpu["node"], LabelType.SUITE: gpu["layer"]}
    return TestResult(
        uuid=str(uuid4()),
        name=nodeid.rpartition("::")[2],
        fullName=nodeid,
        description=gpu["requirement"],
        status=Status.BROKEN,
        statusDetails=StatusDetails(message=gpu["reason"]),
        labels=[Label(name=name, value=value) for name, value in suites.items()],
        start=moment,
        stop=moment,
    )


def _escaped(value: str) -> str:
    """Return a value escaped for Java's Properties.load."""
    backslashes = value.replace("\\", "\\\\")
    return backslashes.encode("ascii", "backslashreplace").decode("ascii").replace("\n", "\\n")
