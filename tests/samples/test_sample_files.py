"""The recordings under fixtures/recorded: small, readable, harmless, and each over a base."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support import yaml_text

RECORDED = Path(__file__).parents[2] / "fixtures" / "recorded"
SAMPLES = sorted(path for path in RECORDED.iterdir() if path.is_dir())

LONGEST = 400
"""Lines of a hand-written file, but of lists of Kubernetes objects."""

NODE_FILES = 5
"""Files of an overlay that tell what is wrong on the node itself."""

OVERLAY_FILES = 12
"""All files of an overlay: what Kubernetes and the outcomes then show comes on top."""

FLEETS = {"mixed-fleet"}
"""These need a few files for every node that they change."""

MAX_CHAIN = 3

_SECRET = re.compile(
    r"-----BEGIN|AKIA[0-9A-Z]{16}|eyJ[\w-]{10,}\.|gh[pousr]_\w{20,}|nvapi-\w+"
    r"|(?i:bearer\s+\w{16,}|password\s*[:=]\s*\S|kind:\s*Secret\b|client-key-data)"
)
_IPV4 = re.compile(r"(?<![\w.-])(\d{1,3}(?:\.\d{1,3}){3})(?![\w.-])")
_IMAGE_OR_URL = re.compile(r"(?:https?://|image(?:: |\": \"))([a-z][\w-]*(?:\.[\w-]+)+)[:/]")

PUBLIC_HOSTS = {
    "docker.io",
    "docs.k3s.io",
    "docs.rke2.io",
    "example.com",
    "ghcr.io",
    "github.com",
    "kubernetes.io",
    "nvcr.io",
    "nvidia.com",
    "quay.io",
    "registry.example.com",
    "registry.k8s.io",
    "rancher.io",
}
"""Registries and projects everybody knows, with all below them; other hosts must be made up."""


def files(sample: Path) -> Iterator[Path]:
    """Yield every regular file of a sample."""
    return (path for path in sorted(sample.rglob("*")) if path.is_file())


def manifest(sample: Path) -> dict[str, Any]:
    """Return a sample's recording.yaml."""
    found = yaml_text.load((sample / "recording.yaml").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def base_of(sample: Path) -> Path | None:
    """Return the folder of the sample that this one is an overlay of."""
    base = manifest(sample).get("base")
    if base is None:
        return None
    kind, _, name = base.partition(":")
    assert kind == "sample", f"{sample.name}: base {base!r} is no sample:NAME"
    return RECORDED / str(name)


def chain(sample: Path) -> list[Path]:
    """Return a sample and what it builds on, down to the healthy one."""
    found: list[Path] = [sample]
    while base := base_of(found[-1]):
        assert base not in found, f"{sample.name} builds on itself"
        found.append(base)
    return found


per_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)


@per_sample
def test_manifest_says_format_and_time(sample: Path) -> None:
    """Ages count from ``taken``: without it a sample would age with the calendar."""
    found = manifest(sample)
    assert found["format"] == 1
    assert isinstance(found["taken"], datetime)


@per_sample
def test_yaml_and_json_can_be_parsed(sample: Path) -> None:
    """What is not the node's own file is the format's, and well-formed."""
    for path in files(sample):
        text = path.read_text(encoding="utf-8")
        if "files" in path.relative_to(sample).parts:
            continue
        if path.suffix == ".json":
            json.loads(text)
        else:
            assert path.suffix == ".yaml", f"{path}: neither YAML nor JSON"
            assert any(each is not None for each in yaml_text.load_all(text)), f"{path} is empty"


@per_sample
def test_kubernetes_lists_hold_what_their_name_says(sample: Path) -> None:
    """``kubernetes/pods.yaml`` holds Pods, every one with a name."""
    for path in sorted(sample.glob("kubernetes/*.yaml")):
        singular = {"policies": "policy", "classes": "class"}
        for document in yaml_text.load_all(path.read_text(encoding="utf-8")):
            for item in document["items"] if document["kind"] == "List" else [document]:
                kind = item["kind"].lower()
                endings = [*(kind.removesuffix(s) + p for p, s in singular.items()), f"{kind}s"]
                assert path.stem in endings, f"{path}: {item['kind']}"
                assert item["metadata"]["name"]


