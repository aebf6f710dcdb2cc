"""Judges a recording in this process: the conformance tests as plain calls, without pytest.

The same functions decide and the same code makes the verdict document of their results; what is
left out is pytest itself, so that a test may judge hundreds of recordings.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from pytest_gpu.asked import question_of, why_not_asked
from pytest_gpu.causes import LATENT, GpuFailure
from pytest_gpu.cluster.recording.recorded import RecordedCluster
from pytest_gpu.errors import GpuError, Unproven
from pytest_gpu.finding_json import as_json
from pytest_gpu.layers import Layer
from pytest_gpu.report import verdicts
from pytest_gpu.report.facts import node_facts
from pytest_gpu.report.run_info import RunInfo
from pytest_gpu.run.items import Rung
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.run.outcome import blank
from pytest_gpu.run.placeholders import filled
from pytest_gpu.run.selection import select_nodes
from pytest_gpu.stack.kube.pods import waiting_pods
from pytest_gpu.stack.sandbox import sandboxes

Requirement = Callable[..., None]


@cache
def requirements(layer: Layer) -> Sequence[Requirement]:
    """Return the conformance tests of a layer in the order of their definition."""
    name = str(layer).replace("-", "_")
    module = importlib.import_module(f"pytest_gpu.conformance.test_{name}")
    return tuple(
        each
        for name, each in vars(module).items()
        if name.startswith("test_") and inspect.isfunction(each)
    )


def judge(cluster: RecordedCluster) -> dict[str, Any]:
    """Return the verdict document on a recording, as a run without options makes it.

    Raises:
        GpuError: no node of it can be told to have a GPU.
    """
    names = select_nodes(cluster, None).names
    if not names:
        raise GpuError("no GPU node found")
    results = [each for name in names for each in _climbed(GpuNode(name, cluster))]
    planned = {str(layer): len(requirements(layer)) for layer in Layer}
    run = RunInfo(
        suite_version="0",
        cluster=cluster.title,
        started=datetime.now(UTC),
        duration=0,
        layers_asked=tuple(planned),
        planned=dict.fromkeys(names, planned),
    )
    return verdicts.build(
        results,
        names,
        run,
        cluster,
        waiting_pods,
        node_facts=lambda name: node_facts(GpuNode(name, cluster)),
    )


def _climbed(node: GpuNode) -> Iterator[Mapping[str, Any]]:
    """Yield the results of a node up to the first layer that fails."""
    for layer in Layer:
        found = [_result(node, layer, each) for each in requirements(layer)]
        yield from found
        if any(each["state"] == "failed" for each in found):
            return


def _result(node: GpuNode, layer: Layer, requirement: Requirement) -> Mapping[str, Any]:
    doc = (requirement.__doc__ or "").partition("\n")[0]
    rung = Rung(node=node.name, layer=layer, test=requirement.__name__, requirement=doc)
    cluster = node.cluster
    if why := why_not_asked(cluster.asked, question_of(layer, rung.test), cluster.suite):
        return blank(rung, "not-asked", why)
    token = LATENT.set([])
    try:
        _call(requirement, node)
        result = blank(rung, "passed")
    except GpuFailure as failure:
        result = blank(rung, "failed") | {"finding": as_json(filled(failure.finding, node))}
    except Unproven as reason:
        result = blank(rung, "unproven", str(reason))
    except GpuError as error:
        result = blank(rung, "error", str(error))
    finally:
        latent = [as_json(filled(finding, node)) for finding in LATENT.get()]
        LATENT.reset(token)
    return result | {"latent": latent}


def _call(requirement: Requirement, node: GpuNode) -> None:
    if "sandbox_files" in inspect.signature(requirement).parameters:
        requirement(node, sandbox_files=_sandbox_files(node))
    else:
        requirement(node)


def _sandbox_files(node: GpuNode) -> sandboxes.SandboxFiles | None:
    """Return what the fixture ``sandbox_files`` does without an admin's own files."""
    try:
        return sandboxes.read(node.evidence).files
    except Unproven:
        return None
