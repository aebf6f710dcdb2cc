"""Real components of Kubernetes and of NVIDIA's stack, as Go modules below ``tests/lab/go``.

Each folder there is a module of its own: its ``go.mod`` pins one component, and its ``tool`` lines
name the programs. ``build.py`` builds them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MODULES = Path(__file__).parents[1] / "go"
TOOLKIT = "github.com/NVIDIA/nvidia-container-toolkit"
OPERATOR = "github.com/NVIDIA/gpu-operator"
CONTAINERD = "github.com/containerd/containerd/v2"
STAMPED = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One component.

    Args:
        name: its folder.
        module: the module that the folder is about; its version is the component's.
        stamps: the variables that the project's own build sets in its programs, and their values,
            with ``{version}``, ``{number}`` (the version without its v), ``{major}``, ``{minor}``.
        tags: the build tags of the project's own build.
        cgo: whether its programs contain C code.
        released_as: the version of the release, where ``go.mod`` can only name a commit.
        modules: the folder of all modules.
    """

    name: str
    module: str
    stamps: Mapping[str, str]
    tags: tuple[str, ...] = ()
    cgo: bool = False
    released_as: str = ""
    modules: Path = MODULES

    @property
    def folder(self) -> Path:
        """The folder of its module."""
        return self.modules / self.name

    @property
    def version(self) -> str:
        """Its version, such as ``v1.37.2``."""
        return self.released_as or pinned(self.folder, self.module)

    @property
    def packages(self) -> tuple[str, ...]:
        """The import paths of its programs."""
        text = (self.folder / "go.mod").read_text()
        return tuple(re.findall(r"^(?:tool |\t)(\w\S*)$", text, re.MULTILINE))

    @property
    def programs(self) -> tuple[str, ...]:
        """The file names of its programs."""
        return tuple(package.rpartition("/")[2] for package in self.packages)

    def arguments(self, target: Path) -> tuple[str, ...]:
        """Return what ``go`` is told to build all programs into ``target``."""
        tags = ("-tags", ",".join(self.tags)) if self.tags else ()
        return ("build", *tags, "-ldflags", self._linked(), "-o", f"{target}/", *self.packages)

    def key(self, go: str) -> str:
        """Return the name of its folder in the cache: another one for all that is built otherwise.

        ``go`` is the version of Go that builds it.
        """
        digest = hashlib.sha256(repr((self.arguments(Path("target")), self.cgo)).encode())
        for name in ("go.mod", "go.sum"):
            digest.update((self.folder / name).read_bytes())
        return f"{self.name}-{self.version}-{go}-{digest.hexdigest()[:12]}"

    def _linked(self) -> str:
        number = self.version.removeprefix("v")
        major, minor, *_ = number.split(".")
        values = {"version": self.version, "number": number, "major": major, "minor": minor}
        sets = (f"-X {name}={value.format(**values)}" for name, value in self.stamps.items())
        return " ".join(("-s", "-w", *sets))


def pinned(folder: Path, module: str) -> str:
    """Return the version of a module that the ``go.mod`` in ``folder`` requires."""
    text = (folder / "go.mod").read_text()
    found = re.search(rf"^(?:require |\t){re.escape(module)} (v\S+)", text, re.MULTILINE)
    assert found, f"{folder / 'go.mod'} does not require {module}"
    return found[1]


def _kubernetes(name: str) -> Component:
    values = {
        "gitVersion": "{version}",
        "gitMajor": "{major}",
        "gitMinor": "{minor}",
        "gitTreeState": "archive",
    }
    return Component(
        name=name,
        module="k8s.io/kubernetes",
        stamps={f"{package}.{key}": values[key] for package in STAMPED for key in values},
        tags=("selinux", "notest", "grpcnotrace"),
    )


COMPONENTS = {
    component.name: component
    for component in (
        _kubernetes("kubernetes"),
        _kubernetes("kubernetes-older"),
        Component(
            name="crictl",
            module="sigs.k8s.io/cri-tools",
            stamps={"sigs.k8s.io/cri-tools/pkg/version.Version": "{number}"},
        ),
        Component(
            name="containerd",
            module=CONTAINERD,
            stamps={f"{CONTAINERD}/version.Version": "{version}"},
            tags=("urfave_cli_no_docs",),
        ),
        Component(
            name="toolkit",
            module=TOOLKIT,
            stamps={f"{TOOLKIT}/internal/info.version": "{number}"},
            cgo=True,
        ),
        Component(
            name="operator",
            module=OPERATOR,
            stamps={f"{OPERATOR}/internal/info.version": "{version}"},
            cgo=True,
            released_as="v25.3.4",
        ),
        Component(
            name="helm",
            module="helm.sh/helm/v4",
            stamps={
                "helm.sh/helm/v4/internal/version.version": "{version}",
                "helm.sh/helm/v4/internal/version.metadata": "",
                "helm.sh/helm/v4/internal/version.gitTreeState": "clean",
            },
        ),
    )
}
"""Every component by name. ``kubernetes-older`` is for a run that asks for it."""
