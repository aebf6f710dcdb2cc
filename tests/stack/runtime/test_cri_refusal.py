"""A containerd that runs without its CRI plugin: its journal says why."""

from __future__ import annotations

import pytest

from pytest_gpu.message_file import Where
from pytest_gpu.messages import table
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.stack.runtime import check_serving
from tests.stack.kube.kube_machine import cause, told
from tests.stack.runtime.runtime_machine import Machine

UNSERVED = "rpc error: code = Unimplemented desc = unknown service runtime.v1.RuntimeService"
STARTING = 'level=info msg="starting containerd" revision=1 version=1.7.24'
NOISE = 'level=info msg="loading plugin" id=io.containerd.nri.v1.nri type=io.containerd.nri.v1'

INOTIFY = "runtime/inotify-limit-reached"
REFUSED = "runtime/cri-config-refused"
UNKNOWN = "runtime/cri-not-served"

ROWS = {
    f"{row.cause}-{number}": row
    for number, row in enumerate(table())
    if Where.CONTAINERD in row.where
}


def node(*said: str, error: str = UNSERVED) -> GpuNode:
    """Return a node whose journal of containerd has these lines, each of another second."""
    stamp = "Mar 04 09:58:{:02} worker-3 containerd[4211]: {}"
    log = "\n".join(stamp.format(second, each) for second, each in enumerate(said))
    command = ("journalctl -u containerd -n 200 --no-pager", 0, log, "")
    return Machine(info_error=error, commands=[command]).node()


@pytest.mark.parametrize("name", ROWS)
def test_the_journal_names_the_cause(name: str) -> None:
    """With crictl's error and the line; what is much like it leaves the cause open."""
    row = ROWS[name]
    finding = check_serving.silent(node(STARTING, row.match, NOISE))
    assert cause(finding) == row.cause
    assert UNSERVED in told(finding)
    assert row.match in told(finding)
    assert cause(check_serving.silent(node(STARTING, row.near_miss, NOISE))) == UNKNOWN


@pytest.mark.parametrize(
    ("said", "found", "says"),
    [
        (
            'level=warning msg="failed to load plugin io.containerd.grpc.v1.cri" error="failed to'
            " create CRI service: failed to create cni conf monitor: failed to create fsnotify"
            ' watcher: too many open files"',
            INOTIFY,
            "fs.inotify.max_user_instances",
        ),
        (
            'level=error msg="failed to load plugin" error="invalid cri image config: invalid image'
            ' pull progress timeout: time: invalid duration" id=io.containerd.cri.v1.images',
            REFUSED,
            "pull progress timeout",
        ),
        (
            'level=warning msg="failed to load plugin" error="failed to find snapshotter'
            ' \\"stargz\\"" id=io.containerd.cri.v1.images type=io.containerd.cri.v1',
            REFUSED,
            "stargz",
        ),
        (
            'level=warning msg="failed to load plugin" error="something new" '
            "id=io.containerd.grpc.v1.cri",
            UNKNOWN,
            "something new",
        ),
    ],
)
def test_other_versions_say_the_same_in_other_words(said: str, found: str, says: str) -> None:
    """1.x names the plugin in the message, 2.x in a field; unknown words are shown."""
    finding = check_serving.silent(node(STARTING, said))
    assert cause(finding) == found
    assert says in told(finding)


def test_what_was_said_before_the_last_start_convicts_nobody() -> None:
    """It may have been mended since; where the start is not in the journal, the line counts."""
    said = next(row.match for row in ROWS.values() if row.cause == INOTIFY)
    assert cause(check_serving.silent(node(STARTING, said, STARTING, NOISE))) == UNKNOWN
    assert cause(check_serving.silent(node(STARTING, said, STARTING, said))) == INOTIFY
    assert cause(check_serving.silent(node(said, NOISE))) == INOTIFY


def test_a_runtime_that_serves_is_not_blamed_for_its_log() -> None:
    """The repaired twin, with the old lines still in its journal."""
    lines = (STARTING, *(row.match for row in ROWS.values()), STARTING, NOISE)
    assert check_serving.silent(node(*lines, error="")) is None
