"""A fix for many nodes: one command where one can do it, and nothing that is true of one only."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from pytest_gpu.catalogue import catalogue
from pytest_gpu.report.for_all import for_all, named
from pytest_gpu.steps import Step
from tests.support.made_up import broken, document

NAMES = ("gpu-4", "gpu-7", "gpu-9")
LISTED = '.causes[] | select(.id == "x/y") | .nodes[]'
MANY = tuple(f"gpu-{number:03}" for number in range(1, 101))
ODD = tuple(f"ip-10-{number}-0-{number}.eu-west-1.compute.internal" for number in range(60))


def fixed(text: str, names: tuple[str, ...] = NAMES, kind: str = "cluster") -> list[str]:
    """Return the fix of one command on these nodes, as reports show it."""
    step = Step(kind, text)  # type: ignore[arg-type]
    return [each.shown for each in for_all((step,), named(names, {}, LISTED))]


@pytest.mark.parametrize(
    "verb",
    [
        "kubectl uncordon {} --dry-run=client",
        "kubectl cordon {}",
        "kubectl delete node {}",
        "kubectl label node {} nvidia.com/gpu.count=8 --overwrite",
        "kubectl get node {} -L node.kubernetes.io/instance-type",
        "kubectl describe node {}",
    ],
)
def test_kubectl_takes_all_names(verb: str) -> None:
    """One command, in place of one for each node."""
    assert fixed(verb.format("gpu-4")) == ["$ " + verb.format("gpu-4 gpu-7 gpu-9")]


def test_draining_all_warns() -> None:
    """All nodes of a fleet at once leave no room for their pods."""
    words, command = fixed("kubectl drain gpu-4 --ignore-daemonsets")
    assert "only as many at a time" in words
    assert command == "$ kubectl drain gpu-4 gpu-7 gpu-9 --ignore-daemonsets"


def test_what_takes_one_node_becomes_a_loop() -> None:
    """A field selector cannot name several nodes."""
    text = "kubectl get pods -A --field-selector spec.nodeName={} | grep plugin"
    loop = f"$ for node in gpu-4 gpu-7 gpu-9; do {text.format('$node')}; done"
    assert fixed(text.format("gpu-4")) == [loop]


@pytest.mark.parametrize(
    "text",
    [
        'kubectl patch x -p \'{"node": "gpu-4"}\'',
        "kubectl apply -f - <<EOF\nnode: gpu-4\nEOF",
        "for node in gpu-4; do kubectl drain $node; done",
    ],
)
def test_what_no_loop_can_do_says_for_which_node_it_is(text: str) -> None:
    """A shell replaces nothing in single quotes."""
    assert fixed(text) == ["This is for gpu-4; for the others use their names:", f"$ {text}"]


def test_commands_on_the_node_are_done_on_each() -> None:
    """They are said once, for as many as follow each other."""
    steps = (Step("words", "Mend gpu-4:"), Step("node", "a"), Step("node", "b"), Step("helm", "c"))
    done = for_all((*steps, Step("node", "cat gpu-4")), named(NAMES, {}, LISTED))
    assert [step.shown for step in done] == [
        "Mend the node, on each of gpu-[4,7,9]:",
        "$ a",
        "$ b",
        "When all nodes are done:",
        "$ c",
        "On each of gpu-[4,7,9], with its own name:",
        "$ cat gpu-4",
    ]


def test_what_is_done_once_waits_for_all_nodes() -> None:
    """Whoever goes from node to node would let pods onto all of them after the first one."""
    steps = (
        Step("node", "sudo reboot"),
        Step("words", "Let pods back onto the node:"),
        Step("cluster", "kubectl uncordon gpu-4"),
        Step("cluster", "kubectl get nodes"),
        Step("node", "cat log"),
        Step("words", "It should be empty."),
        Step("cluster", "kubectl get pods"),
    )
    assert [step.shown for step in for_all(steps, named(NAMES, {}, LISTED))] == [
        "On each of gpu-[4,7,9]:",
        "$ sudo reboot",
        "Let pods back onto the node, when all nodes are done:",
        "$ kubectl uncordon gpu-4 gpu-7 gpu-9",
        "$ kubectl get nodes",
        "On each of gpu-[4,7,9]:",
        "$ cat log",
        "It should be empty.",
        "When all nodes are done:",
        "$ kubectl get pods",
    ]


FIXES = {f"{c.id}[{name}]": fix for c in catalogue().values() for name, fix in c.fix.items()}


@pytest.mark.parametrize("name", [n for n, fix in FIXES.items() if "{node}" in str(fix)])
def test_no_command_of_the_catalogue_is_for_one_node_only(name: str) -> None:
    """Whoever fixes three nodes need not type the other names."""
    given = [step for step in FIXES[name] if isinstance(step, Step)]
    steps = tuple(Step(step.kind, step.text.replace("{node}", "gpu-4")) for step in given)
    done = for_all(steps, named(NAMES, {}, LISTED))
    assert [step for step in done if step.kind != "words"] != []
    for step in done:
        assert ("gpu-4" in step.text) == ("gpu-7" in step.text) or "gpu-[4,7,9]" in step.text


@pytest.mark.parametrize("name", [n for n, fix in FIXES.items() if "kubectl uncordon" in str(fix)])
def test_no_fix_of_the_catalogue_uncordons_while_nodes_are_repaired(name: str) -> None:
    """Between a node's own commands and the uncordon stands that all nodes are done."""
    given = [step for step in FIXES[name] if isinstance(step, Step)]
    steps = tuple(Step(step.kind, step.text.replace("{node}", "gpu-4")) for step in given)
    done = for_all(steps, named(NAMES, {}, LISTED))
    (at,) = (n for n, step in enumerate(done) if step.text.startswith("kubectl uncordon"))
    before = [n for n, step in enumerate(done[:at]) if step.kind == "node"]
    between = [step.text for step in done[max(before, default=at) : at]]
    assert not before or any("when all nodes are done:" in text.lower() for text in between)


