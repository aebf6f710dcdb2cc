"""Redaction: secrets go, everything a check needs stays, line for line."""

from __future__ import annotations

import base64
import random
from typing import Any

import pytest

from pytest_gpu.cluster.redaction.redact import (
    redact_argv,
    redact_command,
    redact_file,
    redact_object,
    redact_text,
    redact_value,
)
from pytest_gpu.evidence import CommandResult

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2lnbmF0dXJl"
KEY_LINES = "MIIEowIBAAKCAQEAx\nMIIEowIBAAKCAQEAy"
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{KEY_LINES}\n-----END RSA PRIVATE KEY-----"
PACKED_KEY = base64.b64encode(PEM.encode()).decode()
CERTIFICATE = base64.b64encode(b"-----BEGIN CERTIFICATE-----\nMIIC5zCCAc+gAwIB\n").decode()

SECRETS = [
    # containerd, versions 2 and 3
    ('  password = "hunter2"', '  password = "<redacted>"'),
    ("  password = 'hunter2' # mine", "  password = '<redacted>' # mine"),
    ('  username = "$oauthtoken"', '  username = "<redacted>"'),
    ("  auth = 'aHVudGVyMg=='", "  auth = '<redacted>'"),
    ("  identitytoken = 'hunter2'", "  identitytoken = '<redacted>'"),
    ('auth = { username = "u", password = "p" }',
     'auth = { username = "<redacted>", password = "<redacted>" }'),
    ('configs."nvcr.io".auth.password = "p"', 'configs."nvcr.io".auth.password = "<redacted>"'),
    ('password = """\nhun\nter2"""', 'password = """\n<redacted>\n<redacted>"""'),
    ('Authorization = ["Basic aHVudGVyMg=="]', 'Authorization = ["<redacted>"]'),
    ('password = "never closed', 'password = "<redacted>'),
    # Docker, JSON, JSON inside of JSON
    ('{"auths": {"nvcr.io": {"auth": "aHVu"}}}', '{"auths": {"nvcr.io": {"auth": "<redacted>"}}}'),
    ('{"password":"hun\\"ter2","x":1}', '{"password":"<redacted>","x":1}'),
    (r'{"text": "{\"token\": \"hunter2\"}"}', r'{"text": "{\"token\": \"<redacted>\"}"}'),
    ('"args": ["--token", "hunter2"]', '"args": ["--token", "<redacted>"]'),
    ('[{"name": "NGC_API_KEY", "value": "hunter2"}]',
     '[{"name": "NGC_API_KEY", "value": "<redacted>"}]'),
    # YAML
    ("token: hunter2", "token: <redacted>"),
    ("  - password: correct horse battery", "  - password: <redacted>"),
    ("{token: hunter2, x: 1}", "{token: <redacted>, x: 1}"),
    ("password: |\n  hun\n\n  ter2\nnext: 1", "password: |\n  <redacted>\n\n  <redacted>\nnext: 1"),
    ("- name: DB_PASSWORD\n  value: hunter2", "- name: DB_PASSWORD\n  value: <redacted>"),
    (f"client-key-data: {PACKED_KEY}", "client-key-data: <redacted>"),
    (f"tls.key: {PACKED_KEY}", "tls.key: <redacted>"),
    # URLs, proxies, headers
    ("HTTPS_PROXY=http://me:hunter2@proxy:3128", "HTTPS_PROXY=http://<redacted>@proxy:3128"),
    ("http://me:hun%40t@er2@proxy/", "http://<redacted>@proxy/"),
    ("https://ghp_x@github.com/a", "https://<redacted>@github.com/a"),
    ("GET /v2/?token=hunter2&x=1", "GET /v2/?token=<redacted>&x=1"),
    ("GET /?X-Amz-Signature=dead01&a=b", "GET /?X-Amz-Signature=<redacted>&a=b"),
    ("-H 'Accept: x' Bearer abcdef123456", "-H 'Accept: x' Bearer <redacted>"),
    # by their shape
    (f"got {JWT} from", "got <redacted> from"),
    ("id AKIAIOSFODNN7EXAMPLE.", "id <redacted>."),
    ("ghp_0123456789abcdefghij", "<redacted>"),
    ("nvapi-0123456789abcdefghij", "<redacted>"),
    ("join 10.0.0.1 abcdef.0123456789abcdef", "join 10.0.0.1 <redacted>"),
    ("K1034567890abcdef0123456789::server:x", "<redacted>"),
    (f"a\n{PEM}\nb", "a\n-----BEGIN RSA PRIVATE KEY-----\n<redacted>\n<redacted>\n"
     "-----END RSA PRIVATE KEY-----\nb"),
    (f"-----BEGIN PRIVATE KEY-----\n{KEY_LINES}\nnext: 1",
     "-----BEGIN PRIVATE KEY-----\n<redacted>\n<redacted>\nnext: 1"),
    # environment, flags, logs
    ("AWS_SECRET_ACCESS_KEY=hunter2", "AWS_SECRET_ACCESS_KEY=<redacted>"),
    ('Environment="NVIDIA_API_KEY=hunter2" "A=b"', 'Environment="NVIDIA_API_KEY=<redacted>" "A=b"'),
    ("export X_TOKEN='hunter2'", "export X_TOKEN='<redacted>'"),
    ("agent --token=hunter2 --x", "agent --token=<redacted> --x"),
    ("agent --token hunter2 --x", "agent --token <redacted> --x"),
    ('level=error msg="no" password=hunter2 x=1', 'level=error msg="no" password=<redacted> x=1'),
    ("Nov 20 pull: wrong password: hunter2 (x)", "Nov 20 pull: wrong password: <redacted> (x)"),
]  # fmt: skip

