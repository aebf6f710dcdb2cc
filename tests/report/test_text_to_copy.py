"""What a fix tells to copy can be copied from JUnit, Allure and a traceback as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from pytest_gpu.text.plain_text import evidence_lines, fix_lines
from tests.support.runs import QUIET, run_here

VALUES = "k8s-snap-two-containerds"
SAMPLES = (
    VALUES,
    "k8s-snap-imports-other-base-dir",  # a values file and a patch
    "rke2-crictl-cgroup-parent",  # a diff
    "runtimeclass-missing",  # a here-document
)


def texts(pytester: pytest.Pytester, sample: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the finding of a sample's failed test, and the texts that users copy from."""
    result = run_here(
        pytester,
        f"--gpu-cluster=sample:{sample}",
        "--gpu-report=gpu.json",
        "--junit-xml=junit.xml",
        "--alluredir=allure",
        "--tb=short",
        *QUIET,
    )
    found = {
        "JUnit": _junit(pytester.path / "junit.xml"),
        "Allure": _allure(pytester.path / "allure"),
        "traceback": _traceback(result.outlines),
    }
    [cause] = json.loads((pytester.path / "gpu.json").read_text())["causes"]
    return cause, found


def _junit(path: Path) -> str:
    root = ElementTree.parse(path).getroot()  # noqa: S314 - pytest wrote it
    return "\n".join(failure.text or "" for failure in root.iter("failure"))


def _allure(folder: Path) -> str:
    results = (json.loads(file.read_text()) for file in folder.glob("*-result.json"))
    details = (each["statusDetails"] for each in results if each["status"] == "failed")
    return "\n".join(f"{each['message']}\n{each['trace']}" for each in details)


def _traceback(lines: list[str]) -> str:
    """Return pytest's traceback without the mark and the indent that all lines of one have."""
    marked = (match[1] for line in lines if (match := re.fullmatch(r"E {3}(.*)", line)))
    return "\n".join(marked)


def to_copy(cause: dict[str, Any]) -> Iterator[str]:
    """Yield the steps of a fix that have several lines; a command's mark is not to be copied."""
    yield from (step.removeprefix("$ ") for step in cause["fix"] if "\n" in step)


@pytest.mark.parametrize("sample", SAMPLES)
def test_text_of_several_lines_is_whole(pytester: pytest.Pytester, sample: str) -> None:
    """Line by line, from the first column on: a patch applies, a here-document ends."""
    cause, found = texts(pytester, sample)
    steps = list(to_copy(cause))
    assert steps
    for where, text in found.items():
        for step in steps:
            assert f"\n{step}\n" in f"{text}\n", where


def test_values_can_be_read_back(pytester: pytest.Pytester) -> None:
    """Helm would silently ignore a values file whose keys moved to the left."""
    cause, found = texts(pytester, VALUES)
    [values] = to_copy(cause)
    wanted = yaml.safe_load(values)
    assert wanted["toolkit"]["env"]
    for where, text in found.items():
        [copied] = re.findall(r"^toolkit:\n(?:[ -].*\n)+", text, re.MULTILINE)[:1]
        assert yaml.safe_load(copied) == wanted, where


def test_steps_of_one_line_are_indented() -> None:
    """Only a text of several lines stands apart."""
    steps = ["Write v.yaml:", "a:\n  b: 1\n", "$ helm upgrade", "$ cat <<'EOF'\n x\nEOF"]
    assert list(fix_lines(steps)) == [
        "  Write v.yaml:",
        *("", "a:", "  b: 1", ""),
        "  $ helm upgrade",
        *("", "cat <<'EOF'", " x", "EOF", ""),
    ]


def test_evidence_of_several_lines_keeps_its_shape() -> None:
    """It stands below its source."""
    assert list(evidence_lines("/etc/x", 3, "one")) == ["  /etc/x:3: one"]
    several = evidence_lines("/etc/x", None, "a:\n  b: 1")
    assert list(several) == ["  /etc/x:", "    a:", "      b: 1"]
