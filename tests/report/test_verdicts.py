"""The verdict document: states, causes, what explains what, and exit codes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pytest

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import ClusterEvidence
from pytest_gpu.report.verdicts import exit_code
from pytest_gpu.stack.kube.pods import WaitingPod
from tests.support.made_up import (
    LAYERS,
    TWO_CONTAINERDS,
    Cluster,
    broken,
    document,
    finding,
    healthy,
    pod,
    replaced,
    result,
)


def node(doc: dict[str, Any], name: str = "gpu-1") -> dict[str, Any]:
    """Return one node of a document."""
    found: dict[str, Any] = next(entry for entry in doc["nodes"] if entry["name"] == name)
    return found


def state(doc: dict[str, Any], layer: str, name: str = "gpu-1") -> str:
    """Return the state of one layer of one node."""
    return str(node(doc, name)["layers"][layer]["state"])


def test_healthy_node_conforms() -> None:
    """Every layer passed: no layer, no cause, exit 0."""
    doc = document(healthy("gpu-1"))
    entry = node(doc)
    assert entry["verdict"] == "conforms"
    assert (entry["layer"], entry["cause"], entry["fix"]) == (None, None, [])
    assert entry["conforms_up_to"] == "runtimeclass-pod"
    assert {cell["state"] for cell in entry["layers"].values()} == {"passed"}
    assert entry["layers"]["driver"]["passed"] == entry["layers"]["driver"]["total"] == 2
    assert doc["run"]["exit_code"] == 0
    assert (doc["causes"], doc["latent"]) == ([], [])


def test_failing_node_names_layer_cause_evidence_and_fix() -> None:
    """The finding of the failed test is the node's verdict; what lies above is blocked."""
    doc = document(broken("gpu-1"))
    entry = node(doc)
    assert (entry["verdict"], entry["layer"]) == ("fails", "runtime")
    assert entry["cause"] == TWO_CONTAINERDS
    assert entry["evidence"] == finding()["evidence"]
    assert entry["fix"] == finding()["fix"]
    assert entry["conforms_up_to"] == "driver"
    assert [state(doc, layer) for layer in LAYERS] == ["passed"] * 3 + ["failed"] + ["blocked"] * 3
    assert entry["layers"]["runtimeclass-pod"]["blocked_by"] == "runtime"
    assert doc["run"]["exit_code"] == 1


def test_the_lowest_failing_layer_names_the_cause_whatever_ended_first() -> None:
    """With --gpu-all-layers too, climbing order decides and not the order of results."""
    results = [
        result("gpu-1", "device-plugin", "failed", finding=finding("access/second")),
        result("gpu-1", "driver", "failed", finding=finding("driver/first")),
        result("gpu-1", "driver", "failed", finding=finding("driver/later")),
    ]
    entry = node(document(results, all_layers=True))
    assert (entry["layer"], entry["cause"]) == ("driver", "driver/first")
    assert [seen["cause"] for seen in entry["also_seen"]] == ["access/second", "driver/later"]


def test_findings_that_the_cause_explains_are_consequences() -> None:
    """Consequences are kept apart, so that nobody repairs them."""
    first = finding("driver/first", explains=["driver/later*", "device-plugin/*"])
    results = [
        result("gpu-1", "driver", "failed", finding=first),
        result("gpu-1", "driver", "failed", finding=finding("driver/later-one")),
        result("gpu-1", "driver", "failed", finding=finding("driver/other")),
        result("gpu-1", "device-plugin", "failed", finding=finding("device-plugin/x")),
    ]
    entry = node(document(results, all_layers=True))
    assert [seen["cause"] for seen in entry["also_seen"]] == ["driver/other"]
    assert {gone["cause"] for gone in entry["consequences"]} == {
        "driver/later-one",
        "device-plugin/x",
    }


def test_the_same_finding_of_a_second_test_is_not_also_seen() -> None:
    """Two tests may meet one cause; it is told once."""
    results = [*broken("gpu-1"), result("gpu-1", "runtime", "failed", finding=finding())]
    entry = node(document(results))
    assert (entry["also_seen"], entry["consequences"]) == ([], [])


