"""Every example of the docs that can be run comes out as the sentence behind it says.

Such a sentence is ``Exit code 0.`` or ``Exit code 1: layer `x`, cause `y`.``; an example without
one fails here, and so does a claim without an example.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.cluster.recording.samples import sample_names, sample_path
from tests.support.judging import judge

DOCS = Path(__file__).parents[2] / "docs"
REFERENCE, GUIDE = DOCS / "reference/recordings.md", DOCS / "how-to/write-a-recording.md"
TUTORIAL, ADD_A_CHECK = DOCS / "tutorial.md", DOCS / "how-to/add-a-check.md"

_CLAIM = re.compile(r"Exit\s+code\s+(\d)(?::\s+layer\s+`([\w-]+)`,\s+cause\s+`([\w/-]+)`)?")
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What the text behind an example says of its verdict."""

    code: int
    layer: str | None
    cause: str | None


@dataclass(frozen=True, kw_only=True)
class Example:
    """A block of code of a page, and what is claimed before the next block."""

    language: str
    code: str
    claim: Claim | None


def examples(page: Path) -> list[Example]:
    """Return the blocks of a page in order."""
    text = page.read_text(encoding="utf-8")
    found = list(_BLOCK.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    return [
        Example(language=match[1], code=match[2], claim=_claim(text[match.end() : end]))
        for match, end in zip(found, ends, strict=True)
    ]


def _claim(text: str) -> Claim | None:
    match = _CLAIM.search(text)
    return match and Claim(code=int(match[1]), layer=match[2], cause=match[3])


def only(page: Path, words: str) -> Example:
    """Return the one example of a page that holds these words."""
    (found,) = (each for each in examples(page) if words in each.code)
    return found


def come_out(folder: Path) -> Claim:
    """Return what a recording of one node really comes out as."""
    with open_recording(folder, f"path:{folder}") as cluster:
        document = judge(cluster)
        (node,) = document["nodes"]
        return Claim(code=document["run"]["exit_code"], layer=node["layer"], cause=node["cause"])


def test_every_claim_is_tested_here() -> None:
    """A new claim on any page needs a test below: their numbers are counted."""
    claims = {
        page.relative_to(DOCS).as_posix(): len(_CLAIM.findall(page.read_text(encoding="utf-8")))
        for page in DOCS.rglob("*.md")
    }
    assert {page: number for page, number in claims.items() if number} == {
        "reference/recordings.md": 2,
        "how-to/write-a-recording.md": 2,
        "how-to/add-a-check.md": 1,
        "how-to/own-tests.md": 4,
        "tutorial.md": 5,
    }


@pytest.fixture
def overlay_of_two_files(tmp_path: Path) -> Path:
    """Write the first example of the reference."""
    texts = {
        "recording.yaml": only(REFERENCE, "from issue 17").code,
        "kubernetes/runtimeclasses.yaml": only(REFERENCE, "handler: nvidia-legacy").code,
        "nodes/gpu-1/files/etc/containerd/config.toml": only(REFERENCE, "runtimes.runc]").code,
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_overlay_of_two_files_comes_out_as_the_reference_says(overlay_of_two_files: Path) -> None:
    """It is broken, by the cause that it names."""
    assert come_out(overlay_of_two_files) == only(REFERENCE, "runtimes.runc]").claim


def test_overlay_of_two_files_conforms_without_what_it_says(overlay_of_two_files: Path) -> None:
    """The reference tells what to delete."""
    for name in ("kubernetes/runtimeclasses.yaml", "nodes/gpu-1/files/etc/containerd/config.toml"):
        (overlay_of_two_files / name).unlink()
    drop_absent(overlay_of_two_files)
    assert come_out(overlay_of_two_files) == Claim(code=0, layer=None, cause=None)


def test_overlay_of_two_files_that_keeps_the_outcomes_is_green(overlay_of_two_files: Path) -> None:
    """As the reference says, with a warning."""
    drop_absent(overlay_of_two_files)
    assert come_out(overlay_of_two_files) == Claim(code=0, layer=None, cause=None)
    with open_recording(overlay_of_two_files, "x") as cluster:
        assert cluster.warning


def drop_absent(folder: Path) -> None:
    """Take the line ``absent:`` out of a manifest."""
    manifest = folder / "recording.yaml"
    before = manifest.read_text()
    manifest.write_text(re.sub(r"^absent: .*\n", "", before, flags=re.MULTILINE))
    assert manifest.read_text() != before


def test_renamed_node_of_the_reference_is_judged_by_its_new_name(tmp_path: Path) -> None:
    """The example is a whole manifest but for its first lines."""
    example = only(REFERENCE, "nodes: {worker-17")
    head = "format: 1\ntaken: 2026-11-21T10:00:00Z\n"
    (tmp_path / "recording.yaml").write_text(head + example.code)
    assert come_out(tmp_path) == example.claim
    with open_recording(tmp_path, "x") as cluster:
        assert [node["name"] for node in judge(cluster)["nodes"]] == ["worker-17"]


def typed(example: Example) -> str:
    """Return what a reader types: a prompt, what goes on in a here-document, no output."""
    return re.sub(r"^\$ ", "", example.code, flags=re.MULTILINE)


def test_the_guides_commands_write_the_recording_that_it_describes(tmp_path: Path) -> None:
    """Typed into a shell as they stand; the last line, pytest, is done here."""
    example = only(GUIDE, "cat > report/recording.yaml")
    assert example.code.splitlines()[-1] == "$ pytest --gpu-cluster=path:report"
    script = "set -eu\npytest() { :; }\n" + typed(example)
    subprocess.run(["/bin/bash"], input=script, text=True, cwd=tmp_path, check=True)
    assert come_out(tmp_path / "report") == example.claim
    with open_recording(tmp_path / "report", "x") as cluster:
        assert cluster.warning is None


def test_a_file_that_nobody_reads_changes_nothing(tmp_path: Path) -> None:
    """The guide warns of it: RKE2's containerd does not read the file in /etc."""
    file = tmp_path / "nodes/rke2-agent-1/files/etc/containerd/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("version = 2\n")
    (tmp_path / "recording.yaml").write_text("format: 1\nbase: sample:healthy-rke2\n")
    assert come_out(tmp_path) == Claim(code=0, layer=None, cause=None)


def test_the_guides_second_recording_comes_out_as_it_says(tmp_path: Path) -> None:
    """What is removed from the base is not there."""
    example = only(GUIDE, "absent:\n")
    assert yaml.safe_load(example.code)["absent"]
    (tmp_path / "recording.yaml").write_text(example.code)
    assert come_out(tmp_path) == example.claim


def commands(page: Path) -> list[tuple[list[str], Claim | None]]:
    """Return the arguments of every call of pytest on a page, with the claim on its block."""
    return [
        (shlex.split(line.removeprefix("$ pytest ").partition(";")[0]), example.claim)
        for example in examples(page)
        for line in example.code.splitlines()
        if line.startswith("$ pytest ")
    ]


def test_the_guide_to_a_new_question_visits_every_sample_that_others_build_on() -> None:
    """One that is left out would stay unproven."""
    text = (DOCS / "how-to/add-a-question.md").read_text(encoding="utf-8")
    manifests = {
        name: (sample_path(name) / "recording.yaml").read_text() for name in sample_names()
    }
    without_base = {name for name, each in manifests.items() if "base" not in yaml.safe_load(each)}
    assert set(re.findall(r"--gpu-cluster=sample:([\w-]+)", text)) == without_base


@pytest.mark.parametrize("at", range(7))
def test_every_command_of_the_tutorial_does_what_is_said(
    pytester: pytest.Pytester, at: int
) -> None:
    """Exit code, layer and cause."""
    found = commands(TUTORIAL)
    assert len(found) == 7
    arguments, claim = found[at]
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)
    output = result.stdout.str()
    assert result.ret == (claim.code if claim else 0)
    if claim and claim.cause:
        assert f"cause: {claim.cause} (layer {claim.layer})" in output
        (cell,) = re.findall(r"`(FAIL \d+/\d+)`", TUTORIAL.read_text(encoding="utf-8"))
        assert cell in output
    if "mixed-fleet" in arguments[0] and "-n" in arguments:
        assert "12 nodes: 8 conform, 4 fail (2 causes)" in output
    elif "mixed-fleet" in arguments[0]:
        assert re.search(r"11 conform (up to driver|in what was asked \(driver\)), 1 fails", output)


def test_the_users_own_check_comes_out_as_its_page_says(pytester: pytest.Pytester) -> None:
    """The test module is the page's own."""
    code = only(ADD_A_CHECK, "def test_driver_is_the_one_we_roll_out").code
    folder = pytester.mkdir("tests") / "gpu"
    folder.mkdir()
    (folder / "test_ours.py").write_text(textwrap.dedent(code))
    ((arguments, claim),) = commands(ADD_A_CHECK)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)
    result.assert_outcomes(passed=1)
    assert claim is not None
    assert result.ret == claim.code
