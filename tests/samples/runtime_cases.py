"""Real failures of the runtime layer as recordings: ``tests/recordings/<id>`` and its sidecar.

The sidecar ``<id>.yaml`` beside the folder says what the recording comes out as, and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from tests.support import yaml_text

RECORDINGS = Path(__file__).parents[1] / "recordings"
VERDICTS = ("fails", "latent", "unproven", "conforms")

IDS = (
    "rt-cdi-annotations-runtime-not-cdi-enabled",
    "rt-cdi-management-spec-missing-after-driver-restart",
    "rt-cdi-spec-missing-or-not-in-spec-dirs",
    "rt-cdi-spec-stale-device-node",
    "rt-config-management-overwrote-containerd-config",
    "rt-cri-plugin-disabled",
    "rt-driver-root-change-root-failed",
    "rt-dropin-default-runc-not-defined-k8s-snap",
    "rt-eks-bootstrap-overwrites-config",
    "rt-eks-ubuntu-nvidia-runtime-config-incomplete",
    "rt-glibc-227-toolkit-image-too-new",
    "rt-imports-section-replaces-nvidia-runtime",
    "rt-k0s-two-step-import-no-runc",
    "rt-k3s-template-name-for-containerd-2",
    "rt-k8s-snap-import-path-ignores-base-dir",
    "rt-ldconfig-path-wrong",
    "rt-live-config-older-than-disk-not-restarted",
    "rt-microk8s-rendered-file-edited",
    "rt-multiple-containerd-binaries-docker-plus-k3s",
    "rt-node-reboot-drops-nvidia-runtime-toolkit-not-reapplied",
    "rt-operator-ignores-containerd-socket-25.3.3",
    "rt-rancher-default-containerd-paths-seed",
    "rt-rendered-config-edited-directly-rancher",
    "rt-runc-missing-after-toolkit-shutdown-cleanup",
    "rt-selinux-insufficient-permissions",
    "rt-systemdcgroup-missing-in-nvidia-handler",
    "rt-toolkit-configured-wrong-containerd-k8s-snap",
    "rt-toolkit-runtime-docker-detected",
    "rt-transient-no-runtime-before-toolkit-restart",
    "rt-uninstall-leaves-default-runtime-nvidia",
    "rt-wsl-no-adapters",
)
"""Every failure that was reported of this layer and collected, by its ID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a recording comes out as.

    Attributes:
        id: the name of sidecar and folder.
        sample: a shipped sample that is this case; the folder is then not needed.
        verdict: the node's; ``latent`` is a node that conforms with one finding noted.
        layer: where it fails; of an unproven one, a layer with an open question.
        cause: the root cause of ``fails``, the noted one of ``latent``.
        also: further causes that are named beside it, all of them.
        says: decisive words of the evidence, the fix, or the reason why it is unproven.
        differs: why layer or verdict are not (runtime, fails), as the reports had it.
        restart: files of the overlay that a restart of containerd renews; named, if only as none,
            where the fix is a patch.
        then: what the recording comes out as once mended: ``unproven`` where it does not hold all
            that is asked then, the next cause where the fix mends one of several.
        near: what it could be taken for (a case, a sample, a healthy variant, another cause), and
            what tells them apart.
        elsewhere: what it could be taken for that no evidence of a node shows, and why it does
            not come out as this cause.
    """

    id: str
    verdict: str
    sample: str | None = None
    layer: str | None = None
    cause: str | None = None
    also: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    differs: str | None = None
    restart: tuple[str, ...] | None = None
    then: str = "conforms"
    near: Mapping[str, str] = field(default_factory=dict)
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    @property
    def spec(self) -> str:
        """What ``--gpu-cluster`` takes."""
        return f"sample:{self.sample}" if self.sample else f"path:{RECORDINGS / self.id}"

    @property
    def base(self) -> str:
        """What is left when the overlay is dropped, such as ``sample:healthy-rke2``."""
        text = (RECORDINGS / self.id / "recording.yaml").read_text(encoding="utf-8")
        return str(yaml_text.load(text)["base"])


@cache
def cases() -> Mapping[str, Case]:
    """Return every case that has a sidecar, by its ID."""
    return {path.stem: read(path) for path in sorted(RECORDINGS.glob("*.yaml"))}


def read(path: Path) -> Case:
    """Return the case of a sidecar.

    Raises:
        ValueError: it has an unknown key, one is of another type, or two contradict each other.
    """
    found = yaml_text.load(path.read_text(encoding="utf-8"))
    known = {each.name for each in fields(Case)} - {"id"}
    if not isinstance(found, dict) or (unknown := found.keys() - known):
        raise ValueError(f"{path.name}: {unknown if isinstance(found, dict) else 'is no mapping'}")
    case = Case(id=path.stem, **{key: _checked(path, key, found[key]) for key in found})
    if wrong := list(_contradictions(case)):
        raise ValueError(f"{path.name}: {'; '.join(wrong)}")
    return case


def _checked(path: Path, key: str, value: Any) -> Any:
    if key in {"also", "says", "restart"}:
        right = isinstance(value, list) and all(isinstance(each, str) for each in value)
        value = tuple(value) if right else value
    elif key in {"near", "elsewhere"}:
        right = isinstance(value, dict) and all(isinstance(v, str) and v for v in value.values())
    else:
        right = isinstance(value, str) and bool(value.strip())
    if not right:
        raise ValueError(f"{path.name}: {key} is {value!r}")
    return value


def _contradictions(case: Case) -> list[str]:
    named = case.verdict in {"fails", "latent"}
    plain = (case.verdict, case.layer) == ("fails", "runtime")
    rules = {
        f"verdict is none of {VERDICTS}": case.verdict not in VERDICTS,
        "fails and latent name a cause, others none": named != bool(case.cause),
        "fails names its layer": case.verdict == "fails" and not case.layer,
        "a node that conforms has no layer": case.verdict == "conforms" and bool(case.layer),
        "what does not conform says decisive words": case.verdict != "conforms" and not case.says,
        "another verdict or layer has a reason in `differs`": not plain and not case.differs,
        "`then` is the verdict or the cause that is left": not (
            case.then in {"conforms", "unproven"} or ("/" in case.then and case.then != case.cause)
        ),
        "`differs` without a difference": plain and bool(case.differs),
    }
    return [rule for rule, broken in rules.items() if broken]
