"""What the kernel, the driver and NVML say, hurt: files of /proc and /sys, logs, and answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_gpu.cluster.recording.samples import sample_path
from tests.hostile.inputs import Input
from tests.hostile.recordings.overlays import KUBEADM, NODES, Content, harmless, hurt, refused

HUGE = "9" * 400
MANY = 200_000
PCI = "/sys/bus/pci/devices/0000:17:00.0"
VERSION = "/proc/driver/nvidia/version"
MODULE_VERSION = "/sys/module/nvidia/version"
NVRM = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  %s  Mon Dec 30 17:44:08 UTC 2024\n"

ELSEWHERE: Mapping[str, tuple[str, Content]] = {
    "version-empty": (VERSION, ""),
    "version-zeros": (VERSION, bytes(4096)),
    "version-huge": (VERSION, NVRM % HUGE),
    "version-text": (VERSION, NVRM % "$(touch PWN)"),
    "version-escape": (VERSION, NVRM % "\x1b[2J550.144.03"),
    "version-repeated": (VERSION, "NVRM version: " * MANY),
    "version-of-module": (MODULE_VERSION, "550.144.03" * MANY),
    "modules-empty": ("/proc/modules", ""),
    "modules-zeros": ("/proc/modules", bytes(4096)),
    "modules-of-words": ("/proc/modules", "nvidia\n" * 1000),
    "modules-long": ("/proc/modules", "x " * 1_000_000),
    "gpu-information-empty": ("/proc/driver/nvidia/gpus/0000:17:00.0/information", ""),
    "device-binary": (f"{PCI}/device", b"\xff\xfe"),
    "width-huge": (f"{PCI}/current_link_width", f"-{HUGE}\n"),
}
"""Files that decide nothing alone: what they say is read elsewhere, too, or only shown."""

DRIVER: Mapping[str, tuple[str, Content]] = {
    "devices-empty": ("/proc/devices", ""),
    "devices-huge": ("/proc/devices", f"Character devices:\n{HUGE} nvidia\n"),
    "devices-negative": ("/proc/devices", "Character devices:\n-1 nvidia\n510 nvidia-uvm\n"),
}
NOWHERE: Mapping[str, Mapping[str, Content]] = {
    "version-nowhere": {VERSION: "", MODULE_VERSION: ""},
    "version-zeros-everywhere": {VERSION: bytes(4096), MODULE_VERSION: bytes(4096)},
    "version-huge-everywhere": {VERSION: NVRM % HUGE, MODULE_VERSION: HUGE},
    "version-hostile-everywhere": {VERSION: "", MODULE_VERSION: "$(id)\x1b[2J\r\n"},
    "modules-without-version": {"/proc/modules": bytes(4096)},
}
GONE = f"absent: [nodes/{NODES[KUBEADM]}/files{VERSION}]\n"
HARDWARE: Mapping[str, tuple[str, Content]] = {
    "vendor-empty": (f"{PCI}/vendor", ""),
    "vendor-text": (f"{PCI}/vendor", "nvidia\n"),
    "vendor-huge": (f"{PCI}/vendor", f"0x{'f' * 5000}\n"),
    "class-zeros": (f"{PCI}/class", bytes(64)),
    "class-base-60": (f"{PCI}/class", "1:10:10\n"),
    "config-gone": (f"{PCI}/config", b"\xff" * 64),
}
XID = "[ 99.1] NVRM: Xid (PCI:0000:17:00): %s, pid=1, GPU has fallen off the bus.\n"
LOADED = "[ 99.2] NVRM: loading NVIDIA UNIX x86_64 Kernel Module  550.144.03\n"
QUOTED = "[ 99.2] app[7]: said NVRM: loading NVIDIA UNIX x86_64 Kernel Module  550.144.03\n"
LOGS = {
    "xid": XID % 79,
    "xid-quoted-afterwards": XID % 79 + QUOTED,
    "xid-then-many-lines": XID % 79 + "[ 99.3] x: y\n" * MANY,
    "xid-then-a-long-line": XID % 79 + "[ 99.3] " + "x" * 5_000_000 + "\n",
    "xid-after-repeated-starts": "NVRM: Xid (PCI:0000:17:00" * MANY + "\n" + XID % 79,
    "xid-with-an-escape": XID.replace("GPU", "\x9bGPU\x85\u202e") % 79,
    "xid-among-absurd-numbers": XID % HUGE + XID % 79 + XID % "-1" + XID % "1e9",
    "xid-of-many": "".join(XID % (79 if n == 7 else n) for n in range(20_000)),
}


def _places(layer: str, places: Mapping[str, tuple[str, Content]]) -> Iterator[Input]:
    for name, (path, content) in places.items():
        yield hurt(f"{layer}-{name}", {path: content}, layer)


def _log(text: str) -> str:
    """Return commands of which the first prints a kernel log, as JSON."""
    return json.dumps([{"argv": ["dmesg"], "stdout": LOADED.replace("99.2", "1.1") + text}])


def _nvml(change: Mapping[str, Any], device: Mapping[str, Any] | None = None) -> str:
    """Return the sample's answers of NVML, changed, and its first GPU's."""
    file = sample_path(KUBEADM) / "nodes" / NODES[KUBEADM] / "nvml.json"
    whole = json.loads(file.read_bytes())
    whole["devices"][0] |= device or {}
    return json.dumps(whole | change)


ANSWERS = {
    "devices-null": _nvml({"devices": None}),
    "devices-text": _nvml({"devices": "two"}),
    "devices-of-null": _nvml({"devices": [None]}),
    "devices-of-numbers": _nvml({"devices": [1, 2]}),
    "devices-many": _nvml({"devices": [{"index": n} for n in range(5000)]}),
    "init-text": _nvml({"init": "ok"}),
    "init-error-text": _nvml({"init": {"error": "x", "message": "\x1b[2J"}}),
    "version-number": _nvml({"driver_version": 550}),
    "version-list": _nvml({"driver_version": [550, 144]}),
    "version-hostile": _nvml({"driver_version": "550.144.03\r\x1b[2J$(id)"}),
    "index-text": _nvml({}, {"index": "zero"}),
    "index-list": _nvml({}, {"index": [0]}),
    "bdf-hostile": _nvml({}, {"bdf": "../../etc/passwd\n\x1b"}),
    "bdf-number": _nvml({}, {"bdf": 17}),
    "memory-list": _nvml({}, {"memory": [1]}),
    "memory-negative": _nvml({}, {"memory": {"total": -1}}),
    "memory-text": _nvml({}, {"memory": {"total": "all"}}),
    "ecc-text": _nvml({}, {"ecc_uncorrected": "many"}),
    "hung-text": _nvml({"hung": "yes"}),
}

NUMBERS = {
    "init-error-huge": _nvml({"init": {"error": int(HUGE), "message": "x" * 10_000}}),
    "index-huge": _nvml({}, {"index": int(HUGE)}),
    "minor-huge": _nvml({}, {"minor": int(HUGE)}),
}
NAMES = {
    "name-hostile": _nvml({}, {"name": "A\u202e\x1b[2J" * 100}),
    "surrogates": _nvml({}, {"name": "\ud800", "uuid": "\udfff"}),
}

INPUTS = (
    *(
        refused(f"nvml-{name}", {"N/nvml.json": text}, "must be a number of at most 64 bits")
        for name, text in NUMBERS.items()
    ),
    *(harmless(f"nvml-{name}", {"N/nvml.json": text}) for name, text in NAMES.items()),
    *(harmless(f"kernel-{name}", {path: text}) for name, (path, text) in ELSEWHERE.items()),
    *_places("driver", DRIVER),
    *_places("hardware", HARDWARE),
    *(
        hurt(f"driver-{name}", files, "driver", head=GONE if "without" in name else "")
        for name, files in NOWHERE.items()
    ),
    *(hurt(name, {"N/commands.yaml": _log(log)}, "hardware") for name, log in LOGS.items()),
    *(hurt(f"nvml-{n}", {"N/nvml.json": text}, "driver") for n, text in ANSWERS.items()),
)
