"""Debian's own Python with gRPC, unpacked: for images, and for the init of nodes.

Nothing of the Python that runs the tests is needed inside a node or a container, so any will do.
"""

from __future__ import annotations

from pathlib import Path

from tests.lab.parts import debian

NAME = "python-grpc"
SUITE = "bookworm"
PACKAGES = (
    *("libc6", "zlib1g", "libexpat1", "libssl3", "libffi8", "libbz2-1.0", "liblzma5", "libcrypt1"),
    *("libuuid1", "libstdc++6", "libgcc-s1", "libabsl20220623", "libc-ares2", "libre2-9"),
    *("libpython3.11-minimal", "libpython3.11-stdlib", "python3.11-minimal", "python3-minimal"),
    *("python3-grpcio", "python3-six", "busybox-static"),
)
APPLETS = ("cat", "env", "false", "id", "ls", "mount", "ps", "sh", "sleep", "test", "true", "uname")


def python_root() -> Path:
    """Return a root file system with ``/usr/bin/python3`` and grpc.

    Raises:
        Missing: Debian's archive did not give a package.
    """
    root = debian.unpacked(NAME, SUITE, *PACKAGES)
    with debian.locked(debian.cache() / f"{NAME}.lock"):
        if not (root / "usr/bin" / APPLETS[0]).is_symlink():
            _add_applets(root)
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
