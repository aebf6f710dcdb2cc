"""What people read at the end of a run: table, blocks, and the last line, in any terminal."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pytest_gpu.report.names import fit, fold
from pytest_gpu.report.terminal import plain, print_lines, render
from pytest_gpu.report.text import age
from pytest_gpu.text.visible import is_unicode, visible
from tests.support.made_up import LAYERS, broken, document, finding, healthy, pod, replaced, result

DIFF = '--- /etc/a.toml\n+++ /etc/a.toml\n@@ -1 +1,2 @@\n version = 2\n+imports = ["/b"]'
HELM = (
    "helm upgrade gpu-operator nvidia/gpu-operator --namespace gpu-operator --version v24.9.2"
    " --reuse-values -f toolkit-values.yaml"
)


def text(doc: dict[str, Any], **how: Any) -> str:
    """Return a rendered document as one text."""
    return "\n".join(plain(render(doc, **how)))


def fleet() -> dict[str, Any]:
    """Return 100 nodes with three causes, on every tenth node from the third on."""
    names = [f"gpu-{number:03}" for number in range(100)]
    results = [one for name in names for one in healthy(name)]
    for number in range(0, 100, 10):
        kinds = (("driver", "driver/a"), ("runtime", "runtime/b"), ("hardware", "hardware/c"))
        layer, cause = kinds[number % 3]
        mine = broken(names[number], layer, cause=cause, title=f"This is {cause}")
        results = [one for one in results if one["node"] != names[number]] + mine
    return document(results, names)


def test_mixed_fleet_reads_like_this() -> None:
    """The whole output, as a person sees it."""
    results = [*healthy("gpu-1"), *broken("gpu-2", evidence=[LONG]), *broken("gpu-3")]
    doc = document(results, waiting=lambda *_: [pod("gpu-textgen", node="gpu-2")])
    assert text(doc, encoding="ascii") == EXPECTED


LONG = {
    "source": "/var/lib/k8s-containerd/k8s-containerd/etc/containerd/config.toml",
    "line": 7,
    "text": 'imports = ["/etc/containerd/conf.d/*.toml"]',
}
EXPECTED = """\
sample:made-up - Kubernetes v1.31.4 - k8s-snap - seen 2026-11-20T10:00:00Z

node  access hardware driver runtime  sandbox plugin  pod     #
gpu-1 ok 2/2 ok 2/2   ok 2/2 ok 2/2   ok 2/2  ok 2/2  ok 2/2
gpu-2 ok 2/2 ok 2/2   ok 2/2 FAIL 1/2 blocked blocked blocked 1
gpu-3 ok 2/2 ok 2/2   ok 2/2 FAIL 1/2 blocked blocked blocked 1
blocked: not tried, a lower layer of the node fails; #: number of the cause
below

cause 1 of 1 ------------------------------------------------------ 2 of 3 nodes
The toolkit configured another containerd than the kubelet uses
  cause: runtime/toolkit-configured-other-containerd (layer runtime)
  nodes: gpu-[2-3]
  evidence of gpu-2:
    /var/lib/k8s-containerd/k8s-containerd/etc/containerd/config.toml:7:
      imports = ["/etc/containerd/conf.d/*.toml"]
  why:
    Two instances of containerd run on the node. Two instances of containerd run
    on the node. Two instances of containerd run on the node.
  fix:
    Tell the toolkit where this containerd reads:
      helm upgrade gpu-operator
  GPU pods that wait on these nodes:
    ContainerCreating  23m  default/gpu-textgen
  more: pytest --gpu-explain=runtime/toolkit-configured-other-containerd

