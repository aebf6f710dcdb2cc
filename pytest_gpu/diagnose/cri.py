"""Why the containerd of a kubelet does not serve the CRI as it should."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import partial
from pathlib import PurePosixPath

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.diagnose import config_fix, config_versions, runtimes
from pytest_gpu.diagnose.cgroup_wanted import systemd_for_new
from pytest_gpu.diagnose.docker import docker_evidence
from pytest_gpu.diagnose.toml_diff import new_file, with_handler
from pytest_gpu.diagnose.values import toolkit_values
from pytest_gpu.errors import Unproven
from pytest_gpu.kube.nodes import readiness
from pytest_gpu.node.config_file import (
    CRI_IMAGES,
    CRI_V1,
    CRI_V2,
    CRI_V3,
    ConfigFile,
    evidence_of_version,
    handler_line,
)
from pytest_gpu.node.config_merge import EffectiveConfig
from pytest_gpu.node.containerd import CRI_O, handler_injects, others
from pytest_gpu.node.gpu_node import GpuNode
from pytest_gpu.node.hints import known
from pytest_gpu.node.kubelet import CONFIG as KUBELET_CONFIG
from pytest_gpu.node.release import printed_version
from pytest_gpu.node.systemd_unit import service
from pytest_gpu.steps import Steps, Value

RUNC_DROP_IN = "00-k8s-runc.toml"
_ENDPOINT = re.compile(r"container-?runtime-?endpoint", re.IGNORECASE)
_CRI_LOG = re.compile(r"failed to load plugin.*cri|no corresponding runtime configured")


def uses_no_containerd(node: GpuNode) -> Finding | None:
    """Find a kubelet that still talks to Docker while GPUs are set up for containerd.

    Raises:
        Unproven: it uses a runtime whose configuration this version does not judge.
    """
    kubelet = node.kubelet
    if kubelet.runtime == "docker":
        return node.finding("runtime/kubelet-uses-docker", *docker_evidence(node))
    if kubelet.runtime == "cri-o":
        raise Unproven(CRI_O)
    return None


def not_running(node: GpuNode) -> Finding | None:
    """Find that nothing listens on the kubelet's CRI socket."""
    containerd = node.containerd
    if containerd.process is not None:
        return None
    seen = tuple(runtimes.beside(node)) or (Evidence(source="/proc", text="no containerd runs"),)
    return node.finding(
        "runtime/containerd-not-running",
        Evidence(source="/proc/net/unix", text=f"no containerd listens on {containerd.socket}"),
        *_told(node),
        *seen,
        *cri_log(node),
        socket=containerd.socket,
    )


