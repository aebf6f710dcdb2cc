"""Node names in little space: many names as ranges, long names shortened but still unique."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import count, groupby

_NUMBERED = re.compile(r"(.*?)([0-9]+)([^0-9]*)", re.DOTALL)


def fold(names: Sequence[str]) -> list[str]:
    """Return names with runs of numbers as ranges: ``gpu-[001-085,090]``.

    The number is the last one before the first dot. Every name can be read back from the result;
    numbers with leading zeros are folded only with numbers of the same length.
    """
    parts = [_split(name) for name in dict.fromkeys(names)]
    padded = {(head, tail, len(n)) for head, n, tail in parts if n.startswith("0") and len(n) > 1}
    groups: dict[tuple[str, str, int], list[str]] = {}
    for head, number, tail in parts:
        # 007 and 7 are different names; 099 and 100 are one range, and so are 9 and 10.
        length = len(number) if (head, tail, len(number)) in padded else 0
        groups.setdefault((head, tail, length), []).append(number)
    return [_ranges(head, numbers, tail) for (head, tail, _), numbers in groups.items()]


def _split(name: str) -> tuple[str, str, str]:
    """Return a name as the text before its number, the number, and the text behind it."""
    host, dot, domain = name.partition(".")
    match = _NUMBERED.fullmatch(host)
    return (match[1], match[2], match[3] + dot + domain) if match else (name, "", "")


def _ranges(head: str, numbers: Sequence[str], tail: str) -> str:
    if len(numbers) == 1:
        return f"{head}{numbers[0]}{tail}"
    ordered = sorted(numbers, key=int)
    position = count()
    runs = [list(run) for _, run in groupby(ordered, lambda number: int(number) - next(position))]
    parts = [run[0] if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    return f"{head}[{','.join(parts)}]{tail}"


def fit(names: Sequence[str], width: int, beside: Sequence[str] = ()) -> dict[str, str]:
    """Return a label of at most ``width`` characters for every name, no two the same.

    First the domain that all share is dropped, then the middle of the names; as a last resort a
    number is added. A single name is told from those of the other nodes, ``beside`` it.
    """
    if len(names) == 1:
        return {names[0]: _single(names[0], width, [name for name in beside if name != names[0]])}
    labels = dict(zip(names, _without_domain(names), strict=True))
    if max(map(len, labels.values()), default=0) <= width:
        return labels
    for tail in range(width - 2, width // 3, -1):
        short = {name: _elide(label, width, tail) for name, label in labels.items()}
        if len(set(short.values())) == len(names):
            return short
    return {name: _numbered(name, width, number) for number, name in enumerate(labels, 1)}


def _without_domain(names: Sequence[str]) -> list[str]:
    """Return the names without the dotted end they all share."""
    parts = [name.split(".") for name in names]
    shared = 0
    while all(len(part) > shared + 1 for part in parts) and _same_end(parts, shared + 1):
        shared += 1
    return [".".join(part[: len(part) - shared]) for part in parts]


def _single(name: str, width: int, others: Sequence[str]) -> str:
    """Return a label of one name that none of the others would have."""
    label = _alone(name, width)
    if all(_alone(other, width) != label for other in others):
        return label
    whole, *rest = _without_domain([name, *others])
    labels = (
        (_elide(whole, width, tail), {_elide(other, width, tail) for other in rest})
        for tail in range(width - 2, 0, -1)
    )
    return next((mine for mine, theirs in labels if mine not in theirs), label)


def _alone(name: str, width: int) -> str:
    """Return what tells most of a name without others to compare it with.

    EKS numbers a node in its host name, before a long domain; AKS and GKE at the end of a host name
    without a domain, whose start names the pool.
    """
    parts = name.split(".")
    while len(parts) > 1 and len(".".join(parts)) > width:
        parts.pop()
    return _elide(".".join(parts), width, 2 * (width - 2) // 3)


def _same_end(parts: Sequence[Sequence[str]], length: int) -> bool:
    return len({tuple(part[-length:]) for part in parts}) == 1


def _elide(label: str, width: int, tail: int) -> str:
    if len(label) <= width:
        return label
    return f"{label[: width - 2 - tail]}..{label[len(label) - tail :]}"


def _numbered(name: str, width: int, number: int) -> str:
    mark = f"..~{number}"
    return f"{name[: max(0, width - len(mark))]}{mark}"