3 nodes: 1 conforms, 2 fail (1 cause)"""


def test_every_state_has_its_cell() -> None:
    """ok, implied, latent, unproven, error, failed, blocked, not asked."""
    one = replaced(healthy("gpu-1"), "sandbox", "unproven", reason="no crictl")
    one = replaced(one, "runtime", "passed", latent=[finding("docker/x")])
    two = replaced(healthy("gpu-2"), "driver", "error", reason="TimeoutError: 30 s")
    two = replaced(two, "access", "unproven", reason="no right to list events")
    three = broken("gpu-3", "device-plugin")
    lines = text(document([*one, *two, *three])).splitlines()
    rows = {line.split()[0]: line.split(None, 1)[1] for line in lines if line.startswith("gpu-")}
    cells = {name: re.findall(r"[a-zA-Z-]+(?: \d/\d)?", row) for name, row in rows.items()}
    ok = "ok 2/2"
    assert cells["gpu-1"] == [ok, ok, ok, "latent", "implied", ok, ok]
    assert cells["gpu-2"] == ["unproven 0/2", ok, "ERROR 0/2", ok, ok, ok, ok]
    assert cells["gpu-3"] == [ok, ok, ok, ok, ok, "FAIL 1/2", "blocked"]
    asked = document(healthy("gpu-1", LAYERS[:3]), layers_asked=LAYERS[:3])
    assert re.search(r"^gpu-1 +ok 2/2 +ok 2/2 +ok 2/2 +- +- +- +-$", text(asked), re.MULTILINE)


def test_a_hundred_nodes_with_three_causes_take_one_page_of_table() -> None:
    """Few rows, each cause once, its nodes as ranges; the document has them all."""
    doc = fleet()
    shown = text(doc)
    start = shown.index("node ")
    rows = shown[start : shown.index("blocked: not tried")].splitlines()[1:]
    assert len(rows) == 4
    for cause in ("driver/a", "runtime/b", "hardware/c"):
        assert shown.count(f"cause: {cause} ") == 1
        assert shown.count(f"This is {cause}\n") == 1
    assert "nodes: gpu-[000,030,060,090]" in shown
    assert "90 nodes " in shown
    assert shown.endswith("\n100 nodes: 90 conform, 10 fail (3 causes)")
    assert sum(len(cause["nodes"]) for cause in doc["causes"]) == 10


def test_rows_never_exceed_twenty_however_different_the_nodes_are() -> None:
    """Where all nodes differ, the table names the worst and says how many it leaves out."""
    names = [f"n{number}" for number in range(64)]
    results = []
    for number, name in enumerate(names):
        mine = healthy(name)
        for bit, layer in enumerate(LAYERS[:6]):
            if number >> bit & 1:
                mine = replaced(mine, layer, "unproven", reason="busy")
        results += mine
    lines = text(document(results, names)).splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("node "))
    last = next(n for n, line in enumerate(lines) if line.startswith("and "))
    assert last - first <= 20
    assert lines[last] == "and 45 more nodes in the same or a better state"


@pytest.mark.parametrize("width", [80, 100, 120])
def test_prose_fits_the_width(width: int) -> None:
    """No line is longer than the terminal, with long names and with every kind of part."""
    names = [f"ip-10-225-49-{n}.us-west-2.compute.internal" for n in range(1, 12)]
    results = [one for name in names[4:] for one in broken(name)]
    results += broken(names[0], "driver", cause="driver/a", evidence=[LONG] * 20, title="x " * 99)
    results += replaced(healthy(names[1]), "driver", "unproven", reason="the GPU is busy " * 20)
    results += replaced(healthy(names[2]), "driver", "error", reason="TimeoutError " * 20)
    results += replaced(healthy(names[3]), "driver", "passed", latent=[finding("docker/x")])
    doc = document(results, waiting=lambda *_: [pod("train-" + "x" * 60)], deselected=3)
    lines = plain(render(doc, width=width))
    assert [line for line in lines if len(line) > width] == []
    assert len(lines) > 80


def test_long_names_keep_apart_in_the_table() -> None:
    """EKS, AKS and GKE names differ at their ends, before a domain that all share."""
    names = [f"ip-10-225-49-{n}.us-west-2.compute.internal" for n in (11, 111)]
    results = [one for name in names for one in broken(name)]
    shown = text(document(results))
    assert re.search(r"^ip-10-225-49-11 +ok 2/2", shown, re.MULTILINE)
    assert re.search(r"^ip-10-225-49-111 +ok 2/2", shown, re.MULTILINE)
    assert "nodes: ip-10-225-49-[11,111].us-west-2.compute.internal" in shown


def test_pods_that_the_evidence_lists_are_not_listed_again() -> None:
    """What waits for the culprit has been told; the others, and one of a like name, have not."""
    said = {"source": "what waits for it", "line": None, "text": "plugin-x (Init:0/1), gfd-x (Init"}
    failed = finding("runtime/operand-fails", evidence=[said])
    names = ["plugin-x", "gfd-x", "plugin-x2", "train"]
    results = [result("gpu-1", "runtime", "failed", finding=failed)]
    told = text(document(results, waiting=lambda *_: [pod(name) for name in names]))
    listed = told.partition("GPU pods that wait on this node:")[2]
    assert [name for name in names if f"default/{name}\n" in listed] == ["plugin-x2", "train"]
    all_told = text(document(results, waiting=lambda *_: [pod("plugin-x")]))
    assert "GPU pods that wait" not in all_told


def test_commands_and_diffs_are_never_wrapped() -> None:
    """What people copy must work as it was copied."""
    heredoc = "$ cat > /etc/x <<'EOF'\n[plugins]\n\tkey = 1\nEOF"
    fix = ["Apply it:", f"$ {HELM}", DIFF, heredoc]
    lines = plain(render(document(broken("gpu-1", fix=fix))))
    assert f"      {HELM}" in lines
    start = lines.index("--- /etc/a.toml")
    assert lines[start : start + 5] == DIFF.splitlines()
    start = lines.index("cat > /etc/x <<'EOF'")
    assert lines[start : start + 4] == heredoc[2:].splitlines()


def test_fix_with_a_nodes_name_is_for_all_nodes() -> None:
    """A command with a node's name in it would be right for that node only."""
    fix = {n: [f"$ kubectl uncordon gpu-{n}", "$ ls"] for n in "12"}
    results = [one for n in "12" for one in broken(f"gpu-{n}", fix=fix[n])]
    lines = text(document(results)).splitlines()
    at = lines.index("  fix:")
    assert lines[at + 1 : at + 4] == [
        "      kubectl uncordon gpu-1 gpu-2",
        "    On each of gpu-[1-2]:",
        "      ls",
    ]


