"""Who wrote a file of containerd's configuration, by the evidence, and what to tell that writer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from pytest_gpu.causes import Evidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.distributions.detect import distribution_of
from pytest_gpu.stack.kube.manifest import env_values
from pytest_gpu.stack.kube.objects import name_of, namespace_of
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.kubelet.rendering import rendering_of
from pytest_gpu.stack.repair.config_places import is_rendered
from pytest_gpu.stack.repair.file_owner import owner_comments
from pytest_gpu.stack.runtime.overwritten import bootstrap_copy
from pytest_gpu.stack.toolkit.instructions import DEFAULT_DROP_IN, toolkit_of
from pytest_gpu.stack.toolkit.operator_values import apply, config_source
from pytest_gpu.stack.toolkit.toolkit_pods import toolkit_start
from pytest_gpu.steps import Step, Steps

_SOURCE = "RUNTIME_CONFIG_SOURCE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Who writes a file: the evidence, and what an admin has to do there.

    ``steps`` give the writer the settings with which it writes what this containerd reads.
    """

    evidence: tuple[Evidence, ...]
    told: str
    steps: Steps = ()


def writer_of(node: Node, path: str, line: int | None) -> Writer:
    """Return who wrote a file whose line is at fault, and how to keep it from coming back."""
    looks = (_renderer, _bootstrap, _owner, _toolkit, _command)
    found = (known(partial(look, node, path, line)) for look in looks)
    return next((each for each in found if each), _nobody(path))


def _nobody(path: str) -> Writer:
    told = (
        f"Nothing in the evidence shows who wrote {path}. If a configuration manager or a script"
        " of the image does, fix it there first, or the fault comes back."
    )
    return Writer(evidence=(), told=told)


def _renderer(node: Node, path: str, line: int | None) -> Writer | None:
    if not is_rendered(node, path):
        return None
    where = distribution_of(node)
    made = None if where.sealed else rendering_of(node)
    if made is None:
        told = f"{where.name} generates {path} from its settings: fix them first."
        return Writer(evidence=(), told=told)
    if made.template is None:
        told = (
            f"{where.name} writes {path} anew at every start, from a template of its own: what"
            " somebody wrote into it is gone after a restart."
        )
        return Writer(evidence=(), told=told)
    template = made.template.path
    told = (
        f"{where.name} renders {path} at every start from {template}: fix the template. A change"
        f" of {path} itself is lost."
    )
    same = _same_line(template, made.template.text, _line_of(node, path, line))
    return Writer(evidence=tuple(same), told=told)


def _line_of(node: Node, path: str, line: int | None) -> str:
    """Return the text of a line, ``""`` if it is not known."""
    content = known(partial(node.evidence.read, path)) or b""
    lines = content.decode(errors="replace").splitlines()
    return lines[line - 1].strip() if line and line <= len(lines) else ""


def _same_line(path: str, text: str, wanted: str) -> Iterator[Evidence]:
    for number, line in enumerate(text.splitlines(), 1):
        if wanted and line.strip() == wanted:
            yield Evidence(source=path, line=number, text=wanted)
            return


def _bootstrap(node: Node, path: str, _: int | None) -> Writer | None:
    original = bootstrap_copy(node) if path == containerd_of(node).config_path else None
    if original is None:
        return None
    same = Evidence(source=original, text=f"is, byte by byte, what {path} is now")
    told = f"The image's bootstrap script copies {original} over {path}: fix it there first."
    return Writer(evidence=(same,), told=told)


def _owner(node: Node, path: str, _: int | None) -> Writer | None:
    text = (node.evidence.read(path) or b"").decode(errors="replace")
    marks = tuple(owner_comments(path, text))
    if not marks:
        return None
    told = (
        f"{path} says in line {marks[0].line} who maintains it: fix it there first, or its next run"
        " brings the fault back."
    )
    return Writer(evidence=marks[:1], told=told)


def _toolkit(node: Node, path: str, _: int | None) -> Writer | None:
    toolkit = toolkit_of(node)
    daemonset = toolkit.daemonset
    writes = toolkit.drop_in if toolkit.writes_drop_in else toolkit.config_path
    if daemonset is None or path not in {writes, toolkit.config_path}:
        return None
    name = f"{namespace_of(daemonset)}/{name_of(daemonset)}"
    said = Evidence(source=f"DaemonSet {name}", text=f"its pod writes {path} at each start")
    told = (
        f"The container toolkit (DaemonSet {name}) writes {path} again whenever its pod starts, and"
        " keeps what it finds there: fix the file before its next start."
    )
    return Writer(
        evidence=(said, *toolkit_start(node)),
        told=told,
        steps=known(partial(_settings, node)) or (),
    )


def _settings(node: Node) -> Steps:
    """Return the settings of a toolkit that starts from the output of another containerd.

    What it copies from there may be in a version that the kubelet's does not read.
    """
    source = config_source(node)
    if source is None or toolkit_of(node).env.get(_SOURCE) == source:
        return ()
    said = (
        "It starts from what another containerd of this node prints, not from this file: set"
        f" {_SOURCE}={source} (toolkit-values.yaml):"
    )
    # A containerd that is down does not show which file it reads: other settings stay as they are.
    env = {**toolkit_of(node).asked, _SOURCE: source}
    return (Step("words", said), Step("file", env_values("toolkit", env)), *apply(node))


def _command(node: Node, path: str, _: int | None) -> Writer | None:
    if path != DEFAULT_DROP_IN or toolkit_of(node).daemonset is not None:
        return None
    told = (
        f"{path} is where `nvidia-ctk runtime configure` puts the handler: whoever runs it on this"
        " node (a package, a script, a configuration manager) has to run it again after the fix."
    )
    return Writer(evidence=(), told=told)
