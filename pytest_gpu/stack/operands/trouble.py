"""What kind of trouble a component's own words tell of: it decides what can be advised."""

from __future__ import annotations

import re
from collections.abc import Mapping

IMAGE = "image"
IMAGE_ABSENT = "image-absent"
IMAGE_REFUSED = "image-refused"
IMAGE_NOT_REACHED = "image-not-reached"
MOUNT = "mount"
QUOTA = "quota"
POD_SECURITY = "pod-security"
PRIORITY_CLASS = "priority-class"
WEBHOOK = "webhook"
ADMISSION = "admission"
SCHEDULING = "scheduling"
TAINT = "taint"
RBAC = "rbac"
PERMISSION = "permission"
PATH = "path"
NETWORK = "network"
CONFIGURATION = "configuration"
RESOURCES = "resources"
CRASH = "crash"
SIGNATURE = "signature"
KERNEL_PACKAGES = "kernel-packages"
IN_USE = "in-use"
COMPILER = "compiler"
PACKAGES = "packages"
NVML = "nvml"
ADDRESS = "address"
MISSING = "missing-object"
STOPPED = "stopped"
SILENT = "silent"
UNKNOWN = "unknown"

_REASONS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "ImagePullBackOff",
            "ErrImagePull",
            "ErrImageNeverPull",
            "ImageInspectError",
            "InvalidImageName",
            "RegistryUnavailable",
            "SignatureValidationFailed",
        ),
        IMAGE,
    ),
    "CreateContainerConfigError": CONFIGURATION,
    "FailedMount": MOUNT,
    "FailedAttachVolume": MOUNT,
    "FailedScheduling": SCHEDULING,
    "Unschedulable": SCHEDULING,
    "Untolerated": TAINT,
    "OOMKilled": RESOURCES,
}
"""What the kubelet's and the scheduler's own reasons tell; the others need the message."""


def _any(*words: str) -> re.Pattern[str]:
    return re.compile("|".join(words), re.IGNORECASE)


_REFUSALS = (
    (_any(r"exceeded quota", r"insufficient quota", r"failed quota"), QUOTA),
    (_any(r"violates PodSecurity"), POD_SECURITY),
    (_any(r"no PriorityClass with name"), PRIORITY_CLASS),
    (_any(r"admission webhook", r"failed calling webhook"), WEBHOOK),
)
"""Who refuses a pod, by the words of the API server."""

_WORDS = (
    (
        _any(
            r"^panic:",
            r"\bSIG(?:SEGV|ABRT|BUS|ILL)\b",
            r"segmentation fault",
            r"core dumped",
            r"runtime error: ",
            r"^fatal error: ",
            r"^Traceback \(most recent call last\)",
        ),
        CRASH,
    ),
    # errno(3): ENOKEY and EKEYREJECTED, as modprobe prints them.
    (_any(r"key was rejected by service", r"required key not available"), SIGNATURE),
    # NVIDIA/gpu-driver-container, ubuntu22.04/nvidia-driver at 7796e73; apt and dnf themselves.
    (
        _any(
            r"could not resolve Linux kernel version",
            r"unable to locate package linux-(?:headers|image|modules)-",
            r"unable to find a match: kernel-(?:headers|devel|core)-",
        ),
        KERNEL_PACKAGES,
    ),
    # The same; NVIDIA/k8s-driver-manager, which unloads the driver before.
    (_any(r"kernel modules, driver is in use", r"failed to unload driver: "), IN_USE),
    # gcc and clang, which build the kernel module.
    (_any(r"unrecogni[sz]ed command-line option", r"unknown argument: '-"), COMPILER),
    # go-nvml, by which NVML's errors are names where the library itself does not load; and
    # nvidia-smi itself.
    (_any(r"(?-i:\bERROR_[A-Z_]{3,40}\b)", r"failed to initialize NVML: "), NVML),
    (_any(r"address already in use"), ADDRESS),
    (_any(r"cannot \w{1,20} resource", r'is forbidden: User "system:'), RBAC),
    (
        _any(
            r"permission denied",
            r"operation not permitted",
            r"access denied",
            r"read-only file system",
            r"insufficient permissions",
        ),
        PERMISSION,
    ),
    (
        _any(
            r"cannot allocate memory",
            r"out of memory",
            r"no space left on device",
            r"too many open files",
            r"disk quota exceeded",
            r"\bOOM.killer\b",
        ),
        RESOURCES,
    ),
    (_any(r"dial unix \S"), PATH),
    (
        _any(
            r"dial (?:tcp|udp)",
            r"connection (?:refused|reset|timed out)",
            r"no route to host",
            r"network is unreachable",
            r"no such host",
            r"could not resolve (?:host|proxy)",
            r"temporary failure (?:in name resolution|resolving)",
            r"i/o timeout",
            r"TLS handshake",
            r"x509: ",
        ),
        NETWORK,
    ),
    (
        _any(
            r"unknown (?:flag|option|field|command|key|strategy)",
            r"invalid (?:value|argument|option|flag|strategy|config|mode|runtime|restart mode)",
            r"invalid (?:--?[a-z]|CDI (?:vendor|class) name)",
            r"flag provided but not defined",
            r"unrecogni[sz]ed (?:option|argument|flag|runtime)",
            r"unsupported (?:option|value|strategy|version|config source|type for )",
            r"cannot unmarshal",
            r"unexpected token",
            r"value from environment variable",
            r"expected containerd config version",
            r"(?:error|failed to) (?:parse|parsing|unmarshal|decode|validate) ",
            r"(?<![\w./-])(?:yaml|toml|json): ",
        ),
        CONFIGURATION,
    ),
    (
        _any(
            r"no such file or directory",
            r"not a directory",
            r"no such device",
            r"file exists",
            r"executable file not found",
            r"command not found",
            r"cannot open shared object file",
            r"does not exist",
            r"error locating \w{1,20}: ",
            r"no NVIDIA device(?:s| nodes) found",
            r"no runtime binary found",
        ),
        PATH,
    ),
    (
        _any(
            r"(?:unable|failed) to (?:load|parse|read|decode) (?:[\w-]{1,30} )?config\b",
            # go-toml: line and column of what it cannot read.
            r"\(\d{1,6}, \d{1,6}\): ",
            # encoding/csv, reader.go; apimachinery, pkg/runtime/error.go.
            r"wrong number of fields",
            r"parse error on line \d",
            r"no kind \S{1,40} is registered for version",
        ),
        CONFIGURATION,
    ),
    # apt-get and dnf themselves.
    (_any(r"^E: ", r"unable to find a match: ", r"no package \S{1,60} available"), PACKAGES),
)
"""What a line of a log tells, the surest first."""

