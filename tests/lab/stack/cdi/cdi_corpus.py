"""CDI specs for the real library: a good one, changed in one to three places many times."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

Path = tuple[Any, ...]

GOOD: dict[str, Any] = {
    "cdiVersion": "0.5.0",
    "kind": "nvidia.com/gpu",
    "devices": [
        {
            "name": "0",
            "containerEdits": {
                "deviceNodes": [
                    {
                        "path": "/dev/nvidia0",
                        "hostPath": "/dev/nvidia0",
                        "type": "c",
                        "major": 195,
                        "minor": 0,
                        "permissions": "rw",
                        "uid": 0,
                    }
                ]
            },
        },
        {"name": "all", "containerEdits": {"env": ["A=b"]}},
    ],
    "containerEdits": {
        "env": ["X=1"],
        "hooks": [
            {
                "hookName": "createContainer",
                "path": "/usr/bin/x",
                "args": ["x", "y"],
                "env": ["A=1"],
                "timeout": 5,
            }
        ],
        "mounts": [{"hostPath": "/a", "containerPath": "/a", "options": ["ro"]}],
        "deviceNodes": [{"path": "/dev/nvidiactl"}],
    },
}
FIELDS: Sequence[tuple[str, Any]] = (
    ("annotations", {"a.b/c": "d"}),
    ("annotations", {"bad key": "d"}),
    ("annotations", {"a": 1}),
    ("annotations", {"UP.com/x": "y"}),
    ("annotations", {"a/b/c": "d"}),
    ("annotations", {"-a": "d"}),
    ("Kind", "x.com/y"),
    ("foo", 1),
    ("intelRdt", {"closID": "a/b"}),
    ("intelRdt", {}),
    ("additionalGids", [44]),
    ("additionalGids", [-1]),
    ("type", "tmpfs"),
    ("type", "x"),
    ("permissions", "rx"),
    ("hostpath", "/dev/x"),
    ("fileMode", 438),
    ("env", ["=x"]),
    ("env", [1]),
)
VALUES: Sequence[Any] = (
    *("", "x", "/", "a/b", "0", "a-", "-a", "a:b", "a b", "0:1", "ä", "a", "b", "u", "rwm"),
    *("x.com/c.d", "vendor/class", "9a/b", "prestart", "poststop"),
    *("0.3.0", "0.4.0", "0.6.0", "0.7.0", "0.8.0", "v0.5.0", "1.0", "0.9.0", "2.0.0"),
    *(None, 0, 1, -1, 1.5, True, 10**12, 2**40),
    *([], {}, [None], [1], ["a"], {"a": 1}),
)
LINES = ("", "- x", "  a: b", "\t", "&a b", "x: *a", "...", "---")


def corpus(seed: int, count: int) -> Iterator[str]:
    """Yield so many texts, the same ones for the same seed."""
    dice = random.Random(seed)  # noqa: S311 - the same texts each time, no secret
    for _ in range(count):
        yield _text(_changed(dice), dice)


def _places(value: Any, path: Path = ()) -> Iterator[Path]:
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if _is(value) else ()
    for key, each in inner:
        yield from _places(each, (*path, key))


def _is(value: Any) -> bool:
    return isinstance(value, list)


def _at(value: Any, path: Path) -> Any:
    for key in path:
        value = value[key]
    return value


def _changed(dice: random.Random) -> Any:
    document = {**copy.deepcopy(GOOD), "cdiVersion": dice.choice(("0.5.0", "0.7.0"))}
    for _ in range(dice.choice([0, 1, 1, 1, 2, 2, 3])):
        if places := [path for path in _places(document) if path]:
            _change(document, dice.choice(places), dice)
    return document


def _change(document: Any, path: Path, dice: random.Random) -> None:
    parent, kind = _at(document, path[:-1]), dice.random()
    if kind < 0.35:
        parent[path[-1]] = copy.deepcopy(dice.choice(VALUES))
    elif kind < 0.55:
        del parent[path[-1]]
    elif kind < 0.7 and isinstance(parent, list):
        parent.append(copy.deepcopy(parent[path[-1]]))
    else:
        holders = [each for each in _places(document) if isinstance(_at(document, each), dict)]
        key, value = dice.choice(FIELDS)
        _at(document, dice.choice(holders))[key] = copy.deepcopy(value)


def _text(document: Any, dice: random.Random) -> str:
    kind = dice.random()
    if kind < 0.3:
        return json.dumps(document)
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    if kind < 0.4:
        lines = text.splitlines()
        at = dice.randrange(len(lines))
        lines.insert(at, dice.choice([lines[at], *LINES]))
        return "\n".join(lines)
    return text[: dice.randrange(len(text) + 1)] if kind < 0.45 else text
