"""k0s: its worker starts the kubelet and hands flags on. It brings ctr only, and no crictl.

Source: docs.k0sproject.io "CRI runtime".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_gpu.evidence import NodeEvidence
from pytest_gpu.stack.distributions.command_line import ENDPOINT, CommandLine, split
from pytest_gpu.stack.distributions.distribution import SYSTEMCTL, Distribution, Product
from pytest_gpu.stack.distributions.signs import Observed, Signs
from pytest_gpu.stack.host.processes import flag

HOME = "/var/lib/k0s/"
CONFIG = "/etc/k0s/containerd.toml"


def _on(seen: Observed) -> Distribution:
    """Return k0s with the unit that its worker runs in: k0sworker, or k0scontroller with one."""
    unit = "k0scontroller" if "controller" in seen.commands("k0s") else "k0sworker"
    return Distribution(
        name="k0s",
        restart=f"{SYSTEMCTL} {unit}",
        kubelet_unit=unit,
        restart_kubelet=f"{SYSTEMCTL} {unit}",
        config=CONFIG,
        socket="/run/k0s/containerd.sock",
        containerd_unit=unit,
        home=HOME,
        hands_on=_hands_on,
        how="k0s writes /etc/k0s/containerd.toml itself as long as its first line says"
        " k0s_managed=true, and imports /etc/k0s/containerd.d/*.toml: a drop-in there is kept.",
    )


def _hands_on(words: Sequence[str], _: NodeEvidence) -> CommandLine:
    argv = tuple(words)
    return CommandLine(argv=(*argv, *_kubelet_flags(argv)))


def _kubelet_flags(argv: tuple[str, ...]) -> Iterator[str]:
    """Yield the kubelet's flags that ``k0s worker`` hands on; a socket is ``remote:URL``."""
    if not argv or argv[0].rpartition("/")[2] != "k0s":
        return
    if told := flag(argv, "--cri-socket"):
        yield f"{ENDPOINT}={told.partition(':')[2]}"
    yield from split(flag(argv, "--kubelet-extra-args") or "")


PRODUCTS = (
    Product(
        names=("k0s",),
        signs=Signs(versions=("+k0s",), folders=(HOME,), programs=("k0s",)),
        on=_on,
        configs=(CONFIG,),
    ),
)
