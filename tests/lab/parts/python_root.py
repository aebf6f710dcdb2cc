"""Debian's own Python with gRPC and protobuf, unpacked: for images, and for programs on nodes.

Nothing of the Python that runs the tests is needed inside a node or a container, so any will do.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.lab.parts import debian

SUITE = "bookworm"
PACKAGES = (
    *("libc6", "zlib1g", "libexpat1", "libssl3", "libffi8", "libbz2-1.0", "liblzma5", "libcrypt1"),
    *("libuuid1", "libstdc++6", "libgcc-s1", "libabsl20220623", "libc-ares2", "libre2-9"),
    *("libpython3.11-minimal", "libpython3.11-stdlib", "python3.11-minimal", "python3-minimal"),
    *("python3-grpcio", "python3-protobuf", "python3-six", "libprotobuf32"),
    *("protobuf-compiler", "libprotoc32", "busybox-static"),
)
APPLETS = ("cat", "env", "false", "id", "ls", "mount", "ps", "sh", "sleep", "test", "true", "uname")
DIST = "usr/lib/python3/dist-packages"
CRI_PROTO = "usr/share/gocode/src/k8s.io/cri-api/pkg/apis/runtime/v1/api.proto"


def python_root() -> Path:
    """Return a root file system with ``/usr/bin/python3``, grpc, protobuf and the CRI's messages.

    Raises:
        Missing: Debian's archive did not give a package.
    """
    root = debian.unpacked("python", SUITE, *PACKAGES)
    proto = debian.unpacked("cri-api", "sid", "golang-k8s-cri-api-dev") / CRI_PROTO
    with debian.locked(debian.cache() / "python.lock"):
        if not (root / DIST / "cri_api_pb2.py").exists():
            _add_applets(root)
            _generate_messages(root, proto)
    return root


def launcher(root: Path, inside: str) -> list[str]:
    """Return the command that runs this Python from a directory ``inside`` any root.

    It brings its own C library and loader, so the root's own may be older or newer.
    """
    loader = next((root / "usr/lib64").glob("ld-linux-*"), None)
    assert loader, f"no loader in {root}"
    library = next((root / "usr/lib").glob("*-linux-gnu*")).name
    return [
        f"{inside}/usr/lib64/{loader.name}",
        *("--library-path", f"{inside}/usr/lib/{library}"),
        f"{inside}/usr/bin/python3.11",
    ]


def _add_applets(root: Path) -> None:
    for name in APPLETS:
        (root / "usr/bin" / name).unlink(missing_ok=True)
        (root / "usr/bin" / name).symlink_to("busybox")


def _generate_messages(root: Path, proto: Path) -> None:
    """Make ``cri_api_pb2.py`` from the CRI's api.proto."""
    work = debian.cache() / "cri-messages"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    # An option newer than this protoc; it changes how messages are printed, not what they are.
    # The value of a variable was text in the CRI until 0.34, and in crictl's files: alike on the
    # wire.
    text = (
        proto.read_text()
        .replace(" [debug_redact = true]", "")
        .replace("bytes value", "string value")
    )
    (work / "cri_api.proto").write_text(text)
    library = next((root / "usr/lib").glob("*-linux-gnu*"))
    loader = next((root / "usr/lib64").glob("ld-linux-*"))
    argv = [str(loader), "--library-path", str(library), str(root / "usr/bin/protoc")]
    subprocess.run([*argv, "--python_out=.", "cri_api.proto"], check=True, cwd=work, timeout=60)
    shutil.move(work / "cri_api_pb2.py", root / DIST / "cri_api_pb2.py")
    shutil.rmtree(work)
