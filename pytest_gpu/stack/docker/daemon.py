"""A Docker daemon on the node: what its flags and daemon.json say about container runtimes.

Source: docs.docker.com "dockerd" (options, "Daemon configuration file") and moby's daemon/config.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_gpu.evidence import NodeEvidence
from pytest_gpu.parsing import MalformedError, json_document
from pytest_gpu.stack.host.processes import Process
from pytest_gpu.stack.kubelet.runtimes import DAEMON_JSON

_STOCK = "runc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Docker:
    """One dockerd, with the configuration that it would read at its next start.

    ``runtimes`` maps a name to its program, ``""`` if it is a shim that containerd finds.
    ``problem`` says why dockerd refuses to start; the rest then comes from its flags.
    """

    process: Process
    config: str
    exists: bool
    runtimes: Mapping[str, str]
    default: str
    problem: str = ""

    @property
    def nvidia(self) -> tuple[str, ...]:
        """The runtimes that are NVIDIA's, by their name or their program."""
        pairs = self.runtimes.items()
        return tuple(name for name, path in pairs if "nvidia" in name or "nvidia" in path)


def read(processes: Sequence[Process], evidence: NodeEvidence) -> Docker | None:
    """Return the facts of the node's own Docker daemon, ``None`` if none runs.

    Raises:
        NotInEvidence: its configuration file was not collected.
    """
    own = (p for p in processes if p.is_program("dockerd") and not (p.foreign or p.own_root))
    process = next(own, None)
    if process is None:
        return None
    config = process.flag("--config-file") or DAEMON_JSON
    content = evidence.read(config)
    table, problem = _parsed(content or b"")
    flagged = process.flag("--default-runtime")
    problem = problem or _contradiction(table, flagged)
    return Docker(
        process=process,
        config=config,
        exists=content is not None,
        runtimes=dict(_added(process.argv)) | dict(_named(table)),
        default=str(flagged or table.get("default-runtime") or _STOCK),
        problem=problem,
    )


def _parsed(content: bytes) -> tuple[Mapping[str, Any], str]:
    """Return a daemon.json and what is wrong with it; an empty file counts as missing."""
    if not content.strip():
        return {}, ""
    try:
        found = json_document(content)
    except MalformedError as error:
        return {}, f"is not valid JSON: {error}"
    if not isinstance(found, dict):
        return {}, "is not a JSON object"
    if not isinstance(found.get("runtimes") or {}, dict):
        return {}, '"runtimes" is not a JSON object'
    return found, ""


def _contradiction(table: Mapping[str, Any], flagged: str | None) -> str:
    if flagged and "default-runtime" in table:
        return (
            '"default-runtime" is set here and by a flag of dockerd:'
            " specified both as a flag and in the configuration file"
        )
    return ""


def _added(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the runtimes given as ``--add-runtime NAME=PROGRAM``."""
    for position, argument in enumerate(argv):
        flag, _, value = argument.partition("=")
        if flag == "--add-runtime":
            given = value or "".join(argv[position + 1 : position + 2])
            name, _, program = given.partition("=")
            yield name, program


def _named(table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, runtime in (table.get("runtimes") or {}).items():
        yield str(name), str(runtime.get("path") or "") if isinstance(runtime, dict) else ""
