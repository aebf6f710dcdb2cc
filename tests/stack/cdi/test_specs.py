"""A CDI spec is read as the CDI library reads it, and rejected with the same errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_gpu.stack.cdi import specs as cdi_specs
from pytest_gpu.stack.cdi.rules import VERSIONS, minimum
from pytest_gpu.stack.cdi.shape import shaped
from pytest_gpu.stack.cdi.specs import CdiSpec, parse
from tests.stack.cdi.cdi_machine import CdiMachine, device, spec

Change = dict[str, Any]
GOOD: Change = spec(device("a"), kind="nvidia.com/gpu", cdiVersion="0.3.0")


def read(document: object) -> CdiSpec:
    """Return a spec that was written as JSON."""
    return parse("/etc/cdi/nvidia.json", json.dumps(document).encode())


def edited(**edits: Any) -> Change:
    """Return the good spec with edits of its first device."""
    first = {"name": "a", "containerEdits": {"env": ["A=b"], **edits}}
    return {**GOOD, "devices": [first]}


def test_a_good_spec() -> None:
    """All that it names of the host is known."""
    found = read(GOOD)
    assert (found.error, found.kind, found.version) == ("", "nvidia.com/gpu", "0.3.0")
    assert list(found.devices) == ["nvidia.com/gpu=a"]
    assert found.edits.hooks == ("/usr/bin/nvidia-cdi-hook",)


REFUSED: dict[str, tuple[object, str]] = {
    "nothing": (None, "no Spec data"),
    "list": ([], "cannot unmarshal array"),
    "no version": ({**GOOD, "cdiVersion": None}, 'invalid version ""'),
    "unknown version": ({**GOOD, "cdiVersion": "0.9.0"}, 'invalid version "0.9.0"'),
    "no kind": ({**GOOD, "kind": None}, "invalid vendor. empty name"),
    "no class": ({**GOOD, "kind": "nvidia.com"}, "invalid vendor. empty name"),
    "vendor": ({**GOOD, "kind": "9x/gpu"}, '"9x", should start with letter'),
    "class": ({**GOOD, "kind": "x.com/g!u"}, "invalid character '!' in name"),
    "class end": ({**GOOD, "kind": "x.com/gpu-"}, "should end with a letter or digit"),
    "no devices": ({**GOOD, "devices": []}, "invalid spec, no devices"),
    "twice": ({**GOOD, "devices": [device("a"), device("a")]}, 'multiple device "a"'),
    "no name": ({**GOOD, "devices": [device("")]}, "invalid (empty) device name"),
    "name": ({**GOOD, "devices": [device("a b")]}, "invalid character ' ' in device name"),
    "field": ({**GOOD, "foo": 1}, 'json: unknown field "foo"'),
    "field below": (edited(foo=1), 'json: unknown field "foo"'),
    "env": (edited(env=["=x"]), 'invalid environment variable "=x"'),
    "mount": (edited(mounts=[{"hostPath": "/a"}]), "empty container path"),
    "mount from": (edited(mounts=[{"containerPath": "/a"}]), "empty host path"),
    "node": (edited(deviceNodes=[{}]), "invalid (empty) device path"),
    "null": (edited(deviceNodes=[None]), "invalid (nil)"),
    "type": (edited(deviceNodes=[{"path": "/d", "type": "x"}]), 'invalid type "x"'),
    "permissions": (edited(deviceNodes=[{"path": "/d", "permissions": "rx"}]), '"rx"'),
    "major": (edited(deviceNodes=[{"path": "/d", "major": "195"}]), "cannot unmarshal string"),
    "gid": (edited(deviceNodes=[{"path": "/d", "gid": -1}]), "which takes uint32"),
    "hook": (edited(hooks=[{"hookName": "x", "path": "/x"}]), 'invalid hook name "x"'),
    "hook path": (edited(hooks=[{"hookName": "prestart"}]), "with empty path"),
    "rdt": ({**edited(intelRdt={"closID": "a/b"}), "cdiVersion": "0.7.0"}, "invalid ClosID"),
    "net": (
        {**edited(netDevices=[{"name": "x"}]), "cdiVersion": "1.1.0"},
        "empty HostInterfaceName",
    ),
    "empty": ({**GOOD, "devices": [{"name": "a"}]}, "empty device edits"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_the_librarys_words(name: str) -> None:
    """One thing wrong, in JSON and in YAML, with the line on which it stands."""
    document, words = REFUSED[name]
    for text in (json.dumps(document), yaml.safe_dump(document)):
        found = parse("/etc/cdi/nvidia.yaml", text.encode())
        assert words in found.error
        assert found.devices == {}


NEEDS: dict[str, tuple[Change, str]] = {
    "mount type": (
        edited(mounts=[{"hostPath": "/a", "containerPath": "/a", "type": "x"}]),
        "0.4.0",
    ),
    "hostPath": (edited(deviceNodes=[{"path": "/a", "hostPath": "/b"}]), "0.5.0"),
    "digit": ({**GOOD, "devices": [device("0")]}, "0.5.0"),
    "annotations": ({**GOOD, "annotations": {"a": "b"}}, "0.6.0"),
    "annotation of nothing": ({**GOOD, "annotations": {"a": None}}, "0.6.0"),
    "device annotations": (
        {**GOOD, "devices": [{**device("a"), "annotations": {"a": "b"}}]},
        "0.6.0",
    ),
    "dot": ({**GOOD, "kind": "nvidia.com/g.pu"}, "0.6.0"),
    "gids": (edited(additionalGids=[44]), "0.7.0"),
    "rdt": (edited(intelRdt={}), "0.7.0"),
    "net": (edited(netDevices=[{"hostInterfaceName": "a", "name": "b"}]), "1.1.0"),
    "monitoring": (edited(intelRdt={"enableMonitoring": True}), "1.1.0"),
}


@pytest.mark.parametrize("name", NEEDS)
def test_what_a_field_needs(name: str) -> None:
    """A spec must say a version that has all it uses: one less is refused, that one is taken."""
    document, version = NEEDS[name]
    assert minimum(shaped(document))[0] == version
    before = VERSIONS[VERSIONS.index(version) - 1]
    assert f"must be at least v{version}" in read({**document, "cdiVersion": before}).error
    for known in (version, f"v{version}", VERSIONS[-1]):
        assert read({**document, "cdiVersion": known}).error == ""


def test_the_line_is_named() -> None:
    """Of the document's place that is wrong, in both forms."""
    text = "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- name: a\n  containerEdits:\n"
    found = parse("/x.yaml", f"{text}    deviceNodes:\n    - path: /a\n      type: x\n".encode())
    assert found.line == 7
    as_json = json.dumps(edited(env=["x"]), indent=1)
    found = parse("/x.json", as_json.encode())
    assert found.line is not None
    assert '"x"' in as_json.splitlines()[found.line - 1]
    assert parse("/x.yaml", b"a: b\nkind: [\n").line is not None
    twice = parse("/x.yaml", b"kind: a\nkind: b\n")
    assert (twice.line, "already set in map" in twice.error) == (2, True)