@per_sample
def test_base_exists_and_chain_is_short(sample: Path) -> None:
    """A chain ends at a healthy sample, at most two steps below."""
    found = chain(sample)
    assert len(found) <= MAX_CHAIN
    assert found[-1].name.startswith("healthy-"), f"{sample.name} builds on {found[-1].name}"
    assert sample.name.startswith("healthy-") or len(found) > 1


@per_sample
def test_overlay_is_small(sample: Path) -> None:
    """A failure case is what differs, and nothing else."""
    if base_of(sample) is None or sample.name in FLEETS:
        return
    own = [path.relative_to(sample) for path in files(sample) if path.name != "recording.yaml"]
    cause = [path for path in own if path.parts[0] == "nodes" and "outcomes" not in path.parts]
    assert len(cause) <= NODE_FILES, cause
    assert len(own) <= OVERLAY_FILES, own


@per_sample
def test_removed_things_stand_in_the_base(sample: Path) -> None:
    """A removal with a typo would remove nothing: each must name something that is there."""
    below = chain(sample)[1:]
    recorded = "\n".join(text for part in below for text in _everything(part))
    for line in manifest(sample).get("absent") or ():
        kind, _, rest = line.partition("/")
        name = rest.rpartition("/")[2] if kind == "kubernetes" else _needle(rest)
        assert name in recorded, f"{sample.name}: {line} is not in its base"


def _needle(rest: str) -> str:
    """Return what stands somewhere in the base: a path, a command, or a node's own file."""
    below = rest.partition("/")[2]
    for folder in ("files", "commands"):
        if below.startswith(f"{folder}/"):
            return below.removeprefix(f"{folder}{'' if folder == 'files' else '/'}")
    return below


def _everything(part: Path) -> Iterator[str]:
    """Yield every path and text of a sample."""
    for path in files(part):
        inside = path.relative_to(part).as_posix()
        yield inside.replace("/files/", "/files:/", 1) + "/"
        yield inside
        yield path.read_text(encoding="utf-8")


@per_sample
def test_nothing_is_a_link(sample: Path) -> None:
    """The node's links stand in listing.yaml; the package itself ships none."""
    assert not [path for path in sample.rglob("*") if path.is_symlink()]


@per_sample
def test_nothing_looks_like_a_secret(sample: Path) -> None:
    """Samples ship with the package."""
    for path in files(sample):
        match = _SECRET.search(path.read_text(encoding="utf-8"))
        assert match is None, f"{path}: {match}"


@per_sample
def test_addresses_are_private_or_for_documentation(sample: Path) -> None:
    """No address of a sample leads to somebody's machine."""
    for path in files(sample):
        for found in _IPV4.findall(path.read_text(encoding="utf-8")):
            address = ipaddress.ip_address(found)
            assert address.is_private or address.is_unspecified, f"{path}: {found}"


@per_sample
def test_hosts_are_well_known_or_made_up(sample: Path) -> None:
    """Images and links point at public projects or at example.com."""
    for path in files(sample):
        for host in _IMAGE_OR_URL.findall(path.read_text(encoding="utf-8")):
            known = any(host == each or host.endswith(f".{each}") for each in PUBLIC_HOSTS)
            assert known, f"{path}: {host}"


@per_sample
def test_files_can_be_read_by_a_person(sample: Path) -> None:
    """No generated walls of text; object lists are as long as kubectl makes them."""
    for path in files(sample):
        if path.parent.name != "kubernetes":
            lines = path.read_text(encoding="utf-8").count("\n")
            assert lines <= LONGEST, f"{path}: {lines} lines"


def test_there_are_samples() -> None:
    """None of the checks above passes because there was nothing to check."""
    names = {path.name for path in SAMPLES}
    assert {"healthy-kubeadm", "healthy-cdi", "mixed-fleet"} <= names