def test_failed_test_without_finding_is_unexplained_and_keeps_its_message() -> None:
    """A bare assertion in a user's test still says what it says."""
    bare = result("gpu-1", "driver", "failed", reason="assert 470 < 400")
    entry = node(document([bare]))
    assert entry["cause"] == "driver/unexplained"
    assert entry["evidence"] == [{"source": "test_driver", "line": None, "text": bare["reason"]}]


@pytest.mark.parametrize(
    ("states", "verdict"),
    [
        (("failed", "error", "unproven"), "fails"),
        (("error", "unproven", "passed"), "error"),
        (("unproven", "passed", "passed"), "unproven"),
        (("passed", "passed", "skipped"), "conforms"),
    ],
)
def test_node_verdict_is_the_worst_state(states: Sequence[str], verdict: str) -> None:
    """Fails > error > unproven > conforms; skipped tests do not count."""
    results = [result("gpu-1", "driver", one) for one in states]
    assert node(document(results, layers_asked=("driver",)))["verdict"] == verdict


def test_failing_node_lists_what_was_unproven_below() -> None:
    """What could not be decided below the failing layer may be the real cause."""
    results = replaced(broken("gpu-1"), "hardware", "unproven", reason="dmesg is not in evidence")
    entry = node(document(results))
    assert entry["verdict"] == "fails"
    assert entry["conforms_up_to"] == "access"
    assert [(one["layer"], one["reason"]) for one in entry["unproven"]] == [
        ("hardware", "dmesg is not in evidence")
    ] * 2


def test_node_without_any_result_is_unproven() -> None:
    """Silence is not conformance."""
    doc = document(healthy("gpu-1"), ["gpu-1", "gpu-2"])
    assert node(doc, "gpu-2")["verdict"] == "unproven"
    assert len(node(doc, "gpu-2")["unproven"]) == len(LAYERS)
    assert doc["run"]["exit_code"] == 1


def test_node_whose_tests_were_all_deselected_is_unproven() -> None:
    """-k may leave nothing of a node."""
    planned = {"gpu-1": {"driver": 1}}
    results = [result("gpu-1", "driver")]
    doc = document(results, ["gpu-1", "gpu-2"], layers_asked=("driver",), planned=planned)
    assert node(doc)["verdict"] == "conforms"
    assert node(doc, "gpu-2")["verdict"] == "unproven"
    assert node(doc, "gpu-2")["unproven"][0]["reason"] == "no test of this node was run"


def test_planned_tests_without_a_result_are_not_run() -> None:
    """A crashed worker or -x leaves tests without results: the node is unproven."""
    planned = {"gpu-1": dict.fromkeys(LAYERS, 2)}
    doc = document(healthy("gpu-1")[:-1], planned=planned)
    assert (
        node(doc)["layers"]["runtimeclass-pod"] | {"state": "not-run", "missing": 1}
        == (node(doc)["layers"]["runtimeclass-pod"])
    )
    assert node(doc)["verdict"] == "unproven"
    assert node(doc)["unproven"][0]["reason"].startswith("not run: ")
    assert doc["summary"]["not_run"] == sum(c["missing"] for c in node(doc)["layers"].values())


def test_asked_layer_without_a_result_is_unproven_and_not_asked_one_is_not() -> None:
    """Only --gpu-layers and the like make a layer not asked."""
    results = healthy("gpu-1", LAYERS[:3])
    doc = document(results, layers_asked=LAYERS[:4])
    assert (state(doc, "runtime"), node(doc)["verdict"]) == ("not-run", "unproven")
    doc = document(results, layers_asked=LAYERS[:3])
    assert state(doc, "runtime") == "not-asked"
    assert (node(doc)["verdict"], node(doc)["conforms_up_to"]) == ("conforms", "driver")
    assert doc["run"]["exit_code"] == 0


