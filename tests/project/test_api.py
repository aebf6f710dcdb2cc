"""All that users' tests may touch is documented: what it is, its type, its unit, its errors."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.cluster.recording.samples import sample_path
from pytest_gpu.errors import Unproven
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.stack.pods import suite_pod
from pytest_gpu.stack.sandbox import sandboxes

DOCS = Path(__file__).parents[2] / "docs"
NUMBERS = re.compile(r"\b(int|float)\b")
UNITS = re.compile(
    r"\b(seconds|bytes|numbers?|index|exit code|PID|permission bits|major|code)\b", re.IGNORECASE
)
ARGUMENTS: Mapping[str, tuple[Any, ...]] = {
    "EffectiveConfig.origin": ("default_runtime_name",),
    "Sandboxes.run": ("gpu",),
    "ClusterEvidence.objects": ("pods",),
    "ClusterEvidence.node": ("gpu-1",),
    "SuitePod.saw": ("gpu",),
    "ConfigFile.at": (("version",),),
    "NodeEvidence.read": ("/etc/containerd/config.toml",),
    "NodeEvidence.entry": ("/dev/nvidia0",),
    "NodeEvidence.names": ("/dev",),
    "NodeEvidence.resolve": ("/var/run",),
    "NodeEvidence.elf": ("/usr/local/nvidia/toolkit/nvidia-container-cli.real",),
    "NodeEvidence.outcome": ("pod",),
    "Process.is_program": ("containerd",),
    "Process.flag": ("--config",),
    "Containerd.knows": ("nvidia",),
    "Containerd.injects": ("nvidia",),
    "Containerd.program": ("nvidia",),
    "Containerd.handler": ("nvidia",),
    "Containerd.origin": ("default_runtime",),
    "Containerd.now": ("nvidia",),
    "Toolkit.first": ("RUNTIME_CONFIG_SOURCE",),
    "Nvml.asked": (),
    "KernelLog.find": (re.compile("NVRM"),),
    "KernelLog.find_wrapped": ("NVRM", re.compile("probe")),
    "KernelLog.at": (0,),
    "KernelLog.standing": ((79,),),
    "NvmlDevice.answer": ("memory",),
    "NvmlDevice.numbers": ("memory", "total"),
    "NvmlDevice.errors": (),
    "Layer.parse": ("driver",),
}
"""What the methods are called with; what a test of a live cluster needs is not called here."""

NOT_CALLED = {
    "Settings.source",
    *(f"NodeShell.{name}" for name in ("run", "read", "exists", "glob")),
}
"""Methods of objects that no recording leads to."""

LESS = {
    "whole": "format: 1\nbase: sample:healthy-kubeadm\n",
    "broken": "format: 1\nbase: sample:nouveau\nnodes: {gpu-1: gpu-1}\n",
    "waiting": "format: 1\nbase: sample:handler-mismatch-plugin-down\n",
    **{
        kind: f"format: 1\nbase: sample:healthy-kubeadm\nabsent: [{kind}]\n"
        for kind in ("nvml", "elf", "commands", "kernel-log", "outcomes", "kubernetes/pods.yaml")
    },
    "not visited": "format: 1\nbase: sample:healthy-kubeadm\nabsent: [nodes/gpu-1]\n",
}


@pytest.fixture(scope="module")
def api() -> ModuleType:
    """The hook that makes the page while the documentation is built."""
    return load("api")


def load(name: str) -> ModuleType:
    """Return a module of ``docs/_ext``."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"_ext/{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks its module up.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def members(api: ModuleType) -> Iterator[tuple[str, Any, str]]:
    """Yield each fixture and public member: its full name, itself, and its class's docstring."""
    for entry in api.fixture_entries():
        yield entry.name, entry, ""
    for each in api.described():
        for member in each.members:
            yield f"{each.type.__name__}.{member.name}", member, each.text


def faults(entry: Any) -> Iterator[str]:
    """Yield what a reader of an entry would miss."""
    if not entry.text:
        yield "no docstring"
    if not entry.type:
        yield "no type"
    if NUMBERS.search(entry.type) and not UNITS.search(entry.text):
        yield "no unit"
    _, _, listed = entry.signature.partition("(")
    if any(":" not in each for each in listed.removesuffix(")").split(", ") if each):
        yield "a parameter without a type"


def test_every_public_member_has_docstring_type_and_unit(api: ModuleType) -> None:
    """And so has every fixture."""
    found = {name: list(faults(entry)) for name, entry, _ in members(api)}
    assert len(found) > 250
    assert {name: each for name, each in found.items() if each} == {}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"text": ""}, "no docstring"),
        ({"type": ""}, "no type"),
        ({"type": "float | None"}, "no unit"),
        ({"signature": "f(a: int, b)"}, "a parameter without a type"),
    ],
)
def test_what_is_missing_is_noticed(api: ModuleType, change: dict[str, str], fault: str) -> None:
    """The test above can fail."""
    whole = {"name": "f", "kind": "method", "signature": "f(a: int)", "type": "str", "text": "Yes."}
    assert list(faults(api.Entry(**whole))) == []
    assert list(faults(api.Entry(**(whole | change)))) == [fault]


