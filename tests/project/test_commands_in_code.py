"""No code puts a value into a line for a shell, except the one function that quotes it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
QUOTES = "pytest_gpu/text/shell.py"
"""The one module that makes a Command."""

STEPS = {
    "pytest_gpu/steps.py": "reads steps as the catalogue writes them, and makes them of commands",
    "pytest_gpu/causes.py": "fills in words and files; commands are filled in by shell.filled",
    "pytest_gpu/report/for_all.py": "takes steps that are made, and puts checked names of nodes in",
}
"""Where steps of a kind that the code does not spell out are made."""

KINDS = {"node", "cluster", "helm", "outside"}
PROGRAMS = re.compile(r"(sudo|kubectl|helm|talosctl|systemctl|nvidia-ctk|cat|ls|rm|tee) ")
TEMPLATES = {
    "pytest_gpu/stack/toolkit/check_env.py": "_LOOK, a constant",
}
"""Where a template has a name."""

PATTERNS = {"pytest_gpu/cluster/crictl/leftovers.py": "a shell expands patterns, all constants"}
"""Where a line for a shell of a node is made."""


def faults(text: str, path: str) -> Iterator[str]:
    """Yield the places where a line for a shell is made of values, or where that is not seen."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.JoinedStr) and _begins_as_command(node) and path not in PATTERNS:
            yield f"{path}:{node.lineno}: a command with values; use command()"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            name, first = node.func.id, node.args[0] if node.args else None
            for said in _faults(name, first, path):
                yield f"{path}:{node.lineno}: {said}"


def _begins_as_command(text: ast.JoinedStr) -> bool:
    first = text.values[0]
    return isinstance(first, ast.Constant) and bool(PROGRAMS.match(str(first.value)))


def _faults(name: str, first: ast.expr | None, path: str) -> Iterator[str]:
    literal = first.value if isinstance(first, ast.Constant) else None
    if name == "Command" and path != QUOTES:
        yield "makes a Command without quoting; use command()"
    if name == "command" and literal is None and path not in TEMPLATES:
        yield "the template of command() must be a constant"
    if name == "Step" and literal is None and path not in STEPS:
        yield "a step of any kind; use typed(), or spell the kind out"
    if name == "Step" and literal in KINDS:
        yield "a command; use typed(), which takes a Command"


@pytest.mark.parametrize(
    "text",
    [
        'Step("node", "sudo rm " + path)',
        'Step("cluster", "kubectl get " + name)',
        "Step(kind, text)",
        'command(f"{program} {path}")',
        'command("sudo rm {}".format(path))',
        'Command("sudo rm " + path)',
        'said(f"sudo rm {path}")',
    ],
)
def test_a_line_made_of_values_is_seen(text: str) -> None:
    """In any of these ways."""
    assert len(list(faults(text, "pytest_gpu/stack/x.py"))) == 1


def test_nothing_but_the_one_function_puts_values_into_commands() -> None:
    """Type checking does the rest: typed() takes nothing but a Command."""
    found: list[str] = []
    for folder in ("pytest_gpu", "conformance", "fixtures"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            found += faults(file.read_text(), str(file.relative_to(ROOT)))
    assert found == []


@pytest.mark.parametrize("path", [QUOTES, *STEPS, *TEMPLATES, *PATTERNS])
def test_every_exception_is_needed(path: str) -> None:
    """What no longer needs to be one is one no longer."""
    assert list(faults((ROOT / path).read_text(), "pytest_gpu/elsewhere.py"))
