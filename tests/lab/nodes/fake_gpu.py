"""A host that looks as if it had NVIDIA GPUs: libraries, device nodes, PCI and proc trees.

Files go into the node's own layer over the machine's root; trees of sysfs and procfs are folders
that the node mounts over the kernel's own. Nothing of the machine itself changes.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from tests.lab.parts import debian
from tests.lab.parts.images import HERE, compile_c

DRIVER = "550.144.03"
BUSES = (0x17, 0x31, 0x4B, 0x65, 0x98, 0xB1, 0xCA, 0xE3)
"""PCI buses of the GPUs, in the order of their minor numbers; native/nvml.c knows the same."""

MAJOR, UVM_MAJOR = 195, 510
SYSFS = Path("/sys/bus/pci/devices")
SMI = "/usr/bin/nvidia-smi"
_NVML_FUNCTION = re.compile(r"\"(nvml[A-Z]\w+)\"")
_DEFINED = re.compile(r"^(?:int|const char \*) ?(nvml\w+)\(", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeGpus:
    """GPUs of one node; ``version`` is that of kernel module and libraries."""

    count: int = 2
    version: str = DRIVER

    def device_nodes(self) -> list[tuple[str, int, int]]:
        """Return name below /dev, major and minor number of each device node."""
        cards = [(f"nvidia{minor}", MAJOR, minor) for minor in range(self.count)]
        uvm = [("nvidia-uvm", UVM_MAJOR, 0), ("nvidia-uvm-tools", UVM_MAJOR, 1)]
        return [*cards, ("nvidiactl", MAJOR, 255), ("nvidia-modeset", MAJOR, 254), *uvm]

    def uuid(self, minor: int) -> str:
        """Return the UUID that the mock of NVML gives to a GPU."""
        return f"GPU-fa4e{minor:04x}-0000-4000-8000-{minor:012x}"

    def address(self, minor: int) -> str:
        """Return the PCI address of a GPU as sysfs writes it."""
        return f"0000:{BUSES[minor]:02x}:00.0"

    @property
    def settings(self) -> str:
        """The file that tells the mocks of libraries what to say.

        It lies where the toolkit expects firmware, and so shows it in every container with a GPU.
        """
        return f"/usr/lib/firmware/nvidia/{self.version}/gsp_lab.bin"

    def write_files(self, root: Path, release: str) -> None:
        """Write libraries, nvidia-smi and kernel modules below ``root``, a layer over the root."""
        folder = root / library_folder().relative_to("/")
        folder.mkdir(parents=True, exist_ok=True)
        for short in ("libnvidia-ml", "libcuda", "libnvidia-ptxjitcompiler"):
            shutil.copy(_library(short), folder / f"{short}.so.{self.version}")
            (folder / f"{short}.so.1").symlink_to(f"{short}.so.{self.version}")
        settings = root / self.settings.lstrip("/")
        settings.parent.mkdir(parents=True)
        settings.write_text(f"gpus={self.count}\ndriver={self.version}\n")
        compile_c(HERE / "native/nvidia_smi.c", root / SMI.lstrip("/"))
        modules = root / f"usr/lib/modules/{release}/updates/dkms"
        modules.mkdir(parents=True)
        for name in ("nvidia", "nvidia-uvm", "nvidia-modeset"):
            (modules / f"{name}.ko").touch()
        if tables := self.cdi_spec():
            (root / "etc/cdi").mkdir(parents=True, exist_ok=True)
            (root / "etc/cdi/nvidia.json").write_text(tables)

    def write_trees(self, folder: Path) -> dict[str, str]:
        """Write kernel trees below ``folder``.

        Returns:
            What to mount where: path in the node to folder or file here.
        """
        folder.mkdir()
        self._write_pci(folder / "pci")
        self._write_proc(folder / "driver")
        self._write_modules(folder / "module")
        (folder / "devices").write_text(_with_majors(Path("/proc/devices").read_text()))
        modules = Path("/proc/modules")
        (folder / "modules").write_text(
            _MODULES + (modules.read_text() if modules.exists() else "")
        )
        mounts = {"/sys/bus/pci/devices": "pci", "/proc/driver": "driver", "/sys/module": "module"}
        mounts |= {"/proc/devices": "devices", "/proc/modules": "modules"}
        # A kernel without loadable modules has no /proc/modules, and nothing can be put there.
        return {at: str(folder / name) for at, name in mounts.items() if Path(at).exists()}

    def _write_pci(self, folder: Path) -> None:
        folder.mkdir()
        for real in SYSFS.iterdir() if SYSFS.is_dir() else ():
            (folder / real.name).symlink_to(real.readlink())
        for minor in range(self.count):
            function = folder / self.address(minor)
            function.mkdir()
            for name, text in _FUNCTION.items():
                (function / name).write_text(text + "\n")
            (function / "config").write_bytes(_CONFIG.ljust(256, b"\0"))
            (function / "driver").symlink_to("../../../bus/pci/drivers/nvidia")

    def _write_proc(self, folder: Path) -> None:
        (folder / "nvidia").mkdir(parents=True)
        (folder / "nvidia/version").write_text(_VERSION.format(version=self.version))
        # With 1, the toolkit's hook changes this file in containers: their /proc has no such file,
        # as the kernel has no such driver.
        (folder / "nvidia/params").write_text("ModifyDeviceFiles: 0\nDeviceFileUID: 0\n")
        for minor in range(self.count):
            function = folder / "nvidia/gpus" / self.address(minor)
            function.mkdir(parents=True)
            information = _INFORMATION.format(
                uuid=self.uuid(minor), address=self.address(minor), minor=minor
            )
            (function / "information").write_text(information)

    def _write_modules(self, folder: Path) -> None:
        for real in Path("/sys/module").iterdir():
            (folder / real.name).mkdir(parents=True)
        for name in ("nvidia", "nvidia_uvm", "nvidia_modeset"):
            (folder / name).mkdir()
            (folder / name / "version").write_text(f"{self.version}\n")
            (folder / name / "initstate").write_text("live\n")

    def cdi_spec(self) -> str:
        """Return the CDI specification of these GPUs as JSON, named as ``nvidia-ctk`` does."""
        every = [f"/dev/nvidia{minor}" for minor in range(self.count)]
        devices = [_cdi_device(str(minor), [path]) for minor, path in enumerate(every)]
        devices += [_cdi_device(self.uuid(minor), [path]) for minor, path in enumerate(every)]
        common = {
            "deviceNodes": [{"path": f"/dev/{name}"} for name in ("nvidiactl", "nvidia-uvm")],
            "mounts": [
                _cdi_mount(path) for path in (*library_paths(self.version), self.settings, SMI)
            ],
            "env": ["NVIDIA_VISIBLE_DEVICES=void"],
        }
        spec = {
            "cdiVersion": "0.5.0",
            "kind": "nvidia.com/gpu",
            "devices": [*devices, _cdi_device("all", every)],
            "containerEdits": common,
        }
        return json.dumps(spec, indent=1)


def library_folder() -> Path:
    """Return where this architecture's libraries lie on Debian."""
    return next(
        path for path in Path("/usr/lib").glob("*-linux-gnu") if (path / "libc.so.6").exists()
    )


