"""Hostile values of options: a script may pass on what a stranger has chosen."""

from __future__ import annotations

from pathlib import Path

from tests.hostile.inputs import Input, made
from tests.hostile.texts.kinds import PLAIN_CHARACTERS
from tests.support.hostile_text import COMMANDS

VALUE = PLAIN_CHARACTERS.replace("\x00", "") + "\n".join(("", *COMMANDS))

OPTIONS = {
    "cluster": "has characters that cannot be printed",
    "nodes": "is not a label key",
    "layers": "is not a layer",
    "node-shell": "is not a way into a node",
    "kubeconfig": "there is no such file",
    "namespace": "is not a valid namespace name",
    "image": "is not a valid image name",
    "parallel": "must be a number of nodes",
    "timeout": "must be a number of seconds",
    "workloads": "is not a label",
    "crictl": "there is no such file",
    "report": "this version writes only .json",
    "explain": "no such cause",
}
SETTINGS = {
    "nodes": "is not a label key",
    "layers": "is not a layer",
    "node_shell": "is not a way into a node",
    "namespace": "is not a valid namespace name",
    "image": "is not a valid image name",
    "timeout": "must be a number of seconds",
    "causes": "no such file",
    "cause_link": "is not an address that begins with http",
    "junit_unproven": "must be skipped or failure",
    "sandbox_pod_config": "No such file or directory",
}
SAMPLE = "--gpu-cluster=sample:healthy-kubeadm"


def _input(name: str, word: str, says: str) -> Input:
    def make(_: Path) -> tuple[str, ...]:
        return (word,) if name == "cluster" else (SAMPLE, word)

    return Input(name=f"value-{name}", family="texts", start=made(make), exit=4, says=says)


INPUTS = (
    *(_input(name, f"--gpu-{name}={VALUE}", says) for name, says in OPTIONS.items()),
    *(_input(f"ini-{name}", f"-ogpu_{name}={VALUE}", says) for name, says in SETTINGS.items()),
)
