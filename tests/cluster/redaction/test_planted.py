"""Every secret is planted in every place, and none survives."""

from __future__ import annotations

import base64
import json
import tomllib
from collections.abc import Callable
from textwrap import indent

import pytest
import yaml

from pytest_gpu.cluster.redaction.redact import redact_text
from tests.cluster.redaction.planted_places import PLACES, Place
from tests.cluster.redaction.planted_secrets import PLAIN, SECRETS, Secret


def survivors(text: str) -> list[str]:
    """Return the secrets of which a part is in a text, as it is or as base64."""
    return [f"{s.name}: {s.value}" for s in SECRETS if any(part in text for part in parts(s))]


def parts(secret: Secret) -> list[str]:
    """Return what may not survive of a secret."""
    return [*secret.parts, base64.b64encode(secret.value.encode()).decode().rstrip("=")]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_no_secret_survives(place: Place) -> None:
    """All of them are there at once; everything else stays."""
    text = place.redacted((*SECRETS, PLAIN))
    assert survivors(text) == []
    assert PLAIN.value in text or place.name in ("base64", "base64 twice")


WITHIN: dict[str, Callable[[str], str]] = {
    "JSON": lambda text: json.dumps({"a": text, "b": 1}),
    "JSON in JSON": lambda text: json.dumps([json.dumps({"a": text})]),
    "YAML block": lambda text: f"k: |\n{indent(text, '  ')}\nz: 1",
    "YAML": lambda text: yaml.safe_dump({"a": {"b": text}}, width=10**9),
    "TOML": lambda text: f'x = """\n{text}\n"""',
    "log": lambda text: indent(text, "Nov 20 10:00:00 gpu-1 kubelet[7]: "),
    "message": lambda text: f"level=error msg={json.dumps(text)} a=b",
    "comment": lambda text: indent(text, "# "),
    "diff": lambda text: indent(text, "+"),
    "tabs": lambda text: indent(text, "\t"),
    "Windows": lambda text: text.replace("\n", "\r\n"),
    "sentence": lambda text: f"failed to parse ({text}): bad",
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
}
TEMPLATES = (
    *("{}={}", "{}: {}", '"{}": "{}"', "{} = '{}'", "prog --{} '{}' -x", 'export {}="{}"'),
    *("{{a: 1, {}: '{}'}}", '{{"a":1,"{}":"{}"}}', '[{{"name":"{}","value":"{}"}}]'),
    *("x:\n  - {}: {}", "- name: {}\n  value: {}"),
)


@pytest.mark.parametrize("within", WITHIN)
def test_no_secret_survives_in_a_place_inside_of_a_place(within: str) -> None:
    """A unit in a log, YAML in JSON, JSON in an annotation: one is quoted by the other."""
    for template in TEMPLATES:
        text = "\n".join(template.format(secret.name, secret.value) for secret in SECRETS)
        assert survivors(redact_text(WITHIN[within](text))) == [], template


def test_the_table_is_as_large_as_it_says() -> None:
    """No name, value or place is there twice; without redaction every secret would survive."""
    assert len({secret.name for secret in SECRETS}) == len(SECRETS) > 250
    assert len({place.name for place in PLACES}) == len(PLACES) > 55
    assert len(survivors(" ".join(secret.value for secret in SECRETS))) == len(SECRETS)


def test_json_toml_and_yaml_stay_what_they_are() -> None:
    """A parser finds the same keys: what a check reads beside a secret is still there."""
    pairs = {secret.name: secret.value for secret in SECRETS} | {"token": 123456, "x": [1, None]}
    written = json.dumps(pairs, indent=2)
    assert json.loads(redact_text(written)).keys() == pairs.keys()
    assert json.loads(json.loads(redact_text(json.dumps(written)))).keys() == pairs.keys()
    assert yaml.safe_load(redact_text(yaml.safe_dump(pairs))).keys() == pairs.keys()
    toml = "\n".join(f"'{name}' = '{value}'" for name, value in pairs.items() if name != "x")
    assert tomllib.loads(redact_text(f"{toml}\npassword_ = 5\npw = 123")).keys() >= {"pw", "note0"}


@pytest.mark.parametrize("write", ["{}: {}", "{} = '{}'", '{{"{}": "{}"}}', "x --{} {} y"])
def test_planted_secrets_are_redacted_once_and_line_by_line(write: str) -> None:
    """Redacting again changes nothing, and no line is added or lost."""
    text = "\n".join(write.format(secret.name, secret.value) for secret in SECRETS)
    once = redact_text(text)
    assert redact_text(once) == once
    assert len(once.splitlines()) == len(text.splitlines()) == len(SECRETS)