def library_paths(version: str) -> list[str]:
    """Return the driver's libraries on the node, links included."""
    shorts = ("libnvidia-ml", "libcuda", "libnvidia-ptxjitcompiler")
    names = [f"{short}.so.{end}" for short in shorts for end in (version, "1")]
    return [str(library_folder() / name) for name in names]


def _cdi_device(name: str, paths: list[str]) -> dict[str, object]:
    return {"name": name, "containerEdits": {"deviceNodes": [{"path": path} for path in paths]}}


def _cdi_mount(path: str) -> dict[str, object]:
    return {"hostPath": path, "containerPath": path, "options": ["ro", "nosuid", "nodev", "bind"]}


def _library(short: str) -> Path:
    """Return the compiled mock of a library, compiled once per state of its source."""
    source = HERE / "native" / {"libnvidia-ml": "nvml.c"}.get(short, "cuda.c")
    text, stubs = source.read_text(), _stubs(source.read_text())
    settings = (HERE / "native/settings.h").read_text()
    state = hashlib.sha256((text + settings + stubs).encode()).hexdigest()[:12]
    folder = debian.cache() / "native" / f"{short}-{state}"
    with debian.locked(debian.cache() / "native.lock"):
        if not folder.exists():
            debian.forget_old(folder.parent)
            _compile(short, source, stubs, folder)
    return folder / f"{short}.so"


def _compile(short: str, source: Path, stubs: str, folder: Path) -> None:
    work = folder.with_suffix(".new")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    (work / "nvml_stubs.h").write_text(stubs)
    flags = ("-shared", "-fPIC", f"-Wl,-soname,{short}.so.1", f"-I{work}")
    compile_c(source, work / f"{short}.so", *flags)
    work.rename(folder)


def _stubs(source: str) -> str:
    """Return a stub for each function that pynvml knows and the source does not define."""
    pynvml = Path(import_module("pynvml").__file__ or "").read_text()
    names = set(_NVML_FUNCTION.findall(pynvml)) - set(_DEFINED.findall(source))
    return "".join(f"STUB({name})\n" for name in sorted(names))


def _with_majors(text: str) -> str:
    """Return /proc/devices with the majors of the driver."""
    own = f"{MAJOR} nvidia-frontend\n{UVM_MAJOR} nvidia-uvm\n"
    return text.replace("\n\nBlock devices", f"\n{own}\nBlock devices", 1)


_MODULES = """\
nvidia_uvm 4972544 4 - Live 0x0000000000000000 (POE)
nvidia_modeset 1355776 0 - Live 0x0000000000000000 (POE)
nvidia 54308864 2 nvidia_uvm,nvidia_modeset, Live 0x0000000000000000 (POE)
"""
_VERSION = """\
NVRM version: NVIDIA UNIX x86_64 Kernel Module  {version}  Mon Dec 30 17:44:08 UTC 2024
GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)
"""
_INFORMATION = """\
Model: \t\t NVIDIA A100-PCIE-40GB
IRQ:   \t\t 48
GPU UUID: \t {uuid}
Video BIOS: \t 92.00.25.00.08
Bus Type: \t PCIe
Bus Location: \t {address}
Device Minor: \t {minor}
"""
# An A100 PCIe 40GB: 10de:20f1, class 3D controller.
_CONFIG = bytes.fromhex("de10f120 07041000 a1000203")
_FUNCTION = {
    "vendor": "0x10de",
    "device": "0x20f1",
    "class": "0x030200",
    "subsystem_vendor": "0x10de",
    "subsystem_device": "0x145f",
    "revision": "0xa1",
    "numa_node": "0",
    "enable": "1",
    "current_link_speed": "16.0 GT/s PCIe",
    "current_link_width": "16",
    "max_link_speed": "16.0 GT/s PCIe",
    "max_link_width": "16",
}