def test_names_may_be_spelt_in_any_case_and_plain_numbers_are_text() -> None:
    """As Go reads them."""
    text = "CDIVERSION: 0.5.0\nKind: nvidia.com/gpu\ndevices:\n- name: 0\n  containerEdits:\n"
    more = "    env: [A=b]\n- name: 1:0\n  containeredits: {env: [A=b]}"
    found = parse("/x.yaml", f"{text}{more}".encode())
    assert list(found.devices) == ["nvidia.com/gpu=0", "nvidia.com/gpu=1:0"], found.error


def test_merges_and_aliases() -> None:
    """YAML's own means are no fields."""
    text = (
        "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- &one\n  name: a\n"
        "  containerEdits: {env: [A=b]}\n- <<: *one\n  name: b\n"
    )
    assert list(parse("/x.yaml", text.encode()).devices) == ["nvidia.com/gpu=a", "nvidia.com/gpu=b"]


def bomb() -> str:
    """Return a document whose aliases stand for 10^9 values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for at in range(1, 9):
        lines.append(f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 10)}]")
    return "\n".join(lines)


HOSTILE = {
    "bomb": bomb(),
    "cycle": "devices: &a [*a]",
    "deep": "[" * 100_000,
    "deep json": '{"a":' * 100_000,
    "deep block": "- " * 100_000,
    "deep lines": "\n".join(" " * at + "a:" for at in range(300)),
    "keys": "? [a]\n: b",
    "huge number": f"cdiVersion: {'9' * 10_000}",
    "not a date": "cdiVersion: 2001-99-99",
    "nan": '{"cdiVersion": NaN}',
    "tag": "!!python/object/apply:os.system [x]",
    "undefined": "a: *b",
    "zeros": "\0" * 100,
    "tab": "\tkind: x",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(name: str) -> None:
    """Neither a crash nor a pass, and soon."""
    found = parse("/etc/cdi/nvidia.yaml", HOSTILE[name].encode())
    assert found.error
    assert found.devices == {}


@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_refused(content: bytes) -> None:
    """Whatever lies there; a spec it is not."""
    found = parse("/etc/cdi/nvidia.yaml", content)
    assert found.error


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_wrong_kinds_everywhere(data: st.DataObject) -> None:
    """Any value in any place: read or refused, and what is read has a device."""
    document = json.loads(json.dumps(GOOD))
    holder = document
    while isinstance(holder, dict | list) and holder:
        key = data.draw(
            st.sampled_from(list(holder) if isinstance(holder, dict) else range(len(holder)))
        )
        if data.draw(st.booleans()) or not isinstance(holder[key], dict | list):
            holder[key] = data.draw(VALUES)
            break
        holder = holder[key]
    found = parse("/x.json", json.dumps(document).encode())
    assert bool(found.error) != bool(found.devices)


def test_the_later_directory_wins() -> None:
    """And a device that one directory defines twice is nowhere, also if a later one has it."""
    one, two = (spec(device("a"), kind="nvidia.com/gpu") for _ in "ab")
    machine = CdiMachine(specs={"/etc/cdi/x.json": one, "/var/run/cdi/y.json": two})
    specs = machine.node().cdi
    assert specs.resolved["nvidia.com/gpu=a"].path == "/var/run/cdi/y.json"
    machine.specs["/etc/cdi/z.json"] = one
    specs = machine.node().cdi
    assert specs.devices == frozenset()
    assert specs.conflicts == {"nvidia.com/gpu=a": ("/etc/cdi/x.json", "/etc/cdi/z.json")}


def test_which_files_are_read() -> None:
    """Those that end in .json or .yaml, in the directories told and in nothing below."""
    machine = CdiMachine(specs={f"/etc/cdi/{name}": spec() for name in ("a.yml", "b.conf", "c")})
    assert machine.node().cdi.specs == ()
    machine.specs = {"/etc/cdi/sub/a.json": spec()}
    assert machine.node().cdi.specs == ()
    assert cdi_specs.read(machine.node().evidence, ("/opt/cdi",)).unknown == ()
    assert cdi_specs.read(machine.node().evidence, ("/srv/cdi",)).unknown == ("/srv/cdi",)
