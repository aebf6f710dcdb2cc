"""What lies below the tests that a run asks for, judged from the evidence.

``-k``, ``-m``, ``--deselect``, ``--lf`` and paths leave out tests. Without those of the lower
layers, a run would take a consequence for the cause. So the shipped tests of these layers are
called here before the first test of a layer. They create nothing, and pytest does not count them.
The results of a layer that fails are reported as if it had been asked for; of the others, only what
could not be decided. Within a layer the order of definition is causal: if a test fails, those
before it are called, too.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import pytest

from pytest_gpu.causes import LATENT, GpuFailure
from pytest_gpu.errors import Unproven
from pytest_gpu.finding_json import as_json
from pytest_gpu.layers import Layer
from pytest_gpu.run.items import Rung, requirement_of
from pytest_gpu.run.outcome import Gpu, blank, error_line
from pytest_gpu.run.placeholders import filled
from pytest_gpu.run.suite import SUITE, shipped_tests

if TYPE_CHECKING:
    from pytest_gpu.run.node_face import GpuNode
    from pytest_gpu.run.session import GpuSession

Whole = Container[tuple[str, Layer]]
"""Nodes and layers of which a run asks all shipped tests."""


def whole_layers(asked: Iterable[Rung]) -> Whole:
    """Return the nodes and layers of which all shipped tests are among the asked ones."""
    tests: dict[tuple[str, Layer], set[str]] = {}
    for rung in asked:
        tests.setdefault((rung.node, rung.layer), set()).add(rung.test.partition("[")[0])
    shipped = {layer: shipped_tests(layer).keys() for layer in {layer for _, layer in tests}}
    return frozenset(key for key, names in tests.items() if names >= shipped[key[1]])


class Below:
    """Judges the lower layers of the nodes that one process tests; each layer of a node once."""

    def __init__(self, session: GpuSession, whole: Whole) -> None:
        self.session = session
        self._whole = whole
        self._reached: dict[str, int] = {}
        self._looked_before: set[tuple[str, Layer]] = set()
        self._untold: dict[str, list[Gpu]] = {}
        self._causes: dict[str, tuple[Layer, str, str]] = {}

    def judge(self, name: str, layer: Layer) -> None:
        """Judge what lies below a layer on a node; the ledger notes the first layer that fails."""
        reached = self._reached.get(name, 0)
        if reached >= layer - 1:
            return
        self._reached[name] = layer - 1
        for lower in Layer:
            if reached < lower < layer and self.session.ledger.first_failure(name) is None:
                self._judge(name, lower)

    def judge_before(self, name: str, layer: Layer, test: str | None) -> None:
        """Judge what comes before a failed test in its layer, once for each node and layer.

        ``test`` is the failed one if it is shipped; a user's own test comes after all of them.
        """
        if (name, layer) in self._whole or (name, layer) in self._looked_before:
            return
        self._looked_before.add((name, layer))
        found = list(takewhile(lambda each: each["test"] != test, self._results(name, layer)))
        if any(each["state"] == "failed" for each in found):
            self._untold.setdefault(name, []).extend(found)

    def take(self, name: str) -> list[Gpu]:
        """Return the results to report of a node, each only once."""
        return self._untold.pop(name, [])

    def cause_of(self, name: str, layer: Layer) -> tuple[str, str]:
        """Return ID and title of the cause by which a layer failed here, else empty texts."""
        failed, cause, title = self._causes.get(name, (None, "", ""))
        return (cause, title) if failed == layer else ("", "")

    def _judge(self, name: str, layer: Layer) -> None:
        if (name, layer) in self._whole:
            return
        found = list(self._results(name, layer))
        failed = [each["finding"] for each in found if each["state"] == "failed"]
        if failed:
            self._causes[name] = (layer, failed[0]["cause"], failed[0]["title"])
            self.session.ledger.record(name, layer)
        told = found if failed else [each for each in found if each["state"] != "passed"]
        self._untold.setdefault(name, []).extend(told)

    def _results(self, name: str, layer: Layer) -> Iterator[Gpu]:
        node = self.session.node(name)
        for test, function in shipped_tests(layer).items():
            requirement = requirement_of(function)
            rung = Rung(node=name, layer=layer, test=test, requirement=requirement)
            yield self._result(rung, node, function) | {"silent": True}

    def _result(self, rung: Rung, node: GpuNode, function: Callable[..., object]) -> Gpu:
        if why := self.session.why_not_asked(rung):
            return blank(rung, "not-asked", why)
        token = LATENT.set([])
        try:
            ask = partial(_finding, partial(self._call, function, node), node)
            # As pytest itself calls a test: a bug of ours ends this one only.
            call = pytest.CallInfo.from_call(ask, "call", reraise=_ENDS_THE_RUN)
        finally:
            LATENT.reset(token)
        if call.excinfo is not None:
            return _undecided(rung, call.excinfo.value)
        return blank(rung, "failed" if call.result else "passed") | {"finding": call.result}

    def _call(self, function: Callable[..., object], node: GpuNode) -> None:
        needs_files = "sandbox_files" in inspect.signature(function).parameters
        function(gpu_node=node, **(self._files(node) if needs_files else {}))

    def _files(self, node: GpuNode) -> Mapping[str, object]:
        from pytest_gpu.cluster.admins_files import files_for  # noqa: PLC0415 - few runs need it

        return {"sandbox_files": files_for(node, self.session.settings)}


_ENDS_THE_RUN = (pytest.exit.Exception, KeyboardInterrupt)


def _finding(ask: Callable[[], None], node: GpuNode) -> dict[str, Any] | None:
    """Return the finding of a shipped test as plain JSON types, ``None`` if the test passes."""
    try:
        ask()
    except GpuFailure as failure:
        return as_json(filled(failure.finding, node))
    return None


def _undecided(rung: Rung, error: BaseException) -> Gpu:
    if isinstance(error, Unproven):
        return blank(rung, "unproven", str(error))
    return blank(rung, "error", error_line(error))


def nodeid_of(result: Gpu) -> str:
    """Return the ID that the test of a result has when it is asked for."""
    module = Layer.parse(result["layer"]).module
    return f"{SUITE}/{module}.py::{result['test']}[{result['node']}]"
