"""The write-ups this suite was built for: each heading and code block is accounted for."""

from __future__ import annotations

import ast
import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_gpu.catalogue import catalogue
from pytest_gpu.cluster.recording.samples import sample_names

HERE = Path(__file__).parent
MAP = HERE / "seeds_map.yaml"
WRITEUPS = "PYTEST_GPU_WRITEUPS"
"""Environment variable: a folder with the write-ups, against which the hashes are checked."""

_BOLD = re.compile(r"\s*<b>(.*)</b>\s*")
_PLAIN = re.compile(r"[A-Z][\w'-]*(?: [\w'-]+){1,10}")


@cache
def seeds() -> Sequence[Mapping[str, Any]]:
    """Return the map: per write-up a title and its entries, in order."""
    found: Sequence[Mapping[str, Any]] = yaml.safe_load(MAP.read_text(encoding="utf-8"))
    return found


def entries() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every entry with its write-up's title."""
    for seed in seeds():
        for entry in seed["entries"]:
            yield seed["title"], entry


def conformance_tests() -> frozenset[str]:
    """Return the names of all tests of the shipped suite."""
    return frozenset(
        node.name
        for module in (HERE.parents[1] / "conformance").glob("test_*.py")
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


def parts(text: str) -> Iterator[tuple[str, str]]:
    """Yield every heading and code block of a Markdown text, stripped, in order.

    Headings are those with ``#``, whole lines in ``<b>``, and short lines of bare words alone.
    """
    body: list[str] | None = None
    for line in text.splitlines():
        fence = line.strip().startswith("```")
        if body is not None:
            if fence:
                yield "block", "\n".join(body).strip()
                body = None
            else:
                body.append(line)
        elif fence:
            body = []
        elif heading := _heading(line):
            yield "heading", heading
    if body is not None:
        yield "block", "\n".join(body).strip()


def _heading(line: str) -> str | None:
    if match := re.match(r"#{1,6} +(.*)", line) or _BOLD.fullmatch(line):
        return match[1].strip()
    return line.strip() if _PLAIN.fullmatch(line.rstrip()) else None


def hashes(text: str) -> list[tuple[str, str]]:
    """Return kind and sha256 of every part of a text, in order."""
    return [(kind, hashlib.sha256(part.encode()).hexdigest()) for kind, part in parts(text)]


def mapped(seed: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return kind and sha256 of every entry of one write-up, in order."""
    return [("block" if "block" in each else "heading", each["sha256"]) for each in seed["entries"]]


def test_all_five_write_ups_are_mapped() -> None:
    """All five write-ups are there."""
    assert len(seeds()) == 5
    assert all(seed["entries"] for seed in seeds())


def test_every_entry_is_covered_or_says_why_not() -> None:
    """An entry is a heading or a block, covered or with a reason, and has its hash."""
    wrong = [
        (title, entry)
        for title, entry in entries()
        if bool(entry.get("covers")) == bool(entry.get("reason"))
        or ("heading" in entry) == ("block" in entry)
        or not re.fullmatch(r"[0-9a-f]{64}", entry["sha256"])
    ]
    assert not wrong


def test_every_name_exists() -> None:
    """Every cause, conformance test and sample that is named exists."""
    samples = {f"sample:{name}" for name in sample_names()}
    known = {*catalogue(), *conformance_tests(), *samples}
    named = {name for _, entry in entries() for name in entry.get("covers", ())}
    assert sorted(named - known) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# A title\n", [("heading", "A title")]),
        ("<b>Errors seen</b>\n", [("heading", "Errors seen")]),
        ("```bash\n# no heading\nls\n```\n", [("block", "# no heading\nls")]),
        ("1. list\n   ```\n   ls\n   ```\n", [("block", "ls")]),
        ("What We Missed\nThe fix was simple.\n", [("heading", "What We Missed")]),
        ("Some sentence, with a comma.\n- item\n", []),
        ("```\nnever closed\n", [("block", "never closed")]),
    ],
)
def test_parts_of_a_text(text: str, expected: list[tuple[str, str]]) -> None:
    """Headings of three kinds and fenced blocks are found, and nothing else."""
    assert list(parts(text)) == expected


def against(folder: Path) -> None:
    """Assert that the map holds every part of every write-up in a folder, and nothing else."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt"))]
    assert texts, f"{folder} holds no *.txt"
    found = [hashes(text) for text in texts]
    assert sorted(found) == sorted(mapped(seed) for seed in seeds())


def test_map_is_complete() -> None:
    """Check the map against the write-ups where they are at hand, else against itself."""
    if folder := os.environ.get(WRITEUPS):
        against(Path(folder))
    assert len({tuple(mapped(seed)) for seed in seeds()}) == len(seeds())


def test_a_missing_entry_is_found(tmp_path: Path) -> None:
    """A write-up that the map does not hold is noticed."""
    (tmp_path / "one.txt").write_text("# Not in the map\n", encoding="utf-8")
    with pytest.raises(AssertionError):
        against(tmp_path)
