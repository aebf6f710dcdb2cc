"""Moon: a distribution that does not exist. One program starts kubelet and containerd."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_gpu.evidence import NodeEvidence
from pytest_gpu.stack.distributions.command_line import ENDPOINT, CommandLine
from pytest_gpu.stack.distributions.distribution import Distribution, OwnContainerd, Product
from pytest_gpu.stack.distributions.rendered import Rendered, TemplateFile
from pytest_gpu.stack.distributions.signs import Observed, Signs
from pytest_gpu.stack.host.processes import flag

HOME = "/opt/moon/"
CONFIG = "/var/lib/moon/containerd/moon.toml"
SOCKET = "/run/moon/containerd.sock"

RENDERED = Rendered(
    end="/containerd/moon.toml",
    templates=(
        TemplateFile(name="moon-3.tmpl", version=3),
        TemplateFile(name="moon.tmpl", version=2),
    ),
    base='{{ template "base" . }}',
    found={"nvidia": "nvidia-container-runtime"},
    folders=("/opt/moon/nvidia",),
    merged_since={31: 4},
)

CRICTL = (f"{HOME}bin/moonctl", "crictl")


def _hands_on(words: Sequence[str], _: NodeEvidence) -> CommandLine:
    told = flag(tuple(words), "--cri")
    return CommandLine(argv=(*words, *((f"{ENDPOINT}={told}",) if told else ())))


def _on(seen: Observed) -> Distribution:
    unit = "moon-dark-side" if "dark" in seen.commands("moond") else "moon"
    return Distribution(
        name="moon",
        restart="moonctl restart containerd --on {node}",
        kubelet_unit=unit,
        restart_kubelet=f"sudo systemctl restart {unit}",
        config=CONFIG,
        socket=SOCKET,
        source="/var/lib/moon/containerd/moon-3.tmpl",
        rendered=RENDERED,
        crictl=CRICTL,
        containerd_unit=unit,
        home=HOME,
        hands_on=_hands_on,
        how="Moon puts its own files back at every start of NODE.",
    )


PRODUCTS = (
    Product(
        names=("moon",),
        signs=Signs(
            systems=("Moon OS",),
            versions=("+moon",),
            folders=(HOME,),
            programs=("moond",),
            labels=("moon.example/side",),
        ),
        on=_on,
        rendered=RENDERED,
        configs=(CONFIG,),
        crictl=(CRICTL,),
        settings="/etc/moon/config.yaml",
        libraries=("/opt/moon/driver",),
        copied=("/usr/share/moon/containerd.toml",),
        containerd=OwnContainerd(folder=HOME, config=CONFIG, socket=SOCKET),
        embedding={"moond": frozenset({"run", "dark"})},
    ),
)
