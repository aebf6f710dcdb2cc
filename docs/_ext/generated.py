"""Pages that are generated from the package when the documentation is built: never stale.

mkdocs calls :func:`on_files`; the other functions return Markdown and need no mkdocs.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import yaml

from pytest_gpu.catalogue import catalogue
from pytest_gpu.cause_entry import Cause
from pytest_gpu.checks import registered
from pytest_gpu.cluster.recording.samples import sample_names, sample_path
from pytest_gpu.layers import Layer
from pytest_gpu.message_file import Row
from pytest_gpu.messages import table
from pytest_gpu.steps import Slot, Step

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parent.parent.parent
PARTS = {
    "pytest_gpu": "the plugin and its library",
    "conformance": "the shipped suite, one module per layer (installed as pytest_gpu.conformance)",
    "fixtures": "fixtures for users, and the sample recordings (installed as pytest_gpu.fixtures)",
    "tests": "the tests of all this; tests/lab starts real components",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages (mkdocs event)."""
    from mkdocs.structure.files import File  # noqa: PLC0415 - the tests run without mkdocs

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def pages() -> Mapping[str, str]:
    """Return every generated page by its path below ``docs/``."""
    return {
        "reference/causes.md": causes_page(catalogue().values()),
        "reference/messages.md": messages_page(table()),
        "reference/samples.md": samples_page(),
        "reference/layout.md": layout_page(),
        "reference/requirements.md": requirements_page(),
        "security.md": security_page(),
        **_sibling("api").pages(),
        **_sibling("example").pages(),
    }


