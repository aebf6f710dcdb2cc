"""Recordings that are a healthy sample with one thing hurt: an overlay of a few files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.hostile.inputs import Input, Start, made
from tests.hostile.recordings.lines import SAYS

Content = str | bytes | Callable[[Path], object]
"""What a file holds, or a function that puts something else into its place."""

NODES = {
    "healthy-kubeadm": "gpu-1",
    "healthy-rke2": "rke2-agent-1",
    "healthy-eks": "ip-10-225-49-119.us-west-2.compute.internal",
    "healthy-cdi": "worker-gpu-1",
    "docker-daemon-no-nvidia": "ip-10-225-49-119.us-west-2.compute.internal",
}
"""Samples that are hurt, and their GPU node."""

KUBEADM = "healthy-kubeadm"


def overlay(files: Mapping[str, Content], base: str = KUBEADM, head: str = "") -> Start:
    """Return the start of an input that is a sample with other files.

    A path that begins with ``/`` is one of the GPU node; ``N/`` stands for the node's folder.
    """

    def make(folder: Path) -> tuple[str, ...]:
        root = folder / "recording"
        write(root, {"recording.yaml": f"format: 1\nbase: sample:{base}\n{head}", **files}, base)
        return (f"--gpu-cluster=path:{root}",)

    return made(make)


def write(root: Path, files: Mapping[str, Content], base: str) -> None:
    """Write the files of a recording."""
    for name, content in files.items():
        path = root / _place(name, NODES[base])
        path.parent.mkdir(parents=True, exist_ok=True)
        if callable(content):
            content(path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())


def refused(name: str, files: Mapping[str, Content], says: str, head: str = "") -> Input:
    """Return a recording that is refused when it is opened: one line, exit 4."""
    start = overlay(files, head=head)
    return Input(name=name, family="recordings", start=start, exit=4, says=says)


def all_refused(kind: str, texts: Mapping[str, tuple[str, Content, str]]) -> Iterator[Input]:
    """Yield recordings in which one file is another: its place, its text, and what is said."""
    for name, (place, text, says) in texts.items():
        where = place.replace("N/", "nodes/gpu-1/")
        yield refused(f"{kind}-{name}", {place: text}, f"{where}: {says}")


def at(place: str, texts: Mapping[str, tuple[Content, str]]) -> dict[str, tuple[str, Content, str]]:
    """Return texts that are all put into one place."""
    return {name: (place, *each) for name, each in texts.items()}


def hurt(name: str, files: Mapping[str, Content], layer: str, **more: str) -> Input:
    """Return a recording that is judged, in which a layer must not pass: exit 1.

    ``more`` may name another ``base``, and more lines for the ``head``.
    """
    start = overlay(files, **more)
    says = SAYS.get(name, "")
    return Input(name=name, family="recordings", start=start, exit=1, says=says, hurt=layer)


def latent(name: str, files: Mapping[str, Content], layer: str, says: str, **more: str) -> Input:
    """Return a recording that works until the next restart, as a layer must say: exit 0."""
    start = overlay(files, **more)
    return Input(name=name, family="recordings", start=start, exit=0, says=says, hurt=layer)


def harmless(
    name: str, files: Mapping[str, Content], says: str = "1 node: conforms", **more: str
) -> Input:
    """Return a recording that is odd and healthy: it is not refused, and not failed either."""
    return Input(name=name, family="recordings", start=overlay(files, **more), exit=0, says=says)


def _place(name: str, node: str) -> str:
    if name.startswith("/"):
        return f"nodes/{node}/files{name}"
    return name.replace("N/", f"nodes/{node}/", 1) if name.startswith("N/") else name
