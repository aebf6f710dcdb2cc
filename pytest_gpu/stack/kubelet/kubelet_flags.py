"""The kubelet's command line: its own, that of its unit, or what the program around it hands on.

Sources: systemd's manual pages (see systemd_unit), the kubelet's and kubeadm's reference;
docs.k3s.io and docs.rke2.io "Configuration File" (config.yaml, config.yaml.d, kubelet-arg);
MicroK8s' run-kubelite-with-args and Canonical Kubernetes' args folder; docs.k0sproject.io "CRI".
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import NodeEvidence
from pytest_gpu.stack.distributions.detect import Distribution
from pytest_gpu.stack.host.processes import Process, flag
from pytest_gpu.stack.host.systemd_unit import service
from pytest_gpu.stack.kubelet import product_settings

ENDPOINT = "--container-runtime-endpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """A command line; ``unread`` is what might say more and nobody looked at."""

    argv: tuple[str, ...]
    unread: tuple[str, ...] = ()


def of_process(process: Process, evidence: NodeEvidence, distribution: Distribution) -> CommandLine:
    """Return what a running kubelet was told, on its command line or by the program around it."""
    if process.is_program("kubelet"):
        return CommandLine(argv=process.argv)
    if arguments := process.flag("--kubelet-args-file"):
        return _with_arguments(process.argv, arguments, evidence, distribution)
    return _with_settings(process.words, evidence, distribution)


def of_unit(evidence: NodeEvidence, distribution: Distribution) -> CommandLine:
    """Return what the kubelet's unit would start, with all that its distribution adds."""
    unit = service(evidence, distribution.kubelet_unit)
    if distribution.kubelet_args:
        # The unit starts a script of the snap, which reads this file and nothing else.
        argv = unit.argv[:1] or ("kubelet",)
        return _with_arguments(argv, distribution.kubelet_args, evidence, distribution)
    argv = (*unit.argv, *_in_shell(unit.argv), *_from_k0s(unit.argv)) or status_argv(
        _status(evidence)
    )
    if not distribution.settings:
        return CommandLine(argv=argv, unread=unit.unread)
    found = _with_settings(argv, evidence, distribution)
    return CommandLine(argv=found.argv, unread=(*unit.unread, *found.unread))


def _with_arguments(
    argv: tuple[str, ...], path: str, evidence: NodeEvidence, distribution: Distribution
) -> CommandLine:
    """Return a command line with the arguments in a snap's file, as a shell reads them."""
    try:
        text = (evidence.read(path) or b"").decode(errors="replace")
    except NotInEvidence:
        return CommandLine(argv=argv, unread=(path,))
    snap = f"/var/snap/{distribution.name.removesuffix('-snap')}"
    places = {"SNAP_DATA": f"{snap}/current", "SNAP_COMMON": f"{snap}/common"}
    text = re.sub(r"\$\{?(\w+)\}?", lambda match: places.get(match[1], match[0]), text)
    return CommandLine(argv=(*argv, *split(text)))


def split(text: str) -> tuple[str, ...]:
    """Return a shell's words, none where it would find an open quote."""
    try:
        return tuple(shlex.split(text, comments=True))
    except ValueError:
        return ()


def _with_settings(
    words: Sequence[str], evidence: NodeEvidence, distribution: Distribution
) -> CommandLine:
    """Return the command line of k3s or RKE2 with its files; a flag outranks what they say."""
    if not distribution.settings:
        return CommandLine(argv=tuple(words))
    found = product_settings.read(words, evidence, distribution)
    argv = (*words[:1], *_handed_on(found.values), *words[1:], *_kubelet_arguments(words))
    return CommandLine(argv=argv, unread=found.unread)


def _handed_on(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield the kubelet's flags among the settings of k3s and RKE2."""
    for each in product_settings.items(settings.get("kubelet-arg")):
        yield f"--{str(each).removeprefix('--')}"
    if endpoint := settings.get(ENDPOINT.removeprefix("--")):
        yield f"{ENDPOINT}={endpoint}"
    if settings.get("docker") is True:
        yield "--container-runtime=docker"


def _kubelet_arguments(words: Sequence[str]) -> Iterator[str]:
    """Yield the kubelet's flags on the command line of k3s or RKE2."""
    for position, word in enumerate(words):
        name, _, value = word.partition("=")
        if name == "--kubelet-arg":
            given = value or "".join(words[position + 1 : position + 2])
            yield f"--{given.removeprefix('--')}"
        elif word in ("--docker", "--docker=true"):
            yield "--container-runtime=docker"


def _in_shell(argv: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words of a script that a unit hands to a shell; what it works out is not known."""
    shell = bool(argv) and argv[0].rpartition("/")[2] in {"sh", "bash", "dash"}
    return split(argv[2]) if shell and argv[1:2] == ("-c",) and len(argv) > 2 else ()


def _from_k0s(argv: tuple[str, ...]) -> Iterable[str]:
    """Yield the kubelet's flags that ``k0s worker`` hands on; a socket is ``remote:URL``."""
    if not argv or argv[0].rpartition("/")[2] != "k0s":
        return
    if told := flag(argv, "--cri-socket"):
        yield f"{ENDPOINT}={told.partition(':')[2]}"
    yield from split(flag(argv, "--kubelet-extra-args") or "")


def was_started(evidence: NodeEvidence) -> bool:
    """Say whether systemd shows a kubelet that it started before."""
    return bool(status_argv(_status(evidence)))


def _status(evidence: NodeEvidence) -> str:
    texts = [
        result.stdout
        for result in evidence.commands
        if result.argv[:2] == ("systemctl", "status") and "kubelet" in result.argv[-1]
    ]
    return texts[-1] if texts else ""


def status_argv(status: str) -> tuple[str, ...]:
    """Return the command line of the last ExecStart that ``systemctl status`` prints.

    It prints ``Process: PID ExecStart=/usr/bin/kubelet … (code=exited, status=0/SUCCESS)``, with
    variables by their names: for when the unit's own files are not at hand.
    """
    match = re.search(r"ExecStart=(\S*kubelet .*?)(?: \(code=|$)", status, re.MULTILINE)
    return split(match[1]) if match else ()
