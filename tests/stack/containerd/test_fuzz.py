"""Damaged containerd files in the whole runtime layer: a message that names the file, no crash.

Every requirement of the layer is checked on a healthy sample with a replaced configuration.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest

from conformance import test_runtime as layer
from pytest_gpu.causes import LATENT, Finding, GpuFailure
from pytest_gpu.cluster.recording.recorded import RecordedCluster, open_recording
from pytest_gpu.cluster.recording.samples import sample_path
from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.evidence import ClusterEvidence, NodeEvidence
from pytest_gpu.finding_json import as_json
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.run.placeholders import filled
from tests.lab.stack.containerd.configurations import groups

SAMPLE = "healthy-kubeadm"
CONFIG = "/etc/containerd/config.toml"
DROP_IN = "/etc/containerd/conf.d/99-nvidia.toml"

Requirement = Callable[[GpuNode], None]
REQUIREMENTS: list[Requirement] = [
    each for name, each in vars(layer).items() if name.startswith("test_")
]


@dataclass
class Changed:
    """A node's evidence in which files have other contents; ``None`` could not be read."""

    node: NodeEvidence
    files: dict[str, bytes | None]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.node, name)

    def read(self, path: str) -> bytes | None:
        """Return the new content of a file."""
        if path not in self.files:
            return self.node.read(path)
        content = self.files[path]
        if content is None:
            raise NotInEvidence(self.node.name, path)
        return content

    def names(self, directory: str) -> tuple[str, ...] | None:
        """Return the names in a folder, those of new files among them."""
        new = {path.rpartition("/")[2] for path in self.files if path.startswith(f"{directory}/")}
        try:
            known = set(self.node.names(directory) or ())
        except NotInEvidence:
            known = set()
            if not new:
                raise
        return tuple(sorted(known | new)) or None


@dataclass(eq=False)
class ChangedCluster:
    """A cluster whose only GPU node has other files."""

    cluster: ClusterEvidence
    files: dict[str, bytes | None]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.cluster, name)

    def node(self, name: str) -> Any:
        """Return the node's changed evidence."""
        return Changed(self.cluster.node(name), self.files)


@dataclass
class Judged:
    """What the layer's requirements came to, in words."""

    failed: list[str] = field(default_factory=list)
    unproven: list[str] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)
    passed: int = 0

    def says(self, path: str) -> bool:
        """Whether something is said, and it names the file."""
        return any(path in words for words in self.failed + self.unproven + self.noted)


@cache
def sample() -> RecordedCluster:
    """Return the healthy cluster."""
    return open_recording(sample_path(SAMPLE), SAMPLE)


def node_with(files: dict[str, bytes | None]) -> GpuNode:
    """Return its GPU node with other files."""
    (name,) = (each for each in sample().node_names() if "gpu" in each)
    return GpuNode(name, ChangedCluster(sample(), files))


def judge(node: GpuNode) -> Judged:
    """Ask every requirement; anything but a verdict escapes and fails the test."""
    judged = Judged()
    for requirement in REQUIREMENTS:
        noted: list[Finding] = []
        token = LATENT.set(noted)
        try:
            requirement(node)
            judged.passed += 1
        except GpuFailure as failure:
            judged.failed.append(str(as_json(filled(failure.finding, node))))
        except (Unproven, pytest.skip.Exception) as open_question:
            judged.unproven.append(str(open_question))
        finally:
            LATENT.reset(token)
            judged.noted += [str(as_json(filled(finding, node))) for finding in noted]
    return judged


def healthy() -> bytes:
    """Return the sample's configuration."""
    node = node_with({})
    content = node.evidence.read(CONFIG)
    assert content
    return content


def test_the_sample_is_healthy() -> None:
    """What follows is the damage's doing."""
    judged = judge(node_with({}))
    assert (judged.failed, judged.unproven, judged.noted) == ([], [], [])
    assert judged.passed == len(REQUIREMENTS)


