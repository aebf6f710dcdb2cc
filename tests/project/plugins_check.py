"""Judge samples beside the pytest plugins that many projects use: verdicts must stay the same.

``make test-plugins`` runs this with a Python that has all of them. Each plugin runs alone with a
typical option, then all at once that work together, with and without ``-n2``. Every run is compared
with one without these plugins: exit code, verdict, layer and cause of every node, states of all
layers, the order of the layers, header and closing line. Prints a line for each run; exits 1 if any
differs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.project.plugins_runs import (
    BROKEN,
    FLEET,
    HEALTHY,
    OWN_STATES,
    PLUGINS,
    TOGETHER,
    UNPROVEN,
    Outcome,
    Plugin,
    Run,
    Sample,
    names_of,
    outcome,
    own_states,
)


def runs(plugins: tuple[Plugin, ...]) -> Iterator[Run]:
    """Yield the runs with these plugins; the fleet has a node of each kind."""
    for sample in (HEALTHY, BROKEN, UNPROVEN):
        yield Run(plugins=plugins, sample=sample, parallel=False)
    yield Run(plugins=plugins, sample=FLEET, parallel=True)
    if len(plugins) != 1:
        yield Run(plugins=plugins, sample=HEALTHY, parallel=True)


def main() -> int:
    """Return how many runs came out differently."""
    without = list(runs(()))
    compared = [run for group in (*((each,) for each in PLUGINS), *TOGETHER) for run in runs(group)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        expected = dict(zip(map(_place, without), pool.map(outcome, without), strict=True))
        wrong = [_tell(run, against_sample(run.sample, expected[_place(run)])) for run in without]
        for run, found in zip(compared, pool.map(outcome, compared), strict=True):
            wrong.append(_tell(run, differences(run, expected[_place(run)], found)))
        wrong.append(_tell(f"own tests, {names_of(TOGETHER[-1])}", own(TOGETHER[-1])))
    return sum(wrong)


def _place(run: Run) -> tuple[str, bool]:
    return run.sample.name, run.parallel


def _tell(what: Run | str, wrong: Sequence[str]) -> int:
    print(f"plugins: {what}: {'; '.join(wrong) or 'ok'}", flush=True)  # noqa: T201 - a script
    return bool(wrong)


def against_sample(sample: Sample, found: Outcome) -> list[str]:
    """Return what is not as the sample must be: the comparison rests on it."""
    verdicts = {name: node["verdict"] for name, node in found.nodes.items()}
    pairs = [("exit code", sample.exit, found.exit), ("verdicts", sample.verdicts, verdicts)]
    return [
        *(f"WRONG {what}: {is_now}, not {must}" for what, must, is_now in pairs if must != is_now),
        *_own_faults(found, frozenset()),
    ]


def differences(run: Run, expected: Outcome, found: Outcome) -> list[str]:
    """Return what a run with plugins changed; empty if nothing."""
    pairs = [
        ("exit code", expected.exit, found.exit),
        ("header", expected.header, found.header),
        ("closing line", expected.closing, found.closing),
        *_node_pairs(run, expected.nodes, found.nodes),
    ]
    wanted = frozenset(plugin.name for plugin in run.plugins)
    return [
        *(f"WRONG {what}: {is_now}, not {must}" for what, must, is_now in pairs if must != is_now),
        *_own_faults(found, wanted),
    ]


def _own_faults(found: Outcome, wanted: frozenset[str]) -> Iterator[str]:
    if found.loaded != wanted:
        yield f"WRONG plugins: {sorted(found.loaded)}, not {sorted(wanted)}"
    if not found.climbs:
        yield "WRONG order: a node's layers were not tested from the lowest to the highest"
    if not (found.header and found.closing):
        yield "WRONG output: the header or the closing line is missing"


def _node_pairs(
    run: Run, expected: Mapping[str, Any], found: Mapping[str, Any]
) -> Iterator[tuple[str, object, object]]:
    """Yield what is compared of each node; with ``--count`` there are as many times more tests."""
    times = 2 if any("--count=2" in plugin.options for plugin in run.plugins) else 1
    for name in sorted({*expected, *found}):
        ours, theirs = expected.get(name, {}), found.get(name, {})
        for key in ("verdict", "layer", "cause", "latent", "states", "open"):
            yield f"{key} of {name}", ours.get(key), theirs.get(key)
        tests = {layer: times * number for layer, number in ours.get("tests", {}).items()}
        yield f"number of tests of {name}", tests, theirs.get("tests")


def own(plugins: tuple[Plugin, ...]) -> list[str]:
    """Return what is wrong with how the tests of ``own_tests.py`` ended beside these plugins."""
    found = own_states(plugins)
    return [
        f"WRONG state of {name}: {found.get(name)}, not {OWN_STATES.get(name)}"
        for name in sorted({*found, *OWN_STATES})
        if found.get(name) != OWN_STATES.get(name)
    ]


if __name__ == "__main__":
    sys.exit(min(main(), 1))
