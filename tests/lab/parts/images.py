"""Images without a registry: OCI archives that ``ctr images import`` takes."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.parts import debian
from tests.lab.parts.python_root import python_root

PAUSE = "registry.k8s.io/pause:3.10"
PYTHON = "docker.io/library/python:3-slim"
PLUGIN = "nvcr.io/nvidia/k8s-device-plugin:v0.17.0"

HERE = Path(__file__).parents[1]
SOURCES = ("parts/images.py", "parts/python_root.py", "native/pause.c", "inside/device_plugin.py")
MEDIA = "application/vnd.oci.image."
PATHS = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image: its full name, the folders that are its layers, and what it runs."""

    name: str
    layers: Sequence[Path]
    command: Sequence[str]
    environment: Sequence[str] = (PATHS,)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Archive:
    """Blobs by digest, and the layers already packed by folder."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    packed: dict[Path, tuple[dict[str, Any], str]] = field(default_factory=dict)

    def put(self, kind: str, data: bytes) -> dict[str, Any]:
        """Store a blob and return its descriptor."""
        digest = _digest(data)
        self.blobs[digest] = data
        return {"mediaType": MEDIA + kind, "digest": digest, "size": len(data)}

    def layer(self, folder: Path) -> tuple[dict[str, Any], str]:
        """Return descriptor and uncompressed digest of the layer made from a folder."""
        if folder not in self.packed:
            tar = _tar(folder)
            descriptor = self.put("layer.v1.tar+gzip", gzip.compress(tar, 1, mtime=0))
            self.packed[folder] = descriptor, _digest(tar)
        return self.packed[folder]


def archive() -> Path:
    """Return the archive of all images of the lab, made once per state of its sources.

    Raises:
        Missing: no C compiler, or Debian's archive did not give a package.
    """
    sources = (HERE / name for name in SOURCES)
    state = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    file = debian.cache() / "images" / state / "images.tar"
    root = python_root()
    with debian.locked(debian.cache() / "images.lock"):
        if not file.exists():
            debian.forget_old(file.parent.parent)
            _write_images(root, file)
    return file


def _write_images(root: Path, file: Path) -> None:
    work = file.parent / "layers"
    pause, plugin = work / "pause", work / "plugin"
    pause.mkdir(parents=True)
    compile_c(HERE / "native/pause.c", pause / "pause", "-static")
    program = plugin / "usr/bin/nvidia-device-plugin"
    program.parent.mkdir(parents=True)
    shutil.copy(HERE / "inside/device_plugin.py", program)
    program.chmod(0o755)
    images = (
        Image(name=PAUSE, layers=[pause], command=["/pause"]),
        Image(name=PYTHON, layers=[root], command=["python3"]),
        Image(
            name=PLUGIN,
            layers=[root, plugin],
            command=["nvidia-device-plugin"],
            environment=(PATHS, "NVIDIA_VISIBLE_DEVICES=all"),
        ),
    )
    part = file.with_suffix(".part")
    write_archive(part, images)
    part.rename(file)
    shutil.rmtree(work)


def compile_c(source: Path, target: Path, *flags: str) -> None:
    """Compile a C source of ours.

    Raises:
        Missing: the machine has no C compiler.
    """
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        raise debian.Missing("needs a C compiler (package gcc)")
    argv = [compiler, "-O1", "-Wall", "-Werror", *flags, "-o", str(target), str(source)]
    subprocess.run(argv, check=True, timeout=120)


def write_archive(file: Path, images: Sequence[Image]) -> None:
    """Write an OCI archive of these images; layers that they share are stored once."""
    content = _Archive()
    manifests = [_manifest(content, image) for image in images]
    index = {"schemaVersion": 2, "mediaType": f"{MEDIA}index.v1+json", "manifests": manifests}
    with tarfile.open(file, "w") as tar:
        _add(tar, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        _add(tar, "index.json", _json(index))
        for digest, data in content.blobs.items():
            _add(tar, f"blobs/sha256/{digest.partition(':')[2]}", data)


def _manifest(content: _Archive, image: Image) -> dict[str, Any]:
    layers = [content.layer(folder) for folder in image.layers]
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    config = {
        "created": "2026-01-01T00:00:00Z",
        "architecture": machine,
        "os": "linux",
        "config": {"Env": list(image.environment), "Entrypoint": list(image.command)},
        "rootfs": {"type": "layers", "diff_ids": [digest for _, digest in layers]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{MEDIA}manifest.v1+json",
        "config": content.put("config.v1+json", _json(config)),
        "layers": [descriptor for descriptor, _ in layers],
    }
    return {
        **content.put("manifest.v1+json", _json(manifest)),
        "platform": {"architecture": machine, "os": "linux"},
        "annotations": {"io.containerd.image.name": image.name},
    }


def _tar(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder))
            tar.add(path, arcname=name, recursive=False, filter=_plain)
    return buffer.getvalue()


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Take out what differs between two makings of the same layer."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode()


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
