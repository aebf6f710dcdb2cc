"""A recording as it would be after a fix was applied and containerd restarted."""

from __future__ import annotations

import json
import posixpath
import re
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.stack.containerd.merge import EffectiveConfig
from pytest_gpu.stack.containerd.templates import Rendering
from pytest_gpu.stack.host.processes import TICKS, boot_time
from pytest_gpu.stack.kubelet.containerd_runtime import Containerd
from pytest_gpu.stack.kubelet.rendering import rendering_of
from tests.samples.mending import apply, diffs, target
from tests.samples.sample_copy import SampleCopy

PATCHED, RESTARTED = 120, 60
"""Seconds before the evidence was taken."""


def mended(source: Path, renewed: Sequence[str], fix: Sequence[str], folder: Path) -> SampleCopy:
    """Return a flat copy in which the fix was applied and containerd restarted.

    Args:
        source: the recording's own folder.
        renewed: what of the overlay a restart renews: it is as in the base again.
        fix: the steps of the fix; its patches are applied by the real program.
        folder: an empty folder of the test's own.
    """
    overlay = folder / "overlay"
    shutil.copytree(source, overlay)
    _drop(overlay, renewed)
    copy = SampleCopy(overlay, folder)
    before = _rendering(copy)
    apply(fix, copy.node / "files")
    taken = _taken(copy)
    copy.edit_yaml(copy.node / "listing.yaml", lambda listing: _list(listing, fix, taken))
    _render(copy, before)
    _restart(copy, taken)
    return copy


def _rendering(copy: SampleCopy) -> Rendering | None:
    with open_recording(copy.folder, "copy") as cluster:
        return rendering_of(GpuNode(copy.node.name, cluster))


def _render(copy: SampleCopy, before: Rendering | None) -> None:
    """Let a distribution that renders its configuration do so again, from a changed template."""
    now = _rendering(copy)
    if before is None or now is None or now.template is None or now.template == before.template:
        return
    config = copy.node / f"files{now.path}"
    if base := now.rule.base:
        old = before.template.text.replace(base, "") if before.template else ""
        own = config.read_text().replace(old.strip(), "")
        config.write_text(now.template.text.replace(base, own))
    else:
        config.write_text(_filled(now.template.text, config.read_text()))


def _filled(template: str, rendered: str) -> str:
    """Return a template with its ${NAME}s as they were filled in before."""
    for line in template.splitlines():
        pattern = re.sub(r"\\\$\\\{\w+\\\}", "(.*)", re.escape(line))
        if "(.*)" in pattern and (match := re.search(f"^{pattern}$", rendered, re.MULTILINE)):
            template = template.replace(line, match[0])
    return template


def _drop(overlay: Path, renewed: Sequence[str]) -> None:
    for file in sorted(overlay.rglob("*")):
        relative = file.relative_to(overlay)
        if file.is_file() and any(relative.match(e) or e in relative.parts for e in renewed):
            file.unlink()
    manifest = overlay / "recording.yaml"
    # Times stay text, as in a recording that a person writes.
    content = yaml.load(manifest.read_text(), yaml.BaseLoader)  # noqa: S506 - it makes text only
    content["absent"] = [each for each in content.get("absent", ()) if each not in renewed]
    manifest.write_text(yaml.safe_dump({**content, "format": 1}))


def _taken(copy: SampleCopy) -> float:
    with open_recording(copy.folder, "copy") as cluster:
        return cluster.taken.timestamp()


def _list(listing: dict[str, Any], fix: Sequence[str], taken: float) -> None:
    """Let the listing show what was patched: files that are new, folders that are, times."""
    for path in map(target, diffs(fix)):
        above = [path]
        while above[-1] != "/":
            above.append(posixpath.dirname(above[-1]))
        gone = [each for each in listing.get("absent", ()) if each in above]
        listing["absent"] = [each for each in listing.get("absent", ()) if each not in gone]
        made = [each for each in above[1:] if each in gone]
        listing["complete"] = [*listing.get("complete", ()), *made]
        moment = datetime.fromtimestamp(taken - PATCHED, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        listing.setdefault("entries", {})[path] = {"kind": "file", "mtime": moment}


def _restart(copy: SampleCopy, taken: float) -> None:
    """Let containerd have started after the patch, and answer as its files say by now."""
    with open_recording(copy.folder, "copy") as cluster:
        containerd = GpuNode(copy.node.name, cluster).containerd
    assert containerd.process
    stat = copy.node / f"files/proc/{containerd.process.pid}/stat"
    boot = boot_time((copy.node / "files/proc/stat").read_text())
    assert boot is not None
    ticks = int((taken - RESTARTED - boot) * TICKS)
    # The 22nd field; the 2nd, a name in brackets, may hold blanks.
    stat.write_text(re.sub(r"(\) (?:\S+ ){19})\d+", rf"\g<1>{ticks}", stat.read_text()))
    copy.edit_yaml(copy.node / "commands.yaml", lambda calls: _answer(calls, containerd))


def _answer(calls: list[dict[str, Any]], containerd: Containerd) -> None:
    for call in calls:
        argv = call["argv"].split() if isinstance(call["argv"], str) else call["argv"]
        if argv[-1] == "info" and containerd.socket in " ".join(argv):
            said = json.loads(call.get("stdout") or '{"config": {}}')
            said["config"] = {**said["config"], "containerd": live_section(containerd.config)}
            call |= {"stdout": json.dumps(said), "stderr": "", "exit": 0}


def live_section(config: EffectiveConfig) -> Mapping[str, Any]:
    """Return what ``crictl info`` shows of a configuration that has just been loaded."""
    runtimes = {
        name: {
            "runtimeType": runtime.runtime_type,
            "runtimePath": "",
            "options": {
                **({"BinaryName": runtime.binary} if runtime.binary else {}),
                "SystemdCgroup": runtime.systemd_cgroup,
            },
        }
        for name, runtime in config.runtimes.items()
    }
    return {"defaultRuntimeName": config.default_runtime, "runtimes": runtimes}
