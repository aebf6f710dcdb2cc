"""Runs of pytest beside other plugins, and what they come to: see ``plugins_check.py``."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

SECONDS = 300
OWN_TESTS = Path(__file__).with_name("own_tests.py")
LAYERS = (
    "access",
    "hardware",
    "driver",
    "runtime",
    "sandbox",
    "device-plugin",
    "runtimeclass-pod",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """A plugin: its name after ``pytest-``, what ``-p no:`` takes, and its typical options."""

    name: str
    parts: tuple[str, ...]
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What is judged, and what that must come to without any of the plugins."""

    name: str
    options: tuple[str, ...]
    exit: int
    verdicts: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of pytest: which plugins, on what, with or without ``-n2``."""

    plugins: tuple[Plugin, ...]
    sample: Sample
    parallel: bool

    def __str__(self) -> str:
        return f"{self.sample.name}, {names_of(self.plugins)}{', -n2' if self.parallel else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to, as far as it must not depend on the plugins."""

    exit: int
    nodes: Mapping[str, Any]
    header: tuple[str, ...]
    closing: tuple[str, ...]
    climbs: bool
    loaded: frozenset[str]


PLUGINS = (
    Plugin(
        name="asyncio",
        parts=("asyncio",),
        options=("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=session"),
    ),
    Plugin(name="cov", parts=("pytest_cov",), options=("--cov=pytest_gpu.run",)),
    Plugin(
        name="html",
        parts=("html", "html_fixtures", "metadata"),
        options=("--html=report.html",),
    ),
    Plugin(name="randomly", parts=("randomly",), options=("--randomly-seed=9",)),
    Plugin(name="repeat", parts=("repeat",), options=("--count=2",)),
    Plugin(name="rerunfailures", parts=("rerunfailures",), options=("--reruns=1",)),
    Plugin(name="sugar", parts=("sugar",), options=("--force-sugar",)),
    Plugin(name="timeout", parts=("timeout",), options=("--timeout=120",)),
)
# pytest-sugar 1.1.1 fails with an internal error when a test is run again (its issue 190).
TOGETHER = tuple(
    tuple(plugin for plugin in PLUGINS if plugin.name != other)
    for other in ("rerunfailures", "sugar")
)

HEALTHY = Sample(
    name="healthy",
    options=("--gpu-cluster=sample:healthy-kubeadm",),
    exit=0,
    verdicts={"gpu-1": "conforms"},
)
BROKEN = Sample(
    name="broken",
    options=("--gpu-cluster=sample:nouveau",),
    exit=1,
    verdicts={"gpu-1": "fails"},
)
UNPROVEN = Sample(
    name="unproven",
    options=("--gpu-cluster=path:unproven",),
    exit=1,
    verdicts={"gpu-1": "unproven"},
)
FLEET = Sample(
    name="fleet",
    options=("--gpu-cluster=path:fleet", "--gpu-nodes=gpu-1,gpu-5,gpu-11"),
    exit=1,
    verdicts={"gpu-1": "conforms", "gpu-5": "unproven", "gpu-11": "fails"},
)
OWN_STATES = {
    "test_a_coroutine_passes[gpu-1]": "passed",
    "test_one_that_passes_when_run_again[gpu-1]": "passed",
    "test_a_coroutine_is_unproven[gpu-1]": "unproven",
    "test_a_repeated_one_passes[gpu-1-7-1-2]": "passed",
    "test_a_repeated_one_passes[gpu-1-7-2-2]": "passed",
    "test_a_coroutine_fails[gpu-1]": "failed",
    "test_one_above_it_is_blocked[gpu-1]": "blocked",
    "test_one_outside_the_ladder_is_stopped[gpu-1]": "failure",
}
"""How the tests of ``own_tests.py`` end: the state in the ladder, else the tag in JUnit."""

RECORDINGS = {
    "unproven": "format: 1\nbase: sample:healthy-kubeadm\nabsent: [nvml]\n",
    "fleet": "format: 1\nbase: sample:mixed-fleet\nabsent: [nodes/gpu-5/nvml]\n",
}


