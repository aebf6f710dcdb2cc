"""MicroK8s: a snap with the kubelet inside kubelite. It brings ctr only, and no crictl.

Sources: microk8s.io "Configuring services"; its ``wrappers/run-containerd-with-args``, in which
sed puts paths into ``containerd-template.toml``, and ``run-kubelite-with-args``.
"""

from __future__ import annotations

from pytest_gpu.stack.distributions.command_line import ArgumentsFile
from pytest_gpu.stack.distributions.distribution import Distribution, Product
from pytest_gpu.stack.distributions.rendered import Rendered, TemplateFile
from pytest_gpu.stack.distributions.signs import Signs

HOME = "/snap/microk8s/"
_ARGS = "/var/snap/microk8s/current/args"

RENDERED = Rendered(
    end="/args/containerd.toml",
    templates=(TemplateFile(name="containerd-template.toml", version=2),),
)

MICROK8S = Distribution(
    name="microk8s",
    restart="sudo snap restart microk8s.daemon-containerd",
    kubelet_unit="snap.microk8s.daemon-kubelite",
    restart_kubelet="sudo snap restart microk8s.daemon-kubelite",
    config=f"{_ARGS}/containerd.toml",
    socket="/var/snap/microk8s/common/run/containerd.sock",
    source=f"{_ARGS}/containerd-template.toml",
    rendered=RENDERED,
    containerd_unit="snap.microk8s.daemon-containerd",
    home=HOME,
    arguments=ArgumentsFile.of_snap("microk8s", f"{_ARGS}/kubelet"),
)

PRODUCTS = (
    Product(
        names=("microk8s",),
        signs=Signs(folders=(HOME,), labels=("microk8s.io/cluster",)),
        on=lambda _: MICROK8S,
        rendered=RENDERED,
        configs=(f"{_ARGS}/containerd.toml",),
        embedding={"kubelite": frozenset()},
    ),
)
