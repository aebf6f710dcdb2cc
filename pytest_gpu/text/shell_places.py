"""Where the placeholders of a command stand: in which word, in quotes or not.

A template is read as a POSIX shell reads it, as far as commands to copy need that. What cannot be
decided for every value is refused: a placeholder in double quotes, in a comment, in an expression
of awk.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

IS_LITERAL = r"(?:(?<=\$)|(?=\{[^{}]*\}\})(?<=\{))"
PLACEHOLDER = re.compile(rf"(?!{IS_LITERAL})\{{([a-z][a-z_]*)\}}")
"""A name in braces; ``${name}`` is a shell's, and ``{{name}}`` a template's of another program."""

_SPACE = " \t\n"
_ENDS_COMMAND = "|&;()\n"
_ENDS_WORD = _SPACE + "|&;()<>"

_BEFORE_PROGRAM = frozenset({"sudo", "env", "do", "then", "else", "if", "while", "!", "{", "time"})
"""Words after which the name of a program follows."""

_RUNS_TEXT = frozenset(
    {"sh", "bash", "dash", "ash", "zsh", "ksh", "su", "ssh", "eval", "trap", "watch", "xargs"}
    | {"awk", "gawk", "sed", "perl", "python", "python3", "ruby", "jq", "parallel", "nsenter"}
)
"""Programs whose arguments may be programs: quotes of our shell do not protect in theirs."""

_READS_AGAIN = frozenset({"eval", "watch", "trap", "parallel"})
"""Programs that hand all their words to a shell once more."""

_UNREAD = re.compile(r"`|\$[({]|\(\(|\$['\"]|<<")
_UNREAD_IN_DOUBLE = re.compile(r"`|\$[({]")
"""What is not read here: nothing may be filled into a command that has one of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One placeholder of a template.

    ``word`` tells the words of the template apart. ``begins`` says that nothing but placeholders
    stands before it in its word, ``is_alone`` that it is a whole word without quotes, ``in_quotes``
    that it stands in single quotes, ``is_program`` that its word names the program to run.
    """

    name: str
    start: int
    end: int
    word: int
    begins: bool
    is_alone: bool
    in_quotes: bool
    is_program: bool


@lru_cache(maxsize=1024)
def places(template: str) -> tuple[Place, ...]:
    """Return the placeholders of a template.

    Raises:
        ValueError: a value could not be quoted there; a one-line message.
    """
    if not PLACEHOLDER.search(template):
        return ()
    return tuple(_Reader(template).places())


@dataclass(slots=True)
class _Words:
    """The words of one simple command, as far as they were read."""

    program: bool = True
    runs_text: bool = False
    reads_again: bool = False
    ssh: int = -1
    last: str = ""

    def end(self, text: str) -> None:
        """Take note of a word."""
        name = text.rpartition("/")[2]
        self.runs_text |= name in _RUNS_TEXT
        self.reads_again |= self.program and name in _READS_AGAIN
        option = text.startswith("-")
        if self.ssh >= 0 and not option:
            self.ssh += 1
        if self.program:
            self.ssh = 0 if name == "ssh" else self.ssh
            before = name in _BEFORE_PROGRAM or option or re.match(r"\w+=", text)
            self.program = bool(before)
        self.last = text

    @property
    def hands_on(self) -> bool:
        """Whether the next word is read by another shell, or is a program in itself."""
        return self.reads_again or self.ssh >= 1 or (self.runs_text and self.last in {"-c", "-e"})


@dataclass(slots=True)
class _Reader:
    template: str
    at: int = 0
    word: int = 0
    text: str = ""
    """What was read of the word, without quotes and placeholders."""
    started: bool = False
    words: _Words = field(default_factory=_Words)
    double: bool = False

    def places(self) -> Iterator[Place]:
        while self.at < len(self.template):
            if (match := PLACEHOLDER.match(self.template, self.at)) and not self.double:
                yield self._place(match, in_quotes=False)
            elif match:
                raise ValueError(f"{match[0]} stands in double quotes; use single ones, or none")
            else:
                yield from self._step(self.template[self.at])
        if self.double:
            raise ValueError('a " is not closed')

    def _step(self, char: str) -> Iterator[Place]:
        unread = _UNREAD_IN_DOUBLE if self.double else _UNREAD
        if found := unread.match(self.template, self.at):
            raise ValueError(f"nothing can be filled in safely beside {found[0]}")
        if char == "\\":
            self._escaped()
        elif char == '"':
            self.double, self.started = not self.double, True
            self.at += 1
        elif self.double:
            self._take(char)
        elif char == "'":
            yield from self._single()
        elif char in _ENDS_WORD:
            self._end_word(char)
        elif char == "#" and not self.started:
            self._comment()
        else:
            self._take(char)

    def _take(self, char: str) -> None:
        self.text += char
        self.started = True
        self.at += 1

    def _escaped(self) -> None:
        if PLACEHOLDER.match(self.template, self.at + 1):
            raise ValueError("a placeholder stands after a backslash")
        self.at += 1
        if self.at < len(self.template):
            self._take(self.template[self.at])

    def _end_word(self, char: str) -> None:
        if self.started:
            self.words.end(self.text)
        self.text, self.started = "", False
        self.word += 1
        if char in _ENDS_COMMAND:
            self.words = _Words()
        self.at += 1

    def _comment(self) -> None:
        end = self.template.find("\n", self.at)
        end = len(self.template) if end < 0 else end
        if match := PLACEHOLDER.search(self.template, self.at, end):
            raise ValueError(f"{match[0]} stands in a comment")
        self.at = end

    def _single(self) -> Iterator[Place]:
        end = self.template.find("'", self.at + 1)
        if end < 0:
            raise ValueError("a ' is not closed")
        self.started = True
        self.at += 1
        while self.at < end:
            if match := PLACEHOLDER.match(self.template, self.at):
                if self.words.runs_text:
                    raise ValueError(f"{match[0]} stands in quotes of a program that runs them")
                yield self._place(match, in_quotes=True)
            else:
                self._take(self.template[self.at])
        self.at = end + 1

    def _place(self, match: re.Match[str], *, in_quotes: bool) -> Place:
        if self.words.hands_on:
            raise ValueError(f"{match[0]} is read by another shell or program once more")
        before, self.at = self.started, match.end()
        self.started = True
        after = self.template[match.end() : match.end() + 1]
        return Place(
            name=match[1],
            start=match.start(),
            end=match.end(),
            word=self.word,
            begins=not self.text,
            is_alone=not before and (not after or after in _ENDS_WORD),
            in_quotes=in_quotes,
            is_program=self.words.program,
        )