def outcome(run: Run) -> Outcome:
    """Run pytest; return what it came to."""
    options = [option for plugin in run.plugins for option in plugin.options]
    with tempfile.TemporaryDirectory(prefix="pytest-gpu-plugins-") as name:
        folder = Path(name)
        for recording, text in RECORDINGS.items():
            (folder / recording).mkdir()
            (folder / recording / "recording.yaml").write_text(text)
        done = _pytest(folder, run.plugins, *run.sample.options, *options, *_n2(run))
        return Outcome(
            exit=done.returncode,
            nodes={node["name"]: _node(node) for node in _document(folder, done)["nodes"]},
            header=tuple(re.findall(r"^gpu: (?:cluster|\d+ nodes?): .*$", done.stdout, re.M)),
            closing=tuple(re.findall(r"^\d+ nodes?: .*$", done.stdout, re.M)),
            climbs=all(map(rises, layers_tested(folder / "junit.xml").values())),
            loaded=_loaded(done.stdout),
        )


def _n2(run: Run) -> list[str]:
    return ["-n2"] if run.parallel else []


def _pytest(
    folder: Path, plugins: tuple[Plugin, ...], *options: str
) -> subprocess.CompletedProcess[str]:
    others = (part for each in PLUGINS if each not in plugins for part in each.parts)
    off = (word for part in others for word in ("-p", f"no:{part}"))
    argv = [sys.executable, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", *off, *options]
    argv += ["--gpu-report=report.json", "--junit-xml=junit.xml"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_"))}
    return subprocess.run(
        argv,
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def _document(folder: Path, done: subprocess.CompletedProcess[str]) -> Mapping[str, Any]:
    """Return the verdicts that a run wrote; stop with its output if it wrote none."""
    report = folder / "report.json"
    if not report.exists():
        sys.exit(f"{done.args}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    document: Mapping[str, Any] = json.loads(report.read_text())
    return document


def _node(node: Mapping[str, Any]) -> Mapping[str, Any]:
    still_open = [*node["unproven"], *node["errors"]]
    return {
        **{key: node[key] for key in ("verdict", "layer", "cause")},
        "latent": sorted({each["cause"] for each in node["latent"]}),
        "states": {layer: each["state"] for layer, each in node["layers"].items()},
        "open": sorted({str(each["test"]).partition("[")[0] for each in still_open}),
        "tests": {layer: each["total"] for layer, each in node["layers"].items()},
    }


def layers_tested(junit: Path) -> Mapping[str, list[str]]:
    """Return the layers of every node's tests, in the order in which the tests ended."""
    found: dict[str, list[str]] = {}
    for case in ET.parse(junit).iter("testcase"):  # noqa: S314 - pytest has just written it
        facts = _facts(case)
        found.setdefault(facts["gpu_node"], []).append(facts["gpu_layer"])
    return found


def _facts(case: ET.Element) -> dict[str, str]:
    return {each.get("name", ""): each.get("value", "") for each in case.iter("property")}


def rises(layers: list[str]) -> bool:
    """Return whether layers stand in the order of the ladder."""
    places = [LAYERS.index(layer) for layer in layers]
    return bool(places) and places == sorted(places)


def _loaded(output: str) -> frozenset[str]:
    """Return which of the plugins pytest lists as loaded."""
    (line,) = re.findall(r"^plugins: (.*)$", output, re.M) or [""]
    names = {entry.strip().rpartition("-")[0] for entry in line.split(",")}
    return frozenset(plugin.name for plugin in PLUGINS if plugin.name in names)


def own_states(plugins: tuple[Plugin, ...]) -> Mapping[str, str]:
    """Return how the tests of ``own_tests.py`` ended, by name."""
    with tempfile.TemporaryDirectory(prefix="pytest-gpu-plugins-") as name:
        folder = Path(name)
        shutil.copy(OWN_TESTS, folder / "test_own.py")
        options = [o for plugin in plugins for o in plugin.options if "--count" not in o]
        _pytest(folder, plugins, *HEALTHY.options, *options, "test_own.py")
        return {
            str(case.get("name")): _facts(case).get("gpu_verdict") or case[-1].tag
            for case in ET.parse(folder / "junit.xml").iter("testcase")  # noqa: S314 - as above
        }


def names_of(plugins: Sequence[Plugin]) -> str:
    """Return the plugins' names as a line shows them."""
    return " ".join(f"pytest-{plugin.name}" for plugin in plugins) or "no plugin"
