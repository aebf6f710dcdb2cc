"""Rendered configurations: whether GPUs still work after the next start, and what to change.

The rendered file counts now; its template counts at the next start.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check, question
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.containerd.config_file import CRI_V1, CRI_V2, CRI_V3, handler_line, subtable
from pytest_gpu.stack.containerd.templates import Rendering, Template, is_rendered
from pytest_gpu.stack.cri.handler import Handler
from pytest_gpu.stack.host.nvidia_programs import is_nvidia
from pytest_gpu.stack.kube import runtimeclass
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.kubelet.file_times import changed_at, clock, started_at
from pytest_gpu.stack.kubelet.rendering import rendering_of
from pytest_gpu.stack.repair import config_fix
from pytest_gpu.stack.repair.config_places import handler_in
from pytest_gpu.stack.repair.patch import patch
from pytest_gpu.stack.runtime import next_start
from pytest_gpu.stack.runtime.next_start import NextStart
from pytest_gpu.stack.runtime.template_damage import damaged, default_not_found
from pytest_gpu.stack.runtime.template_lost import loses_settings, lost_lines
from pytest_gpu.steps import Steps

_NAMES = (CRI_V3, CRI_V2, CRI_V1)


@question("runtime/rendering")
def rendered_from(node: Node) -> object:
    """Return the source of a rendered configuration, which is shown if it lacks a handler."""
    return rendering_of(node)


@check("runtime/fault-at-next-start")
def fault_at_next_start(node: Node) -> Finding | None:
    """Find what the next start of a distribution that renders its configuration will break.

    Raises:
        NotInEvidence: a template, or what it depends on, was not collected.
    """
    made = rendering_of(node)
    if made is None:
        return None
    broken = damaged(node, made) or default_not_found(node, made) or _loses(node, made)
    return broken or loses_settings(node, made)


def _loses(node: Node, made: Rendering) -> Finding | None:
    """Find a GPU handler that is in the rendered file, but that the next start removes."""
    in_use, written = _in_use(node, made), _default_written(node, made)
    coming = next_start.predict(node) if in_use or written else None
    if coming is None:
        return None
    for runtime in in_use:
        if not _comes_again(node, coming, runtime):
            return _why_lost(node, coming, runtime)
    if written and coming.default != containerd_of(node).config.default_runtime:
        default = containerd_of(node).config.default_runtime
        what = f'default_runtime_name = "{default}"'
        return next_start.finding(node, made, "runtime/rendered-file-edited", *written, what=what)
    return None


def edited_in_vain(node: Node, runtime: Handler) -> Finding | None:
    """Find a handler that is not loaded yet and that the next start will remove again.

    Raises:
        NotInEvidence: a template, or what it depends on, was not collected.
    """
    if not is_rendered(runtime.source.source):
        return None
    coming = next_start.predict(node)
    if coming is None or _comes_again(node, coming, runtime):
        return None
    return _why_lost(node, coming, runtime)


def _in_use(node: Node, made: Rendering) -> list[Handler]:
    """Return the GPU handlers of the rendered file that work now and that pods can get."""
    containerd = containerd_of(node)
    by_class = known(lambda: runtimeclass.handlers(node.cluster)) or {}
    reached = {"nvidia", containerd.config.default_runtime, *by_class.values()}
    found = [containerd.config.runtimes[name] for name in containerd.gpu_handlers]
    own = [each for each in found if each.source.source == made.path]
    return [each for each in own if each.name in reached and containerd.knows(each.name)]


def _comes_again(node: Node, coming: NextStart, runtime: Handler) -> bool:
    if runtime.name in coming.handlers:
        return True
    may_be_found = runtime.name in coming.rendering.rule.found and runtime.binary
    lists = next_start.lists_found_ones(node, coming.rendering)
    return bool(may_be_found and lists and next_start.also_on_path(node, str(runtime.binary)))


def _why_lost(node: Node, coming: NextStart, runtime: Handler) -> Finding:
    made = coming.rendering
    if finding := misplaced(node, made):
        return finding
    template = made.template
    if template and not next_start.lists_found_ones(node, made) and made.rule.found:
        return next_start.finding(
            node,
            made,
            "runtime/template-without-nvidia",
            runtime.source,
            alone(template),
            *lost_lines(node, made),
            patch=config_fix.outlast(node, runtime.name, _table(node, runtime)),
        )
    return edited(node, made, runtime)


def edited(node: Node, made: Rendering, runtime: Handler) -> Finding:
    """Return the finding of a handler that was written into the rendered file itself."""
    return next_start.finding(
        node,
        made,
        "runtime/rendered-file-edited",
        runtime.source,
        *_not_from(made, runtime.name),
        *lost_lines(node, made),
        *written_after_start(node, made.path),
        what=f"the handler {runtime.name}",
        patch=config_fix.outlast(node, runtime.name, _table(node, runtime)),
    )


def _table(node: Node, runtime: Handler) -> Mapping[str, Any]:
    files = containerd_of(node).config.files
    file = next((each for each in files if each.path == runtime.source.source), None)
    return handler_in(file, runtime.name) if file else {}


def _not_from(made: Rendering, handler: str) -> Iterator[Evidence]:
    if made.template:
        yield Evidence(source=made.template.path, text=f"does not define {handler}")
    else:
        yield Evidence(source=made.wanted, text="is not there: only the built-in template is used")
    if made.rule.found:
        yield Evidence(source="nvidia-container-runtime", text=made.rule.not_found)


def written_after_start(node: Node, path: str) -> Iterator[Evidence]:
    """Yield evidence that a file was changed after containerd had started, if it was."""
    changed, started = changed_at(node, path), started_at(node)
    if changed and started and changed > started:
        text = f"changed {clock(changed)}, after containerd started {clock(started)}"
        yield Evidence(source=path, text=text)


def _default_written(node: Node, made: Rendering) -> tuple[Evidence, ...]:
    """Return the lines of an NVIDIA default that was written into the file after the start.

    A default that was there before may come from a flag of the service, which is not visible.
    """
    config = containerd_of(node).config
    runtime = config.runtimes.get(config.default_runtime)
    written = tuple(written_after_start(node, made.path))
    line = config.origin("default_runtime_name")
    own = line.source == made.path and runtime is not None and is_nvidia(runtime.binary or "")
    return (line, *written) if own and written else ()


def misplaced(node: Node, made: Rendering) -> Finding | None:
    """Find an NVIDIA handler in a template, or under a section, that is not read."""
    for ignored in made.ignored:
        if line := nvidia_line(ignored, _NAMES):
            read = made.template.path if made.template else "the built-in template"
            instead = Evidence(source=ignored.path, text=f"is not read: {read} is used instead")
            moved = _moved(node, ignored)
            return next_start.finding(
                node,
                made,
                "runtime/template-not-read",
                line,
                instead,
                folder=posixpath.dirname(made.path),
                patch=moved,
            )
    template = made.template
    if template is None or template.table is None:
        return None
    counts = next_start.counting(node, made, template)
    line = nvidia_line(template, [name for name in _NAMES if name not in counts])
    if line is None or nvidia_line(template, counts):
        return None
    rendered = Evidence(
        source=made.path,
        text=f"is rendered as version {made.version}, in which {' and '.join(counts)} counts",
    )
    return next_start.finding(
        node,
        made,
        "runtime/template-for-other-version",
        line,
        rendered,
        section=counts[0],
        patch=_renamed(node, template, counts[0]),
    )


def _moved(node: Node, ignored: Template) -> Steps:
    """Return the patch that moves the handlers of an unread template to where they count."""
    for name in next_start.by_hand(ignored.table or {}, _NAMES):
        table = handler_in(ignored.as_file, name)
        if is_nvidia(str(table.get("options", {}).get("BinaryName", ""))):
            return config_fix.outlast(node, name, table)
    return ()


def _renamed(node: Node, template: Template, section: str) -> Steps:
    """Return the patch that moves a template's handlers to the section that counts."""
    old = next((each for each in (CRI_V3, CRI_V2) if each != section), CRI_V2)
    beside = set(subtable(subtable(template.table or {}, "plugins"), old)) - {"containerd"}
    if beside or section == CRI_V1:
        return ()
    text = re.sub(rf"([\"']){re.escape(old)}\1", rf"\g<1>{section}\g<1>", template.text)
    return patch(node.evidence.resolve(template.path), template.text, text)


def nvidia_line(template: Template, plugins: Sequence[str]) -> Evidence | None:
    """Return the line of a template that defines an NVIDIA handler under one of the sections."""
    if template.table is None:
        return None
    handlers = next_start.by_hand(template.table, plugins)
    name = next((name for name, binary in handlers.items() if is_nvidia(binary)), None)
    return handler_line(template.as_file, name) if name else None


def alone(template: Template) -> Evidence:
    """Return the evidence about a template that replaces the built-in one."""
    return Evidence(
        source=template.path,
        text='has neither {{ template "base" . }} nor an nvidia handler: it replaces the built-in'
        " template, which lists the runtimes found on the node",
    )