def test_many_nodes_are_named_by_their_label() -> None:
    """Only if exactly these have it, and only by one that no software writes."""
    ours = {"nvidia.com/gpu.product": "A100", "pool": "a100", "zone": "b"}
    labels = dict.fromkeys(MANY, ours) | {"other": {"zone": "b"}}
    nodes = named(MANY, labels, LISTED)
    assert nodes.arguments == "-l pool=a100"
    assert nodes.words == "$(kubectl get nodes -l pool=a100 -o name | cut -d/ -f2)"
    assert nodes.brief == "gpu-[001-100]"
    more = named(MANY, labels | {"other": ours}, LISTED)
    assert more.arguments == "gpu-{001..100}"


def test_few_nodes_are_named() -> None:
    """A name is safer than a label: it is seen what is drained."""
    assert named(NAMES, {name: {"pool": "a"} for name in NAMES}, LISTED).arguments == " ".join(
        NAMES
    )


def test_names_that_cannot_be_shortened_are_in_the_report() -> None:
    """A thousand names would fill a screen."""
    words, command = fixed(f"kubectl uncordon {ODD[0]}", ODD)
    assert "--gpu-report=FILE.json" in words
    assert command == f"$ kubectl uncordon $(jq -r '{LISTED}' FILE.json)"


def test_the_filter_finds_the_names() -> None:
    """The filter in the command is the one that fits the document."""
    fixes = {name: [f"$ kubectl uncordon {name}"] for name in ODD}
    results = [one for name in ODD for one in broken(name, fix=fixes[name])]
    doc = document(results)
    (cause,) = doc["causes"]
    (command,) = [line for line in cause["fix"] if line.startswith("$")]
    expected = f'.causes[] | select(.id == "{cause["id"]}" and .evidence_of == "{ODD[0]}")'
    assert f"'{expected} | .nodes[]'" in command
    if jq := shutil.which("jq"):
        done = subprocess.run(
            [jq, "-r", f"{expected} | .nodes[]"],
            input=json.dumps(doc),
            text=True,
            capture_output=True,
            check=True,
        )
        assert tuple(done.stdout.split()) == ODD


@pytest.mark.parametrize(
    "names", [NAMES, MANY, ("gpu-9", "gpu-10", "gpu-11")], ids=["few", "many", "ten"]
)
def test_bash_names_every_node_once(names: tuple[str, ...]) -> None:
    """The real shell expands what we write."""
    nodes = named(names, {}, LISTED)
    commands = [f"echo {nodes.arguments}", fixed(f"kubectl get pods -n {names[0]}", names)[-1]]
    script = "kubectl() { echo $4; }\n" + "\n".join(line.removeprefix("$ ") for line in commands)
    done = subprocess.run(["/bin/bash", "-c", script], text=True, capture_output=True, check=True)
    assert done.stdout.split() == [*names, *names]


def test_hostile_names_reach_no_shell() -> None:
    """A recording's names are not trusted."""
    names = ("gpu-1", "x; rm -rf ~")
    assert fixed("kubectl uncordon gpu-1", names)[-1] == "$ kubectl uncordon gpu-1"


def test_values_that_differ_are_never_merged() -> None:
    """Two fixes that differ in more than the name are two blocks."""
    fix = {n: [f"$ kubectl label node gpu-{n} nvidia.com/gpu.count={n}"] for n in "48"}
    results = [one for n in "48" for one in broken(f"gpu-{n}", fix=fix[n])]
    doc = document(results)
    assert [cause["fix"] for cause in doc["causes"]] == [fix["4"], fix["8"]]


def test_the_document_has_one_command_for_all_nodes() -> None:
    """The node's entry keeps its own."""
    results = [one for name in NAMES for one in broken(name, fix=[f"$ kubectl uncordon {name}"])]
    doc = document(results)
    assert doc["causes"][0]["fix"] == ["$ kubectl uncordon gpu-4 gpu-7 gpu-9"]
    assert [node["fix"] for node in doc["nodes"]] == [[f"$ kubectl uncordon {n}"] for n in NAMES]
