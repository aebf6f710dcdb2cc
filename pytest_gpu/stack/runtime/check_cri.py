"""Whether a containerd can serve the CRI with its current configuration files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.containerd.config_file import (
    CRI_IMAGES,
    CRI_V1,
    CRI_V2,
    CRI_V3,
    ConfigFile,
    evidence_of_version,
    handler_line,
)
from pytest_gpu.stack.containerd.handlers import shown
from pytest_gpu.stack.containerd.merge import EffectiveConfig
from pytest_gpu.stack.containerd.release import printed_version
from pytest_gpu.stack.host.processes import processes_of
from pytest_gpu.stack.injection.cgroup_wanted import systemd_for_new
from pytest_gpu.stack.kubelet import beside
from pytest_gpu.stack.kubelet.containerd import containerd_of, others
from pytest_gpu.stack.kubelet.containerd_runtime import handler_injects
from pytest_gpu.stack.repair import config_fix, config_versions
from pytest_gpu.stack.repair.toml_diff import new_file, with_handler
from pytest_gpu.stack.runtime.config_writer import writer_of
from pytest_gpu.stack.runtime.cri_log import cri_log
from pytest_gpu.stack.runtime.toolkit_refuses import toolkit_words
from pytest_gpu.stack.toolkit.operator_values import toolkit_values
from pytest_gpu.steps import Steps, Value

RUNC_DROP_IN = "00-k8s-runc.toml"


@check("runtime/others-unreadable")
def others_unreadable(node: Node) -> Iterator[Finding]:
    """Yield every other containerd that cannot read its files, so that it would not restart.

    Latent: it runs, and the kubelet does not use it. Usually the toolkit wrote its configuration
    in a version meant for another containerd of the node (nvidia-container-toolkit #982). Nothing
    is reported if its files were not collected: the kubelet's containerd does not depend on them.
    """
    for other in others(containerd_of(node), processes_of(node), node.evidence, skip_unread=True):
        process = other.process
        if process and other.config.problems and printed_version(process, node.evidence):
            yield Finding.of(
                "runtime/other-containerd-unreadable",
                *(each for each in beside.beside(node) if f"/{process.pid}/" in each.source),
                *other.config.problems,
                other_config=other.config_path,
                other_release=other.release,
                **toolkit_values(node),
            )


@check("runtime/unreadable")
def unreadable(node: Node) -> Finding | None:
    """Find configuration files that stop containerd from starting."""
    problems = containerd_of(node).config.problems
    if not problems:
        return None
    return invalid(node, problems, config_versions.readable(node))


def invalid(node: Node, problems: Sequence[Evidence], patch: Steps = ()) -> Finding:
    """Return the finding of files that containerd refuses; the first problem names the line."""
    first = problems[0]
    writer = writer_of(node, first.source, first.line)
    release = known(lambda: containerd_of(node).release)
    return Finding.of(
        "runtime/config-invalid",
        *problems,
        *writer.evidence,
        *toolkit_words(node, first.source),
        program=f"containerd {release}" if release else "containerd",
        where=f"{first.source}, line {first.line}" if first.line else first.source,
        config=containerd_of(node).config_path,
        writer=writer.told,
        settings=writer.steps,
        patch=patch,
        by_hand="" if patch else _by_hand(node, first),
    )


def _by_hand(node: Node, problem: Evidence) -> str:
    if problem.source == containerd_of(node).config_path:
        return "Fix the line named above."
    return "Fix the line named above, or take the file out of `imports`."


@check("runtime/versions-mixed")
def versions_mixed(node: Node) -> Finding | None:
    """Find a root file and drop-ins of different versions: sections of the older are not read."""
    config = containerd_of(node).config
    # A file with neither a version nor plugins does not count.
    files = [file for file in config.files if {"version", "plugins"} & file.table.keys()]
    if len({file.version for file in files}) < 2:
        return None
    lines = [evidence_of_version(each) for each in files]
    return Finding.of(
        "runtime/config-versions-mixed",
        *lines,
        release=containerd_of(node).release,
        config=config.path,
        patch=config_versions.one_version(node),
    )


@check("runtime/cri-disabled")
def cri_disabled(node: Node) -> Finding | None:
    """Find the CRI disabled by ``disabled_plugins``."""
    config = containerd_of(node).config
    if not config.cri_disabled:
        return None
    lines = [
        config.origin(*place)
        for place in config.values
        if place[0] == "disabled_plugins" and place[-1] in {CRI_V1, CRI_V2, CRI_V3, CRI_IMAGES}
    ]
    return Finding.of(
        "runtime/cri-disabled", *lines, config=config.path, **config_fix.enable_cri(node).values
    )


@check("runtime/default-undefined")
def default_undefined(node: Node) -> Finding | None:
    """Find a default runtime that the merged configuration does not define."""
    config = containerd_of(node).config
    if config.default_runtime in config.runtimes:
        return None
    culprit = _replacing_file(config)
    if culprit and config.default_runtime == "runc":
        return _left_no_runc(node, culprit)
    return Finding.of(
        "runtime/default-runtime-undefined",
        config.origin("default_runtime_name"),
        Evidence(
            source=config.path,
            text=f'default_runtime_name is "{config.default_runtime}"; the merged configuration'
            f" defines {shown(config.runtimes, 'no runtime')}",
        ),
        *cri_log(node),
        default=config.default_runtime,
        **_other_default(node),
    )


def _other_default(node: Node) -> Mapping[str, Value]:
    """Return the fix that makes another handler the default: same name in other case, runc, any."""
    config = containerd_of(node).config
    alike = [name for name in config.runtimes if name.lower() == config.default_runtime.lower()]
    for name in (*alike, "runc", *config.runtimes):
        if name in config.runtimes:
            return {"other": name, **config_fix.set_default(node, name).values}
    return {"other": "runc", **config_fix.add_runc(node).values}


def _replacing_file(config: EffectiveConfig) -> ConfigFile | None:
    """Return the file whose GPU handler replaced the other runtimes."""
    sources = {
        runtime.source.source
        for name, runtime in config.runtimes.items()
        if handler_injects(config, name)
    }
    return next((file for file in reversed(config.files) if file.path in sources), None)


def _left_no_runc(node: Node, culprit: ConfigFile) -> Finding:
    config = containerd_of(node).config
    handler = next(name for name in config.runtimes if handler_injects(config, name))
    return Finding.of(
        "runtime/drop-in-left-no-runc",
        handler_line(culprit, handler),
        Evidence(
            source=config.path,
            text=f'merged: runtimes {", ".join(config.runtimes)}; default_runtime_name "runc"'
            " is not one of them",
        ),
        *cri_log(node),
        drop_in=culprit.path,
        **_runc_patches(node, culprit),
        release=containerd_of(node).release,
        rule=_merge_rule(node),
    )


def _merge_rule(node: Node) -> str:
    if containerd_of(node).generation.merges_sections:
        return "merges the sections of all files"
    return "replaces the whole CRI section with the one from the file imported last"


def _runc_patches(node: Node, culprit: ConfigFile) -> Mapping[str, Steps]:
    """Return the files to write: one is enough on 2.x; 1.x, which replaces sections, needs two.

    ``own_file`` creates one for runc, ``same_file`` adds runc to the file that removed it.
    """
    config, systemd = containerd_of(node).config, systemd_for_new(node)
    own: Steps = ()
    same: Steps = ()
    base = _runc_file(config, culprit)
    if base and base not in {file.path for file in config.files}:
        own = new_file(base, _RUNC_TEXT.format(systemd=str(systemd).lower()))
    if not containerd_of(node).generation.merges_sections:
        same = with_handler(culprit, "runc", binary=None, systemd_cgroup=systemd)
    return {"own_file": own, "same_file": same}


def _runc_file(config: EffectiveConfig, culprit: ConfigFile) -> str | None:
    """Return where the runc drop-in belongs: beside the one that removed runc, if imported."""
    path = str(PurePosixPath(culprit.path).with_name(RUNC_DROP_IN))
    is_imported = any(fnmatchcase(path, pattern) for pattern in config.imports)
    return path if culprit.path != config.path and is_imported else None


_RUNC_TEXT = """\
version = 2

[plugins."io.containerd.grpc.v1.cri".containerd]
  default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = {systemd}
"""
