"""Every value in a node's answers replaced in turn: judging never breaks and is never greener.

A value of the wrong type says as much as no value: no check may pass because of it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from pytest_gpu.causes import LATENT, GpuFailure
from pytest_gpu.cluster.recording.recorded import RecordedCluster, open_recording
from pytest_gpu.cluster.recording.samples import sample_path
from pytest_gpu.cluster.visits.seen import SeenNode
from pytest_gpu.cluster.visits.visit import drive
from pytest_gpu.errors import Unproven
from pytest_gpu.evidence import Door
from pytest_gpu.run.node_face import GpuNode
from tests.support.hostile_text import HOSTILE
from tests.support.replay import Replay
from tests.survey.test_survey import VISITED, Watched, _Around, conformance

Path = tuple[str | int, ...]

HEALTHY, NODE = "healthy-kubeadm", "gpu-1"

VALUES: Mapping[str, Any] = {
    "null": None,
    "a number": 7,
    "a text": "x",
    "a list": [None],
    "a map": {"a": [None]},
    "a huge number": 10**400,
    "hostile text": HOSTILE,
    "true": True,
}

MISSING = object()


class Changed(Replay):
    """A node that replaces one value in all answers of a kind: the first word of the path."""

    def __init__(self, cluster: RecordedCluster, path: Path, value: Any) -> None:
        super().__init__(cluster.node(NODE))
        self._kind, *rest = path
        self._place, self._value = (*rest,), value

    def _answers(self, asked: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        for answer in super()._answers(asked):
            of_kind = self._kind in answer
            yield replaced(copy.deepcopy(answer), self._place, self._value) if of_kind else answer


def replaced(answer: Any, path: Path, value: Any) -> Any:
    """Return an answer with another value at a path; ``*`` is every key of a map."""
    if not path or not isinstance(answer, dict | list):
        return answer
    parts: Any = answer
    key, rest = path[0], path[1:]
    known: Sequence[Any] = range(len(answer)) if isinstance(answer, list) else list(answer)
    for each in known if key == "*" else [key] if key in known else []:
        if rest:
            replaced(parts[each], rest, value)
        elif value is MISSING:
            del parts[each]
        else:
            parts[each] = value
    return answer


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of every leaf, and of every part that has leaves."""
    if path:
        yield path
    parts: Iterable[tuple[Any, Any]] = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        parts = enumerate(value[:1])
    for key, part in parts:
        yield from leaves(part, (*path, key))


KINDS: Sequence[Path] = (
    *(("read", key) for key in ("real", "links", "data", "entry", "truncated", "absent", "error")),
    *(("list", key) for key in ("real", "entries", "truncated", "error")),
    *(("read", "entry", key) for key in ("kind", "mode", "mtime")),
    *(("stat", "entry", key) for key in ("size", "target", "device")),
    *(("list", "entries", "*", key) for key in ("kind", "mode", "mtime", "size", "target")),
    *(("elf", "summary", key) for key in ("machine", "needed", "versions", "defines")),
    *(("run", key) for key in ("run", "exit", "stdout", "stderr", "duration", "error")),
)
"""Values in the answers by the kind of answer; each is replaced in all answers of that kind."""


TYPES: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("mode", "mtime", "size", "exit", "duration"), (int, float)),
    **dict.fromkeys(("read", "list", "real", "target", "data", "error", "kind"), (str,)),
    **dict.fromkeys(("stdout", "stderr", "machine"), (str,)),
    **dict.fromkeys(("truncated", "absent"), (bool,)),
    **dict.fromkeys(("links", "versions", "entry", "entries"), (dict,)),
}
"""What may be there: such a value may mean something."""


def outcomes(cluster: RecordedCluster, node: SeenNode) -> dict[str, str]:
    """Return how every requirement that asks one node alone is decided."""
    face, found = GpuNode(NODE, _Around(cluster, Watched(node))), {}
    for function in conformance(VISITED):
        token = LATENT.set([])
        try:
            function(face)
        except (AssertionError, GpuFailure):
            found[function.__name__] = "failed"
        except (Unproven, pytest.skip.Exception):
            found[function.__name__] = "unproven"
        else:
            found[function.__name__] = "passed"
        finally:
            LATENT.reset(token)
    return found


@pytest.fixture(scope="module")
def cluster() -> Iterator[RecordedCluster]:
    """Return a healthy cluster."""
    with open_recording(sample_path(HEALTHY), HEALTHY) as cluster:
        yield cluster


def visited(cluster: RecordedCluster, path: Path, value: Any) -> dict[str, str]:
    """Return the outcomes after a visit in which one kind of value was replaced."""
    node = SeenNode(NODE, Door(kind="pod"))
    drive(Changed(cluster, path, value), node, cluster)
    return outcomes(cluster, node)


def greener(found: Mapping[str, str], without: Mapping[str, str]) -> list[str]:
    """Return the requirements that pass, although they do not where the value is missing."""
    return [name for name, state in found.items() if state == "passed" != without[name]]


@pytest.mark.parametrize("path", KINDS, ids="-".join)
def test_a_value_of_the_wrong_type_is_no_value(cluster: RecordedCluster, path: Path) -> None:
    """In the answers about files, directories and commands."""
    without = visited(cluster, path, MISSING)
    for name, value in VALUES.items():
        found = visited(cluster, path, value)
        assert len(found) == len(without) > 30
        if type(value) not in TYPES.get(str(path[-1]), ()):
            assert greener(found, without) == [], name


NVML = json.loads((sample_path(HEALTHY) / "nodes" / NODE / "nvml.json").read_bytes())


@pytest.mark.parametrize("path", list(leaves(NVML)), ids=lambda path: "-".join(map(str, path)))
def test_an_answer_of_nvml_of_the_wrong_type_is_no_answer(
    cluster: RecordedCluster, path: Path
) -> None:
    """What pynvml returned on a node that was taken over."""
    without, right = with_nvml(cluster, path, MISSING), type(value_at(NVML, path))
    for name, value in VALUES.items():
        found = with_nvml(cluster, path, value)
        # The suite reads 1 as true, as C does.
        is_right = right is type(value) or (right is bool and type(value) is int)
        assert is_right or greener(found, without) == [], name


def value_at(found: Any, path: Path) -> Any:
    """Return what is at a path."""
    for key in path:
        found = found[key]
    return found


def with_nvml(cluster: RecordedCluster, path: Path, value: Any) -> dict[str, str]:
    """Return the outcomes where NVML answers the same but for one value."""
    node = copy.copy(cluster.node(NODE))
    node._wholes = {"nvml.json": replaced(copy.deepcopy(NVML), path, value)}
    return outcomes(cluster, node)  # type: ignore[arg-type]