def _told(node: GpuNode) -> Iterator[Evidence]:
    """Yield where a kubelet that does not run was told its socket: the lines that say so."""
    if node.kubelet.running:
        return
    for path in (*service(node.evidence, node.distribution.kubelet_unit).files, KUBELET_CONFIG):
        text = (known(partial(node.evidence.read, path)) or b"").decode(errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            if _ENDPOINT.search(line) and not line.lstrip().startswith("#"):
                yield Evidence(source=path, line=number, text=line.strip())


def others_unreadable(node: GpuNode) -> Iterator[Finding]:
    """Yield every other containerd that cannot read its files: it does not come back.

    Latent: it runs, and the kubelet does not use it. Mostly the toolkit wrote its configuration in
    the version that another containerd of the node reads (nvidia-container-toolkit #982). Files of
    it that nobody could read say nothing here: they leave nothing open of the kubelet's containerd.
    """
    for other in others(node.containerd, node.processes, node.evidence, skip_unread=True):
        process = other.process
        if process and other.config.problems and printed_version(process, node.evidence):
            yield node.finding(
                "runtime/other-containerd-unreadable",
                *(each for each in runtimes.beside(node) if f"/{process.pid}/" in each.source),
                *other.config.problems,
                other_config=other.config_path,
                other_release=other.release,
                **toolkit_values(node),
            )


def unreadable(node: GpuNode) -> Finding | None:
    """Find configuration files that keep containerd from starting."""
    problems = node.containerd.config.problems
    if not problems:
        return None
    return node.finding(
        "runtime/config-invalid",
        *problems,
        config=node.containerd.config_path,
        release=node.containerd.release,
        patch=config_versions.readable(node),
    )


def versions_mixed(node: GpuNode) -> Finding | None:
    """Find root file and drop-ins of different versions: sections of the older are not read."""
    config = node.containerd.config
    # A file that says neither a version nor anything of plugins takes no part.
    files = [file for file in config.files if {"version", "plugins"} & file.table.keys()]
    if len({file.version for file in files}) < 2:
        return None
    lines = [evidence_of_version(each) for each in files]
    return node.finding(
        "runtime/config-versions-mixed",
        *lines,
        release=node.containerd.release,
        config=config.path,
        patch=config_versions.one_version(node),
    )


def cri_disabled(node: GpuNode) -> Finding | None:
    """Find the CRI switched off by ``disabled_plugins``."""
    config = node.containerd.config
    if not config.cri_disabled:
        return None
    lines = [
        config.origin(*place)
        for place in config.values
        if place[0] == "disabled_plugins" and place[-1] in {CRI_V1, CRI_V2, CRI_V3, CRI_IMAGES}
    ]
    return node.finding(
        "runtime/cri-disabled", *lines, config=config.path, **config_fix.enable_cri(node).values
    )


def default_undefined(node: GpuNode) -> Finding | None:
    """Find a default runtime that the merged configuration does not define."""
    config = node.containerd.config
    if config.default_runtime in config.runtimes:
        return None
    culprit = _replacing_file(config)
    if culprit and config.default_runtime == "runc":
        return _left_no_runc(node, culprit)
    return node.finding(
        "runtime/default-runtime-undefined",
        config.origin("default_runtime_name"),
        Evidence(
            source=config.path,
            text=f'default_runtime_name is "{config.default_runtime}"; the merged configuration'
            f" defines {', '.join(config.runtimes) or 'no runtime'}",
        ),
        *cri_log(node),
        default=config.default_runtime,
        **_other_default(node),
    )


def _other_default(node: GpuNode) -> Mapping[str, Value]:
    """Return the fix that makes a defined handler the default: one spelled alike, runc, or any."""
    config = node.containerd.config
    alike = [name for name in config.runtimes if name.lower() == config.default_runtime.lower()]
    for name in (*alike, "runc", *config.runtimes):
        if name in config.runtimes:
            return {"other": name, **config_fix.set_default(node, name).values}
    return {"other": "runc", **config_fix.add_runc(node).values}


def _replacing_file(config: EffectiveConfig) -> ConfigFile | None:
    """Return the file whose GPU handler is all that is left of the runtimes."""
    sources = {
        runtime.source.source
        for name, runtime in config.runtimes.items()
        if handler_injects(config, name)
    }
    return next((file for file in reversed(config.files) if file.path in sources), None)


def _left_no_runc(node: GpuNode, culprit: ConfigFile) -> Finding:
    config = node.containerd.config
    handler = next(name for name in config.runtimes if handler_injects(config, name))
    return node.finding(
        "runtime/drop-in-left-no-runc",
        handler_line(culprit, handler),
        Evidence(
            source=config.path,
            text=f'merged: runtimes {", ".join(config.runtimes)}; default_runtime_name "runc"'
            " is none of them",
        ),
        *cri_log(node),
        drop_in=culprit.path,
        **_runc_patches(node, culprit),
        release=node.containerd.release,
        rule=_merge_rule(node),
    )


def _merge_rule(node: GpuNode) -> str:
    if node.containerd.version[0] >= 2:
        return "merges the sections of all files"
    return "replaces the whole CRI section by the one of the file imported last"


def _runc_patches(node: GpuNode, culprit: ConfigFile) -> Mapping[str, Steps]:
    """Return the files to write: one is enough on 2.x, two are needed where 1.x replaces.

    ``own_file`` makes one for runc, ``same_file`` adds it to the file that took it away.
    """
    config, systemd = node.containerd.config, systemd_for_new(node)
    own: Steps = ()
    same: Steps = ()
    base = _runc_file(config, culprit)
    if base and base not in {file.path for file in config.files}:
        own = new_file(base, _RUNC_TEXT.format(systemd=str(systemd).lower()))
    if node.containerd.version[0] < 2:
        same = with_handler(culprit, "runc", binary=None, systemd_cgroup=systemd)
    return {"own_file": own, "same_file": same}


def _runc_file(config: EffectiveConfig, culprit: ConfigFile) -> str | None:
    """Return where the runc drop-in belongs: beside the one that took runc away, if imported."""
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


def silent(node: GpuNode) -> Finding | None:
    """Find a running containerd that does not answer the CRI.

    Where nobody could ask it (a host without crictl), its kubelet has: a node whose runtime does
    not answer is NotReady within half a minute.

    Raises:
        Unproven: nobody asked it.
    """
    live = node.containerd.live
    if live is None:
        if readiness(node.object).ready:
            return None
        raise Unproven("nobody asked the running containerd (crictl info)")
    if not live.error:
        return None
    return node.finding(
        "runtime/cri-not-served",
        Evidence(source=live.command, text=_last_line(live.error)),
        *cri_log(node),
        socket=node.containerd.socket,
    )


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else "(no output)"


def cri_log(node: GpuNode) -> tuple[Evidence, ...]:
    """Return what containerd's own log says of its CRI plugin, the last such line."""
    unit = node.distribution.containerd_unit
    for result in reversed(node.evidence.commands):
        if result.argv[0] == "journalctl" and any(unit in part for part in result.argv):
            for number, line in reversed(list(enumerate(result.stdout.splitlines(), 1))):
                if _CRI_LOG.search(line):
                    source = " ".join(result.argv)
                    return (Evidence(source=source, line=number, text=line.strip()),)
    return ()
