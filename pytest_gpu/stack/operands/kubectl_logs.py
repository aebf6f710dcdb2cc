"""Logs that a person read with ``kubectl logs`` and recorded among a node's commands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_gpu.evidence import KubeObject, NodeEvidence
from pytest_gpu.stack.kube.objects import containers_of, name_of, namespace_of, spec_of

_NAMES = {"-n": "--namespace", "-c": "--container", "-p": "--previous", "-l": "--selector"}

_WITH_VALUE = frozenset(
    {
        *("--namespace", "--container", "--selector", "--tail", "--since", "--since-time"),
        *("--context", "--kubeconfig", "--limit-bytes"),
    }
)
"""Flags of ``kubectl logs`` that may have their value in the next argument."""

_CUT = frozenset({"--tail", "--since", "--since-time", "--limit-bytes"})
"""Flags that leave out a part of the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """What ``kubectl logs`` printed; ``whole`` says whether it was asked for the whole log."""

    text: str
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One call: the pod, and the container if it is named; flags by their long names."""

    pod: str
    container: str
    flags: dict[str, str]

    def is_about(self, pod: KubeObject, container: str, *, previous: bool) -> bool:
        first = next((str(each.get("name")) for each in containers_of(spec_of(pod))), "")
        return (
            self.pod.removeprefix("pod/").removeprefix("pods/") == name_of(pod)
            and self.flags.get("--namespace") in {None, namespace_of(pod)}
            and (self.container or first) == container
            and (self.flags.get("--previous", "false") != "false") is previous
        )


def printed(
    node: NodeEvidence, pod: KubeObject, container: str, *, previous: bool
) -> Printed | None:
    """Return a container's log if it was recorded among the node's commands, else ``None``."""
    for command in node.commands:
        call = _call(command.argv) if command.exit == 0 else None
        if call and call.is_about(pod, container, previous=previous):
            return Printed(text=command.stdout, whole=not _CUT & call.flags.keys())
    return None


def _call(argv: Sequence[str]) -> _Call | None:
    """Return what a ``kubectl logs`` is about, ``None`` for every other command."""
    if not argv or argv[0].rpartition("/")[2] != "kubectl" or "logs" not in argv:
        return None
    parts = list(_parts(argv[1:]))
    flags = {name: value for name, value in parts if name}
    verb, pod, container, *_ = (*(value for name, value in parts if not name), "", "", "")
    known = verb == "logs" and pod and "--all-containers" not in flags
    named = flags.get("--container") or container
    return _Call(pod=pod, container=named, flags=flags) if known else None


def _parts(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the flags with their values, and the other arguments with an empty name."""
    rest = iter(arguments)
    for each in rest:
        name, equals, value = each.partition("=")
        name = _NAMES.get(name, name)
        if not each.startswith("-"):
            yield "", each
        elif equals:
            yield name, value
        else:
            yield name, next(rest, "") if name in _WITH_VALUE else "true"
