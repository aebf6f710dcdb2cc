"""A line to the probe in a running visit pod."""

from __future__ import annotations

import time

from pytest_gpu.cluster.api.answers import ApiError
from pytest_gpu.cluster.api.run_objects import RunObjects
from pytest_gpu.cluster.visits.pod_stream import PodStream
from pytest_gpu.cluster.visits.probe_app import sent_app
from pytest_gpu.cluster.visits.visit import GREETING_TIME, greet
from pytest_gpu.cluster.visits.visit_pod import CONTAINER, probe_command

VISIT_TIME = 600
"""Seconds after which a visit is over, complete or not: the probe ends itself."""

AGAIN = 1.0
"""Seconds before a second attempt: a container may run a moment before exec finds it."""


def open_line(objects: RunObjects, pod: str) -> PodStream:
    """Return a line to a probe in a running pod; the probe has already said hello.

    Raises:
        GpuError: exec was refused, or the probe does not start.
    """
    try:
        return _open_line(objects, pod)
    except ApiError as error:
        if error.status in (401, 403, 408):
            raise
    time.sleep(AGAIN)
    return _open_line(objects, pod)


def _open_line(objects: RunObjects, pod: str) -> PodStream:
    path = f"{objects.path('pods')}/{pod}"
    command = probe_command(VISIT_TIME)
    stream = PodStream(objects.client, path, CONTAINER, command, stdin=True)
    try:
        stream.send(sent_app())
        greet(stream, min(GREETING_TIME, objects.client.timeout))
    except BaseException:
        stream.close()
        raise
    return stream
