"""A GPU handler whose drop-in was moved away: the files that are left are as containerd read them.

The root file is not to blame then: it still imports the folder, which no longer has the drop-in.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from functools import partial

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.containerd.handlers import shown
from pytest_gpu.stack.containerd.search import handlers_of
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.kubelet.file_times import (
    changed_at,
    file_against_start,
    read_as_they_are,
    started_at,
)
from pytest_gpu.stack.runtime.handler_fix import define_handler
from pytest_gpu.steps import Steps, typed
from pytest_gpu.text.shell import command

_ENDING = ".toml"


def drop_in_gone(node: Node, loaded: Evidence) -> Finding | None:
    """Find a handler that is loaded and whose drop-in is gone; ``loaded`` shows that it is.

    Every file that containerd reads is older than its process: only a file that is not there any
    more can have defined the handler. A drop-in that was set aside since then shows it, too.
    """
    folders, aside = _folders(node), _set_aside(node)
    moved = bool(aside) and any(_changed_since(node, folder) for folder in folders)
    if not folders or not (moved or read_as_they_are(node)):
        return None
    folder = posixpath.dirname(_place(aside, folders)) if aside else folders[0]
    return Finding.of(
        "runtime/drop-in-gone",
        loaded,
        *_evidence(node, folder),
        *([_aside_evidence(node, aside)] if aside else []),
        folder=folder,
        config=containerd_of(node).config_path,
        back=_back(aside, folders),
        **define_handler(node).values,
    )


def _folders(node: Node) -> Sequence[str]:
    """Return the folders that containerd's files import from."""
    patterns = containerd_of(node).config.imports
    return tuple(dict.fromkeys(posixpath.dirname(pattern) for pattern in patterns))


def _changed_since(node: Node, folder: str) -> bool:
    """Say whether something was put into a folder, or taken away, since containerd started."""
    changed, started = changed_at(node, folder), started_at(node)
    return changed is not None and started is not None and changed > started


def _set_aside(node: Node) -> str:
    """Return a file that defines a GPU handler and is not imported any more, empty if none.

    It was renamed in its folder, or moved to the folder around it.
    """
    read = {file.path for file in containerd_of(node).config.files}
    for folder in _folders(node):
        for place in (folder, posixpath.dirname(folder)):
            for path in _drop_ins(node, place):
                if path not in read and handlers_of(node.evidence, path):
                    return path
    return ""


def _drop_ins(node: Node, folder: str) -> Iterator[str]:
    """Yield the files of a folder that have the ending of a drop-in, or had it."""
    for name in known(partial(node.evidence.names, folder)) or ():
        if _ENDING in name and not name.startswith("config.toml"):
            yield posixpath.join(folder, name)


def _evidence(node: Node, folder: str) -> Iterator[Evidence]:
    config = containerd_of(node).config
    for file in config.files:
        if "imports" in file.table:
            yield file.at(("imports",))
    text = f"{_content(node, folder)}; merged runtimes: {shown(config.runtimes)}"
    yield Evidence(source=folder, text=text)
    yield from file_against_start(node, folder, loaded=True)


def _content(node: Node, folder: str) -> str:
    try:
        names = node.evidence.names(folder)
    except NotInEvidence:
        return "has no file that defines an NVIDIA handler"
    return "is not there" if names is None else f"holds {', '.join(names) or 'nothing'}"


def _aside_evidence(node: Node, path: str) -> Evidence:
    handlers = ", ".join(handlers_of(node.evidence, path))
    return Evidence(source=path, text=f"defines {handlers}, and is not imported")


def _place(aside: str, folders: Sequence[str]) -> str:
    """Return where a file that was set aside is imported from."""
    folder, name = posixpath.split(aside)
    stem = name[: name.index(_ENDING) + len(_ENDING)]
    return posixpath.join(folder if folder in folders else folders[0], stem)


def _back(aside: str, folders: Sequence[str]) -> Steps:
    if not aside:
        return ()
    line = command("sudo mv {aside} {place}", aside=aside, place=_place(aside, folders))
    return (typed("node", line),)