def test_latent_and_unproven_and_errors_have_their_own_parts() -> None:
    """Each reason once, with its nodes; latent findings with their fix."""
    latent = [finding("docker/x", title="Docker knows no NVIDIA runtime", fix=["$ nvidia-ctk x"])]
    results = replaced(healthy("gpu-1"), "runtime", "passed", latent=latent)
    for name in ("gpu-2", "gpu-3"):
        reason = f"all GPUs of {name} are busy"
        results += replaced(healthy(name), "runtimeclass-pod", "unproven", reason=reason)
    results += replaced(healthy("gpu-4"), "driver", "error", reason="TimeoutError: 30 s")
    shown = text(document(results))
    assert re.search(r"^latent 1 of 1 .* 1 of 4 nodes$", shown, re.MULTILINE)
    assert "Docker knows no NVIDIA runtime\n  cause: docker/x (layer runtime)" in shown
    assert "\n      nvidia-ctk x\n" in shown
    assert "all GPUs of the node are busy - test_runtimeclass_pod (runtimeclass-pod) on\n" in shown
    assert "gpu-[2-3]" in shown
    assert "  TimeoutError: 30 s - test_driver (driver) on gpu-4" in shown
    assert shown.endswith("4 nodes: 1 conforms, 1 error, 2 unproven; 1 latent finding")


@pytest.mark.parametrize(
    ("layers", "line"),
    [
        (LAYERS, "1 node: conforms"),
        (LAYERS[:3], "1 node: conforms up to driver"),
        (("driver",), "1 node: conforms in what was asked (driver)"),
    ],
)
def test_last_line_says_how_far_was_looked(layers: tuple[str, ...], line: str) -> None:
    """Conforming is no more than what was asked."""
    assert text(document(healthy("gpu-1", layers), layers_asked=layers)).endswith(f"\n{line}")


