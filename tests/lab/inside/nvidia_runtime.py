"""The lab's "nvidia" OCI runtime: injects GPUs into config.json as NVIDIA's does, then is runc.

What a container gets follows from its variable ``NVIDIA_VISIBLE_DEVICES``; what exists on the
node is asked of NVML. ``/etc/nvidia-container-runtime/config.toml`` may set the mode (auto, cdi,
csv). Errors go where runc's go: into the file named by ``--log``, from where containerd reads them.
"""

from __future__ import annotations

import ctypes
import datetime
import json
import os
import stat
import sys
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

RUNC = "/usr/sbin/runc"
CONFIG = Path("/etc/nvidia-container-runtime/config.toml")
VARIABLE = "NVIDIA_VISIBLE_DEVICES="
CDI_FOLDERS = (Path("/etc/cdi"), Path("/var/run/cdi"))
CONTROL = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools")
LIBRARIES = ("libcuda.so*", "libnvidia-ml.so*", "libnvidia-ptxjitcompiler.so*", "nvidia-lab.conf")
PROGRAMS = ("/usr/bin/nvidia-smi",)
FAILED = "could not apply required modification to OCI specification: error modifying OCI spec: "

Spec = dict[str, Any]


def fail(text: str, arguments: list[str]) -> NoReturn:
    """End as runc does when it fails."""
    now = datetime.datetime.now(datetime.UTC).isoformat()
    entry = json.dumps({"level": "error", "msg": FAILED + text, "time": now})
    with suppress(OSError, ValueError, IndexError):
        Path(arguments[arguments.index("--log") + 1]).write_text(entry + "\n")
    sys.exit(FAILED + text)


def mode() -> str:
    """Return the configured mode; a file that is no TOML ends the program."""
    if not CONFIG.exists():
        return "auto"
    try:
        section = tomllib.loads(CONFIG.read_text()).get("nvidia-container-runtime", {})
    except ValueError as error:
        sys.exit(f"unable to load config: {error}")
    return str(section.get("mode", "auto"))


def wanted(spec: Spec) -> list[str]:
    """Return the devices that the container asks for: indices, UUIDs, or all."""
    for entry in spec["process"].get("env", ()):
        if entry.startswith(VARIABLE):
            names = entry.removeprefix(VARIABLE).split(",")
            return [name for name in names if name not in {"", "void", "none"}]
    return []


def library_folder() -> Path:
    """Return where the node keeps the libraries of its architecture."""
    return next(Path("/usr/lib").glob("*-linux-gnu"))


def gpus(arguments: list[str]) -> dict[str, int]:
    """Ask NVML for the GPUs of the node: UUID to minor number."""
    try:
        nvml = ctypes.CDLL(str(library_folder() / "libnvidia-ml.so.1"))
    except OSError:
        fail(nvml_error("ERROR_LIBRARY_NOT_FOUND"), arguments)
    if code := nvml.nvmlInit_v2():
        nvml.nvmlErrorString.restype = ctypes.c_char_p
        fail(nvml_error(nvml.nvmlErrorString(code).decode()), arguments)
    return dict(found(nvml))


def nvml_error(what: str) -> str:
    """Return the toolkit's words for an NVML that does not start."""
    return f'failed to generate CDI spec for mode "auto": failed to initialize NVML: {what}'


def found(nvml: ctypes.CDLL) -> Iterator[tuple[str, int]]:
    """Give UUID and minor number of each GPU that answers."""
    count = ctypes.c_uint()
    nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
    for index in range(count.value):
        handle, minor = ctypes.c_void_p(), ctypes.c_uint()
        text = ctypes.create_string_buffer(96)
        if not nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)):
            nvml.nvmlDeviceGetUUID(handle, text, 96)
            nvml.nvmlDeviceGetMinorNumber(handle, ctypes.byref(minor))
            yield text.value.decode(), minor.value


def inject_by_nvml(spec: Spec, names: list[str], arguments: list[str]) -> None:
    """Inject what NVML knows of the wanted devices, and the driver's libraries."""
    known = gpus(arguments)
    every = {**{str(minor): minor for minor in known.values()}, **known}
    chosen = set(every.values()) if "all" in names else {every[x] for x in names if x in every}
    missing = [name for name in names if name != "all" and name not in every]
    if missing:
        fail(
            f"unresolvable CDI devices {', '.join(map('nvidia.com/gpu={}'.format, missing))}",
            arguments,
        )
    add_devices(spec, [*(f"/dev/nvidia{minor}" for minor in sorted(chosen)), *CONTROL])
    libraries = [str(path) for name in LIBRARIES for path in library_folder().glob(name)]
    add_mounts(spec, [*libraries, *PROGRAMS])


def inject_by_cdi(spec: Spec, names: list[str], arguments: list[str]) -> None:
    """Inject what the CDI specifications of the node say of the wanted devices."""
    specs = [json.loads(p.read_text()) for x in CDI_FOLDERS if x.is_dir() for p in x.glob("*.json")]
    for name in names:
        edits = [d["containerEdits"] for s in specs for d in s["devices"] if d["name"] == name]
        if not edits:
            fail(
                f"failed to inject CDI devices: unresolvable CDI devices nvidia.com/gpu={name}",
                arguments,
            )
        for edit in [*edits, *(s["containerEdits"] for s in specs)]:
            add_devices(spec, [node["path"] for node in edit.get("deviceNodes", ())])
            add_mounts(spec, [mount["hostPath"] for mount in edit.get("mounts", ())])


def add_devices(spec: Spec, paths: list[str]) -> None:
    """Give device nodes to the container; one that the node lacks is passed over."""
    linux = spec["linux"]
    for path in paths:
        if not Path(path).exists():
            continue
        device = os.stat(path).st_rdev  # noqa: PTH116 - a device's numbers
        numbers = {"type": "c", "major": os.major(device), "minor": os.minor(device)}
        entry = {"path": path, **numbers, "fileMode": stat.S_IFCHR | 0o666, "uid": 0, "gid": 0}
        linux.setdefault("devices", []).append(entry)
        rules = linux.setdefault("resources", {}).setdefault("devices", [])
        rules.append({"allow": True, **numbers, "access": "rwm"})


def add_mounts(spec: Spec, paths: list[str]) -> None:
    """Show files of the node in the container, at the same place."""
    options = ["ro", "nosuid", "nodev", "bind"]
    known = {mount["destination"] for mount in spec.setdefault("mounts", [])}
    for path in paths:
        if Path(path).exists() and path not in known:
            mount = {"destination": path, "source": path, "type": "bind", "options": options}
            spec["mounts"].append(mount)


def modify(bundle: Path, arguments: list[str]) -> None:
    """Change the container's config.json before runc reads it."""
    file = bundle / "config.json"
    spec: Spec = json.loads(file.read_text())
    names, how = wanted(spec), mode()
    if not names or how == "csv":
        return
    (inject_by_cdi if how == "cdi" else inject_by_nvml)(spec, names, arguments)
    # As the toolkit leaves it: nobody injects a second time.
    variables = [x for x in spec["process"]["env"] if not x.startswith(VARIABLE)]
    spec["process"]["env"] = [*variables, f"{VARIABLE}void"]
    file.write_text(json.dumps(spec))


def main() -> None:
    """Be the program."""
    arguments = sys.argv[1:]
    if "create" in arguments:
        at = next(x for x in ("--bundle", "-b") if x in arguments)
        modify(Path(arguments[arguments.index(at) + 1]), arguments)
    os.execv(RUNC, [RUNC, *arguments])  # noqa: S606 - no shell, by design


if __name__ == "__main__":
    main()
