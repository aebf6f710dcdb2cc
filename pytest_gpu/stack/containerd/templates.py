"""containerd configurations that a distribution renders anew at every start, and from what.

Which files those are is known of each distribution; here they are read: Go's text/template, and
TOML with ``${NAME}`` in it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pytest_gpu.errors import Unproven
from pytest_gpu.evidence import NodeEvidence
from pytest_gpu.parsing import LimitError, MalformedError, toml
from pytest_gpu.stack.containerd.config_file import ConfigFile
from pytest_gpu.stack.containerd.release import Generation
from pytest_gpu.stack.distributions import every
from pytest_gpu.stack.distributions.rendered import Rendered

_ACTION = re.compile(r"\{\{(?P<trims>-\s)?")
_CLOSE = re.compile(r"\s-\}\}\s*|\}\}")
# A part of a line that is there under a condition, such as the comma between items.
_INLINE = re.compile(r"\{\{-?\s*if [^{}]*\}\}[^{}\n]*\{\{-?\s*end\s*-?\}\}")
_OPENS = ("if", "range", "with", "define", "block")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What the next start renders from: the literal part of a template that can be known.

    ``base`` says that it includes the distribution's own template, ``detects`` that it lists the
    runtimes that the distribution finds. ``table`` is what is written out by hand, ``None`` where
    conditions or damage leave it open; ``error`` says that it can never be TOML.
    """

    path: str
    text: str
    base: bool
    detects: bool
    table: Mapping[str, Any] | None
    error: str = ""

    @property
    def as_file(self) -> ConfigFile:
        """The literal part as a configuration file, for looking lines up."""
        table = self.table or {}
        version = table.get("version", 1)
        return ConfigFile(path=self.path, version=version, table=table, text=self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """How the configuration at ``path`` is made at every start.

    ``rule`` is the distribution's; ``template`` is ``None`` where the built-in one is used alone;
    ``ignored`` are templates beside it that are not read; ``wanted`` is where an admin's template
    belongs; ``version`` is that of the configuration that the built-in template makes.
    """

    path: str
    rule: Rendered
    template: Template | None
    ignored: tuple[Template, ...]
    wanted: str
    version: int


def is_rendered(config_path: str) -> bool:
    """Say whether a file lies where a distribution renders it, below any data folder."""
    return every.rendered_at(config_path) is not None


def rendering(
    evidence: NodeEvidence, config_path: str, containerd: tuple[int, ...]
) -> Rendering | None:
    """Return how a configuration is rendered, ``None`` where it is a file like any other.

    Args:
        evidence: the node's.
        config_path: the file that containerd was started with.
        containerd: its version.

    Raises:
        NotInEvidence: nobody looked for the templates.
    """
    rule = every.rendered_at(config_path)
    if rule is None:
        return None
    folder = posixpath.dirname(config_path)
    there = {file: _template(evidence, f"{folder}/{file.name}") for file in rule.templates}
    read = rule.read_up_to(Generation(containerd).newest_config)
    used = next((file for file in read if there[file]), None)
    ignored = (template for file, template in there.items() if file != used)
    return Rendering(
        path=config_path,
        rule=rule,
        template=there[used] if used else None,
        ignored=tuple(template for template in ignored if template),
        wanted=f"{folder}/{read[0].name}",
        version=(used or read[0]).version,
    )


def _template(evidence: NodeEvidence, path: str) -> Template | None:
    content = evidence.read(path)
    return None if content is None else parse_template(path, content)


@lru_cache(maxsize=128)
def parse_template(path: str, content: bytes) -> Template:
    """Return what can be known of a template without the values it is filled with.

    Raises:
        Unproven: it is nested too deeply to be read here; containerd itself reads it.
    """
    text = content.decode(errors="replace")
    go = path.endswith(".tmpl")
    literal, actions = _literal(text) if go else (re.sub(r"\$\{\w+\}", "0", text), [])
    open_ends = any(action.split()[:1] and action.split()[0] in _OPENS for action in actions)
    table, error = _toml(path, literal)
    return Template(
        path=path,
        text=text,
        base=any(re.match(r'template\s+"base"', action) for action in actions),
        detects=any(".ExtraRuntimes" in action for action in actions),
        table=table,
        error="" if open_ends else error,
    )


def _toml(path: str, text: str) -> tuple[Mapping[str, Any] | None, str]:
    try:
        return toml(text.encode()), ""
    except LimitError as error:
        raise Unproven(f"{path}: {error}") from None
    except MalformedError as error:
        return None, str(error)


def _literal(text: str) -> tuple[str, list[str]]:
    """Return a Go template's text with a 0 for every value, and its actions.

    Of ``{{if}} … {{else}} … {{end}}`` the first part stays, so that nothing is there twice.
    Source: text/template; a 0 stands where TOML has a value, a key, or a part of a string.
    """
    out: list[str] = []
    actions: list[str] = []
    hidden: list[bool] = []
    unseen = 0
    for plain, action in _split(_INLINE.sub("", text)):
        if not unseen:
            out.append(plain)
        word = action.split(maxsplit=1)[0] if action.strip() else ""
        if action:
            actions.append(action)
        if word in _OPENS:
            hidden.append(word == "define")
            unseen += hidden[-1]
        elif word == "else" and hidden:
            unseen += not hidden[-1]
            hidden[-1] = True
        elif word == "end" and hidden:
            unseen -= hidden.pop()
        elif action and not unseen and not _silent(action, word):
            out.append("0")
    return "".join(out), actions


def _silent(action: str, word: str) -> bool:
    """Say whether an action puts nothing into the text that could be known."""
    return word in {"template", "break", "continue"} or action.startswith("/*") or ":=" in action


def _split(text: str) -> Iterator[tuple[str, str]]:
    """Yield pieces of plain text, each with the action after it, ``""`` at the end."""
    at = 0
    while match := _ACTION.search(text, at):
        close = _CLOSE.search(text, match.end())
        if close is None:
            break
        plain = text[at : match.start()]
        yield plain.rstrip() if match["trims"] else plain, text[match.end() : close.start()].strip()
        at = close.end()
    yield text[at:], ""