def test_a_block_says_that_nothing_below_could_be_judged() -> None:
    """Where something in a lower layer passed, the section of what is unproven is enough."""
    results = replaced(broken("gpu-1"), "driver", "unproven", reason="nobody looked")
    (_, other) = (n for n, each in enumerate(results) if each["layer"] == "driver")
    shown = " ".join(text(document(results)).split())
    assert "lower layers that were not judged: driver: nobody looked" in shown
    assert "a fault there may be the cause of this one" in shown
    results[other] = healthy("gpu-1")[other]
    assert "not judged" not in text(document(results))


def test_a_title_begins_with_a_capital_on_many_nodes_too() -> None:
    """Where it begins with the name of the node, which is then left out."""
    results = [
        one for n in "12" for one in broken(f"gpu-{n}", title=f"gpu-{n} is old. gpu-{n} is {{}}")
    ]
    assert "\nThe node is old. The node is {}\n" in text(document(results))


def test_deselected_tests_are_told_before_the_verdict() -> None:
    """A verdict on a part of the suite must not look like one on all of it."""
    lines = text(document(healthy("gpu-1"), deselected=12)).splitlines()
    assert lines[-3] == "12 tests deselected: the verdict covers only what was run"


def test_nothing_tested_does_not_look_like_success() -> None:
    """No table, no verdict."""
    assert "proves nothing" in text(document([], []))


def test_evidence_cannot_steer_the_terminal() -> None:
    """A hostile node may write escapes, overwrite lines, or turn the direction of text."""
    evil = {
        "source": "/etc/x\x1b]0;owned\x07",
        "line": 1,
        "text": "a\x1b[2Jb\rc\x9bd\u202ee\u2028f\x00",
    }
    fix = ["$ echo \x1b[31m", "--- a\n+\x1b[0m", "do \x08 it"]
    results = broken("gpu-1", evidence=[evil], fix=fix, title="t\x1b[1m\nsecond line")
    results += [result("gpu-1", "access", "unproven", reason="why\x1b[5m")]
    doc = document(results, waiting=lambda *_: [pod("p\x1b[7m")])
    for encoding in ("utf-8", "ascii"):
        for line in plain(render(doc, encoding=encoding)):
            assert line.isprintable(), line
            assert "\u202e" not in line
    shown = text(doc)
    for harmless in (r"\x1b[2Jb", r"c\x9bd\u202ee", r"echo \x1b[31m", r"p\x1b[7m", r"why\x1b[5m"):
        assert harmless in shown


def test_ascii_terminals_get_ascii() -> None:
    """A CI log or a serial console without Unicode loses no text."""
    evidence = [{"source": "dmesg", "line": None, "text": "température 80°C — hot…"}]
    doc = document(broken("gpu-1", evidence=evidence, title="GPU “0” → off"))
    for encoding in ("ascii", "latin-1", None, "no-such-encoding"):
        assert text(doc, encoding=encoding).isascii()
    assert r"temp\xe9rature 80\xb0C - hot.." in text(doc, encoding="ascii")
    assert "température 80°C — hot…" in text(doc, encoding="UTF-8")


def test_long_evidence_is_cut_and_says_so() -> None:
    """Decisive lines only; the JSON report has them whole."""
    items = [{"source": "dmesg", "line": n, "text": "x" * 5000} for n in range(1, 15)]
    many = [{"source": "log", "line": None, "text": "\n".join(map(str, range(100, 150)))}]
    shown = text(document(broken("gpu-1", evidence=[*many, *items])))
    assert "(4700 characters left out)" in shown
    assert "and 44 more lines (--gpu-report=FILE.json has all)" in shown
    assert "and 3 more (--gpu-report=FILE.json has all)" in shown
    assert len(shown) < 8000


