"""No parser is forgotten: every function that takes a text apart is fed hostile texts."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.linear.parsers import PARSERS, hostile
from tests.linear.patterns import modules, tree_of
from tests.linear.test_parsers import REFUSED, Steps

ROOMS = ("pytest_gpu.stack", "pytest_gpu.cluster.recording", "pytest_gpu.survey")

PARSES = {"splitlines", "loads", "toml", "yaml_document", "json_document", "shell_words"}
"""What a text is taken apart with; a pattern alone is tested where all patterns are."""

_FOLDERS = "goes through folders and files, whose number and depth are limited"
_SPLIT = "goes through the lines once, and tries one pattern on each"
_ADMINS = "reads a file that the user of the suite has given"

NO_TEXT = {
    "pytest_gpu.cluster.recording.archive._members": _FOLDERS,
    "pytest_gpu.cluster.recording.archive.finish": _FOLDERS,
    "pytest_gpu.cluster.recording.folder.walk": _FOLDERS,
    "pytest_gpu.cluster.recording.listing.directories_above": _FOLDERS,
    "pytest_gpu.cluster.recording.overlay.read_chain": "goes through the at most three bases",
    "pytest_gpu.cluster.recording.recorded._check_likes": "goes through nodes, each once",
    "pytest_gpu.stack.docker.check_docker._by_hand": "reads what daemon.read has read before",
    "pytest_gpu.stack.operands.advice.read_table": "reads a file of our own",
    "pytest_gpu.stack.repair.toml_diff._edited": "reads JSON that it has written itself",
    "pytest_gpu.stack.runtime.check_serving._told": _SPLIT,
    "pytest_gpu.stack.runtime.check_serving._last_line": _SPLIT,
    "pytest_gpu.stack.runtime.config_writer._line_of": _SPLIT,
    "pytest_gpu.stack.runtime.config_writer._same_line": _SPLIT,
    "pytest_gpu.stack.runtime.template_damage._twice": _SPLIT,
    "pytest_gpu.stack.sandbox.check_files.lint": _ADMINS,
    "pytest_gpu.stack.sandbox.check_files._parsed": _ADMINS,
    "pytest_gpu.stack.sandbox.config_files.container_text": _ADMINS,
    "pytest_gpu.stack.sandbox.config_files._parsed": _ADMINS,
}
"""Functions that look like parsers and are fed no hostile text here, each with the reason."""


def parsers() -> Iterator[tuple[str, str, int]]:
    """Yield name, file and first line of every function that takes a text apart."""
    for module in modules():
        if not module.__name__.startswith(ROOMS):
            continue
        for node in ast.walk(tree_of(module)):
            if isinstance(node, ast.FunctionDef) and any(map(_parses, ast.walk(node))):
                first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
                yield f"{module.__name__}.{node.name}", str(module.__file__), first


def _parses(node: ast.AST) -> bool:
    """Say whether a part of a function calls a parser, or goes through something by itself."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr in PARSES
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id in PARSES
    return isinstance(node, ast.While)


@pytest.fixture(scope="module")
def fed() -> set[tuple[str, int]]:
    """Return file and first line of every function that the hostile texts reach."""
    counter = Steps()
    for parse, seeds in PARSERS.values():
        for text in [text for seed in seeds for text in hostile(seed, 2).values()]:
            with suppress(*REFUSED), counter.counted():
                parse(text)
    return {(code.co_filename, code.co_firstlineno) for code in counter.code}


def test_no_parser_is_forgotten(fed: set[tuple[str, int]]) -> None:
    """Add a new one to PARSERS; if it reads no text of a node or a recording, say so above."""
    forgotten = [name for name, file, line in parsers() if (file, line) not in fed]
    assert sorted({*forgotten} - {*NO_TEXT}) == []


def test_what_is_left_out_exists_and_is_not_fed(fed: set[tuple[str, int]]) -> None:
    """An entry that is no longer needed goes."""
    missing = {name for name, file, line in parsers() if (file, line) not in fed}
    assert {*NO_TEXT} <= missing
