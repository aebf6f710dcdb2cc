"""What can be done about a failed service, by its own words: the reason first, then start it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_gpu.stack.operands import trouble
from pytest_gpu.steps import Step, Steps, typed
from pytest_gpu.text.shell import command

# NVML and nvidia-persistenced where the driver is not there yet, or not whole; the CDI library
# where the toolkit found no GPU. Sources: nvidia-persistenced.c (setup_devices),
# nvidia-container-toolkit v1.20.2, pkg/nvcdi/lib-nvml.go.
_TOO_EARLY = re.compile(
    r"(?i)driver not loaded|failed to query NVIDIA devices|communicate with the NVIDIA driver"
    r"|no devices were found|empty device edits|lib(?:cuda|nvidia-ml)\.so[\w.]{0,40}: not found"
)
_OTHER_VERSION = re.compile(r"match with (?:the )?driver version|[Vv]ersion mismatch")
_FULL = re.compile(r"no space left on device|disk quota exceeded")
_WITH_PATH = frozenset({trouble.PATH, trouble.PERMISSION})


def advice(unit: str, words: str) -> Steps:
    """Return the steps that follow from a service's last words, and how to start it again."""
    service = f"{unit}.service"
    return (
        *reason(unit, words),
        Step("words", "Then start the service again, and see that it stays well:"),
        typed("node", command("sudo systemctl reset-failed {service}", service=service)),
        typed("node", command("sudo systemctl restart {service}", service=service)),
    )


def reason(unit: str, words: str) -> Steps:
    """Return the steps that follow from a service's last words."""
    return tuple(_reason(unit, words))


def _reason(unit: str, words: str) -> Iterator[Step]:
    if _TOO_EARLY.search(words):
        yield Step(
            "words",
            "The driver was not ready when the service ran, and is now. If that happens at every"
            " boot, order the service after whatever loads the driver: After= in a drop-in of its"
            " unit.",
        )
    elif _OTHER_VERSION.search(words):
        yield Step("words", "Install it in exactly the version of the loaded driver:")
        yield typed("node", command("cat /proc/driver/nvidia/version"))
    elif _FULL.search(words):
        yield Step("words", "A file system is full. See which one, and free space or inodes on it:")
        yield typed("node", command("df -h"))
        yield typed("node", command("df -i"))
    else:
        yield from _by_kind(unit, words)


def _by_kind(unit: str, words: str) -> Iterator[Step]:
    if trouble.kind_of("", words) in _WITH_PATH and (path := trouble.path_in(words)):
        yield Step("words", "Its last words name what is missing, or what it may not do:")
        yield typed("node", command("ls -ld {path}", path=path))
        return
    yield Step("words", "Correct what its last words name. All that it logged:")
    yield typed("node", command("sudo journalctl -u {unit} -n 50 --no-pager", unit=unit))