def test_layers_that_never_ran_above_a_failing_one_are_not_run() -> None:
    """Nobody knows whether they would have been blocked: -x ended the run."""
    doc = document(broken("gpu-1")[:8])
    assert state(doc, "runtime") == "failed"
    assert state(doc, "sandbox") == "not-run"
    assert node(doc)["layers"]["sandbox"]["blocked_by"] is None
    assert node(doc)["verdict"] == "fails"


def test_layer_of_which_every_test_was_skipped_proves_nothing() -> None:
    """No vacuous pass."""
    doc = document(replaced(healthy("gpu-1"), "driver", "skipped"))
    assert (state(doc, "driver"), node(doc)["verdict"]) == ("skipped", "unproven")


def test_single_skipped_test_does_not_apply_and_is_not_counted() -> None:
    """A test that does not apply here is neither here nor there."""
    doc = document([*healthy("gpu-1"), result("gpu-1", "driver", "skipped")])
    assert state(doc, "driver") == "passed"
    assert node(doc)["layers"]["driver"]["total"] == 2


@pytest.mark.parametrize("untried", ["unproven", "skipped"])
def test_untried_sandbox_is_implied_by_pods_that_passed(untried: str) -> None:
    """A host without a shell can be green: pods went through the same handler."""
    results = replaced(healthy("gpu-1"), "sandbox", untried, reason="no crictl on this node")
    doc = document(results)
    assert state(doc, "sandbox") == "implied"
    assert node(doc)["verdict"] == "conforms"
    assert node(doc)["conforms_up_to"] == "runtimeclass-pod"
    assert node(doc)["unproven"] == []
    assert [one["reason"] for one in node(doc)["implied"]] == ["no crictl on this node"] * 2


@pytest.mark.parametrize("pods", ["unproven", "error", "skipped", "failed"])
def test_untried_sandbox_is_not_implied_by_pods_that_did_not_pass(pods: str) -> None:
    """Only pods that all passed show anything."""
    results = replaced(healthy("gpu-1"), "sandbox", "unproven", reason="no crictl")
    doc = document(replaced(results, "runtimeclass-pod", pods, reason="busy"))
    assert state(doc, "sandbox") == "unproven"
    assert node(doc)["implied"] == []
    assert doc["run"]["exit_code"] == 1


def test_failed_sandbox_is_never_implied() -> None:
    """A failure stays one, whatever pods do."""
    results = replaced(healthy("gpu-1"), "sandbox", "failed", finding=finding("sandbox/x"))
    assert state(document(results, all_layers=True), "sandbox") == "failed"


def test_pods_of_another_node_imply_nothing() -> None:
    """Each node stands for itself."""
    results = replaced(healthy("gpu-1", LAYERS[:5]), "sandbox", "unproven", reason="no crictl")
    doc = document([*results, *healthy("gpu-2")], planned={"gpu-1": dict.fromkeys(LAYERS[:5], 2)})
    assert state(doc, "sandbox") == "unproven"


def test_latent_findings_are_shown_and_do_not_change_the_verdict() -> None:
    """It works now: exit 0, but it is told."""
    late = finding("docker/unknown-runtime", evidence=[])
    results = replaced(healthy("gpu-1"), "runtime", "passed", latent=[late])
    doc = document([*results, *healthy("gpu-2")])
    assert (state(doc, "runtime"), node(doc)["verdict"]) == ("latent", "conforms")
    assert [one["cause"] for one in node(doc)["latent"]] == ["docker/unknown-runtime"]
    assert [(one["id"], one["nodes"]) for one in doc["latent"]] == [
        ("docker/unknown-runtime", ["gpu-1"])
    ]
    assert doc["run"]["exit_code"] == 0


@pytest.mark.parametrize(
    ("first", "second", "beside"),
    [
        ("runtime/template-not-read", "runtime/toolkit-other-paths", True),
        ("runtime/config-invalid", "runtime/containerd-not-running", False),
        ("runtime/containerd-not-running", "runtime/config-invalid", True),
    ],
)
def test_an_effect_swallows_no_cause(first: str, second: str, beside: bool) -> None:
    """Of two whose patterns mean each other, only one that names the other explains it."""
    results = [
        result("gpu-1", "runtime", "failed", finding=finding(cause, explains=["runtime/*"]))
        for cause in (first, second)
    ]
    entry = node(document(results))
    assert [each["cause"] for each in entry["also_seen"]] == ([second] if beside else [])
    assert len(entry["consequences"]) == (not beside)