class Walk:
    """Asks every public member of all objects that a node leads to; keeps what they raise."""

    def __init__(self, api: ModuleType) -> None:
        self.classes = {each.type.__name__: each for each in api.described()}
        self.asked: set[str] = set()
        self.raised: set[tuple[str, str]] = set()
        self._seen: set[tuple[str, int]] = set()
        self._kept: list[object] = []

    def visit(self, name: str, value: Any) -> None:
        """Ask the members of an object that is documented as this class."""
        if (name, id(value)) in self._seen:
            return
        self._seen.add((name, id(value)))
        self._kept.append(value)
        for member in self.classes[name].members:
            full = f"{name}.{member.name}"
            if full not in NOT_CALLED:
                self._ask(full, member, value)

    def _ask(self, full: str, member: Any, value: Any) -> None:
        self.asked.add(full)
        try:
            found = getattr(value, member.name)
            if member.kind == "method":
                found = found(*ARGUMENTS[full])
        except Exception as error:
            self.raised.add((full, type(error).__name__))
        else:
            self._follow(member.type, found)

    def _follow(self, annotation: str, found: Any) -> None:
        for name in re.findall(r"\w+", annotation):
            if name in self.classes:
                for each in items(found):
                    if is_a(each, self.classes[name].type):
                        self.visit(name, each)


def is_a(value: object, kind: type) -> bool:
    """Return whether a value is of a class; one of a protocol is, since its type says so."""
    return bool(getattr(kind, "_is_protocol", False)) or isinstance(value, kind)


def items(found: Any) -> Iterable[Any]:
    """Return a value, or the values in it."""
    if isinstance(found, Mapping):
        found = tuple(found.values())
    plain = found if isinstance(found, tuple | list) else (found,)
    return [each for each in plain if each is not None and not isinstance(each, str)]


@pytest.fixture(scope="module")
def walk(api: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """Return what all members did on evidence that is whole, and on evidence that lacks a kind."""
    done = Walk(api)
    for name, text in LESS.items():
        folder = tmp_path_factory.mktemp(name.replace("/", "-"))
        (folder / "recording.yaml").write_text(text)
        _visit_all(done, folder)
    _visit_all(done, sample_path("healthy-cdi"), "worker-gpu-1")
    return done


def _visit_all(done: Walk, folder: Path, name: str = "gpu-1") -> None:
    with open_recording(folder, "x") as cluster:
        node = GpuNode(name, cluster)
        done.visit("GpuNode", node)
        done.visit("ClusterEvidence", cluster)
        for kind, read in (("Sandboxes", sandboxes.read), ("SuitePod", suite_pod.read)):
            with suppress(Unproven):
                done.visit(kind, read(node.evidence))


def test_errors_that_members_raise_are_named(api: ModuleType, walk: Walk) -> None:
    """In the member's docstring, or in that of its class if any member may raise them."""
    told = {name: f"{entry.text}\n{about}" for name, entry, about in members(api)}
    named = {"NotInEvidence": "NotInEvidence|Unproven"}
    assert walk.raised
    unnamed = [
        f"{name}: {error}"
        for name, error in sorted(walk.raised)
        if not re.search(rf"\b({named.get(error, error)})\b", told[name])
    ]
    assert not unnamed, "\n".join(unnamed)


def test_nearly_all_members_were_asked(api: ModuleType, walk: Walk) -> None:
    """Those that were not belong to objects that no recording here has."""
    names = {name for name, _, about in members(api) if about}
    left = {name.partition(".")[0] for name in names - walk.asked - NOT_CALLED}
    assert left <= {
        "Settings",
        "CiSettings",
        "NodeShell",
        "Layer",
        "NvmlError",
        "Xid",
        "SandboxFiles",
    }


def test_every_internal_class_exists(api: ModuleType) -> None:
    """One that is gone would hide a new one of the same name."""
    known = {*api._classes(), "HandsOn"}
    assert sorted(set(api.INTERNAL) - known) == []


def test_the_page_names_everything(api: ModuleType) -> None:
    """Fixtures and classes as sections, members as rows."""
    page = api.api_page()
    for entry in api.fixture_entries():
        assert f"\n## {entry.name}\n" in page
    for each in api.described():
        assert f"\n## {each.type.__name__}\n" in page
        for member in each.members:
            assert f"\n| `{member.signature.replace('|', chr(92) + '|')}` | " in page


def test_the_list_of_fixtures_is_that_of_the_page(api: ModuleType) -> None:
    """What is written by hand names each fixture, its scope and its type."""
    text = (DOCS / "reference/fixtures.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", text, re.MULTILINE))
    assert rows == {entry.name: entry.scope for entry in api.fixture_entries()}


def test_what_a_class_says_of_a_field_is_found(api: ModuleType) -> None:
    """As a line below Attributes, else as the sentence that names it."""
    doc = "One.\n\n``a`` is seconds; ``b`` is text.\n\nAttributes:\n    c: bytes,\n        in all."
    texts = {name: api.field_text(doc, name) for name in "abcd"}
    assert texts == {
        "a": "``a`` is seconds",
        "b": "``b`` is text",
        "c": "bytes, in all.",
        "d": "",
    }
