"""Real Kubernetes programs: those of the machine, else built once from Debian's own source.

``KUBE_BIN_DIR`` or ``PATH`` may hold any version. Debian 12 ships the source of Kubernetes 1.20.2
but not its server programs; they are built with Debian's Go 1.19 and kept in the cache folder
(about six minutes on two quiet cores). Its kubectl, from the same source, is in the package
``kubernetes-client``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.lab.parts import debian

PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet")
SUITE = "bookworm"
VERSION = "v1.20.2"
STAMPED = (
    "k8s.io/kubernetes/vendor/k8s.io/component-base/version",
    "k8s.io/kubernetes/vendor/k8s.io/client-go/pkg/version",
)
OPENAPI = "k8s.io/kubernetes/pkg/generated/openapi"
OPENAPI_TAG = re.compile(r"^// \+k8s:openapi-gen=", re.MULTILINE)
NOT_SERVED = ("sample-apiserver", "code-generator", "apiextensions-apiserver/examples")
SECONDS = 3600


def programs() -> Path:
    """Return a folder that holds all of ``PROGRAMS``.

    Raises:
        Missing: the programs are neither here nor can they be built on this machine.
    """
    return _found() or _built()


def kubectl() -> Path:
    """Return the kubectl beside the programs of the machine, else Debian's own of their version.

    Raises:
        Missing: Debian's archive did not give the package.
    """
    if (folder := _found()) and os.access(folder / "kubectl", os.X_OK):
        return folder / "kubectl"
    return debian.unpacked("kubectl", SUITE, "kubernetes-client") / "usr/bin/kubectl"


def version(folder: Path) -> str:
    """Return the version of the kubelet in ``folder``, such as ``v1.20.2``."""
    argv = [str(folder / "kubelet"), "--version"]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout.split()[-1]


def _found() -> Path | None:
    """Return the first folder of KUBE_BIN_DIR and PATH that holds all programs."""
    folders = [os.environ.get("KUBE_BIN_DIR", ""), *os.environ.get("PATH", "").split(os.pathsep)]
    for folder in map(Path, filter(None, folders)):
        if all(os.access(folder / name, os.X_OK) for name in PROGRAMS):
            return folder
    return None


def _built() -> Path:
    debian.require_debian()
    folder = debian.cache() / f"kubernetes-{VERSION}"
    with debian.locked(debian.cache() / "kubernetes.lock"):
        if not folder.is_dir():
            _build(folder)
    return folder


def _build(folder: Path) -> None:
    """Build into ``folder``; what is needed only for building is removed."""
    work = debian.cache() / "kubernetes-build"
    shutil.rmtree(work, ignore_errors=True)
    tree = work / "gopath/src/k8s.io/kubernetes"
    _unpack(work, tree)
    root = debian.unpacked("golang", SUITE, "golang-1.19-go", "golang-1.19-src") / "usr/lib/go-1.19"
    environment = debian.go_environment(root, work / "gopath", work)
    _generate_openapi(work, tree, environment)
    for name in PROGRAMS:
        argv = [
            "go",
            "build",
            "-ldflags",
            _flags(),
            "-o",
            str(work / "out" / name),
            f"./cmd/{name}",
        ]
        _run(argv, tree, environment)
    (work / "out").rename(folder)
    shutil.rmtree(work)


def _unpack(work: Path, tree: Path) -> None:
    if not shutil.which("dpkg-source"):
        raise debian.Missing("needs dpkg-source (package dpkg-dev) to build Kubernetes")
    dsc = debian.source("kubernetes", SUITE, work / "source")
    tree.parent.mkdir(parents=True)
    _run(["dpkg-source", "--no-check", "-x", str(dsc), str(tree)], work, dict(os.environ))


def _generate_openapi(work: Path, tree: Path, environment: dict[str, str]) -> None:
    """Generate the only file that the servers need and the source package lacks."""
    generator = str(work / "openapi-gen")
    _run(
        ["go", "build", "-o", generator, "./vendor/k8s.io/kube-openapi/cmd/openapi-gen"],
        tree,
        environment,
    )
    argv = [generator, "-i", ",".join(_tagged_packages(tree)), "-p", OPENAPI]
    argv += ["-O", "zz_generated.openapi", "-r", str(work / "violations")]
    _run([*argv, "-h", "hack/boilerplate/boilerplate.generatego.txt"], tree, environment)


def _tagged_packages(tree: Path) -> list[str]:
    """Return the Go import paths of the packages whose types are part of the OpenAPI document."""
    return sorted({_import_path(file.parent.relative_to(tree)) for file in _tagged_files(tree)})


def _tagged_files(tree: Path) -> Iterator[Path]:
    for below in ("pkg", "staging/src/k8s.io", "vendor/k8s.io/kube-openapi"):
        for file in (tree / below).rglob("*.go"):
            left_out = file.name.endswith("_test.go") or any(
                f"/{x}/" in str(file) for x in NOT_SERVED
            )
            if not left_out and OPENAPI_TAG.search(file.read_text()):
                yield file


def _import_path(folder: Path) -> str:
    inner = str(folder).replace("staging/src/", "vendor/", 1)
    return f"k8s.io/kubernetes/{inner}"


def _flags() -> str:
    """Return linker flags that stamp the version, which the source package leaves open."""
    stamps = {"gitVersion": VERSION, "gitMajor": "1", "gitMinor": "20", "gitTreeState": "archive"}
    sets = [f"-X {package}.{key}={value}" for package in STAMPED for key, value in stamps.items()]
    return " ".join(["-s -w", *sets])


def _run(argv: list[str], folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["/usr/bin/nice", "-n", "19", *argv],
        check=False,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    if done.returncode:
        raise debian.Missing(
            f"{' '.join(argv)[:200]}: exit {done.returncode}: {done.stderr[-500:]}"
        )