HARMLESS = [
    "key: nvidia.com/gpu",
    '{"key": "nvidia.com/gpu", "operator": "Exists"}',
    "automountServiceAccountToken: true",
    "secretName: nvidia-registry",
    "imagePullSecrets:\n- name: ngc-secret",
    "authentication:\n  webhook:\n    enabled: true\nauthorization:\n  mode: Webhook",
    "tlsPrivateKeyFile: /var/lib/kubelet/pki/kubelet.key",
    "--authentication-token-webhook=true --tls-private-key-file=/var/lib/k.key",
    '--anonymous-auth="false"',
    "--container-runtime-endpoint=unix:///run/k3s/containerd/containerd.sock",
    "CONTAINERD_CONFIG=/var/lib/rancher/rke2/agent/etc/containerd/config.toml",
    "NVIDIA_VISIBLE_DEVICES=GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c",
    "- name: NVIDIA_VISIBLE_DEVICES\n  value: void",
    "docker-pullable://busybox@sha256:0123456789abcdef",
    "unix:///run/containerd/containerd.sock",
    'level=info msg="loading plugin" type=io.containerd.grpc.v1.cri',
    "failed to load TOML: unexpected token table key cannot contain a newline",
    "containerd github.com/containerd/containerd v1.7.24 88bf19b2105c8b17560993bee28a01ddc2f97182",
    "basic hardware, basic functionality; bearer of news",
    "GPU 00000000:17:00.0: GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c",
    "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.nvidia]",
    f"certificate-authority-data: {CERTIFICATE}",
    "password:\nauth = {}",
    'password = ""',
    "https://nvidia.github.io/libnvidia-container/gpgkey",
]


@pytest.mark.parametrize(("text", "redacted"), SECRETS)
def test_secret_is_replaced_and_nothing_else(text: str, redacted: str) -> None:
    """The name beside it and the rest of the line stay."""
    assert redact_text(text) == redacted


@pytest.mark.parametrize("text", HARMLESS)
def test_what_checks_need_stays(text: str) -> None:
    """Paths, handler names, UUIDs, switches, references to secrets."""
    assert redact_text(text) == text


def test_redacting_twice_changes_nothing_and_lines_stay_in_place() -> None:
    """For any mixture of all of the above, however it is cut."""
    dice = random.Random(20261121)  # noqa: S311 - no secret depends on it
    pieces = [*(text for text, _ in SECRETS), *HARMLESS, "\r\n", "\n", "\x85", '"', "'", ": ", "="]
    for _ in range(300):
        text = dice.choice(["", "\n", " ", ","]).join(dice.choices(pieces, k=6))
        text = text[: dice.randint(0, len(text))]
        once = redact_text(text)
        assert redact_text(once) == once, text
        assert len(once.splitlines()) == len(text.splitlines()), text
        assert once.count("\n") == text.count("\n"), text