def damages() -> Iterator[tuple[str, bytes]]:
    """Yield contents that no containerd reads."""
    chance = random.Random(4)  # noqa: S311 - the same bytes in every run
    for number in range(12):
        yield f"random-{number}", chance.randbytes(chance.choice([1, 40, 4000]))
    yield "zeros", b"\0" * 4096
    yield "elf", b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 8
    yield "gzip", b"\x1f\x8b\x08\0" + chance.randbytes(500)
    yield "utf-16", "version = 2\n".encode("utf-16")
    yield "enormous-and-cut", healthy() + b"# padding\n" * 200_000 + b"[plugins.'io"
    yield "conflict-marker", b"<<<<<<< HEAD\n" + healthy()
    yield "yaml", b"version: 2\nplugins:\n  cri: {}\n"
    yield "json", b'{"version": 2}\n'
    yield "template", b"version = 2\n{{- if .NodeConfig }}\n{{ end }}\n"


def named(judged: Judged) -> list[str]:
    """Return what is found: it fails, or it is noted where containerd has not read the file yet."""
    return [*judged.failed, *judged.noted]


@pytest.mark.parametrize(("name", "content"), list(damages()), ids=lambda value: str(value)[:24])
def test_damaged_file_is_named(name: str, content: bytes) -> None:
    """The root file or an imported one: a finding that names file and line."""
    judged = judge(node_with({CONFIG: content}))
    assert named(judged), name
    assert judged.says(CONFIG)
    assert "'line': " in named(judged)[0]
    imports = f'imports = ["{DROP_IN}"]\n'.encode() + healthy()
    judged = judge(node_with({CONFIG: imports, DROP_IN: content}))
    assert named(judged), name
    assert judged.says(DROP_IN)


def test_half_written_file_is_no_pass() -> None:
    """Cut at every 29th byte: what is left either breaks or no longer says what it said."""
    content = healthy()
    for length in range(0, len(content) - 1, 29):
        node = node_with({CONFIG: content[:length]})
        judged = judge(node)
        if not (judged.failed or judged.unproven or judged.noted):
            config = node.containerd.config
            assert config.problems == ()
            assert node.containerd.gpu_handlers
            assert config.default_runtime in config.runtimes
        assert not judged.failed or judged.says(CONFIG), content[:length]


@pytest.mark.parametrize("path", [CONFIG, DROP_IN])
def test_unreadable_file_is_unproven(path: str) -> None:
    """Permission denied, too large to be brought: nobody knows what it says."""
    imports = f'imports = ["{DROP_IN}"]\n'.encode() + healthy()
    judged = judge(node_with({CONFIG: imports, DROP_IN: healthy(), path: None}))
    assert judged.says(path)
    assert judged.unproven
    assert not judged.failed


@pytest.mark.parametrize("opening", ["[", "{a=", '[{"a"='])
def test_deep_nesting_is_unproven(opening: str) -> None:
    """Containerd reads it and Python does not: no verdict, and no crash."""
    closing = {"[": "]", "{": "}"}
    end = "".join(closing[each] for each in reversed(opening) if each in closing)
    deep = f"x = {opening * 5000}{'1' if '=' in opening else ''}{end * 5000}\n"
    judged = judge(node_with({CONFIG: deep.encode() + healthy()}))
    assert judged.says(CONFIG)
    assert not judged.failed


@pytest.mark.parametrize("name", [*groups()["types"]])
def test_wrong_type_is_named_or_harmless(name: str) -> None:
    """Told with file and line where containerd stops; the handler that is gone is told as well."""
    text = groups()["types"][name]["config.toml"]
    content = text if isinstance(text, bytes) else text.encode()
    node = node_with({CONFIG: content})
    judged = judge(node)
    assert judged.failed or judged.unproven or judged.noted
    if node.containerd.config.problems:
        assert "runtime/config-invalid" in named(judged)[0]
        assert judged.says(CONFIG)


@pytest.mark.parametrize("name", [*groups()["syntax"], *groups()["spellings"]])
def test_odd_file_is_judged(name: str) -> None:
    """Odd TOML and odd spellings never end in a crash."""
    text = {**groups()["syntax"], **groups()["spellings"]}[name]["config.toml"]
    judge(node_with({CONFIG: text if isinstance(text, bytes) else text.encode()}))
