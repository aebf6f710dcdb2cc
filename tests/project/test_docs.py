"""The documentation says what is: the picture is real, names exist, links lead somewhere."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import pytest
from markdown_it import MarkdownIt

from pytest_gpu.catalogue import catalogue
from pytest_gpu.cluster.recording.samples import sample_names
from pytest_gpu.layers import Layer
from pytest_gpu.messages import table
from tests.project import picture

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TOP = ("README.md", "CHANGELOG.md", "SECURITY.md")
PAGES = [*(ROOT / name for name in TOP), *sorted(DOCS.rglob("*.md"))]
PLANNED = {"--gpu-certify", "--gpu-count"}
"""Options that known-limitations.md names as not built yet."""


@pytest.fixture(scope="module")
def generated() -> ModuleType:
    """The hook that makes pages while the documentation is built."""
    spec = importlib.util.spec_from_file_location("generated", DOCS / "_ext/generated.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _texts() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        yield page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8")


def test_the_readme_shows_the_real_output() -> None:
    """After a change of the output: ``python -m tests.project.picture``."""
    assert picture.shown() == picture.taken()


def test_the_picture_names_cause_and_fix() -> None:
    """What the first page promises is on it."""
    shown = picture.shown()
    assert "runtime/toolkit-configured-other-containerd" in shown
    assert "fix:" in shown
    assert "helm upgrade" in shown


def test_the_picture_ignores_how_long_it_took() -> None:
    """Nothing else is left out of the comparison."""
    first = picture.without_time("a\n=== 1 failed, 2 passed in 0.12s ===")
    assert first == picture.without_time("a\n====== 1 failed, 2 passed in 71.50s (0:01:11) ======")
    assert first != picture.without_time("a\n=== 1 failed, 3 passed in 0.12s ===")


@pytest.mark.parametrize("command", ["demo", "test", "lint", "docs", "wheel-check"])
def test_every_make_command_exists(command: str) -> None:
    """The commands that the pages tell people to type are targets of the Makefile."""
    assert re.search(rf"^{command}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_no_page_names_a_make_target_that_does_not_exist() -> None:
    """Nor any other."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        name for _, text in _texts() for name in re.findall(r"(?:\$|`)\s?make ([a-z-]+)", text)
    }
    assert {"demo", "test"} <= named <= targets


def test_every_option_that_is_named_exists(pytestconfig: pytest.Config) -> None:
    """A page that names an option which is gone sends its reader nowhere."""
    for path, text in _texts():
        for option in set(re.findall(r"--gpu-[a-z][a-z-]*[a-z]", text)) - PLANNED:
            name = option.removeprefix("--").replace("-", "_")
            assert hasattr(pytestconfig.option, name), f"{path} names {option}"


def test_every_option_is_in_the_reference(pytestconfig: pytest.Config) -> None:
    """What can be asked is written down."""
    text = (DOCS / "reference/options.md").read_text()
    options = [name for name in vars(pytestconfig.option) if name.startswith("gpu_")]
    assert options
    assert [name for name in options if f"--{name.replace('_', '-')}" not in text] == []


def test_every_sample_that_is_named_exists() -> None:
    """Commands with a sample can be typed as they are."""
    known = set(sample_names()) | {"NAME"}
    for path, text in _texts():
        assert set(re.findall(r"--gpu-cluster=sample:([\w-]+)", text)) <= known, path


def test_every_cause_that_is_explained_exists() -> None:
    """Commands with a cause can be typed as they are; a page may define its own cause."""
    own = {
        cause for _, text in _texts() for cause in re.findall(r'^\["(acme/[\w-]+)"\]', text, re.M)
    }
    known = {*catalogue(), *own, "CAUSE", "all"}
    for path, text in _texts():
        assert set(re.findall(r"--gpu-explain=([\w/-]+)", text)) <= known, path


def test_every_layer_is_on_the_first_page_of_the_docs() -> None:
    """In the order in which they are climbed."""
    text = (DOCS / "index.md").read_text()
    places = [text.index(f"| `{layer}` |") for layer in Layer]
    assert places == sorted(places)


def test_every_link_leads_to_a_file(generated: ModuleType) -> None:
    """Pages that are made when the documentation is built count, those of README only if there."""
    made = {(DOCS / path).resolve() for path in generated.pages()}
    for path, text in _texts():
        for target in _links(text):
            file = ((ROOT / path).parent / target).resolve()
            assert file.exists() or (file in made and path not in TOP), f"{path}: {target}"


def _links(text: str) -> Iterator[str]:
    for token in MarkdownIt().parse(text):
        for child in token.children or ():
            href = str(child.attrGet("href") or "") if child.type == "link_open" else ""
            if href and "://" not in href:
                target = href.partition("#")[0]
                if target:
                    yield target


def test_the_threat_model_names_what_exists() -> None:
    """Every module and test on the page; each boundary has at least one of both."""
    text = (DOCS / "threat-model.md").read_text()
    named = re.findall(r"`((?:pytest_gpu|tests)/[\w/.]+)(?:::(\w+))?`", text)
    assert [path for path, _ in named if not (ROOT / path).is_file()] == []
    missing = [
        f"{path}::{test}"
        for path, test in named
        if test and f"def {test}(" not in (ROOT / path).read_text()
    ]
    assert missing == []
    tables = [part for part in text.split("\n## ") if "| what may come |" in part]
    assert len(tables) == 6
    for part in tables:
        rows = [line for line in part.splitlines() if line.startswith("| ")][1:]
        assert [row for row in rows if "`pytest_gpu/" not in row or "`tests/" not in row] == []


def test_the_security_contact_is_in_the_docs_and_links_lead_both_ways(
    generated: ModuleType,
) -> None:
    """The page of the docs is the file that GitHub shows, with links that fit there."""
    page: str = generated.pages()["security.md"]
    assert "(threat-model.md)" in page
    assert "(docs/" not in page
    assert "(security.md)" in (DOCS / "threat-model.md").read_text()
    assert "Report a vulnerability" in page


def test_every_cause_and_sample_has_its_place_on_the_generated_pages(
    generated: ModuleType,
) -> None:
    """Nothing is left out of what is made from the package."""
    pages: Mapping[str, str] = generated.pages()
    causes, samples = pages["reference/causes.md"], pages["reference/samples.md"]
    messages = pages["reference/messages.md"]
    assert [name for name in catalogue() if f"\n## {name}\n" not in causes] == []
    assert [row for row in table() if row.match not in messages] == []
    assert messages.count("\n## ") == len({row.cause for row in table()})
    assert [name for name in sample_names() if f"| `{name}` | " not in samples] == []


def test_every_sample_says_what_it_is(generated: ModuleType) -> None:
    """The words at the top of its recording.yaml are all that a reader of the list gets."""
    rows = generated.samples_page().splitlines()
    assert [row for row in rows if row.endswith("|  |")] == []


def test_python_in_the_pages_is_python() -> None:
    """Examples can at least be read."""
    for path, text in _texts():
        for block in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            ast.parse(block, filename=path)
