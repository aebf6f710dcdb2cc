"""Changing a copy of a sample: the node's processes, files and commands, and its objects."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.samples.sample_copy import SampleCopy
from tests.support import yaml_text

Change = Callable[[SampleCopy], None]
GPU = "nvidia.com/gpu"


def process_of(copy: SampleCopy, program: str) -> str:
    """Return the PID of the process whose first argument names a program."""
    for cmdline in sorted((copy.node / "files/proc").glob("[0-9]*/cmdline")):
        if re.split("[\0\n ]", cmdline.read_text())[0].rpartition("/")[2] == program:
            return cmdline.parent.name
    raise LookupError(program)


def set_cmdline(copy: SampleCopy, program: str, *argv: str) -> None:
    """Give a process another command line."""
    path = copy.node / f"files/proc/{process_of(copy, program)}/cmdline"
    path.write_text("\n".join(argv) + "\n")


def entry(copy: SampleCopy, path: str, **what: Any) -> None:
    """Record an entry of the node's file system; without anything, forget it."""

    def change(listing: dict[str, Any]) -> None:
        listing["entries"].pop(path, None)
        if what:
            listing["entries"][path] = what

    copy.edit_yaml(copy.node / "listing.yaml", change)


def each_object(copy: SampleCopy, plural: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change every object of a resource."""

    def change_all(objects: dict[str, Any]) -> None:
        for item in objects["items"]:
            change(item)

    copy.edit_yaml(copy.folder / f"kubernetes/{plural}.yaml", change_all)


def gpu_node(copy: SampleCopy, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the Node object of the GPU node."""

    def if_ours(node: dict[str, Any]) -> None:
        if node["metadata"]["name"] == copy.node.name:
            change(node)

    each_object(copy, "nodes", if_ours)


def add_object(copy: SampleCopy, plural: str, text: str) -> None:
    """Add an object, written as YAML."""

    def add(objects: dict[str, Any]) -> None:
        objects["items"].append(yaml_text.load(text))

    copy.edit_yaml(copy.folder / f"kubernetes/{plural}.yaml", add)


def command(copy: SampleCopy, word: str, **change: Any) -> None:
    """Change the command that has a word among its arguments; without anything, drop it."""
    path = copy.node / "commands.yaml"
    commands = yaml_text.load(path.read_text())
    (hit,) = [c for c in commands if word in (" ".join(c["argv"]))]
    if change:
        hit.update(change)
    else:
        commands.remove(hit)
    path.write_text(yaml_text.dump(commands))


def containerd_config(copy: SampleCopy) -> Path:
    """Return the path of the file that containerd reads by default."""
    return copy.node / "files/etc/containerd/config.toml"


def devices(copy: SampleCopy, change: Callable[[dict[str, Any]], None]) -> None:
    """Change NVML's answer on every GPU."""

    def change_all(nvml: dict[str, Any]) -> None:
        for device in nvml["devices"]:
            change(device)

    copy.edit_json(copy.node / "nvml.json", change_all)
