"""Names that the Kubernetes API would refuse are refused when a recording is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_gpu.cluster.recording import kube_names
from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.errors import RecordingError
from tests.cluster.recording.test_hostile import complaint, write
from tests.support.runs import QUIET, refused, run_here

HOSTILE = "nv$(touch PWN); id"


@pytest.mark.parametrize(
    ("plural", "content", "where"),
    [
        ("runtimeclasses", "{{metadata: {{name: {0}}}, handler: a}}", "metadata.name"),
        ("runtimeclasses", "{{metadata: {{name: a}}, handler: {0}}}", "handler"),
        ("nodes", "metadata: {{name: {0}}}", "metadata.name"),
        ("nodes", "metadata: {{name: a, labels: {{{0}: x}}}}", "metadata.labels"),
        ("nodes", "metadata: {{name: a, labels: {{x: {0}}}}}", "metadata.labels.x"),
        ("nodes", "{{metadata: {{name: a}}, status: {{capacity: {{{0}: 1}}}}}}", "status.capacity"),
        ("pods", "metadata: {{name: a, namespace: {0}}}", "metadata.namespace"),
        ("pods", "{{metadata: {{name: a}}, spec: {{nodeName: {0}}}}}", "spec.nodeName"),
        ("pods", "{{metadata: {{name: a}}, spec: {{runtimeClassName: {0}}}}}", "runtimeClassName"),
        (
            "pods",
            "{{metadata: {{name: a}}, spec: {{containers: [{{name: {0}}}]}}}}",
            "spec.containers[0].name",
        ),
        (
            "daemonsets",
            "{{metadata: {{name: a}}, spec: {{selector: {{matchLabels: {{app: {0}}}}}}}}}",
            "spec.selector.matchLabels.app",
        ),
        ("clusterpolicies", "metadata: {{name: {0}}}", "metadata.name"),
    ],
)
def test_a_name_that_no_cluster_has(tmp_path: Path, plural: str, content: str, where: str) -> None:
    """One line names the file, the part and the name."""
    root = write(tmp_path, {f"kubernetes/{plural}.yaml": content.format(f"'{HOSTILE}'")})
    said = complaint(root)
    assert f"kubernetes/{plural}.yaml: " in said
    assert f"{where}: {HOSTILE!r} is not a" in said


def test_names_of_events_are_not_judged(tmp_path: Path) -> None:
    """The API takes those of objects of other kinds, such as system:node."""
    content = f"metadata: {{name: '{HOSTILE}'}}"
    root = write(tmp_path, {"kubernetes/events.yaml": content})
    with open_recording(root, "x") as cluster:
        assert [each["metadata"]["name"] for each in cluster.objects("events")] == [HOSTILE]


def test_a_run_ends_before_it_judges(pytester: pytest.Pytester, tmp_path: Path) -> None:
    """Exit code 4, and one line."""
    hostile = f"{{metadata: {{name: '{HOSTILE}'}}, handler: nvidia}}"
    root = write(tmp_path, {"kubernetes/runtimeclasses.yaml": hostile})
    assert "metadata.name: " in refused(run_here(pytester, f"--gpu-cluster=path:{root}", *QUIET))


@pytest.mark.parametrize(
    "name", ["a", "a-b", "a.b-c.d", "192-18-132-31", "ip-10-0-0-1.eu.compute.internal", "x" * 253]
)
def test_names_of_objects(name: str) -> None:
    """Subdomains as of RFC 1123."""
    assert kube_names.object_name(name, "x") == name


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "a..b", ".a", "a.", "A", "a_b", "a/b", "a b", "a\n", "ä", "x" * 254]
)
def test_no_names_of_objects(name: str) -> None:
    """Each is refused, in one line."""
    with pytest.raises(RecordingError, match=r"^x: '.*' is not a name: .*$"):
        kube_names.object_name(name, "x")


@pytest.mark.parametrize("key", ["app", "nvidia.com/gpu", "nvidia.com/mig-1g.5gb", "a_B.c"])
def test_keys_of_labels_and_resources(key: str) -> None:
    """With or without a domain before them; what was redacted in a value is not judged."""
    assert kube_names.key(key, "x") == key
    kube_names.labels({key: "", "a": "v1.2_x", "b": "<redacted>", "c": "a-<redacted>"}, "x")


@pytest.mark.parametrize("key", ["", "/", "a/", "/a", "a/b/c", "-a", "a b", "A.b/c", "x" * 64])
def test_no_keys_of_labels_and_resources(key: str) -> None:
    """Each is refused."""
    with pytest.raises(RecordingError, match=r"is not a name such as nvidia\.com/gpu"):
        kube_names.key(key, "x")


@pytest.mark.parametrize("value", ["a b", "-a", "a;", "x" * 64, "a\n"])
def test_no_values_of_labels(value: str) -> None:
    """Each is refused."""
    with pytest.raises(RecordingError, match=r"^x\.a: '.*' is not a label's value$"):
        kube_names.labels({"a": value}, "x")
