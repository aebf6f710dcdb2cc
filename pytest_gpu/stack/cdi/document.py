"""The text of a CDI spec as plain values, read as the CDI library reads it: YAML, or JSON.

Source: ``ParseSpec`` of tags.cncf.io/container-device-interface (pkg/cdi/spec.go), which hands the
file to sigs.k8s.io/yaml's UnmarshalStrict: the first document counts, a repeated key is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from pytest_gpu.libyaml import SafeLoader

Path = tuple[str | int, ...]
"""A position in a document, such as ("devices", 0, "name")."""

MOST = 200_000
"""Most values in one document; aliases can expand to many more than the file has bytes."""
DEEPEST = 100
"""Most levels of one document. With too many, the parser in C overflows its stack."""

_INDENTED = re.compile(rb"(?m)^[ \t?:\-]{200}")
_BRACKETS = re.compile(rb"[\[\]{}]")
_TAG = "tag:yaml.org,2002:"
_TRUE = frozenset({"yes", "true", "on"})


class BadSpec(ValueError):  # noqa: N818 - a verdict on a file, not an error of ours
    """A file that the library refuses as a spec; ``path`` or ``line`` says where."""

    def __init__(self, text: str, path: Path = (), line: int | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.path = path
        self.line = line


def load(content: bytes) -> Any:
    """Return a document's values: dict, list, str, int, float, bool or ``None``.

    Raises:
        BadSpec: it is neither YAML nor JSON, or larger than any spec.
    """
    if content.lstrip()[:1] == b"{" and _depth(content) <= DEEPEST and (found := _json(content)):
        return found
    return _Values().of(compose(content), ())


def _json(content: bytes) -> Any:
    """Return a JSON document, ``None`` to try YAML: it accepts more and gives line numbers."""
    try:
        return json.loads(content, object_pairs_hook=_unique, parse_constant=_no_constant)
    except ValueError:
        return None


def compose(content: bytes) -> Any:
    """Return the first document of a text as YAML nodes, ``None`` if it holds none.

    Raises:
        BadSpec: it is not valid YAML, or is nested deeper than any spec.
    """
    if _INDENTED.search(content) or _depth(content) > DEEPEST:
        raise BadSpec("nested deeper than any spec")
    try:
        loader: Any = SafeLoader(content)
        try:
            return loader.get_node() if loader.check_node() else None
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        raise BadSpec(f"is not valid YAML: {error.problem or error}", line=line) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadSpec(f"is not valid YAML: {' '.join(str(error).split())}") from None


def line_of(content: bytes, path: Path) -> int | None:
    """Return the line of a position in a document, or of the nearest value around it."""
    try:
        node = compose(content)
    except BadSpec:
        return None
    line = None
    for step in (*path, None):
        if node is None:
            break
        line = node.start_mark.line + 1
        node = _below(node, step)
    return line


def _below(node: Any, step: str | int | None) -> Any:
    if isinstance(step, str) and isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    if isinstance(step, int) and isinstance(node, yaml.SequenceNode):
        return node.value[step] if step < len(node.value) else None
    return None


def _depth(content: bytes) -> int:
    """Return how deeply brackets are nested, including those inside strings."""
    depth = deepest = 0
    for match in _BRACKETS.finditer(content):
        depth += 1 if match[0] in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("duplicate key")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not valid JSON")


class _Values:
    """Turns YAML nodes into values, up to the number that a spec can have."""

    def __init__(self) -> None:
        self._count = 0

    def of(self, node: Any, path: Path) -> Any:
        self._count += 1
        if self._count > MOST or len(path) > DEEPEST:
            raise BadSpec("is not valid YAML: document contains excessive aliasing", path)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.of(each, (*path, at)) for at, each in enumerate(node.value)]
        return None if node is None else _scalar(node)

    def _mapping(self, node: Any, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, value in node.value:
            if key.tag == f"{_TAG}merge":
                for each in self._merged(value, path):
                    for name, told in each.items():
                        merged.setdefault(name, told)
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise BadSpec("is not valid YAML: invalid map key", path, key.start_mark.line + 1)
            if key.value in found:
                line = key.start_mark.line + 1
                text = f'yaml: unmarshal errors: line {line}: key "{key.value}" already set in map'
                raise BadSpec(text, (*path, key.value), line)
            found[key.value] = self.of(value, (*path, key.value))
        return {**merged, **found}

    def _merged(self, node: Any, path: Path) -> Iterator[dict[str, Any]]:
        """Yield the mappings that ``<<`` merges in, the winning one first."""
        several = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for each in several:
            value = self.of(each, path)
            if not isinstance(value, dict):
                raise BadSpec("is not valid YAML: map merge requires map or sequence of maps", path)
            yield value


def _scalar(node: Any) -> Any:
    """Return a plain scalar as the library resolves it: numbers with a colon stay text."""
    kind, text = node.tag.removeprefix(_TAG), node.value
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() in _TRUE
    if kind in {"int", "float"} and ":" not in text:
        return _number(text)
    return text


def _number(text: str) -> int | float | str:
    plain = text.replace("_", "")
    for read in (lambda: int(plain, 8 if re.fullmatch(r"[-+]?0\d+", plain) else 0), _float(plain)):
        try:
            return read()
        except (ValueError, OverflowError):
            continue
    return text


def _float(text: str) -> Any:
    return lambda: float(text.replace(".inf", "inf").replace(".nan", "nan").replace(".NaN", "nan"))
