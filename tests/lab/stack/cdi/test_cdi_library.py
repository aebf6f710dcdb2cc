"""Our reading of CDI specs agrees with the real library of two generations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_gpu.stack.cdi.specs import CdiSpec, parse, read
from tests.lab.conftest import leave_out
from tests.lab.parts import debian
from tests.lab.stack.cdi.cdi_corpus import corpus
from tests.lab.stack.cdi.cdi_library import LIBRARIES, NEWEST, Library, library
from tests.stack.cdi.cdi_machine import device, spec
from tests.support.fake_evidence import FakeNode

COUNT = 2000
NO_DEVICES = "invalid spec, no devices"


def _library(generation: str) -> Library:
    try:
        return library(generation)
    except debian.Missing as missing:
        leave_out(f"the CDI library: {missing}")


def _agree(ours: CdiSpec, theirs: str, generation: str) -> bool:
    """Say whether both take a file, or refuse it for the same reason.

    How Go words a wrong type and how it words broken YAML is its own; where its library panics, we
    refuse. That of 1.7 takes a spec without any device, of which nobody can have one.
    """
    if "panic" in theirs:
        return bool(ours.error)
    if ours.error == NO_DEVICES and generation == "1.7":
        return theirs == ""
    if not ours.error or not theirs:
        return ours.error == theirs
    words = ours.error.partition(" (is ")[0]
    own_words = ("cannot unmarshal", "is not valid YAML", "already set in map", "unknown field")
    return words in theirs or any(each in ours.error for each in own_words)


@pytest.mark.parametrize("generation", LIBRARIES)
def test_specs_are_taken_and_refused_as_the_library_does(generation: str, tmp_path: Path) -> None:
    """Thousands of specs with one to three changes each: the number of differences is 0."""
    texts = {str(tmp_path / f"{at}.yaml"): text for at, text in enumerate(corpus(1, COUNT))}
    for path, text in texts.items():
        Path(path).write_text(text, encoding="utf-8")
    theirs, _ = _library(generation).said([tmp_path])
    ours = {path: parse(path, text.encode()) for path, text in texts.items()}
    different = [
        f"{texts[path]}\nours:  {found.error or 'taken'}\ntheirs: {theirs[path] or 'taken'}"
        for path, found in ours.items()
        if not _agree(found, theirs[path], generation)
    ]
    taken = sum(not error for error in theirs.values())
    print(f"{COUNT} specs, {taken} taken, {len(different)} differences")  # noqa: T201 - the proof
    assert taken > COUNT // 10
    assert different == []


@pytest.mark.parametrize("generation", LIBRARIES)
def test_the_newest_version_that_is_known(generation: str, tmp_path: Path) -> None:
    """What containerd of this generation surely knows, and that it refuses the next."""
    newest = tmp_path / "a.json"
    newest.write_text(json.dumps(spec(device("a"), cdiVersion=NEWEST[generation])))
    later = tmp_path / "b.json"
    later.write_text(json.dumps(spec(device("b"), cdiVersion="1.1.0")))
    errors, _ = _library(generation).said([tmp_path])
    assert errors[str(newest)] == ""
    assert 'invalid version "1.1.0"' in errors[str(later)]


@pytest.mark.parametrize("generation", LIBRARIES)
@pytest.mark.parametrize(
    "files",
    [
        {"a/x.json": "1", "b/x.json": "1"},
        {"a/x.json": "1", "a/y.yaml": "1"},
        {"a/x.json": "1", "a/y.yaml": "1", "b/z.json": "1"},
        {"a/x.json": "1", "a/y.json": "2", "b/z.json": "2"},
        {"a/x.conf": "1", "a/y.yml": "2", "a/sub/z.json": "3", "b/z.json": "4"},
        {"elsewhere/x.json": "1", "a": "elsewhere", "b/y.json": "2"},
        {"elsewhere/x.json": "1", "a/x.json": "../elsewhere/x.json", "b/y.json": "2"},
    ],
)
def test_directories_conflicts_and_links(
    generation: str, files: dict[str, str], tmp_path: Path
) -> None:
    """Which devices are found: a text that is no digit makes a link."""
    given: dict[str, str] = {}
    links: dict[str, str] = {}
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.isdigit():
            given[str(path)] = json.dumps(spec(device(f"d{text}")))
            path.write_text(given[str(path)])
        else:
            links[str(path)] = text
            path.symlink_to(text)
    directories = [tmp_path / "a", tmp_path / "b"]
    _, theirs = _library(generation).said(directories)
    folders = [str(path) for path in (tmp_path, *tmp_path.rglob("*")) if path.is_dir()]
    evidence = FakeNode(files=given, links=links, complete=folders)
    assert read(evidence, [str(each) for each in directories]).devices == theirs
