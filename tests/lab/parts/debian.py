"""Debian's own packages of several suites, unpacked in a folder of ours.

Nothing on the machine changes: apt works with a configuration of its own, whose sources are the
machine's with the suite changed, and packages are unpacked, never installed.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SECONDS = 300

# dpkg-deb --extract would put a real /lib in the place of the link.
_EXTRACT = 'dpkg-deb --fsys-tarfile "$1" | tar --extract --keep-directory-symlink --directory "$2"'


class Missing(Exception):  # noqa: N818 - not an error: a machine that has less
    """This machine cannot give the component; the message says what it lacks."""


def cache() -> Path:
    """Return the folder that keeps what was unpacked, also between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pytest-gpu-lab"


def go_environment(root: Path, path: Path, work: Path) -> dict[str, str]:
    """Return the environment of a Go at ``root`` that fetches nothing and writes below ``work``.

    ``path`` is the GOPATH: where the sources of the packages lie.
    """
    return {
        **os.environ,
        "PATH": f"{root / 'bin'}:{os.environ['PATH']}",
        "GOROOT": str(root),
        "GOPATH": str(path),
        "GOCACHE": str(work / "gocache"),
        "GO111MODULE": "off",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "",
        "CGO_ENABLED": "0",
    }


def unpacked(name: str, suite: str, *packages: str) -> Path:
    """Return a folder that holds these packages of a suite, laid out as on a root file system.

    ``name`` names the folder in the cache; one name always stands for the same packages.
    Dependencies are not followed.

    Raises:
        Missing: not Debian, not root, or Debian's archive did not give a package.
    """
    require_debian()
    folder = cache() / name
    with locked(cache() / f"{name}.lock"):
        if not (folder / "root").is_dir():
            _fetch(packages, suite, folder)
    return folder / "root"


def require_debian() -> None:
    """Raise ``Missing`` unless this is a Debian on which we are root."""
    if os.geteuid() != 0:
        raise Missing("needs root")
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb") and KEYRING.exists()):
        raise Missing(f"needs Debian (apt-get, dpkg-deb, {KEYRING})")
    if platform.machine() not in {"x86_64", "aarch64"}:
        raise Missing(f"needs x86_64 or aarch64, this is {platform.machine()}")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock between processes: the workers of a parallel run share the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def forget_old(folder: Path) -> None:
    """Remove what was made in ``folder`` more than a day ago: nobody starts with it any more."""
    old = time.time() - 24 * 3600
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.stat().st_mtime < old:
            shutil.rmtree(path)


def _fetch(packages: Sequence[str], suite: str, folder: Path) -> None:
    """Download packages of a suite and unpack them; a half-done folder never stays."""
    shutil.rmtree(folder, ignore_errors=True)
    work = folder.with_suffix(".new")
    environment = _own_apt(work, f"deb [signed-by={KEYRING}] {_archive()} {suite} main")
    (work / "deb").mkdir()
    _merge_usr(work / "root")
    _run(["apt-get", "--quiet", "download", *packages], work / "deb", environment)
    for deb in sorted((work / "deb").glob("*.deb")):
        _run(["sh", "-c", _EXTRACT, "sh", str(deb), str(work / "root")], work, environment)
    for name in ("lists", "archives", "sources", "deb", "apt.conf"):
        _remove(work / name)
    work.rename(folder)


def _merge_usr(root: Path) -> None:
    """Make the links of a merged /usr: a real ``/lib`` over the machine's link would hide it."""
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")


def _own_apt(work: Path, line: str) -> dict[str, str]:
    """Return the environment of an apt whose state is the new folder ``work``, lists read."""
    shutil.rmtree(work, ignore_errors=True)
    for name in ("lists/partial", "archives/partial", "sources"):
        (work / name).mkdir(parents=True)
    (work / "sources/suite.list").write_text(line)
    (work / "apt.conf").write_text(_configuration(work))
    environment = {**os.environ, "APT_CONFIG": str(work / "apt.conf")}
    _run(["apt-get", "--quiet", "update"], work, environment)
    return environment


def _archive() -> str:
    """Return where this machine gets Debian's own ``main`` from."""
    listing = ["apt-get", "indextargets", "--no-release-info"]
    wanted = ["--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    for line in _run([*listing, *wanted], Path("/"), dict(os.environ)).splitlines():
        uri, release, component = line.split()
        if (release, component) == (codename, "main"):
            return uri
    raise Missing(f"apt's sources name no Debian archive of {codename or 'this system'}")


def _configuration(work: Path) -> str:
    """Return an apt configuration that keeps all its state below ``work``."""
    return f"""
Dir::State "{work}";
Dir::State::lists "{work}/lists";
Dir::State::status "/dev/null";
Dir::Cache "{work}";
Dir::Cache::archives "{work}/archives";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "{work}/sources";
Acquire::Languages "none";
APT::Sandbox::User "root";
"""


def _run(argv: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        argv,
        check=False,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    if done.returncode:
        raise Missing(f"{' '.join(argv)}: exit {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
