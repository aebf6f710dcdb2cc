"""Real failures of the runtime layer are told by their root cause, and near misses apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from pytest_gpu.catalogue import catalogue
from tests.samples.mending import diffs
from tests.samples.runtime_cases import IDS, RECORDINGS, Case, cases, read
from tests.samples.sample_table import SAMPLES
from tests.samples.test_mending import fix_of
from tests.samples.test_samples import Document, assert_clean, judge, words_of
from tests.samples.variants import HEALTHY

HERE = Path(__file__).parent
OWN = sorted(name for name, case in cases().items() if not case.sample)
BASES = sorted({cases()[name].base for name in OWN})
NEAR = sorted((name, other) for name, case in cases().items() for other in case.near)


TAKEN_FOR = {
    "rt-cdi-annotations-runtime-not-cdi-enabled": 1,
    "rt-cdi-management-spec-missing-after-driver-restart": 2,
    "rt-cdi-spec-missing-or-not-in-spec-dirs": 2,
    "rt-cdi-spec-stale-device-node": 1,
    "rt-config-management-overwrote-containerd-config": 3,
    "rt-cri-plugin-disabled": 1,
    "rt-driver-root-change-root-failed": 3,
    "rt-dropin-default-runc-not-defined-k8s-snap": 5,
    "rt-eks-bootstrap-overwrites-config": 1,
    "rt-eks-ubuntu-nvidia-runtime-config-incomplete": 2,
    "rt-glibc-227-toolkit-image-too-new": 2,
    "rt-imports-section-replaces-nvidia-runtime": 2,
    "rt-k0s-two-step-import-no-runc": 3,
    "rt-k3s-template-name-for-containerd-2": 2,
    "rt-k8s-snap-import-path-ignores-base-dir": 1,
    "rt-ldconfig-path-wrong": 2,
    "rt-live-config-older-than-disk-not-restarted": 2,
    "rt-microk8s-rendered-file-edited": 2,
    "rt-multiple-containerd-binaries-docker-plus-k3s": 2,
    "rt-node-reboot-drops-nvidia-runtime-toolkit-not-reapplied": 2,
    "rt-operator-ignores-containerd-socket-25.3.3": 1,
    "rt-rancher-default-containerd-paths-seed": 3,
    "rt-rendered-config-edited-directly-rancher": 2,
    "rt-runc-missing-after-toolkit-shutdown-cleanup": 2,
    "rt-selinux-insufficient-permissions": 2,
    "rt-systemdcgroup-missing-in-nvidia-handler": 4,
    "rt-toolkit-configured-wrong-containerd-k8s-snap": 4,
    "rt-toolkit-runtime-docker-detected": 3,
    "rt-transient-no-runtime-before-toolkit-restart": 1,
    "rt-uninstall-leaves-default-runtime-nvidia": 3,
    "rt-wsl-no-adapters": 2,
}
"""How many neighbours of each failure must be told from it, in `near` and `elsewhere` together.

All that its reports warn of; one that is taken out of a sidecar is missed here.
"""


def all_words(document: Document) -> str:
    """Return everything that causes, noted findings and open questions say, line by line."""
    lines = [words_of(document)]
    for found in document["latent"]:
        lines += [found["title"], found["why"], *found["fix"]]
        lines += [f"{each['source']}: {each['text']}" for each in found["evidence"]]
    for node in document["nodes"]:
        lines += [str(each["reason"]) for each in node["unproven"]]
    return "\n".join(lines)


def test_every_case_has_its_recording() -> None:
    """Each failure that was collected has a recording of its own, or is a sample."""
    assert sorted(cases()) == sorted(IDS)
    assert {path.name for path in RECORDINGS.iterdir() if path.is_dir()} == set(OWN)
    assert {case.sample for case in cases().values() if case.sample} <= set(SAMPLES)
    named = {cause for case in cases().values() for cause in (case.cause, *case.also) if cause}
    assert named <= set(catalogue())


@pytest.mark.parametrize("name", sorted(cases()))
def test_case_comes_out_as_its_root_cause(pytester: pytest.Pytester, name: str) -> None:
    """Verdict, layer, cause, exit code and decisive words are those of the sidecar."""
    case = cases()[name]
    code, document, output = judge(pytester, case.spec)
    (node,) = document["nodes"]
    verdict = "conforms" if case.verdict == "latent" else case.verdict
    assert (node["verdict"], node["cause"]) == (
        verdict,
        case.cause if verdict == "fails" else None,
    ), all_words(document)
    assert code == (0 if verdict == "conforms" else 1)
    assert_layer(case, document)
    assert causes_beside(case, document) == set(case.also)
    for words in case.says:
        assert words in all_words(document), all_words(document)
    assert "/unexplained" not in output
    if diffs(fix_of(document, case.cause)):
        proven = SAMPLES[case.sample] if case.sample else case
        assert proven.restart is not None, "a fix that is a patch is to be proven: `restart:`"


def assert_layer(case: Case, document: Document) -> None:
    """Assert that the layer is where the node fails, or one that has an open question."""
    (node,) = document["nodes"]
    if case.verdict == "fails":
        assert node["layer"] == case.layer
    elif case.verdict == "unproven":
        assert case.layer in {None, *(each["layer"] for each in node["unproven"])}
    elif case.verdict == "conforms":
        assert_clean(document)


def causes_beside(case: Case, document: Document) -> set[str]:
    """Return the causes that are named beside the case's own."""
    (node,) = document["nodes"]
    beside = {each["cause"] for each in node["also_seen"]}
    found = beside | {each["id"] for each in document["latent"]}
    if case.verdict == "latent":
        assert case.cause in found
    return found - {case.cause}


