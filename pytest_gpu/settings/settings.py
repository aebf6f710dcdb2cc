"""Options and configuration values, checked and gathered into one frozen object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pytest_gpu.layers import Layer
from pytest_gpu.settings.ci_settings import CiSettings, read_ci
from pytest_gpu.settings.ini import ini_source, ini_value
from pytest_gpu.settings.live_settings import LiveSettings, read_live
from pytest_gpu.settings.node_words import parse_nodes
from pytest_gpu.settings.options import INI, NODE_SHELLS, SWITCHES, WANTED
from pytest_gpu.settings.selector import Selector, parse_selector
from pytest_gpu.settings.user_files import json_file, new_place, path_of, report_file

DEFAULT_TIMEOUT = 300.0
LONGEST_TIMEOUT = 86400.0

LONGEST = 200
"""Characters of a wrong value that are shown."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the user asked for.

    ``nodes`` is the text of --gpu-nodes, which is parsed once the cluster is open; ``up_to`` is
    the highest layer to climb; ``workloads`` selects the users' pods to consider (``None``: all);
    ``node_shell`` is the way into nodes (``None``: the one that suits the cluster); ``live`` are
    the settings for live clusters, ``ci`` those for JUnit and Allure; ``timeout`` is seconds per
    wait. ``sources`` says for every field where its value came from: the name of an option or
    configuration value, or ``default``.

    Attributes:
        cluster: the text of ``--gpu-cluster``.
        all_layers: whether layers above a failed one are tested, too.
        allow_unproven: whether an unproven run may exit with 0.
        record: the folder that the evidence is kept in, ``None`` to keep none.
        reports: the files to write the verdict document to.
        sandbox_pod_config: an admin's file for crictl, ``None`` for the shipped one.
        sandbox_container_config: an admin's file for crictl, ``None`` for the shipped one.
    """

    cluster: str
    nodes: str | None
    up_to: Layer
    all_layers: bool
    workloads: Selector | None
    node_shell: str | None
    live: LiveSettings
    ci: CiSettings
    timeout: float
    allow_unproven: bool
    record: Path | None
    reports: tuple[Path, ...]
    sandbox_pod_config: Path | None
    sandbox_container_config: Path | None
    sources: Mapping[str, str]

    def source(self, field: str) -> str:
        """Return where a field's value came from, as the header shows it."""
        source = self.sources[field]
        return f"({source})" if source == "default" else f"(from {source})"


def read_settings(config: pytest.Config) -> Settings:
    """Return the settings of a run that was asked for with ``--gpu-cluster``.

    Raises:
        pytest.UsageError: a value cannot be used; the message names where it was given, the
            value, and what would be right.
    """
    reader = _Reader(config)
    record, reports = _outputs(reader)
    cluster = reader.value("cluster", _printable, "")
    return Settings(
        cluster=cluster,
        nodes=reader.value("nodes", _nodes, None),
        up_to=_up_to(reader, cluster),
        all_layers=reader.value("all_layers", bool, False),
        workloads=reader.value("workloads", parse_selector, None),
        node_shell=reader.value("node_shell", _way, None),
        live=read_live(reader),
        ci=read_ci(reader),
        timeout=reader.value("timeout", _seconds, DEFAULT_TIMEOUT),
        allow_unproven=reader.value("allow_unproven", bool, False),
        record=record,
        reports=reports,
        sandbox_pod_config=reader.ini_file("sandbox_pod_config"),
        sandbox_container_config=reader.ini_file("sandbox_container_config"),
        sources=reader.sources,
    )


def _up_to(reader: _Reader, cluster: str) -> Layer:
    """Return the highest layer to climb; without Kubernetes that is the sandbox."""
    highest = Layer.SANDBOX if cluster == "local" else max(Layer)

    def parse(name: str) -> Layer:
        layer = Layer.parse(name)
        if layer > highest:
            raise ValueError(f"--gpu-cluster=local can only test up to {highest}")
        return layer

    found: Layer = reader.value("layers", parse, highest)
    return found


def _outputs(reader: _Reader) -> tuple[Path | None, tuple[Path, ...]]:
    record = reader.value("record", lambda text: new_place(reader.path(text)), None)
    reports = tuple(
        reader.parse("--gpu-report", text, lambda text: report_file(reader.path(text)))
        for text in reader.value("report", tuple, ())
    )
    if record in reports:
        raise pytest.UsageError(f"--gpu-record: {record}: is the file of --gpu-report, too")
    return record, reports


class _Reader:
    """Looks values up, option first, and remembers where each was found."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.sources: dict[str, str] = {}

    def value(self, name: str, parse: Callable[[Any], T], default: T | None) -> Any:
        """Return a parsed value, or the default; a source is noted either way."""
        option = f"--gpu-{name.replace('_', '-')}"
        given: Any = self.config.getoption(f"gpu_{name}", None)
        source = option if given is not None else self._ini_source(name)
        if given is None:
            given = self._ini(name)
            if isinstance(given, list):
                raise pytest.UsageError(f"{source}: {shown(given)}: must be a text, not a list")
        self.sources[name] = "default" if given is None else source
        return default if given is None else self.parse(source, given, parse)

    def parse(self, source: str, given: Any, parse: Callable[[Any], T]) -> T:
        """Return ``parse(given)``; refuse what raises ``ValueError``, and nothing at all."""
        if isinstance(given, str) and not given.strip():
            raise pytest.UsageError(f"{source}: is empty; {_wanted(source)}")
        try:
            return parse(given)
        except (ValueError, OSError) as error:
            why = getattr(error, "strerror", None) or error
            raise pytest.UsageError(f"{source}: {shown(given)}: {why}") from error

    def path(self, text: str) -> Path:
        """Return a path of the command line, relative to where pytest was started."""
        return self.config.invocation_params.dir / path_of(text).expanduser()

    def ini_file(self, name: str) -> Path | None:
        """Return a file named in the configuration, relative to it; it must hold JSON."""
        folder = self.config.inipath.parent if self.config.inipath else self.config.rootpath
        found: Path | None = self.value(name, lambda text: json_file(folder / path_of(text)), None)
        return found

    def _ini(self, name: str) -> Any:
        if name not in INI:
            return None
        try:
            return ini_value(self.config, f"gpu_{name}")
        except ValueError as error:
            wanted = "; write true or false" if name in SWITCHES else ""
            raise pytest.UsageError(f"{self._ini_source(name)}: {shown(error)}{wanted}") from error

    def _ini_source(self, name: str) -> str:
        return ini_source(self.config, f"gpu_{name}")


def _wanted(source: str) -> str:
    """Return what to write instead of nothing; ``source`` names an option or a value."""
    named = (WANTED[word] for word in source.split() if word in WANTED)
    return next(named, "give a value, or leave it out")


def shown(value: object) -> str:
    """Return a value of any length and with any characters as a part of one line."""
    text = str(value)
    line = text if text.isprintable() else repr(text)[1:-1]
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has characters that cannot be printed")
    return text


def _nodes(text: str) -> str:
    """Return the text: which nodes it means is known once the cluster is open."""
    parse_nodes(text)
    return text


def _way(text: str) -> str:
    if text not in NODE_SHELLS:
        raise ValueError(f"is not a way into a node; choose one of {', '.join(NODE_SHELLS)}")
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = float("nan")
    if not 0 < seconds <= LONGEST_TIMEOUT:
        raise ValueError(
            f"must be a number of seconds greater than 0, at most {LONGEST_TIMEOUT:.0f} (a day); "
            f"the default is {DEFAULT_TIMEOUT:.0f}"
        )
    return seconds