def test_latent_finding_that_the_cause_explains_is_not_told() -> None:
    """It goes with the cause."""
    results = broken("gpu-1", "runtime", explains=["docker/*"])
    beside = next(each for each in results if each["layer"] == "runtime")
    beside["latent"] = [finding("docker/x"), finding("driver/x")]
    assert [one["cause"] for one in node(document(results))["latent"]] == ["driver/x"]


def test_two_latent_findings_of_one_repair_are_one_with_all_evidence() -> None:
    """One GPU each, one repair."""
    lines = [{"source": "journal", "line": n, "text": f"GPU {n}"} for n in (1, 2)]
    results = healthy("gpu-1")
    results[4]["latent"] = [finding("driver/x", evidence=[line]) for line in lines]
    found = node(document(results))["latent"]
    assert [one["evidence"] for one in found] == [lines]


def test_nodes_with_the_same_cause_and_fix_share_a_block() -> None:
    """One repair, one block, all of its nodes."""
    doc = document([*broken("gpu-1"), *broken("gpu-2"), *healthy("gpu-3"), *broken("gpu-4")])
    (cause,) = doc["causes"]
    assert cause["nodes"] == ["gpu-1", "gpu-2", "gpu-4"]
    assert cause["evidence_of"] == "gpu-1"
    assert (doc["summary"]["fail"], doc["summary"]["causes"]) == (3, 1)


def test_the_nodes_own_name_in_a_fix_does_not_split_a_block() -> None:
    """`ssh NODE` is the same step everywhere, also where one name begins with another."""
    names = ["gpu-1", "gpu-10", "gpu-1.example.com"]
    results = [one for name in names for one in broken(name, fix=[f"$ ssh {name} sudo reboot"])]
    assert [cause["nodes"] for cause in document(results)["causes"]] == [names]


def test_title_of_many_nodes_names_none_of_them() -> None:
    """A block on 85 nodes must not read as if it were about the first one."""
    results = [one for n in "12" for one in broken(f"gpu-{n}", title=f"No driver on gpu-{n}")]
    doc = document(results)
    assert [cause["title"] for cause in doc["causes"]] == ["No driver on the node"]
    assert [node["title"] for node in doc["nodes"]] == ["No driver on gpu-1", "No driver on gpu-2"]
    (alone,) = document(broken("gpu-1", title="No driver on gpu-1"))["causes"]
    assert alone["title"] == "No driver on gpu-1"


def test_different_fixes_of_one_cause_are_separate_blocks() -> None:
    """A fleet of two distributions needs both fixes."""
    other = broken("gpu-2", fix=["$ microk8s enable nvidia"])
    doc = document([*broken("gpu-1"), *other, *broken("gpu-3")])
    assert [(c["id"], c["nodes"]) for c in doc["causes"]] == [
        (TWO_CONTAINERDS, ["gpu-1", "gpu-3"]),
        (TWO_CONTAINERDS, ["gpu-2"]),
    ]
    assert doc["causes"][1]["fix"] == ["$ microk8s enable nvidia"]


def test_causes_come_with_the_most_frequent_first() -> None:
    """What mends most nodes is read first."""
    results = [
        *broken("gpu-1", "driver", cause="driver/a"),
        *broken("gpu-2", cause="runtime/b"),
        *broken("gpu-3", cause="runtime/b"),
    ]
    assert [cause["id"] for cause in document(results)["causes"]] == ["runtime/b", "driver/a"]


