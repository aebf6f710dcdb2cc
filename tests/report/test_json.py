"""The verdict document as a file: complete, stable, and as its schema and its page say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pytest_gpu.report.json import dumps, write
from tests.support.made_up import (
    LAYERS,
    broken,
    document,
    finding,
    healthy,
    no_pods,
    pod,
    replaced,
    result,
)

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "reports.md"


def schema() -> dict[str, Any]:
    """Return the shipped schema."""
    text = (files("pytest_gpu.report") / "schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def closed(part: Any) -> Any:
    """Return a schema that refuses every key it does not name: nothing goes undocumented."""
    if isinstance(part, list):
        return [closed(item) for item in part]
    if not isinstance(part, Mapping):
        return part
    found = {key: closed(value) for key, value in part.items()}
    if "properties" in found and found.get("type") == "object":
        found.setdefault("unevaluatedProperties", False)
    return found


def strict() -> Draft202012Validator:
    """Return a validator that accepts documented keys only."""
    found = closed(schema())
    # A cause extends a group: only the whole of both may be closed.
    del found["$defs"]["group"]["unevaluatedProperties"]
    found["properties"]["latent"]["items"]["unevaluatedProperties"] = False
    return Draft202012Validator(found)


def everything() -> dict[str, Any]:
    """Return a document in which every kind of entry occurs."""
    late = replaced(healthy("gpu-1"), "runtime", "passed", latent=[finding("docker/x")])
    more = [
        result("gpu-2", "runtime", "failed", finding=finding("runtime/other")),
        result("gpu-2", "runtime", "failed", finding=finding("device-plugin/gone")),
        result("gpu-2", "driver", "unproven", reason="dmesg is not in the evidence"),
    ]
    bare = result("gpu-3", "driver", "failed", reason="assert False")
    implied = replaced(healthy("gpu-5"), "sandbox", "unproven", reason="no crictl")
    errors = replaced(healthy("gpu-6"), "driver", "error", reason="TimeoutError")
    results = [*late, *broken("gpu-2"), *more, bare, *implied, *errors]
    names = [f"gpu-{number}" for number in range(1, 7)]
    return document(results, names, waiting=lambda *_: [pod("gpu-textgen", node="gpu-2")])


DOCUMENTS: dict[str, Callable[[], dict[str, Any]]] = {
    "everything": everything,
    "healthy": lambda: document(healthy("gpu-1")),
    "failing": lambda: document(broken("gpu-1")),
    "nothing": lambda: document([], ["gpu-1"]),
    "no node": lambda: document([], []),
    "in part": lambda: document(healthy("gpu-1", LAYERS[:2]), layers_asked=LAYERS[:2]),
    "all layers": lambda: document(broken("gpu-1"), all_layers=True, deselected=3),
    "a thousand": lambda: document([one for n in range(1000) for one in broken(f"gpu-{n}")]),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_document_meets_the_schema_and_has_no_other_keys(name: str) -> None:
    """What is written is what is promised, no less and no more."""
    doc = DOCUMENTS[name]()
    strict().validate(json.loads(dumps(doc)))
    assert json.loads(dumps(doc)) == doc, "the document holds more than plain JSON types"


def test_everything_has_every_kind_of_entry() -> None:
    """The test above is worth something: no list of the document is empty."""
    doc = everything()
    for key in ("also_seen", "consequences", "latent", "unproven", "implied", "errors", "fix"):
        assert any(node[key] for node in doc["nodes"]), key
    assert any(cause["waiting_pods"] and cause["also_seen"] for cause in doc["causes"])
    assert {node["verdict"] for node in doc["nodes"]} == {
        "fails",
        "error",
        "unproven",
        "conforms",
    }


def test_schema_is_a_schema() -> None:
    """Draft 2020-12, under a name of its own."""
    Draft202012Validator.check_schema(schema())
    assert schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def spoil(doc: Any, path: str, value: Any) -> None:
    """Set what a dotted path names; an Ellipsis removes it."""
    *way, last = path.split(".")
    for step in way:
        doc = doc[int(step)] if step.isdecimal() else doc[step]
    if value is ...:
        del doc[last]
    else:
        doc[last] = value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("nodes.1.name", ...),
        ("nodes.1.verdict", ...),
        ("nodes.1.cause", ...),
        ("nodes.1.evidence", ...),
        ("nodes.1.fix", ...),
        ("version", 2),
        ("nodes.1.verdict", "passes"),
        ("nodes.1.cause", None),
        ("nodes.0.layer", "runtime"),
        ("nodes.0.layers.sandbox", ...),
        ("nodes.0.layers.network", {}),
        ("causes.0.nodes", []),
        ("causes.0.waiting_pods", ...),
        ("run.taken", "yesterday"),
        ("run.exit_code", 256),
    ],
)
def test_schema_refuses_what_is_wrong(path: str, value: Any) -> None:
    """A schema that accepts anything would prove nothing."""
    doc = everything()
    Draft202012Validator(schema()).validate(doc)
    spoil(doc, path, value)
    assert not Draft202012Validator(schema()).is_valid(doc)


def test_schema_lets_later_minor_versions_add_keys() -> None:
    """Within a version keys are added; a consumer's copy of the schema must not break."""
    doc = everything()
    doc["nodes"][0]["rack"] = "r1"
    assert Draft202012Validator(schema()).is_valid(doc)
    assert not strict().is_valid(doc)


