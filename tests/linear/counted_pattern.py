"""Regular expressions that count their steps: a backtracking matcher, as ``re`` is one.

``re`` itself counts nothing, and time is no measure on a busy machine. The matcher reads what
``re`` parsed, tries alternatives in the order in which ``re`` tries them, and counts each character
and each attempt. It knows none of the short cuts of ``re``, which save a constant factor only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import takewhile
from re import _compiler, _constants, _parser  # type: ignore[attr-defined] # no types
from typing import Any

Goal = Callable[[int], int]
"""What follows a node: returns where the match ends, -1 if there is none from this position."""

Node = tuple[Any, Any]

_SINGLE = {_constants.LITERAL, _constants.NOT_LITERAL, _constants.ANY, _constants.IN}
_REPEATS = {
    _constants.MAX_REPEAT: "greedy",
    _constants.MIN_REPEAT: "lazy",
    _constants.POSSESSIVE_REPEAT: "possessive",
}


def parsed(pattern: re.Pattern[Any]) -> Any:
    """Return a pattern as ``re`` parsed it."""
    flags = pattern.flags & ~re.UNICODE if isinstance(pattern.pattern, bytes) else pattern.flags
    return _parser.parse(pattern.pattern, flags)


def single(tree: Any, node: Node) -> re.Pattern[Any]:
    """Return a node that matches one character as a pattern of its own."""
    return _compiler.compile(_parser.SubPattern(tree.state, [node]), tree.state.flags)  # type: ignore[no-any-return] # no types


MOST = 200_000
"""Steps after which a run is given up: what takes more for a short text is not linear."""


def _whatever(at: int) -> int:
    return at


class _TooManyError(Exception):
    """A run took too many steps."""


class CountedPattern:
    """A pattern whose ``steps`` grow with every character and attempt."""

    def __init__(self, pattern: re.Pattern[Any]) -> None:
        self.pattern = pattern
        self.steps = 0
        self._tree = parsed(pattern)
        self._text: Any = ""
        self._groups: dict[int, tuple[int, int]] = {}
        self._characters: dict[int, dict[Any, bool]] = {}
        self._goal: Goal = _whatever
        self._start = self._sequence(list(self._tree), self._ended)

    def run(self, text: Any, how: str) -> int:
        """Return the steps that ``re`` would take for a method, such as ``search``."""
        self.steps, self._text = 0, text
        with suppress(_TooManyError):
            if how in {"match", "fullmatch"}:
                whole = how == "fullmatch"
                self._try(0, (lambda at: at if at == len(text) else -1) if whole else _whatever)
            else:
                self._scan(once=how == "search")
        return self.steps

    def spans(self, text: Any) -> list[tuple[int, int]]:
        """Return where the pattern matches, for comparison with ``finditer``."""
        self._text = text
        return self._scan(once=False)

    def _scan(self, *, once: bool) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        at = 0
        while at <= len(self._text):
            self._step()
            end = self._try(at, _whatever)
            if end >= 0:
                found.append((at, end))
                if once:
                    break
            at = max(at + 1, end)
        return found

    def _try(self, at: int, goal: Goal) -> int:
        self._groups.clear()
        self._goal = goal
        return self._start(at)

    def _ended(self, at: int) -> int:
        return self._goal(at)

    def _step(self) -> None:
        self.steps += 1
        if self.steps > MOST:
            raise _TooManyError

    def _sequence(self, nodes: Sequence[Node], goal: Goal) -> Goal:
        for node in reversed(nodes):
            goal = self._node(node, goal)
        return goal

    def _node(self, node: Node, goal: Goal) -> Goal:
        operator, argument = node
        if operator in _SINGLE:
            return lambda at: goal(at + 1) if self._fits(node, at) else -1
        if operator in _REPEATS:
            return self._repeat(_REPEATS[operator], argument, goal)
        rest = getattr(self, f"_{str(operator).lower()}")
        return rest(argument, goal)  # type: ignore[no-any-return] # chosen by its name

    def _fits(self, node: Node, at: int) -> bool:
        self._step()
        if at >= len(self._text):
            return False
        character = self._text[at : at + 1]
        known = self._characters.setdefault(id(node), {})
        if character not in known:
            known[character] = single(self._tree, node).fullmatch(character) is not None
        return known[character]

    def _repeat(self, kind: str, argument: Any, goal: Goal) -> Goal:
        low, high, body = argument
        most = 1 << 30 if high is _constants.MAXREPEAT else high
        nodes = list(body)
        if len(nodes) == 1 and nodes[0][0] in _SINGLE:
            return lambda at: self._characters_repeated(kind, nodes[0], low, most, at, goal)
        if kind == "possessive":
            inner = self._grouped("greedy", nodes, low, most, lambda at: at)
            return lambda at: goal(end) if (end := inner(at)) >= 0 else -1
        return self._grouped(kind, nodes, low, most, goal)

    def _characters_repeated(  # noqa: PLR0913, PLR0917 - the parts of one repetition
        self, kind: str, node: Node, low: int, most: int, at: int, goal: Goal
    ) -> int:
        if kind == "lazy":
            return self._lazy_characters(node, low, most, at, goal)
        there = range(at, min(at + most, len(self._text) + 1))
        count = sum(1 for _ in takewhile(lambda each: self._fits(node, each), there))
        for length in range(count, low - 1, -1):
            self._step()
            end = goal(at + length)
            if end >= 0 or kind == "possessive":
                return end
        return -1

    def _lazy_characters(self, node: Node, low: int, most: int, at: int, goal: Goal) -> int:
        for length in range(most + 1):
            end = goal(at + length) if length >= low else -1
            if end >= 0 or not self._fits(node, at + length):
                return end
        return -1

    def _grouped(self, kind: str, nodes: Sequence[Node], low: int, most: int, goal: Goal) -> Goal:
        def once(count: int, at: int) -> int:
            self._step()

            def again(end: int) -> int:
                return -1 if end == at and count >= low else once(count + 1, end)

            if count < low:
                return self._sequence(nodes, again)(at)
            if kind == "lazy" and (end := goal(at)) >= 0:
                return end
            if count < most and (end := self._sequence(nodes, again)(at)) >= 0:
                return end
            return goal(at) if kind == "greedy" else -1

        return lambda at: once(0, at)

    def _subpattern(self, argument: Any, goal: Goal) -> Goal:
        number, _, _, body = argument
        begun: list[int] = []

        def closed(at: int) -> int:
            if number is not None:
                self._groups[number] = (begun[-1], at)
            return goal(at)

        inner = self._sequence(list(body), closed)

        def opened(at: int) -> int:
            begun.append(at)
            end = inner(at)
            begun.pop()
            return end

        return opened

    def _branch(self, argument: Any, goal: Goal) -> Goal:
        ways = [self._sequence(list(way), goal) for way in argument[1]]

        def tried(at: int) -> int:
            self.steps += len(ways)
            return next((end for way in ways if (end := way(at)) >= 0), -1)

        return tried

    def _atomic_group(self, argument: Any, goal: Goal) -> Goal:
        inner = self._sequence(list(argument), lambda at: at)
        return lambda at: goal(end) if (end := inner(at)) >= 0 else -1

    def _assert(self, argument: Any, goal: Goal) -> Goal:
        return lambda at: goal(at) if self._looks(argument, at) else -1

    def _assert_not(self, argument: Any, goal: Goal) -> Goal:
        return lambda at: -1 if self._looks(argument, at) else goal(at)

    def _looks(self, argument: Any, at: int) -> bool:
        direction, body = argument
        if direction > 0:
            return self._sequence(list(body), lambda end: end)(at) >= 0
        start = at - body.getwidth()[0]
        return start >= 0 and self._sequence(list(body), lambda end: end)(start) == at

    def _at(self, argument: Any, goal: Goal) -> Goal:
        place = _compiler.compile(
            _parser.SubPattern(self._tree.state, [(_constants.AT, argument)]),
            self._tree.state.flags,
        )

        def held(at: int) -> int:
            self._step()
            return goal(at) if place.match(self._text, at) else -1

        return held

    def _groupref(self, argument: Any, goal: Goal) -> Goal:
        def same(at: int) -> int:
            start, end = self._groups.get(argument, (0, 0))
            self.steps += end - start + 1
            told = self._text[start:end]
            return goal(at + len(told)) if self._text.startswith(told, at) else -1

        return same