@pytest.mark.parametrize(
    ("argv", "redacted"),
    [
        (["a", "--token", "x", "y"], ["a", "--token", "<redacted>", "y"]),
        (["a", "--password=x"], ["a", "--password=<redacted>"]),
        (["a", "--aws-secret-access-key", "x"], ["a", "--aws-secret-access-key", "<redacted>"]),
        (["a", "--password", "--other"], ["a", "--password", "--other"]),
        (["a", "--use-token", "true"], ["a", "--use-token", "true"]),
        (["curl", "-u", "me:x", "h"], ["curl", "-u", "<redacted>", "h"]),
        (["nvidia-persistenced", "--user", "nvidia"], ["nvidia-persistenced", "--user", "nvidia"]),
        (["a", "AKIAIOSFODNN7EXAMPLE"], ["a", "<redacted>"]),
    ],
)
def test_command_lines(argv: list[str], redacted: list[str]) -> None:
    """A flag's value may stand one argument further."""
    assert redact_argv(argv) == tuple(redacted)
    assert redact_argv(redacted) == tuple(redacted)
    separated = "\0".join([*argv, ""]).encode()
    assert redact_file("/proc/7/cmdline", separated) == "\0".join([*redacted, ""]).encode()
    by_hand = "\n".join(argv).encode()
    assert redact_file("/proc/7/cmdline", by_hand) == "\n".join(redacted).encode()


def test_commands_are_redacted_whole() -> None:
    """Arguments and both outputs."""
    result = CommandResult(argv=("a", "--token=x"), exit=1, stdout="token=x", stderr="token=x")
    assert redact_command(result) == CommandResult(
        argv=("a", "--token=<redacted>"),
        exit=1,
        stdout="token=<redacted>",
        stderr="token=<redacted>",
    )


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/sys/bus/pci/devices/0000:17:00.0/config", b"token=abc" + bytes(range(256))),
        ("/sys/bus/pci/devices/0000:17:00.0/config", b"\xff" * 64),
        ("/x", bytes(range(256)) + b"token=abc"),
        ("/x", b"\0" * 64),
        ("/x", b"\xff" * 64),
        ("/x", b""),
    ],
)
def test_what_is_no_text_passes_unchanged(path: str, content: bytes) -> None:
    """PCI config space is compared byte by byte."""
    assert redact_file(path, content) == content


def test_text_of_another_encoding_is_redacted_too() -> None:
    """Latin 1 is no hiding place, nor is a NUL in a log."""
    assert redact_file("/x", b"\xe4 token=abc\xff") == b"\xe4 token=<redacted>"
    assert redact_file("/x", b"a\0token=abc\0") == b"a\0token=<redacted>\0"
    assert redact_file("/proc/7/environ", b"A=b\0X_TOKEN=c\0") == b"A=b\0X_TOKEN=<redacted>\0"


POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "p",
        "managedFields": [{"manager": "kubectl"}],
        "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": '{"spec": "hunter2"}',
            "kubeadm.alpha.kubernetes.io/cri-socket": "unix:///run/containerd/containerd.sock",
        },
    },
    "spec": {
        "containers": [
            {
                "args": ["--password", "hunter2", "--verbose"],
                "env": [
                    {"name": "DB_PASSWORD", "value": "hunter2"},
                    {"name": "EMPTY_TOKEN", "value": ""},
                    {"name": "FROM_KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                    {"name": "HTTP_PROXY", "value": "http://me:hunter2@proxy:1"},
                    {"name": "CONTAINERD_SOCKET", "value": "/run/k3s/containerd/containerd.sock"},
                    {"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"},
                ],
            }
        ],
        "imagePullSecrets": [{"name": "ngc"}],
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "volumes": [{"secret": {"secretName": "s"}}],
    },
}


def test_pods_keep_all_but_their_secrets() -> None:
    """References stay: they name a secret and do not hold it."""
    found = redact_object(POD)
    assert found is not None
    assert "hunter2" not in str(found)
    assert "managedFields" not in found["metadata"]
    annotations = found["metadata"]["annotations"]
    assert annotations["kubeadm.alpha.kubernetes.io/cri-socket"].startswith("unix:///run")
    before, after = POD["spec"]["containers"][0], found["spec"]["containers"][0]
    assert after["args"] == ["--password", "<redacted>", "--verbose"]
    assert after["env"][1:3] == before["env"][1:3]
    assert after["env"][4:] == before["env"][4:]
    for key in ("imagePullSecrets", "tolerations", "volumes"):
        assert found["spec"][key] == POD["spec"][key]
    assert redact_object(found) == found