REFUSED = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc"
    " create failed: unable to start container process: error during container init: error running"
    " prestart hook #0: exit status 1, stdout: , stderr: Auto-detected mode as 'legacy'"
    " nvidia-container-cli: "
)


@pytest.mark.parametrize(
    "why",
    [
        "requirement error: unsatisfied condition: cuda>=13.1, please update your driver",
        "initialization error: load library failed: libnvidia-ml.so.1: cannot open shared object",
        "mount error: file creation failed: /run/k3s/rootfs/usr/lib/libcuda.so.1: file exists",
    ],
)
def test_of_a_long_error_the_end_is_shown(why: str) -> None:
    """Wrapped errors and lines of logs say at their end why; the middle is left out."""
    items = [{"source": "pod ml/a", "line": None, "text": f"RunContainerError: {REFUSED}{why}"}]
    shown = " ".join(text(document(broken("gpu-1", evidence=items))).split())
    assert why in shown
    assert "RunContainerError: failed to create containerd task: failed to" in shown
    assert "characters left out" in shown


def test_a_line_that_fits_is_shown_whole() -> None:
    """Nothing is left out of it."""
    line = f"{REFUSED[:200]}: end"
    items = [{"source": "pod ml/a", "line": None, "text": line}]
    assert line in " ".join(text(document(broken("gpu-1", evidence=items))).split())


def test_colours_are_the_writers_business() -> None:
    """Styles travel as pytest markup; the text itself has no colour codes."""

    class Writer:
        def __init__(self) -> None:
            self.text, self.markup = "", set[str]()

        def write(self, content: str, *, flush: bool = False, **markup: bool) -> None:
            self.text += content
            self.markup |= markup.keys()

    writer = Writer()
    lines = render(document([*broken("gpu-1", fix=[DIFF, "$ x"]), *healthy("gpu-2")]))
    print_lines(lines, writer)
    assert writer.text == "".join(f"{line}\n" for line in plain(lines))
    assert "\x1b" not in writer.text
    # A word that pytest's terminal writer does not know is an error there.
    assert writer.markup == {"red", "green", "bold", "cyan", "light"}


def test_more_causes_than_anyone_reads_are_one_line_each() -> None:
    """Twenty blocks, then a list."""
    results = [one for n in range(25) for one in broken(f"gpu-{n}", cause=f"runtime/c{n:02}")]
    shown = text(document(results))
    assert len(re.findall(r"^cause \d+ of 25 ─", shown, re.MULTILINE)) == 20
    assert len(re.findall(r"^cause \d+ of 25: .*\(runtime/c\d\d\)", shown, re.M | re.S)) == 1
    for number in range(25):
        assert f"runtime/c{number:02}" in shown


@pytest.mark.parametrize(
    ("names", "folded"),
    [
        (["gpu-1", "gpu-2", "gpu-3", "gpu-5"], ["gpu-[1-3,5]"]),
        (["gpu-9", "gpu-10", "gpu-11"], ["gpu-[9-11]"]),
        (["n099", "n100", "n98"], ["n[099-100]", "n98"]),
        (["a", "b7", "a"], ["a", "b7"]),
        (["r1-a", "r2-a", "r2-b"], ["r[1-2]-a", "r2-b"]),
        (["g1.x.io", "g2.x.io", "g3.y.io"], ["g[1-2].x.io", "g3.y.io"]),
        (["10.0.0.1", "10.0.0.2"], ["10.0.0.1", "10.0.0.2"]),
    ],
)
def test_names_fold_to_ranges(names: list[str], folded: list[str]) -> None:
    """Ranges as cluster tools write them; names that differ elsewhere stay apart."""
    assert fold(names) == folded


