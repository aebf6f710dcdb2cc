"""k3s and RKE2, which runs the same code.

Sources: docs.rke2.io and docs.k3s.io "Advanced Options", "Configuration File"; k3s
``pkg/agent/containerd``: ``config.go`` (``config-v3.toml.tmpl`` is used if it is there, else
``config.toml.tmpl``; before containerd 2.0, in k3s 1.31.6 and 1.32.2, only the latter exists;
without either, and for ``{{ template "base" . }}``, k3s' own template is used), ``runtimes.go``
(the NVIDIA runtimes that it looks for), ``containerd.go`` (it starts containerd, whose log is a
file, and ends with it), and pull request 13679 (spring 2026: a user's template is merged over k3s'
own instead of replacing it).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from pytest_gpu.evidence import NodeEvidence
from pytest_gpu.stack.distributions import settings_files
from pytest_gpu.stack.distributions.command_line import ENDPOINT, CommandLine
from pytest_gpu.stack.distributions.distribution import (
    SYSTEMCTL,
    Distribution,
    OwnContainerd,
    Product,
)
from pytest_gpu.stack.distributions.rendered import Rendered, TemplateFile
from pytest_gpu.stack.distributions.signs import Observed, Signs

RENDERED = Rendered(
    end="/agent/etc/containerd/config.toml",
    templates=(
        TemplateFile(name="config-v3.toml.tmpl", version=3),
        TemplateFile(name="config.toml.tmpl", version=2),
    ),
    base='{{ template "base" . }}',
    found={
        "nvidia": "nvidia-container-runtime",
        "nvidia-experimental": "nvidia-container-runtime-experimental",
        "nvidia-cdi": "nvidia-container-runtime.cdi",
    },
    folders=("/usr/local/nvidia/toolkit",),
    merged_since={32: 13, 33: 10, 34: 6, 35: 3},
)

_SOCKET = "/run/k3s/containerd/containerd.sock"


def _home(name: str) -> str:
    return f"/var/lib/rancher/{name}"


def _config(name: str) -> str:
    return f"{_home(name)}{RENDERED.end}"


def _on(name: str, agent: str, server: str, seen: Observed) -> Distribution:
    """Return k3s or RKE2 with the unit that runs on this node."""
    unit = server if _is_server(name, seen) else agent
    template = RENDERED.read_up_to(2 if seen.containerd == "1" else 3)[0].name
    settings = f"/etc/rancher/{name}"
    return Distribution(
        name=name,
        restart=f"{SYSTEMCTL} {unit}",
        kubelet_unit=unit,
        restart_kubelet=f"{SYSTEMCTL} {unit}",
        config=_config(name),
        socket=_SOCKET,
        source=f"{_home(name)}/agent/etc/containerd/{template}",
        rendered=RENDERED,
        crictl=_CRICTL[name],
        containerd_unit=unit,
        containerd_log=f"{_home(name)}/agent/containerd/containerd.log",
        home=f"{_home(name)}/",
        settings=settings,
        programs=(name, f"{name}-server", f"{name}-agent"),
        hands_on=partial(_hands_on, settings),
    )


def _is_server(name: str, seen: Observed) -> bool:
    """Say whether a node is a server: the process knows, else the role's label."""
    roles = seen.commands(name)
    if roles & {"server", "agent"}:
        return "server" in roles
    return any(label.startswith("node-role.kubernetes.io/control-plane") for label in seen.labels)


def _hands_on(folder: str, words: Sequence[str], evidence: NodeEvidence) -> CommandLine:
    """Return the command line with its files; a flag outranks what they say."""
    found = settings_files.read(words, evidence, folder)
    argv = (*words[:1], *_of_settings(found.values), *words[1:], *_of_flags(words))
    return CommandLine(argv=argv, unread=found.unread)


def _of_settings(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield the kubelet's flags among the settings."""
    for each in settings_files.items(settings.get("kubelet-arg")):
        yield f"--{str(each).removeprefix('--')}"
    if endpoint := settings.get(ENDPOINT.removeprefix("--")):
        yield f"{ENDPOINT}={endpoint}"
    if settings.get("docker") is True:
        yield "--container-runtime=docker"


def _of_flags(words: Sequence[str]) -> Iterator[str]:
    """Yield the kubelet's flags on the command line."""
    for position, word in enumerate(words):
        name, _, value = word.partition("=")
        if name == "--kubelet-arg":
            given = value or "".join(words[position + 1 : position + 2])
            yield f"--{given.removeprefix('--')}"
        elif word in ("--docker", "--docker=true"):
            yield "--container-runtime=docker"


_CRICTL = {"rke2": (f"{_home('rke2')}/bin/crictl",), "k3s": ("k3s", "crictl")}


def _product(
    name: str,
    units: tuple[str, str],
    crictl: tuple[tuple[str, ...], ...],
    embedding: Mapping[str, frozenset[str]],
) -> Product:
    return Product(
        names=(name,),
        signs=Signs(versions=(f"+{name}",), folders=(f"{_home(name)}/",), programs=(name,)),
        on=partial(_on, name, *units),
        rendered=RENDERED,
        configs=(_config(name),),
        crictl=crictl,
        settings=f"/etc/rancher/{name}/config.yaml",
        containerd=OwnContainerd(folder=f"{_home(name)}/", config=_config(name), socket=_SOCKET),
        embedding=embedding,
    )


PRODUCTS = (
    _product("rke2", ("rke2-agent", "rke2-server"), (_CRICTL["rke2"],), {}),
    _product(
        "k3s",
        ("k3s-agent", "k3s"),
        (
            (f"{_home('k3s')}/data/current/bin/crictl",),
            ("/usr/local/bin/k3s", "crictl"),
            _CRICTL["k3s"],
        ),
        # The command line may begin with "k3s-agent", too.
        {
            "k3s": frozenset({"server", "agent"}),
            "k3s-server": frozenset(),
            "k3s-agent": frozenset(),
        },
    ),
)