def test_also_seen_of_a_cause_names_its_nodes() -> None:
    """Further findings are grouped like causes."""
    more = [
        result(name, "runtime", "failed", finding=finding("runtime/other"))
        for name in ("gpu-1", "gpu-3")
    ]
    doc = document([*broken("gpu-1"), *broken("gpu-2"), *broken("gpu-3"), *more])
    (cause,) = doc["causes"]
    assert [(one["cause"], one["nodes"]) for one in cause["also_seen"]] == [
        ("runtime/other", ["gpu-1", "gpu-3"])
    ]


def test_waiting_pods_are_asked_for_the_nodes_of_each_cause() -> None:
    """Each cause has the pods of its own nodes."""

    def waiting(cluster: ClusterEvidence, nodes: Collection[str]) -> Sequence[WaitingPod]:
        return [pod(f"pod-of-{name}", node=name) for name in nodes]

    results = [*broken("gpu-1"), *broken("gpu-2", "driver", cause="driver/x"), *healthy("gpu-3")]
    doc = document(results, waiting=waiting)
    by_cause = {cause["id"]: cause["waiting_pods"] for cause in doc["causes"]}
    assert by_cause[TWO_CONTAINERDS] == [
        {
            "namespace": "default",
            "name": "pod-of-gpu-1",
            "state": "ContainerCreating",
            "age_seconds": 23 * 60,
            "node": "gpu-1",
            "reason": 'no runtime for "nvidia" is configured',
        }
    ]
    assert [one["name"] for one in by_cause["driver/x"]] == ["pod-of-gpu-2"]


def test_pods_that_nobody_asked_for_are_unknown_and_not_none() -> None:
    """Null is not the empty list."""

    def waiting(cluster: ClusterEvidence, nodes: Collection[str]) -> Sequence[WaitingPod]:
        raise NotInEvidence("the cluster", "pods")

    (cause,) = document(broken("gpu-1"), waiting=waiting)["causes"]
    assert cause["waiting_pods"] is None


def test_versions_come_from_the_node_objects() -> None:
    """All versions of the cluster are named, and each node's own."""
    cluster = Cluster({"gpu-1": "v1.31.4", "gpu-2": "v1.30.2", "cpu-1": "v1.31.4"})
    doc = document([*healthy("gpu-1"), *healthy("gpu-2"), *healthy("gpu-3")], cluster=cluster)
    assert doc["cluster"] == {"title": "sample:made-up", "kubernetes_version": "v1.30.2, v1.31.4"}
    assert [entry["kubelet_version"] for entry in doc["nodes"]] == ["v1.31.4", "v1.30.2", None]
    assert {entry["distribution"] for entry in doc["nodes"]} == {"k8s-snap"}


def test_results_of_several_workers_may_be_interleaved() -> None:
    """Under xdist results of different nodes arrive mixed."""
    mixed = [one for pair in zip(broken("gpu-1"), healthy("gpu-2"), strict=True) for one in pair]
    apart = [*broken("gpu-1"), *healthy("gpu-2")]
    assert document(mixed, ["gpu-1", "gpu-2"]) == document(apart, ["gpu-1", "gpu-2"])


def test_exit_code_is_4_without_nodes() -> None:
    """Nothing tested is never 0."""
    assert document([], [], layers_asked=LAYERS)["run"]["exit_code"] == 4


def test_unproven_is_forgiven_only_on_request() -> None:
    """--gpu-allow-unproven turns 1 into 0."""
    doc = document(replaced(healthy("gpu-1"), "driver", "unproven", reason="busy"))
    assert exit_code(doc, allow_unproven=False) == 1
    assert exit_code(doc, allow_unproven=True) == 0


def test_nothing_tested_is_never_forgiven() -> None:
    """Not even with --gpu-allow-unproven."""
    doc = document(healthy("gpu-1"), ["gpu-1", "gpu-2"])
    assert exit_code(doc, allow_unproven=True) == 1


@pytest.mark.parametrize("state", ["failed", "error"])
def test_failures_and_errors_are_never_forgiven(state: str) -> None:
    """--gpu-allow-unproven is about unproven only."""
    doc = document(replaced(healthy("gpu-1"), "driver", state), all_layers=True)
    assert exit_code(doc, allow_unproven=True) == 1
