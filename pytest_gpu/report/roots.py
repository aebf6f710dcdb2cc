"""A latent finding below that explains a failure above is its cause.

It must say so in the catalogue (``explains``), and both must speak of the same thing: a GPU or a
device node of one, a line of a file, a unit, an object of Kubernetes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_gpu.report.findings import Result, covered, layer_of

Finding = Mapping[str, Any]

_PCI = re.compile(
    r"(?<![0-9a-f])[0-9a-f]{4,8}:([0-9a-f]{2}:[0-9a-f]{2})(?![0-9a-f])", re.IGNORECASE
)
_UUID = re.compile(r"(?:GPU|MIG)-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# Only nodes with a number belong to one GPU; /dev/nvidiactl and the like are everybody's.
_DEVICE = re.compile(
    r"/dev/(?:nvidia|nvidia-caps/nvidia-cap|dri/card|dri/renderD)\d{1,4}(?![\w/-])"
)
_UNIT = re.compile(r"(?<![\w@.-])[\w@.-]{1,128}\.service\b")
_OBJECT = re.compile(r"\b(?:pod|daemonset|deployment|job) [a-z0-9.-]{1,253}+/[a-z0-9.-]{1,253}+")


def root_of(finding: Finding, first: Result, results: Sequence[Result]) -> Finding:
    """Return the finding that is the cause of a failure: a latent one below, else itself.

    The evidence of a latent one comes first, then that of the failure.
    """
    for result in sorted(results, key=layer_of):
        if layer_of(result) > layer_of(first):
            break
        for latent in result["latent"]:
            if covered(latent, finding["cause"]) and same_thing(latent, finding):
                evidence = [*latent["evidence"], *finding["evidence"]]
                return {**latent, "evidence": evidence}
    return finding


def link_of(finding: Finding, first: Result, results: Sequence[Result]) -> str:
    """Return a line that names the cause of a failure, empty if that is the finding itself."""
    root = root_of(finding, first, results)
    if root["cause"] == finding["cause"]:
        return ""
    return f"caused by {root['cause']}: {root['title']}"


def same_thing(one: Finding, other: Finding) -> bool:
    """Say whether the evidence of two findings speaks of one and the same thing."""
    return not {*_things(one)}.isdisjoint(_things(other))


def _things(finding: Finding) -> Iterator[object]:
    for each in finding["evidence"]:
        source, text = each["source"], each["text"]
        if source.startswith("/") and each["line"] is not None:
            # Many findings name one file; only its line is one thing.
            yield source, each["line"]
        yield from (match[1].lower() for match in _PCI.finditer(f"{source} {text}"))
        for pattern in (_UUID, _DEVICE, _UNIT):
            yield from pattern.findall(f"{source} {text}")
        yield from _OBJECT.findall(source)
