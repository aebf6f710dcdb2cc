"""What kind of trouble a message tells of: one of each kind, and a near miss."""

from __future__ import annotations

import pytest

from pytest_gpu.stack.operands import trouble
from pytest_gpu.stack.operands.advice import (
    DRIVER_AWAITED,
    ENDED,
    NOT_BEGUN,
    PODLESS,
    UNFINISHED,
    table,
)
from pytest_gpu.stack.operands.no_driver_pod import Why
from pytest_gpu.stack.operands.trouble import kind_of, path_in

CASES = [
    ("ImagePullBackOff", 'Back-off pulling image "r.example/driver:1"', trouble.IMAGE),
    ("InvalidImageName", "couldn't parse image name", trouble.IMAGE),
    ("FailedMount", 'MountVolume.SetUp failed: configmap "x" not found', trouble.MOUNT),
    ("FailedCreate", 'pods "x-" is forbidden: exceeded quota: q, requested: pods=1', trouble.QUOTA),
    ("FailedCreate", "insufficient quota to match these scopes: [{PriorityClass", trouble.QUOTA),
    ("FailedCreate", 'violates PodSecurity "restricted:v1.31": hostPath', trouble.POD_SECURITY),
    ("FailedCreate", "no PriorityClass with name gpu was found", trouble.PRIORITY_CLASS),
    ("FailedCreate", 'admission webhook "x.io" denied the request', trouble.WEBHOOK),
    ("FailedCreate", 'serviceaccount "x" not found', trouble.ADMISSION),
    ("Unschedulable", "0/3 nodes are available: 3 Insufficient cpu", trouble.SCHEDULING),
    ("Error", 'nodes is forbidden: User "system:serviceaccount:a:b" cannot list', trouble.RBAC),
    ("Error", "open /dev/nvidiactl: permission denied", trouble.PERMISSION),
    ("Error", "open /dev/nvidiactl: permissions were checked", trouble.UNKNOWN),
    ("Error", "open /config/config.yaml: no such file or directory", trouble.PATH),
    ("Error", "dial unix /run/x.sock: connect: connection refused", trouble.PATH),
    ("Error", "dial tcp 10.96.0.1:443: connect: connection refused", trouble.NETWORK),
    ("Error", "dialled the number and was refused", trouble.UNKNOWN),
    ("Error", "Could not resolve host: archive.example.com", trouble.NETWORK),
    ("Error", 'unknown strategy "cdi-everything"', trouble.CONFIGURATION),
    ("Error", "the strategy is unknown to nobody", trouble.UNKNOWN),
    ("Error", 'invalid runtime "podman"; expected one of [docker]', trouble.CONFIGURATION),
    ("Error", "invalid restart mode specified: reload", trouble.CONFIGURATION),
    ("Error", "the signature is invalid", trouble.UNKNOWN),
    (
        "Error",
        'could not parse "x" as bool value from environment variable "A"',
        trouble.CONFIGURATION,
    ),
    ("Error", "could not parse what the peer sent", trouble.UNKNOWN),
    ("Error", "error locating executable: nvidia-ctk: not found", trouble.PATH),
    ("Error", "no NVIDIA device nodes found", trouble.PATH),
    ("Error", "NVIDIA device nodes found", trouble.UNKNOWN),
    (
        "Error",
        "modprobe: ERROR: could not insert 'nvidia': Key was rejected by service",
        trouble.SIGNATURE,
    ),
    ("Error", "could not insert 'nvidia': Required key not available", trouble.SIGNATURE),
    ("Error", "the key of the service was rejected", trouble.UNKNOWN),
    ("Error", "Could not resolve Linux kernel version", trouble.KERNEL_PACKAGES),
    ("Error", "E: Unable to locate package linux-headers-6.8.0-31", trouble.KERNEL_PACKAGES),
    ("Error", "E: Unable to locate package gcc-12", trouble.PACKAGES),
    ("Error", "E: Package 'gcc-12' has no installation candidate", trouble.PACKAGES),
    ("Error", "Unable to find a match: gcc-12", trouble.PACKAGES),
    ("Error", "STATE: unknown", trouble.UNKNOWN),
    (
        "Error",
        "cc: error: unrecognized command-line option '-ftrivial-auto-var-init=zero'",
        trouble.COMPILER,
    ),
    ("Error", "the option on the command line is recognized", trouble.UNKNOWN),
    ("Error", "failed to initialize NVML: ERROR_DRIVER_NOT_LOADED", trouble.NVML),
    ("Error", "nvml: ERROR_LIB_RM_VERSION_MISMATCH", trouble.NVML),
    ("Error", "Failed to initialize NVML: Driver/library version mismatch", trouble.NVML),
    ("Error", "error_driver and ERRORS_X", trouble.UNKNOWN),
    ("Error", "listen tcp :9400: bind: address already in use", trouble.ADDRESS),
    ("Error", "the address is in use", trouble.UNKNOWN),
    ("Error", "unable to load config: (61, 9): duplicated tables", trouble.CONFIGURATION),
    ("Error", "tried (1, 2) and (3, 4)", trouble.UNKNOWN),
    (
        "Error",
        "failed to parse CSV: record on line 3: wrong number of fields",
        trouble.CONFIGURATION,
    ),
    ("Error", "the number of fields is wrong", trouble.UNKNOWN),
    (
        "Error",
        'no kind "KubeletConfiguration" is registered for version "v9"',
        trouble.CONFIGURATION,
    ),
    ("Error", "unable to load containerd config: frob", trouble.CONFIGURATION),
    ("Error", "unable to load config: open /a: no such file or directory", trouble.PATH),
    ("Error", "unable to load config: open /a: permission denied", trouble.PERMISSION),
    ("Error", "unable to load in-cluster configuration", trouble.UNKNOWN),
    ("Error", "failed to unload driver: resource temporarily unavailable", trouble.IN_USE),
    ("Error", "the driver is in use", trouble.UNKNOWN),
    ("CreateContainerConfigError", 'secret "x" not found', trouble.MISSING),
    ("CreateContainerConfigError", 'configmap "a-b" not found', trouble.MISSING),
    (
        "CreateContainerConfigError",
        "couldn't find key x in ConfigMap gpu-operator/a",
        trouble.CONFIGURATION,
    ),
    ("Error", 'configmap "a-b" not found', trouble.UNKNOWN),
    ("OOMKilled", "", trouble.RESOURCES),
    ("Error", "write /var/lib/x: no space left on device", trouble.RESOURCES),
    ("Error", "panic: runtime error: index out of range [3]", trouble.CRASH),
    ("Error", "no need to panic: it works", trouble.UNKNOWN),
    ("Error", "the flux is out of tune", trouble.UNKNOWN),
    ("", "", trouble.UNKNOWN),
]


@pytest.mark.parametrize(("reason", "text", "kind"), CASES)
def test_the_kind_follows_from_reason_and_words(reason: str, text: str, kind: str) -> None:
    """The kubelet's own reasons come first."""
    assert kind_of(reason, text) == kind


def test_every_kind_has_its_steps() -> None:
    """None is advised nothing."""
    kinds = {value for name, value in vars(trouble).items() if name.isupper() and name[0] != "_"}
    states = {UNFINISHED, NOT_BEGUN, DRIVER_AWAITED, PODLESS, ENDED}
    assert set(table()) == {*kinds, *Why, *states}
    assert all(table().values())


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("failed to load /etc/a.toml: open /etc/b.d/c.toml: permission denied", "/etc/b.d/c.toml"),
        ("get https://a.example/b: no route to host", None),
        ("open a/b: no such file or directory", None),
        ("nothing", None),
    ],
)
def test_the_last_path_of_a_line_is_where_it_failed(text: str, path: str | None) -> None:
    """A URL and a relative path are none of the node's."""
    assert path_in(text) == path