def test_all_nodes_of_a_cause_are_in_the_document() -> None:
    """The terminal may abbreviate, the document never does."""
    (cause,) = DOCUMENTS["a thousand"]()["causes"]
    assert cause["nodes"] == [f"gpu-{number}" for number in range(1000)]


def test_file_is_utf8_sorted_and_the_same_for_the_same_run(tmp_path: Path) -> None:
    """Two reports can be compared with diff."""
    doc = document(broken("gpu-1", title="GPU “0” fällt aus"))
    for name in ("one.json", "two.json"):
        write(deepcopy(doc), tmp_path / name)
    one = (tmp_path / "one.json").read_bytes()
    assert one == (tmp_path / "two.json").read_bytes()
    assert "GPU “0” fällt aus".encode() in one
    assert json.loads(one) == doc
    assert list(json.loads(one)) == sorted(doc)
    assert one.endswith(b"}\n")


def test_undecodable_evidence_still_makes_valid_json(tmp_path: Path) -> None:
    """A file name from a node may hold bytes that are no UTF-8 (surrogateescape)."""
    evidence = [{"source": "/etc/\udcff", "line": None, "text": "\x00\x1b[31m\u2028"}]
    write(document(broken("gpu-1", evidence=evidence)), tmp_path / "out.json")
    loaded = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    [found] = loaded["nodes"][0]["evidence"]
    assert found == evidence[0] | {"source": r"/etc/\udcff"}


def test_folders_are_made_and_nothing_else_is_left(tmp_path: Path) -> None:
    """--gpu-report=new/folder/out.json works, and leaves one file that only this user can read."""
    path = tmp_path / "new" / "folder" / "out.json"
    write(everything(), path)
    assert [file.name for file in path.parent.iterdir()] == ["out.json"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_half_a_report_is_never_left(tmp_path: Path) -> None:
    """What stood there before stays until the new one is whole."""
    path = tmp_path / "out.json"
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(TypeError):
        write({"version": 1, "nodes": [object()]}, path)
    assert path.read_text(encoding="utf-8") == "{}"
    assert list(tmp_path.iterdir()) == [path]


def described(part: Mapping[str, Any], path: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """Yield (definition, key) of every property in the schema."""
    name = path[-1] if path else "document"
    for key in part.get("properties", {}):
        yield name, key
    for inner, definition in part.get("$defs", {}).items():
        yield from described(definition, (inner,))


def tables() -> dict[str, set[str]]:
    """Return the keys in the tables of the page, by the heading above them."""
    found: dict[str, set[str]] = {}
    heading = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"#+ .*`([a-z-]+)`", line):
            heading = match[1]
        elif match := re.match(r"\| `([a-z_]+)` \|", line):
            found.setdefault(heading, set()).add(match[1])
    return found


def test_page_describes_every_key_and_no_other() -> None:
    """docs/reference/reports.md has a table for every kind of object."""
    promised: dict[str, set[str]] = {}
    for name, key in described(schema()):
        promised.setdefault(name, set()).add(key)
    told = {name: keys for name, keys in tables().items() if name in promised}
    assert told == promised


def test_example_of_the_page_is_a_real_document() -> None:
    """It is what the made-up run below gives, to the letter."""
    (example,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    strict().validate(json.loads(example))
    assert example == dumps(example_document())


def example_document() -> dict[str, Any]:
    """Return the document that the page shows."""
    evidence = [
        {
            "source": "DaemonSet gpu-operator/nvidia-container-toolkit-daemonset",
            "line": None,
            "text": "env CONTAINERD_SOCKET=/runtime/sock-dir/containerd.sock",
        }
    ]
    why = "The toolkit wrote into a file that the kubelet's containerd never reads."
    fix = ["$ kubectl edit clusterpolicy"]
    results = broken("gpu-1", evidence=evidence, why=why, check=[], fix=fix)
    return document(results, waiting=no_pods)