def test_secrets_are_dropped_wherever_they_stand() -> None:
    """As an object of a list, or inside an outcome."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "b"}}
    assert redact_object(secret) is None
    assert redact_value({"items": [secret, POD]})["items"] == [redact_object(POD)]
    assert redact_value({"object": secret}) == {"object": None}


def test_configmaps_lose_what_their_keys_call_secret() -> None:
    """A ConfigMap is no place for a password, and yet."""
    data = {"password": "hunter2", "any": "version: v1\nsharing: {}", "x": "token: hunter2"}
    found = redact_object({"kind": "ConfigMap", "metadata": {"name": "c"}, "data": data})
    assert found is not None
    assert found["data"] == {
        "password": "<redacted>",
        "any": "version: v1\nsharing: {}",
        "x": "token: <redacted>",
    }


def test_what_nobody_can_look_into_goes() -> None:
    """A ConfigMap's binaryData may be a keystore or an archive."""
    data = {"store.jks": base64.b64encode(bytes(range(256))).decode()}
    found = redact_object({"kind": "ConfigMap", "metadata": {"name": "c"}, "binaryData": data})
    assert found is not None
    assert found["binaryData"] == {"store.jks": "<redacted>"}
    # A typed list names the kind of its items only once.
    assert redact_object({"metadata": {"name": "c"}, "binaryData": data}) == {
        "metadata": {"name": "c"},
        "binaryData": {"store.jks": "<redacted>"},
    }


def test_headers_of_probes_go_whatever_they_are_called() -> None:
    """Their names are kept."""
    headers = [{"name": "X-Anything", "value": "hunter2"}, {"name": "X-Empty", "value": ""}]
    found = redact_value({"httpGet": {"httpHeaders": headers, "path": "/healthz"}})
    assert found == {
        "httpGet": {
            "httpHeaders": [{"name": "X-Anything", "value": "<redacted>"}, headers[1]],
            "path": "/healthz",
        }
    }


def test_program_and_its_arguments_are_read_together() -> None:
    """A container names them apart: what -p means depends on the program."""
    found = redact_value({"command": ["sshpass"], "args": ["-p", "hunter2", "ssh", "-p", "22"]})
    assert found == {"command": ["sshpass"], "args": ["-p", "<redacted>", "ssh", "-p", "22"]}
    other = {"command": ["ssh"], "args": ["-p", "22"]}
    assert redact_value(other) == other


def test_switches_under_a_secrets_name_stay() -> None:
    """A device plugin is told PASS_DEVICE_SPECS; a list of secrets and a long number go."""
    env = [{"name": "PASS_DEVICE_SPECS", "value": "true"}, {"name": "USE_TOKEN", "value": "false"}]
    assert redact_value({"env": env, "auth": "none"}) == {"env": env, "auth": "none"}
    assert redact_value({"tokens": ["a"], "token": ["a", ""], "pin": 1, "password": 123456}) == {
        "tokens": ["a"],
        "token": ["<redacted>", ""],
        "pin": 1,
        "password": "<redacted>",
    }


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("a: 1\nkind: Secret\ndata:\n  any: aHVu\n  b: |\n    aHVu\n---\nkind: X\ndata:\n  c: d",
         "a: 1\nkind: Secret\ndata:\n  any: <redacted>\n  b: |\n    <redacted>\n---\nkind: X\n"
         "data:\n  c: d"),
        ('{"kind": "Secret", "data": {"any": "aHVu", "b": "aHVu"}, "x": "y"}',
         '{"kind": "Secret", "data": {"any": "<redacted>", "b": "<redacted>"}, "x": "y"}'),
        ("kind: ConfigMap\nbinaryData:\n  a: aHVu\ndata:\n  a: b",
         "kind: ConfigMap\nbinaryData:\n  a: <redacted>\ndata:\n  a: b"),
        ('{"binaryData":{"a":"aHVu"},"data":{"a":"b"}}',
         '{"binaryData":{"a":"<redacted>"},"data":{"a":"b"}}'),
        ("httpHeaders:\n- name: A\n  value: hun\n- name: B\n  value: ter2\np: /\nname: a\nvalue: b",
         "httpHeaders:\n- name: A\n  value: <redacted>\n- name: B\n  value: <redacted>\np: /\n"
         "name: a\nvalue: b"),
        ('{"httpHeaders": [{"value": "hun", "name": "X"}], "env": [{"name": "A", "value": "b"}]}',
         '{"httpHeaders": [{"value": "<redacted>", "name": "X"}],'
         ' "env": [{"name": "A", "value": "b"}]}'),
        ("- name: A\n  value: b\n- name: T_TOKEN\n  valueFrom: c",
         "- name: A\n  value: b\n- name: T_TOKEN\n  valueFrom: c"),
        ("password: 'a\n  hunter2'\nx: 1", "password: '<redacted>\n  <redacted>'\nx: 1"),
        ("password:\n  hunter2\nx: 1", "password:\n  <redacted>\nx: 1"),
        ("TOKEN=\\\nhunter2\nx", "TOKEN=<redacted>\n<redacted>\nx"),
        ("n p: -----BEGIN PRIVATE KEY-----\nn p: " + "aB3d" * 16 + "\nn p: aB3d\nn p: next: 1",
         "n p: -----BEGIN PRIVATE KEY-----\nn p: <redacted>\nn p: <redacted>\nn p: next: 1"),
        ('{"password": "hun\\"ter2", "pin": 1}', '{"password": "<redacted>", "pin": 1}'),
        ('["{\\"password\\": \\"hun\\\\\\"ter2\\"}"]', '["{\\"password\\": \\"<redacted>\\"}"]'),
        ("password = 123456", 'password = "<redacted>"'),
        ('{"token": 123456}', '{"token": "<redacted>"}'),
        ("password: &p hunter2", "password: &p <redacted>"),
        ("n password=hun,ter&2[x{y x=1", "n password=<redacted> x=1"),
        ("Server=a;Password=hun ter2;Port=1", "Server=a;Password=<redacted>;Port=1"),
        ("{password: hun ter2, x: 1}", "{password: <redacted>, x: 1}"),
        ("<token>hunter2</token>", "<token><redacted></token>"),
        ("IDENTIFIED BY 'hunter2'", "IDENTIFIED BY '<redacted>'"),
        ("smtp_password hunter2", "smtp_password <redacted>"),
        ("--- a\n- sshpass\n- -p\n- hunter2\n- ssh", "--- a\n- sshpass\n- -p\n- <redacted>\n- ssh"),
    ],
)  # fmt: skip
def test_secret_goes_and_its_surroundings_stay(text: str, redacted: str) -> None:
    """Over lines, in quotes inside of quotes, between separators."""
    assert redact_text(text) == redacted


