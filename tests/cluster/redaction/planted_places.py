"""The places in which secrets are planted, and what redaction leaves of each."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from pytest_gpu.cluster.redaction.redact import (
    redact_argv,
    redact_file,
    redact_object,
    redact_text,
    redact_value,
)
from tests.cluster.redaction.planted_secrets import NAMES, PLAIN, Secret

Secrets = Sequence[Secret]


@dataclass(frozen=True, slots=True)
class Place:
    """A way to write secrets, and what is left of them."""

    name: str
    redacted: Callable[[Secrets], str]


def _lines(name: str, template: str) -> Place:
    """Return a place with a few lines for each secret: {0} is its name, {1} its value."""

    def redacted(secrets: Secrets) -> str:
        return redact_text("\n".join(template.format(each.name, each.value) for each in secrets))

    return Place(name, redacted)


def _json(name: str, data: Callable[[Secrets], Any], indent: int | None = None) -> Place:
    return Place(name, lambda secrets: redact_text(json.dumps(data(secrets), indent=indent)))


def _value(name: str, data: Callable[[Secrets], Any]) -> Place:
    return Place(name, lambda secrets: json.dumps(redact_value(data(secrets))))


def _object(name: str, kind: str, fields: Callable[[Secrets], Mapping[str, Any]]) -> Place:
    def redacted(secrets: Secrets) -> str:
        written = {"kind": kind, "metadata": {"name": "x"}, **fields(secrets)}
        return json.dumps(redact_object(written))

    return Place(name, redacted)


def _pod(name: str, container: Callable[[Secrets], Mapping[str, Any]]) -> Place:
    return _object(name, "Pod", lambda secrets: {"spec": {"containers": [container(secrets)]}})


def _words(name: str, argv: Callable[[Secret], Sequence[str]]) -> Place:
    return Place(name, lambda secrets: json.dumps([redact_argv(argv(each)) for each in secrets]))


def _file(
    name: str, path: str, written: Callable[[Secrets], str], encoding: str = "utf-8"
) -> Place:
    def redacted(secrets: Secrets) -> str:
        return redact_file(path, written(secrets).encode(encoding)).decode(encoding)

    return Place(name, redacted)


def _pairs(secrets: Secrets) -> Mapping[str, str]:
    return {each.name: each.value for each in secrets}


def _assigned(secrets: Secrets, sign: str = "=", between: str = "\n") -> str:
    return between.join(f"{each.name}{sign}{each.value}" for each in secrets)


def _env(secrets: Secrets) -> list[dict[str, str]]:
    return [{"name": each.name, "value": each.value} for each in secrets]


def _turned(secrets: Secrets) -> list[dict[str, str]]:
    return [{"value": each.value, "name": each.name} for each in secrets]


def _argv(secret: Secret) -> list[str]:
    return ["prog", f"--{secret.name}", secret.value]


def _typed(secret: Secret) -> list[str]:
    """Return a command as it is typed, or one that is given the secret."""
    is_command = " -" in secret.value
    return secret.value.split(" ") if is_command else [f"{secret.name}={secret.value}"]


def _event(secret: Secret) -> str:
    is_named = secret.name in NAMES
    return f"Error: {secret.name}={secret.value}" if is_named else f"Error: {secret.value}"


def _coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _coded_lines(times: int) -> Callable[[Secrets], str]:
    def written(secrets: Secrets) -> str:
        lines = [f"{each.name}: {each.value}" for each in secrets]
        for _ in range(times):
            lines = [_coded(line) for line in lines]
        return "\n".join((*(f"x: {line}" for line in lines), PLAIN.value))

    return written


def _wrapped(secrets: Secrets) -> str:
    return base64.encodebytes(json.dumps(_pairs(secrets)).encode()).decode() + PLAIN.value


def _applied(secrets: Secrets) -> Mapping[str, Any]:
    key = "kubectl.kubernetes.io/last-applied-configuration"
    annotations = {key: json.dumps({"spec": _pairs(secrets)}), PLAIN.name: PLAIN.value}
    return {"spec": {"template": {"metadata": {"annotations": annotations}}}}


def _binary(secrets: Secrets) -> Mapping[str, Any]:
    data = {each.name: _coded(each.value) for each in secrets}
    return {"data": {PLAIN.name: PLAIN.value}, "binaryData": data}


def _probe(secrets: Secrets) -> Mapping[str, Any]:
    get = {"path": PLAIN.value, "httpHeaders": _env(secrets)}
    return {"livenessProbe": {"httpGet": get}}


ARGV = (
    _words("argument after the flag", _argv),
    _words("argument with the flag", lambda each: ["prog", f"--{each.name}={each.value}"]),
    _words("words of a command", _typed),
    _words("shell", lambda each: ["sh", "-c", f"exec prog --{each.name}='{each.value}'"]),
    _file("cmdline", "/proc/7/cmdline", lambda s: "\0".join(w for each in s for w in _argv(each))),
    _lines("unit command", "ExecStart=/usr/bin/prog --x --{}='{}' --y"),
    _lines("YAML arguments", "args:\n- --{}\n- {}\n- --next"),
    _json("JSON arguments", lambda s: [_argv(each) for each in s]),
    _pod("pod arguments", lambda s: {"args": [word for each in s for word in _argv(each)]}),
)
ENV = (
    _file("environ", "/proc/7/environ", lambda s: _assigned(s, between="\0")),
    _lines("environment file", "{}={}"),
    _lines("shell profile", "export {}='{}'"),
    _lines("unit environment", '[Service]\nEnvironment="A=b" "{}={}"'),
    _lines("YAML env", "- name: {}\n  value: {}"),
    _lines("YAML env, value first", '- value: "{1}"\n  name: {0}'),
    _lines("YAML flow env", 'env: [{{name: {}, value: "{}"}}]'),
    _lines("YAML flow env, value first", "env: [{{value: '{1}', name: {0}}}]"),
    _json("JSON env", _env),
    _json("JSON env, indented", _env, indent=2),
    _json("JSON env, value first", _turned, indent=2),
    _pod("pod env", lambda s: {"env": _env(s)}),
    _pod("pod env, value first", lambda s: {"env": _turned(s)}),
    _pod("probe headers", _probe),
)
FILES = (
    _lines("TOML", '{} = "{}"'),
    _lines("TOML literal", "  '{}' = '{}'"),
    _lines("TOML inline table", 'x = {{ a = 1, "{}" = "{}" }}'),
    _lines("TOML long string", '"{}" = """\n{}"""'),
    _lines("TOML list", '"{}" = ["{}"]'),
    _lines("YAML", "{}: {}"),
    _lines("YAML quoted", '  "{}": "{}"'),
    _lines("YAML item", "  - {}: '{}'"),
    _lines("YAML flow", 'x: {{a: 1, {}: "{}", b: 2}}'),
    _lines("YAML block", "{}: |-\n  {}\nnext: 1"),
    _lines("YAML below", "{}:\n    {}\nnext: 1"),
    _lines("YAML list", "{}:\n- {}\nnext: 1"),
    Place("YAML dump", lambda s: redact_text(yaml.safe_dump({"data": _pairs(s)}, width=10**6))),
    _json("JSON", _pairs),
    _json("JSON, indented", lambda s: {"a": _pairs(s)}, indent=2),
    _json("JSON list", lambda s: {each.name: [each.value] for each in s}, indent=1),
    _json("JSON in JSON", lambda s: {"text": json.dumps(_pairs(s))}),
    _json("JSON in JSON in JSON", lambda s: [json.dumps([json.dumps(_pairs(s))])]),
    _json("YAML in JSON", lambda s: _assigned(s, ": ")),
    _file("UTF-16", "/x", _assigned, encoding="utf-16"),
)
OBJECTS = (
    _object("annotations", "Pod", lambda s: {"metadata": {"annotations": _pairs(s)}}),
    _object("last applied", "DaemonSet", _applied),
    _object("ConfigMap keys", "ConfigMap", lambda s: {"data": _pairs(s)}),
    _object("ConfigMap file", "ConfigMap", lambda s: {"data": {"a.yaml": _assigned(s, ": ")}}),
    _object("ConfigMap JSON", "ConfigMap", lambda s: {"data": {"a": json.dumps(_pairs(s))}}),
    _object("ConfigMap binaryData", "ConfigMap", _binary),
    _value("answers", lambda s: {"init": {"message": _pairs(s)}}),
    _value("events", lambda s: [{"kind": "Event", "message": _event(each)} for each in s]),
)
LOGS = (
    _lines("log, logfmt", 'level=info msg="pulling" {}="{}" x=1'),
    _lines("log, bare", "Nov 20 10:00:00 n prog[7]: got {}={}"),
    _lines("log, klog", 'E1120 10:00:00.000000 7 a.go:1] "Failed" err="x" {}="{}"'),
    _lines("log, prose", "Nov 20 10:00:00 n prog[7]: using {}: {}"),
    Place(
        "log, JSON",
        lambda s: redact_text("\n".join(json.dumps({"a": 1, each.name: each.value}) for each in s)),
    ),
    _lines("log, coloured", "\x1b[31mERRO\x1b[0m[0001] no login  \x1b[31m{}\x1b[0m={}"),
    _lines("log, coloured value", "\x1b[31mE\x1b[0m {}=\x1b[1;31m{}\x1b[0m"),
    _json("log of Docker, coloured", lambda s: {"log": _assigned(s, "\x1b[0m=", "\n\x1b[31m")}),
    _lines("log, colours quoted by Go", r'level=error msg="\x1b[31m{}\x1b[0m={}"'),
    _lines("log, sudo", "sudo[7]: root : COMMAND=/usr/bin/env {}={}"),
)
CODED = (
    Place("base64", lambda s: redact_text(_coded_lines(1)(s))),
    Place("base64 twice", lambda s: redact_text(_coded_lines(2)(s))),
    Place(
        "base64 of JSON", lambda s: redact_text(f"{_coded(json.dumps(_pairs(s)))} {PLAIN.value}")
    ),
    Place("base64, wrapped", lambda s: redact_text(_wrapped(s))),
)

PLACES = (*ARGV, *ENV, *FILES, *OBJECTS, *LOGS, *CODED)
