"""The suite as users run it inside a cluster: a folder on a node that pods can mount.

What the pod's image (Debian's Python 3.11) lacks comes from the package index: the very versions
that run the tests, whatever Python those run on.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from tests.lab.nodes.node import Node
from tests.lab.parts import debian

FOLDER = "/opt/lab-suite"
"""Where it lies on the node."""

PYTHON = "3.11"
SECONDS = 300
ROOT = Path(__file__).parents[3]
_NAME = re.compile(r"[\w.-]+")


def requirements() -> list[str]:
    """Return the suite's dependencies as they are installed here, ``name==version``."""
    found: dict[str, str] = {}
    names = ["pytest-gpu"]
    while names:
        name = names.pop()
        try:
            known = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # for other systems or Pythons
        if known.name not in found:
            found[known.name] = known.version
            wanted = [each for each in known.requires or () if "extra ==" not in each]
            names += [match[0] for each in wanted if (match := _NAME.match(each))]
    del found["pytest-gpu"]
    return sorted(f"{name}=={version}" for name, version in found.items())


def packages() -> Path:
    """Return a folder with these packages for the pod's Python, fetched once per set of versions.

    Raises:
        Missing: the package index does not give them.
    """
    wanted = requirements()
    state = hashlib.sha256(" ".join(wanted).encode()).hexdigest()[:12]
    folder = debian.cache() / "packages" / state
    with debian.locked(debian.cache() / "packages.lock"):
        if not folder.exists():
            debian.forget_old(folder.parent)
            _fetch(wanted, folder)
    return folder


def _fetch(wanted: list[str], folder: Path) -> None:
    work = folder.with_suffix(".new")
    shutil.rmtree(work, ignore_errors=True)
    argv = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    argv += ["--no-deps", "--no-compile", "--only-binary=:all:", f"--python-version={PYTHON}"]
    argv += [f"--target={work}", *wanted]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=SECONDS)
    if done.returncode:
        raise debian.Missing(f"pip gives no packages for pods: {done.stderr.strip()[-300:]}")
    work.rename(folder)


def install(node: Node, folder: Path) -> None:
    """Put packages and the suite of this checkout on a node, laid out as in a wheel.

    ``folder`` is a new one for what is made on the way.
    """
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "pytest_gpu", folder / "pytest_gpu", ignore=unwanted)
    for name in ("conformance", "fixtures"):
        shutil.copytree(ROOT / name, folder / "pytest_gpu" / name, ignore=unwanted)
    version = metadata.version("pytest-gpu")
    info = folder / f"pytest_gpu-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: pytest-gpu\nVersion: {version}\n")
    (info / "entry_points.txt").write_text("[pytest11]\ngpu = pytest_gpu.plugin\n")
    node.must("mkdir", FOLDER)
    for source in (packages(), folder):
        _copy(node, source)


def _copy(node: Node, source: Path) -> None:
    argv = ["/usr/bin/tar", "--create", "--directory", str(source), "."]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as packed:
        unpack = node.entered(["tar", "--extract", "--directory", FOLDER])
        subprocess.run(unpack, check=True, stdin=packed.stdout, timeout=120)


def remove(node: Node) -> None:
    """Take it from the node."""
    node.remove(FOLDER)
