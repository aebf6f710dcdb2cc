"""Commands that are safe to copy: every value that is filled in is one word of its command.

Values come from nodes, clusters and recordings. A template says where they stand; how a value is
quoted follows from that place, so no caller can forget it. Usual names and paths need no quotes and
stay as they are. This module alone makes a :class:`Command`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence

from pytest_gpu.text.shell_places import Place, places


class Command(str):
    """A line for a shell that is safe to copy; whatever is made of it is plain text again.

    In a template it stands for itself. All other text is quoted.
    """

    __slots__ = ()


Word = str | Sequence[str]
"""What a placeholder of a command stands for: one word, several, or a :class:`Command`."""

_ASSIGNS = re.compile(r"\w+=")


def command(template: str, /, **values: Word) -> Command:
    """Return a command with each ``{placeholder}`` replaced by its value, quoted where needed.

    ``template`` is written by us, never made of values. A value is one word or a part of one, a
    sequence several words, and a :class:`Command` stands for itself.

    Raises:
        ValueError: a placeholder stands where a value cannot be quoted.
    """
    return filled(template, values.__getitem__)


def with_input(line: Command, text: str) -> Command:
    """Return a command that reads a text: a here-document, in which nothing is expanded."""
    end = "EOF"
    while end in text.split("\n"):
        end += "F"
    return Command(f"{line} <<'{end}'\n{text}{'' if text.endswith(chr(10)) else chr(10)}{end}")


def command_line(argv: Sequence[str]) -> Command:
    """Return a list of words as a command."""
    return Command(shlex.join(argv))


def example(text: str) -> Command:
    """Return a command as an author of causes wrote it, for ``--gpu-explain``."""
    return Command(text)


def word(value: str) -> str:
    """Return a value as one word of a shell, for prose that shows a command."""
    return shlex.quote(value)


def filled(template: str, value_of: Callable[[str], Word]) -> Command:
    """Return a template with its placeholders replaced by what ``value_of`` says for their names.

    Raises:
        ValueError: a placeholder stands where its value cannot be quoted.
    """
    parts, end = [], 0
    begun: set[int] = set()
    for place in places(template):
        value = value_of(place.name)
        parts += [template[end : place.start], _typed(value, place, begun)]
        end = place.end
        if value:
            begun.add(place.word)
    return Command("".join([*parts, template[end:]]))


def _typed(value: Word, place: Place, begun: set[int]) -> str:
    if isinstance(value, Command):
        if not place.is_alone:
            raise ValueError(f"{{{place.name}}} is a command: it must be a word by itself")
        return value
    if not isinstance(value, str):
        if not place.is_alone:
            raise ValueError(f"{{{place.name}}} is several words: it must be a word by itself")
        return " ".join(shlex.quote(_no_option(each, place)) for each in value)
    if place.begins and place.word not in begun:
        value = _no_option(value, place)
    if place.in_quotes:
        return value.replace("'", "'\\''")
    return shlex.quote(value)


def _no_option(value: str, place: Place) -> str:
    """Return a value that a program does not take for an option, nor a shell for an assignment."""
    assigns = place.is_program and _ASSIGNS.match(value)
    return f"./{value}" if value.startswith("-") or assigns else value


def check_template(template: str) -> None:
    """Refuse a template with a placeholder where a value cannot be quoted.

    Raises:
        ValueError: a one-line message that says what to write instead.
    """
    places(template)
