"""Nodes that are hostile in one thing each, by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from tests.hostile.node_kinds import (
    HUGE,
    JUNK,
    Changes,
    Ends,
    Greets,
    Talks,
    before,
    changed_part,
    deep,
    forever,
    fragments,
    frame,
    giant,
    half,
    in_entries,
    many_files,
    many_outputs,
    many_paths,
    never_done,
    nvml,
    of_kind,
    says,
    slow_frame,
    twice,
    wide,
)
from tests.hostile.stub_node import END, ERR, OUT, RAW, Honest, Said, as_line
from tests.support.hostile_text import HOSTILE

TALKS: Mapping[str, Callable[..., Said]] = {
    "garbage before the answers": before((OUT, b"\x1b[31m\x9b2J\r\n\xff\xfe\n{}\n[]\nnull\n7\n")),
    "errors before the answers": before((ERR, HOSTILE.encode(errors="replace"))),
    "every answer twice": twice,
    "half an answer": half,
    "endless line": forever(OUT, JUNK),
    "endless line of brackets": forever(OUT, b"[" * (1 << 16)),
    "endless lines": forever(OUT, (b"x" * 1000 + b"\n") * 60),
    "endless empty lines": forever(OUT, b"\n" * (1 << 16)),
    "endless objects": forever(OUT, b'{"error": "no"}\n' * 1000),
    "endless errors": forever(ERR, JUNK),
    "endless errors in lines": forever(ERR, b"no\n" * 10_000),
    "endless paths": many_paths,
    "endless files": many_files,
    "endless outputs": many_outputs,
    "drip": forever(OUT, b" ", 0.2),
    "drip of lines": forever(OUT, b"{}\n", 0.2),
    "drip of errors": forever(ERR, b"x", 0.2),
    "silence": says(wait=20),
    "never done": never_done,
    "a line of 3,000,000 brackets": says((OUT, b"[" + b"{}," * 2_900_000 + b"{}]\n")),
    "many brackets": says(
        (OUT, b"[" * 3_000_000 + b"\n"), (OUT, b"[" * 500_000 + b"\n"), (END, b"")
    ),
    "a deep line": says((OUT, b'{"run":' * 100_000 + b"\n"), (END, b"")),
    "a number of 5000 digits": says((OUT, b'{"run": ' + b"1" * 5000 + b"}\n"), (END, b"")),
    "a wide line": wide,
    "no object": says((OUT, b'[]\n7\n"x"\nnull\n'), (END, b"")),
    "an error with escapes": says((OUT, as_line({"error": HOSTILE})), (END, b"")),
    "errors with escapes at the end": says((ERR, HOSTILE.encode(errors="replace")), (END, b"")),
}

FRAMES: Mapping[str, Callable[..., Said]] = {
    "a message in endless fragments": fragments,
    "a message of 4 EiB": giant,
    "a message that drips": slow_frame,
    "a message of text that is no UTF-8": says((RAW, frame(0x81, b"\x01\xff\xfe")), (END, b"")),
    "an unknown kind of message": says((RAW, frame(0x83, b"\x01x")), (END, b"")),
    "a control message that is too long": says((RAW, frame(0x89, JUNK)), (END, b"")),
    "endless pings": forever(RAW, b"\x89\x00" * 1000),
    "endless empty messages": forever(RAW, frame(0x82, b"") * 1000),
    "endless messages on an unknown channel": forever(200, JUNK),
    "no messages at all": says((RAW, b"HTTP/1.1 500 No\r\n\r\n" * 100), (END, b"")),
}

HELLOS: Mapping[str, Callable[[], Said]] = {
    "no hello": says(wait=20),
    "endless greeting": forever(OUT, b"Welcome! \x1b[31m" * 1000 + b"\n"),
    "endless greeting without an end": forever(OUT, JUNK),
    "endless errors for a greeting": forever(ERR, JUNK),
    "hello that is no object": says((OUT, b'["hello"]\n'), (END, b"")),
    "a greeting with escapes": says((ERR, HOSTILE.encode(errors="replace")), (END, b"")),
}

STATUSES: Mapping[str, bytes] = {
    "no JSON": b"nonsense \x1b[31m",
    "a list": b"[]",
    "a number": b"7",
    "null": b"null",
    "empty": b"",
    "deep": b"[" * 100_000,
    "a failure without details": b'{"status": "Failure"}',
    "a message that is a list": b'{"status": "Failure", "message": ["a"], "details": 7}',
    "a message with escapes": json.dumps({"status": "Failure", "message": HOSTILE}).encode(),
    "an exit code of 400 digits": json.dumps(
        {"details": {"causes": [{"reason": "ExitCode", "message": str(HUGE)}]}}
    ).encode(),
}

CHANGES: Mapping[str, Callable[[dict[str, Any]], Any]] = {
    "times of 400 digits": in_entries("mtime", HUGE),
    "times that are no number": in_entries("mtime", "nan"),
    "sizes of 400 digits": in_entries("size", HUGE),
    "modes that are lists": in_entries("mode", [7]),
    "kinds that do not exist": in_entries("kind", "hole"),
    "answers that are null": lambda answer: None,
    "answers that are lists": lambda answer: [answer],
    "answers that are numbers": lambda answer: HUGE,
    "files that are no base64": changed_part("read", data="no base64!"),
    "files that are numbers": changed_part("read", data=7),
    "files of 3 MiB": changed_part("read", data="eHh4" * (1 << 20)),
    "files that were cut": changed_part("read", truncated=True),
    "files with escapes in their errors": changed_part("read", data=None, error=HOSTILE),
    "links that are a list": changed_part("read", links=["a"]),
    "links to numbers": changed_part("read", links={"/a": 7, "b": "..", "/c\0": "/"}),
    "paths that are lists": of_kind("read", lambda answer: answer | {"read": ["/a"], "real": None}),
    "listings that are lists": changed_part("list", entries=["a"]),
    "listings of null": changed_part("list", entries={"a": None}),
    "listings with names that lead out": changed_part(
        "list", entries={"../../x": {"kind": "file"}}
    ),
    "commands that are texts": of_kind("run", lambda answer: answer | {"run": "crictl info"}),
    "commands that are numbers": of_kind("run", lambda answer: answer | {"run": 7}),
    "exit codes that are texts": changed_part("run", exit="0"),
    "exit codes of 400 digits": changed_part("run", exit=HUGE),
    "exit codes that are true": changed_part("run", exit=True),
    "output of 5 MiB": changed_part("run", stdout="x" * (5 << 20)),
    "output that is a list": changed_part("run", stdout=["a"]),
    "durations of 400 digits": changed_part("run", duration=HUGE),
    "ELF files that are lists": changed_part("elf", summary=[]),
    "ELF versions that are numbers": changed_part("elf", summary={"versions": 3}),
    "ELF files that need numbers": changed_part("elf", summary={"needed": 3, "machine": None}),
}

NVML: Mapping[str, Callable[[Any], Any]] = {
    "a list": lambda found: [found],
    "a number": lambda found: HUGE,
    "empty": lambda found: {},
    "deep": lambda found: found | {"devices": deep(500)},
    "devices that are a text": lambda found: found | {"devices": "GPU"},
    "devices that are null": lambda found: found | {"devices": [None]},
    "devices that are numbers": lambda found: found | {"devices": [HUGE]},
    "an init that is a list": lambda found: found | {"init": []},
    "an error that is a text": lambda found: found | {"init": {"error": "none"}},
    "a driver version that is a list": lambda found: found | {"driver_version": [5]},
    "a library that is a number": lambda found: found | {"library": 7},
    "everything twice as large": lambda found: found | {"more": "x" * (2 << 20)},
}


def hostile_nodes() -> Mapping[str, Callable[[], Honest]]:
    """Return all hostile nodes by name."""
    return {
        **{name: partial(Talks, say) for name, say in {**TALKS, **FRAMES}.items()},
        **{name: partial(Greets, hello) for name, hello in HELLOS.items()},
        **{f"status: {name}": partial(Ends, status) for name, status in STATUSES.items()},
        **{name: partial(Changes, change) for name, change in CHANGES.items()},
        **{f"NVML: {name}": nvml(change) for name, change in NVML.items()},
    }