_PULLS = (
    (_any(r"no space left on device"), RESOURCES),
    # containerd, core/remotes/docker: what fails before the registry answers.
    (
        _any(r"failed to do request: ", r"dial (?:tcp|udp)", r"i/o timeout", r"x509: "),
        IMAGE_NOT_REACHED,
    ),
    (_any(r"\b40[13]\b", r"unauthorized", r"denied", r"toomanyrequests|\b429\b"), IMAGE_REFUSED),
    (_any(r": not found", r"manifest unknown", r"does not exist"), IMAGE_ABSENT),
)
"""What the registry answers, or does not."""

_MISSING = re.compile(
    r'\b(?P<kind>configmap|secret)s? "(?P<name>[^"\s]{1,253})" not found', re.IGNORECASE
)
# signal(7): 128 plus the number of the signal that ended a program. Of these the program itself
# is the reason; SIGKILL and SIGTERM others send.
_CRASHED = frozenset({132, 134, 135, 136, 139})
_STOPPED = frozenset({137, 143})

_PATH = re.compile(r"(?<![\w:/.])/[\w.@+-]{1,255}(?:/[\w.@+-]{1,255}){0,20}")


def kind_of(reason: str, text: str) -> str:
    """Return the kind of a trouble from a one-word reason and the decisive line; else unknown."""
    if reason == "CreateContainerConfigError" and missing_in(text):
        return MISSING
    if found := _REASONS.get(reason):
        return found
    if reason == "FailedCreate":
        return _first(_REFUSALS, text) or ADMISSION
    return _first(_WORDS, text) or UNKNOWN


def kind_of_pull(text: str) -> str:
    """Return why an image is not pulled, by all that is said of it."""
    return _first(_PULLS, text) or IMAGE


def kind_of_exit(code: int | None) -> str:
    """Return the kind of a trouble of which only an exit code tells."""
    return CRASH if code in _CRASHED else STOPPED if code in _STOPPED else UNKNOWN


def missing_in(text: str) -> tuple[str, str] | None:
    """Return kind and name of an object that a message says is not there, ``None`` if none is."""
    found = _MISSING.search(text)
    return (found["kind"].lower(), found["name"]) if found else None


def _first(rules: tuple[tuple[re.Pattern[str], str], ...], text: str) -> str | None:
    return next((kind for pattern, kind in rules if pattern.search(text)), None)


def path_in(text: str) -> str | None:
    """Return the last path of a file that a line names, ``None`` if it names none."""
    found = _PATH.findall(text)
    return str(found[-1]) if found else None
