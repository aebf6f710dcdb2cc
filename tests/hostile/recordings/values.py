"""Values that a type allows and no cluster has: numbers, times, paths, arguments, heads."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from tests.cluster.recording.test_refused_at_opening import BAD_FILES
from tests.hostile.inputs import Input
from tests.hostile.recordings.objects import NODE, NODES, PODS
from tests.hostile.recordings.overlays import Content, all_refused, at, harmless, hurt, refused

HUGE = "9" * 400
LISTED = "N/listing.yaml"
COMMANDS = "N/commands.yaml"


def _entry(line: str) -> str:
    return f"entries: {{/x: {line}}}"


NUMBERS: dict[str, tuple[str, Content, str]] = {
    "gpus": (NODES, NODE % HUGE, "gpu-1.status.capacity.nvidia.com/gpu: is"),
    "gpus-as-text": (NODES, NODE % f"'{HUGE}'", "gpu-1.status.capacity.nvidia.com/gpu: is"),
    "gpus-negative": (NODES, NODE % "'-1'", "gpu-1.status.capacity.nvidia.com/gpu: is '-1',"),
    "gpus-base-60": (NODES, NODE % ("1" + ":10" * 300), "gpu-1.status.capacity.nvidia.com/gpu: is"),
    "gpus-float": (NODES, NODE % "1e400", "gpu-1.status.capacity.nvidia.com/gpu: is"),
    "gpus-nan": (NODES, NODE % ".nan", "gpu-1.status.capacity.nvidia.com/gpu: is nan,"),
    "gpus-arabic": (NODES, NODE % "'٢'", "gpu-1.status.capacity.nvidia.com/gpu: is '٢',"),
    "restarts": (
        PODS,
        "{metadata: {name: a}, status: {containerStatuses: [{name: a, restartCount: 1e999}]}}",
        "a.status.containerStatuses[0].restartCount: is",
    ),
    "exit": (
        COMMANDS,
        f"- {{argv: dmesg, exit: {HUGE}}}",
        "command 1: exit: is a number of more than 64",
    ),
    "exit-float": (
        COMMANDS,
        "- {argv: dmesg, exit: 1.5}",
        "command 1: exit: is a number, must be a",
    ),
    "duration": (
        COMMANDS,
        "- {argv: dmesg, duration: .nan}",
        "command 1: duration: must be a number of",
    ),
    "duration-huge": (
        COMMANDS,
        f"- {{argv: dmesg, duration: {HUGE}}}",
        "command 1: duration: must be a number of",
    ),
    "mtime": (
        LISTED,
        _entry(f"{{kind: file, mtime: {HUGE}}}"),
        "/x: mtime: must be a number of seconds below",
    ),
    "mtime-float": (
        LISTED,
        _entry("{kind: file, mtime: 1.0e300}"),
        "/x: mtime: is '1.0e300', must be a time like",
    ),
    "mtime-nan": (
        LISTED,
        _entry("{kind: file, mtime: .nan}"),
        "/x: mtime: must be a number of seconds below",
    ),
    "mtime-text": (
        LISTED,
        _entry("{kind: file, mtime: '99999-01-01'}"),
        "/x: mtime: is '99999-01-01', must be a time",
    ),
    "mode": (
        LISTED,
        _entry(f"{{kind: file, mode: '{'7' * 400}'}}"),
        "/x: mode: is a number of more than 64 bits",
    ),
    "size-huge": (
        LISTED,
        _entry(f"{{kind: file, size: {HUGE}}}"),
        "/x: size: is a number of more than 64 bits",
    ),
    "device": (
        LISTED,
        _entry(f"{{kind: char, device: [{HUGE}, -1]}}"),
        "/x: device: is a number of more than 64 bits",
    ),
    "taken": (
        "recording.yaml",
        "format: 1\ntaken: 99999-01-01T00:00:00Z",
        "taken: is '99999-01-01T00:00:00Z', must be a time like",
    ),
    "taken-zero": (
        "recording.yaml",
        "format: 1\ntaken: 0000-01-01T00:00:00Z",
        "taken: is '0000-01-01T00:00:00Z', must be a time like",
    ),
    "format": (
        "recording.yaml",
        f"format: {HUGE}\ntaken: 2026-01-01T00:00:00Z",
        "format 9999999999999999999999999999999999999999999999999",
    ),
}
PATHS: dict[str, tuple[Content, str]] = {
    "up": ("entries: {/a/../../etc: {kind: file}}", "/a/../../etc: '/a/../../etc' must be an"),
    "relative": ("entries: {a: {kind: file}}", "a: 'a' must be an absolute path without '..'"),
    "nul": ('entries: {"/a\\0": {kind: file}}', "/a\\x00: '/a\\x00' must be an absolute path"),
    "long": (f"complete: [/{'a' * 5000}]", "complete: a path has more than 4,096"),
    "deep": (f"absent: [{'/a' * 101}]", "absent: a path has more than 4,096 characters"),
}
ARGUMENTS: dict[str, tuple[Content, str]] = {
    "empty": ("- {argv: []}", "command 1: argv: is missing; every command"),
    "of-null": ("- {argv: [null]}", "command 1: argv[0]: is empty, must be text;"),
    "of-lists": ("- {argv: [[a]]}", "command 1: argv[0]: is a list, must be text;"),
    "unbalanced": ('- {argv: "a \'b"}', 'command 1: argv: No closing quotation in "a'),
    "long": (f"- {{argv: '{'a ' * 40_000}'}}", "command 1: argv: is a command line of more"),
    "number": ("- {argv: 5}", "command 1: argv: is a number, must be a list"),
    "mapping": ("- {argv: {a: b}}", "command 1: argv: is a mapping, must be a list"),
}
HEADS: dict[str, tuple[Content, str]] = {
    "base-outside": (
        "format: 1\nbase: ../../../etc",
        "base: is '../../../etc', must be sample:NAME or a",
    ),
    "base-absolute": (
        "format: 1\nbase: /etc",
        "base: is '/etc', must be sample:NAME or a folder inside",
    ),
    "base-itself": ("format: 1\nbase: .", "base: is '.', must be sample:NAME or a folder inside"),
    "base-unknown": (
        "format: 1\nbase: sample:healthy",
        "base: 'healthy' is not a sample; the nearest are",
    ),
    "base-sample-path": (
        "format: 1\nbase: sample:../recorded/healthy-eks",
        "base: '../recorded/healthy-eks' is not a sample; the",
    ),
    "base-list": (
        "format: 1\nbase: [sample:healthy-eks]",
        "base: is a list, must be text; quote it",
    ),
    "nodes-slash": (
        "format: 1\nbase: sample:healthy-eks\nnodes: {a/b: c}",
        "nodes: 'a/b' is not a valid node name: use letters,",
    ),
    "nodes-circle": (
        "format: 1\nbase: sample:healthy-kubeadm\nnodes: {a: gpu-1, b: gpu-1}",
        "nodes: gives two names to one node; use 'like' in",
    ),
    "nodes-escape": (
        'format: 1\nbase: sample:healthy-kubeadm\nnodes: {"a\\e": gpu-1}',
        "nodes: 'a\\\\x1b' is not a valid node name: use letters,",
    ),
    "absent-outside": (
        "format: 1\nbase: sample:healthy-eks\nabsent: [nodes/../../x]",
        "absent: 'nodes/../../x' cannot be removed; write a kind",
    ),
    "absent-unknown": (
        "format: 1\nbase: sample:healthy-eks\nabsent: [everything]",
        "absent: 'everything' cannot be removed; write a kind",
    ),
    "asked-null": (
        "format: 1\nbase: sample:healthy-eks\nasked: [null]",
        "asked[0]: is empty, must be text; quote it",
    ),
    "suite": (
        "format: 1\nbase: sample:healthy-eks\nsuite: [9]",
        "suite: is a list, must be text; quote it",
    ),
    "unknown-escape": (
        'format: 1\nbase: sample:healthy-eks\n"a\\e[2J": 1',
        "unknown key 'a\\x1b[2J'; keys are format, taken, suite,",
    ),
}
LIKE: dict[str, tuple[Mapping[str, Content], str]] = {
    "itself": ({"N/node.yaml": "like: gpu-1"}, "like: is circular: it leads back to 'gpu-1'"),
    "circle": (
        {"N/node.yaml": "like: b", "nodes/b/node.yaml": "like: gpu-1"},
        "like: is circular: it leads back to 'gpu-1'",
    ),
    "chain": (
        {"N/node.yaml": "like: a"}
        | {f"nodes/{old}/node.yaml": f"like: {new}" for old, new in pairwise("abcde")},
        "like: more than 3 nodes are like each other",
    ),
    "outside": ({"N/node.yaml": "like: ../../etc"}, "'../../etc' is not a valid node name"),
}


def _damaged() -> list[Input]:
    return [
        refused(f"wrong-{name.rpartition('/')[2]}-{number}", {f"N/{name}": text}, says)
        for name, texts in BAD_FILES.items()
        for number, (text, says) in enumerate(texts.items())
        if "nobody" not in text and "like" not in text and "*" not in says
    ]


INPUTS = (
    *all_refused("number", NUMBERS),
    *all_refused("path", at(LISTED, PATHS)),
    *all_refused("argv", at(COMMANDS, ARGUMENTS)),
    *all_refused("head", at("recording.yaml", HEADS)),
    *(refused(f"like-{name}", files, says) for name, (files, says) in LIKE.items()),
    *_damaged(),
    harmless("path-line", {LISTED: 'entries: {"/a\\nb": {kind: file}}'}),
    harmless("path-target-nul", {LISTED: 'entries: {/a: {kind: symlink, target: "\\0"}}'}),
    harmless(
        "path-target-long", {LISTED: f"entries: {{/a: {{kind: symlink, target: {'../' * 3000}}}}}"}
    ),
    hurt(
        "argv-twice",
        {COMMANDS: "- {argv: dmesg}\n- {argv: [dmesg]}"},
        "driver",
    ),
    refused(
        "number-nvml",
        {"N/nvml.json": '{"devices": [{"index": ' + HUGE + "}]}"},
        "nodes/gpu-1/nvml.json: devices[0]: index: must be a number of at most 64 bits",
    ),
)