@pytest.mark.parametrize("base", BASES)
def test_dropping_the_overlay_is_green(pytester: pytest.Pytester, base: str) -> None:
    """What the verdict rests on is the overlay alone: without it the node conforms."""
    folder = Path(pytester.mkdir("dropped"))
    manifest = f"format: 1\ntaken: 2025-11-21T10:00:00Z\nbase: {base}\n"
    (folder / "recording.yaml").write_text(manifest)
    code, document, _ = judge(pytester, f"path:{folder}")
    assert code == 0
    assert document["latent"] == []
    assert_clean(document)


@pytest.mark.parametrize(("name", "other"), NEAR)
def test_near_miss_is_told_apart(name: str, other: str) -> None:
    """What a case could be taken for comes out with another verdict or another cause.

    That each of the two comes out so is shown above, in test_samples and in test_variants; that
    a cause is found where it is, by the tests of its check.
    """
    case = cases()[name]
    assert (case.verdict, case.cause) != outcome_of(other), case.near[other]


def test_every_neighbour_is_named() -> None:
    """What a report says not to confuse with it stands in the sidecar, and not in both maps."""
    assert {name: len(case.near) + len(case.elsewhere) for name, case in cases().items()} == (
        TAKEN_FOR
    )
    assert [name for name, case in cases().items() if case.near.keys() & case.elsewhere] == []


def outcome_of(name: str) -> tuple[str, str | None]:
    """Return verdict and cause of a case, a sample, a healthy variant, or a cause itself."""
    if name in catalogue():
        return "fails", name
    if name in cases():
        return cases()[name].verdict, cases()[name].cause
    if name in HEALTHY:
        return "conforms", None
    sample = SAMPLES[name.removeprefix("sample:")]
    latent = sample.latent[0] if sample.latent else None
    return ("fails", sample.cause) if sample.layer else ("latent" if latent else "conforms", latent)


def wrong_sidecars() -> Iterator[object]:
    """Yield sidecars that are refused, each for one reason."""
    right = {"verdict": "fails", "layer": "runtime", "cause": "runtime/x", "says": ["x"]}
    yield {**right, "cuase": "runtime/x"}
    yield {**right, "verdict": "fail"}
    yield {**right, "says": "x"}
    yield {**right, "says": []}
    yield {**right, "layer": "sandbox"}
    yield {**right, "differs": "it does not"}
    yield {**right, "near": {"other": ""}}
    yield {**right, "elsewhere": {"a fault of etcd": ""}}
    yield {**right, "then": "runtime/x"}
    yield {key: value for key, value in right.items() if key != "cause"}
    yield {"verdict": "conforms", "cause": "runtime/x", "differs": "because"}
    yield {"verdict": "latent", "cause": "runtime/x", "says": ["x"]}
    yield ["verdict"]


@pytest.mark.parametrize("content", list(wrong_sidecars()))
def test_a_sidecar_with_a_mistake_is_refused(tmp_path: Path, content: object) -> None:
    """What is misspelt or left out would otherwise test less than it looks."""
    path = tmp_path / "rt-x.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ValueError, match=r"rt-x\.yaml: "):
        read(path)


def text_below(folder: str, *patterns: str) -> str:
    """Return the texts of all files below a folder of the repository."""
    files = [file for pattern in patterns for file in (HERE.parents[1] / folder).rglob(pattern)]
    return "\n".join(file.read_text(encoding="utf-8") for file in sorted(files))


def test_every_cause_is_found_by_code_and_shown_by_a_test() -> None:
    """A cause that nothing finds is a promise, and one that no test shows is a guess."""
    ids = [each for each in catalogue() if each.startswith(("runtime/", "docker/"))]
    ids = [each for each in ids if not each.endswith("/unexplained")]
    code = text_below("pytest_gpu", "*.py", "messages.toml")
    assert [each for each in ids if f'"{each}"' not in code] == []
    tests = text_below("tests", "*.py", "recordings/*.yaml")
    shown = [rf'"{each}"|: {each}$' for each in ids]
    assert [each for each in shown if not re.search(each, tests, re.MULTILINE)] == []