def test_folded_names_can_be_read_back() -> None:
    """Nothing is lost or invented, whatever the padding."""
    names = [f"{a}{n}{z}" for a in "ab" for n in ("7", "07", "8", "08", "10", "010") for z in "xy"]
    found = []
    for group in fold(names):
        match = re.fullmatch(r"(.*)\[(.*)\](.*)", group)
        if match is None:
            found.append(group)
            continue
        for part in match[2].split(","):
            first, _, last = part.partition("-")
            for number in range(int(first), int(last or first) + 1):
                padded = first if not last else f"{number:0{len(first)}}"
                found.append(f"{match[1]}{padded}{match[3]}")
    assert sorted(found) == sorted(names)


@pytest.mark.parametrize(
    "names",
    [
        [f"ip-10-225-{a}-{b}.us-west-2.compute.internal" for a in range(9) for b in range(9)],
        [f"gke-cluster-gpu-pool-{a:08x}-{a * 7 % 997:04x}" for a in range(90)],
        [f"aks-gpunodepool-38911043-vmss{a:06}" for a in range(90)],
        ["x" * 60 + f"{a}" + "y" * 60 for a in range(12)],
        ["node", "node.example.com"],
    ],
)
@pytest.mark.parametrize("width", [14, 20, 60])
def test_fitted_names_are_short_and_unique(names: list[str], width: int) -> None:
    """However long the names are, no two nodes look the same."""
    fitted = fit(names, width)
    assert list(fitted) == names
    assert len(set(fitted.values())) == len(names)
    assert max(map(len, fitted.values())) <= width
    assert all(fitted.values())
    assert all(0 < len(fit([name], width, names)[name]) <= width for name in names)


SINGLE = {
    "ip-10-0-1-23.eu-west-1.compute.internal": "ip-10-0-1-23",
    "gke-prod-gpu-pool-abc-xyz1": "gke-p..abc-xyz1",
    "aks-gpunodepool-38911043-vmss000003": "aks-g..ss000003",
    "gpu-1": "gpu-1",
}


@pytest.mark.parametrize("name", SINGLE)
def test_a_single_name_keeps_the_half_that_tells_most(name: str) -> None:
    """The host of a domain, else both ends of the name."""
    assert fit([name], 15) == {name: SINGLE[name]}


@pytest.mark.parametrize(
    ("name", "other", "shown"),
    [
        ("rack-17-gpu-server-of-the-lab", "rack-18-gpu-server-of-the-lab", "rack-17..he-lab"),
        ("gke-pool-17-abcdef-xyz1-long", "gke-pool-18-abcdef-xyz1-long", "gke-pool-17..ng"),
        ("a.dc1.example.com", "a.dc2.example.com", "a.dc1.example"),
    ],
)
def test_a_single_name_is_told_from_the_clusters_other_nodes(
    name: str, other: str, shown: str
) -> None:
    """What all nodes have in common tells nothing."""
    assert fit([name], 15, [other, name]) == {name: shown}


def test_a_single_row_names_the_host() -> None:
    """The domain is cut, not the part that is different on each node."""
    name = "ip-10-0-1-23.eu-west-1.compute.internal"
    shown = text(document(broken(name)), beside=[name, name.replace("23", "24")])
    assert re.search(r"^ip-10-0-1-23.eu-west-1 +ok 2/2", shown, re.MULTILINE)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (155, "2m35s"),
        (23 * 60, "23m"),
        (5 * 3600 + 33 * 60, "5h33m"),
        (27 * 3600, "27h"),
        (3 * 86400, "3d"),
        (7 * 86400 + 3600, "7d1h"),
        (400 * 86400, "400d"),
        (3 * 365 * 86400, "3y"),
        (9 * 365 * 86400 + 86400, "9y"),
    ],
)
def test_ages_read_like_kubectls(seconds: int, shown: str) -> None:
    """The same units and limits as k8s.io/apimachinery's HumanDuration."""
    assert age(seconds) == shown


def test_unknown_encodings_are_taken_as_ascii() -> None:
    """Escaping too much is readable, a UnicodeEncodeError is not."""
    assert is_unicode("utf-8")
    assert is_unicode("UTF-16")
    assert not is_unicode("cp1252")
    assert visible("…", unicode=False) == ".."
