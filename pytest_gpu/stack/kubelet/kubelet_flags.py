"""The kubelet's command line: its own, that of its unit, or what the program around it hands on.

Sources: systemd's manual pages (see systemd_unit), the kubelet's and kubeadm's reference. What a
distribution's own program hands on stands with the distribution.
"""

from __future__ import annotations

import re

from pytest_gpu.evidence import NodeEvidence
from pytest_gpu.stack.distributions.command_line import CommandLine, split, with_arguments
from pytest_gpu.stack.distributions.detect import Distribution
from pytest_gpu.stack.host.processes import Process
from pytest_gpu.stack.host.systemd_status import unit_status
from pytest_gpu.stack.host.systemd_unit import service


def of_process(process: Process, evidence: NodeEvidence, distribution: Distribution) -> CommandLine:
    """Return what a running kubelet was told, on its command line or by the program around it."""
    if process.is_program("kubelet"):
        return CommandLine(argv=process.argv)
    if path := process.flag("--kubelet-args-file"):
        variables = distribution.arguments.variables if distribution.arguments else {}
        return with_arguments(process.argv, path, variables, evidence)
    return _handed_on(process.words, evidence, distribution)


def of_unit(evidence: NodeEvidence, distribution: Distribution) -> CommandLine:
    """Return what the kubelet's unit would start, with all that its distribution adds."""
    unit = service(evidence, distribution.kubelet_unit)
    if file := distribution.arguments:
        # The unit starts a script of the snap, which reads this file and nothing else.
        argv = unit.argv[:1] or ("kubelet",)
        return with_arguments(argv, file.path, file.variables, evidence)
    argv = (*unit.argv, *_in_shell(unit.argv)) or status_argv(_status(evidence))
    found = _handed_on(argv, evidence, distribution)
    return CommandLine(argv=found.argv, unread=(*unit.unread, *found.unread))


def _handed_on(
    words: tuple[str, ...], evidence: NodeEvidence, distribution: Distribution
) -> CommandLine:
    """Return a command line with what the distribution's program makes of it for the kubelet."""
    if distribution.hands_on is None:
        return CommandLine(argv=words)
    return distribution.hands_on(words, evidence)


def _in_shell(argv: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words of a script that a unit hands to a shell; what it works out is not known."""
    shell = bool(argv) and argv[0].rpartition("/")[2] in {"sh", "bash", "dash"}
    return split(argv[2]) if shell and argv[1:2] == ("-c",) and len(argv) > 2 else ()


def was_started(evidence: NodeEvidence, distribution: Distribution) -> bool:
    """Say whether systemd shows a kubelet that it started before."""
    shown = unit_status(evidence.commands, distribution.kubelet_unit)
    return bool(status_argv(_status(evidence))) or (shown is not None and shown.restarts)


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
    match = re.search(r"(?<!\S)ExecStart=(\S*kubelet .*?)(?: \(code=|$)", status, re.MULTILINE)
    return split(match[1]) if match else ()