def _sibling(name: str) -> ModuleType:
    """Load another module of this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    if spec is None or spec.loader is None:
        raise ImportError(name)
    # Its dataclasses look their module up.
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def causes_page(causes: Iterable[Cause]) -> str:
    """Return the catalogue of causes: an overview, then a section for each."""
    ordered = sorted(causes, key=lambda cause: cause.id)
    return "\n".join(
        [
            "# Causes",
            "",
            "Every root cause that the suite can name. The ID never changes; its prefix says whose",
            "thing must be fixed. A run fills in the words in braces, such as `{node}`.",
            "`pytest --gpu-explain=CAUSE` prints the same text, filled in with an example.",
            "",
            *_overview(ordered),
            *(line for cause in ordered for line in _cause(cause)),
        ]
    )


def _overview(causes: list[Cause]) -> Iterator[str]:
    for prefix, group in groupby(causes, key=lambda cause: cause.id.partition("/")[0]):
        yield f"**{prefix}**"
        yield ""
        yield from (
            f"- [`{cause.id}`](#{_anchor(cause)}): {_prose(cause.title)}" for cause in group
        )
        yield ""


def _anchor(cause: Cause) -> str:
    """Return the heading's anchor as Python-Markdown's toc extension makes it."""
    return cause.id.replace("/", "")


def _cause(cause: Cause) -> Iterator[str]:
    yield from (f"## {cause.id}", "", f"**{_prose(cause.title)}**", "", _prose(cause.why), "")
    yield from ("Check by hand:", "", *_steps(cause.check))
    for name, fix in cause.fix.items():
        yield from ("Fix:" if name == "default" else f"Fix on {name}:", "", *_steps(fix))
    if cause.explains:
        names = ", ".join(f"`{pattern}`" for pattern in cause.explains)
        yield from (f"Consequences of this cause: {names}", "")


def _steps(steps: Iterable[Step | Slot]) -> Iterator[str]:
    """Yield sentences as paragraphs, and commands and whole files as blocks."""
    for is_block, group in groupby(steps, key=_is_block):
        if is_block:
            yield from ("```console", *(step.shown for step in group), "```", "")
        else:
            yield from (text for step in group for text in _paragraphs(step))


def _is_block(step: Step | Slot) -> bool:
    return isinstance(step, Step) and step.kind != "words"


def _paragraphs(step: Step | Slot) -> Iterator[str]:
    if isinstance(step, Slot) and step.before:
        yield from (_prose(step.before), "")
    yield from (_prose(step.shown), "")


def _prose(text: str) -> str:
    """Escape the characters that Markdown would interpret."""
    return re.sub(r"([*_<>\[\]|`])", r"\\\1", text)


def messages_page(rows: Iterable[Row]) -> str:
    """Return the messages of components by the causes that they mean."""
    ordered = sorted(rows, key=lambda row: row.cause)
    return "\n".join(
        [
            "# Messages",
            "",
            "What components say, and the cause that it means. Each is an example: names, numbers",
            "and what stands before and after may differ. Below it: where the message may stand,",
            "and where the component has it.",
            "",
            *(line for cause, group in groupby(ordered, _of) for line in _messages(cause, group)),
        ]
    )


def _of(row: Row) -> str:
    return row.cause


def _messages(cause: str, rows: Iterable[Row]) -> Iterator[str]:
    yield from (f"## {cause}", "", f"See [the cause](causes.md#{cause.replace('/', '')}).", "")
    for row in rows:
        places = ", ".join(sorted(row.where))
        yield from ("```text", row.match, "```", "", f"{places}; {_prose(row.source)}", "")


def security_page() -> str:
    """Return the repository's SECURITY.md, with links that lead to the pages of the docs.

    The changelog is not among them.
    """
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    return text.replace("](docs/", "](").replace("[changelog](CHANGELOG.md)", "changelog")


def samples_page() -> str:
    """Return the list of sample clusters, each with the description from its recording."""
    rows = [f"| `{name}` | {_prose(_about(sample_path(name)))} |" for name in sample_names()]
    head = "Recorded clusters that ship with the package: `pytest --gpu-cluster=sample:NAME`."
    return "\n".join(["# Samples", "", head, "", "| sample | what it is |", "|---|---|", *rows, ""])


def _about(path: Path) -> str:
    """Return the recording's note, else the comment at its top."""
    text = (path / "recording.yaml").read_text()
    note = yaml.safe_load(text).get("note")
    comments = (line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    return " ".join(str(note).split() if note else comments)


def requirements_page() -> str:
    """Return all requirements of the suite by layer, each with the checks that decide it."""
    lines = [
        "# Requirements",
        "",
        "Everything that the suite requires of a GPU node, by layer, in the order of the tests.",
        "Each entry names its test and the checks that decide it.",
        "",
    ]
    for layer in Layer:
        lines += [f"## {layer}", ""]
        for each in requirements(layer):
            checks = ", ".join(f"`{name}`" for name in each.checks)
            lines += [f"- {_prose(each.text)}<br>", f"  `{each.test}`: {checks}"]
        lines.append("")
    return "\n".join(lines)


class Requirement(NamedTuple):
    """One test of the shipped suite: its docstring, and the checks that it calls."""

    test: str
    text: str
    checks: tuple[str, ...]


def requirements(layer: Layer) -> Iterator[Requirement]:
    """Yield the requirements of a layer, in the order of its module."""
    module = f"test_{str(layer).replace('-', '_')}.py"
    tree = ast.parse((ROOT / "conformance" / module).read_text())
    names = {f"{each.__module__}.{each.__name__}": name for name, each in registered().items()}
    imported = dict(_imported(tree))
    for function in tree.body:
        if isinstance(function, ast.FunctionDef) and function.name.startswith("test_"):
            named = sorted(_named(function), key=lambda node: (node.lineno, node.col_offset))
            called = (_called(node, imported) for node in named)
            yield Requirement(
                test=function.name,
                text=" ".join((ast.get_docstring(function) or "").split()),
                checks=tuple(dict.fromkeys(names[each] for each in called if each in names)),
            )


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            for name in node.names:
                yield name.asname or name.name, f"{node.module}.{name.name}"


def _named(function: ast.FunctionDef) -> Iterator[ast.Attribute | ast.Name]:
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute | ast.Name):
            yield node


def _called(node: ast.AST, imported: Mapping[str, str]) -> str | None:
    """Return the full name of a function that a test mentions, ``None`` for anything else."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{imported.get(node.value.id)}.{node.attr}"
    return imported.get(node.id) if isinstance(node, ast.Name) else None


def layout_page() -> str:
    """Return the repository's layout: one line for each module, from its own docstring."""
    lines = [
        "# Layout",
        "",
        "One line per module: the first line of its docstring.",
        "",
    ]
    for folder, about in PARTS.items():
        lines += [f"## {folder}", "", f"{about[0].upper()}{about[1:]}.", "", "```text"]
        lines += [_module(file) for file in sorted((ROOT / folder).rglob("*.py"))]
        lines += ["```", ""]
    return "\n".join(lines)


def _module(file: Path) -> str:
    doc = ast.get_docstring(ast.parse(file.read_text())) or ""
    first, _, _ = doc.partition("\n")
    return f"{file.relative_to(ROOT).as_posix():<44} {first}"