def test_variable_of_several_lines_goes_whole() -> None:
    """Variables are separated by NUL in procfs."""
    content = b"A=b\0SSH_KEY=hun\nter2\0C=d\0"
    assert redact_file("/proc/7/environ", content) == b"A=b\0SSH_KEY=<redacted>\n<redacted>\0C=d\0"


def test_text_in_utf_16_is_redacted_too() -> None:
    """It is full of NUL, and no binary file."""
    for encoding in ("utf-16-le", "utf-16-be"):
        text = "\ufeffpassword=hunter2\n".encode(encoding)
        assert redact_file("/x", text) == "\ufeffpassword=<redacted>\n".encode(encoding)
    assert redact_file("/x", b"\xff\xfe\x00\xd8x") == b"\xff\xfe\x00\xd8x"


def test_values_of_other_types_stay() -> None:
    """NVML's numbers, and what is not there."""
    value = {"uuid": "GPU-1", "memory": {"total": 5}, "mig": None, "ok": True, "token": 5}
    assert redact_value(value) == value


@pytest.mark.parametrize(
    "path",
    ["/var/log/pods/a_b_c/main/0.log", "/var/lib/rancher/rke2/agent/containerd/containerd.log"],
)
def test_a_log_is_text_whatever_a_crash_left_in_it(path: str) -> None:
    """NULs of a block that was never written, and a bell: its lines are redacted all the same."""
    text = b"\0\0\0\x07failed: password=hunter2\nnext \xff\n"
    assert redact_file(path, text) == b"\0\0\0\x07failed: password=<redacted>\nnext \xff\n"
    assert redact_file("/sys/x.log", text) == redact_file("/lib/x.so", text) == text


COLOURED = "\x1b[31mERRO\x1b[0m[0001] retrying \x1b[31mcount\x1b[0m=3"


def test_only_lines_with_a_secret_lose_their_colours() -> None:
    """What a program printed stays as it is, and redacting again changes nothing."""
    told = "\x1b[31mERRO\x1b[0m[0001] no login \x1b[31mpassword\x1b[0m=hunter2"
    found = redact_text(f"{COLOURED}\n{told}\r\n{COLOURED}")
    assert found == f"{COLOURED}\nERRO[0001] no login password=<redacted>\r\n{COLOURED}"
    assert redact_text(found) == found


def test_a_colour_hides_no_secret_that_is_glued_to_a_word() -> None:
    """Both readings are redacted: with the control characters, and without."""
    assert "hunter2" not in redact_text("x\x07token=hunter2")
    assert "hunter2" not in redact_text("\x1b[31mERRO\x1b[0mtoken=hunter2")
    assert "hunter2" not in redact_text("to\x1b[1mken=hunter2")
