"""A program called ``ssh``: it takes the place of the client and of the node behind it.

The good node is honest and has Python; the bad one is as hostile as its name in the environment.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pytest_gpu.cluster.visits.ssh import EXPLORE, MARK
from tests.hostile.hostile_nodes import hostile_nodes
from tests.hostile.node_kinds import HUGE, JUNK
from tests.hostile.stub_node import END, ERR, OUT, Conversation, Honest, Said
from tests.support.hostile_text import HOSTILE

NAME = "STUB_SSH"

HANGING = frozenset(
    {
        *("ssh: login that drips", "ssh: errors that drip at login"),
        *("plain: output that drips",),
    }
)
"""Those that only a deadline ends."""
GOOD = ("good-2", "192.168.10.12")

WITH_PYTHON, WITHOUT = b"0\n/usr/bin/python3\n", b"0\n"

_SCRIPT = f"""#!/bin/sh
# A node without Python is asked a hundred times: starting Python each time takes too long.
for last; do :; done
case "$*" in
-G*) echo "hostname $last" ;;
*"-O exit"*) ;;
*"{MARK}"*)
    printf '\\n%s\\n' '{MARK}'
    . "${{0%/*}}/plain"
    ;;
*) exec {sys.executable} "${{0%/*}}/stub.py" "$@" ;;
esac
"""

_STUB = f"""import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.hostile.stub_ssh import main
main(sys.argv[1:])
"""


def install(folder: Path, name: str) -> Mapping[str, str]:
    """Put the program into a folder; return the environment in which it is found."""
    program = folder / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(_SCRIPT)
    program.chmod(0o755)
    program.with_name("stub.py").write_text(_STUB)
    program.with_name("printed").write_bytes(PRINTED.get(name, b""))
    program.with_name("plain").write_text(PLAIN.get(name, 'cat "${0%/*}/printed"'))
    return {"PATH": f"{program.parent}:{os.environ['PATH']}", NAME: name}


def main(argv: list[str]) -> None:
    """Do what ssh and the node behind it would do."""
    host, text = argv[-2:]
    name = "" if host in GOOD else os.environ[NAME]
    try:
        for channel, data in _said(name, text):
            if channel == END:
                return
            os.write(channel, data)
    except BrokenPipeError:
        return


def _said(name: str, text: str) -> Said:
    if "id -u" in text:
        yield from LOGINS.get(name, _with_python)()
    else:
        conversation = Conversation(hostile_nodes().get(name, Honest)())
        while not conversation.ended and (data := os.read(0, 1 << 16)):
            yield from conversation.take(data)


def _with_python() -> Said:
    yield OUT, WITH_PYTHON


def _without(*_: object) -> Said:
    yield OUT, WITHOUT


def _forever(
    channel: int, part: bytes, wait: float = 0.0
) -> Callable[[], Iterator[tuple[int, bytes]]]:
    def say() -> Said:
        while True:
            yield channel, part
            time.sleep(wait)

    return say


def _once(*parts: tuple[int, bytes]) -> Callable[[], Said]:
    return lambda: iter(parts)


def _rows(*rows: str) -> bytes:
    return "\0".join([*rows, ""]).encode()


_LOGINS: Mapping[str, Callable[[], Said]] = {
    "ssh: endless login": _forever(OUT, b"Welcome! \x1b[31m\n" * 1000),
    "ssh: endless line at login": _forever(OUT, JUNK),
    "ssh: endless errors at login": _forever(ERR, JUNK),
    "ssh: login that drips": _forever(OUT, b".", 0.2),
    "ssh: errors that drip at login": _forever(ERR, b".", 0.2),
    "ssh: login with escapes": _once((ERR, HOSTILE.encode(errors="replace"))),
    "ssh: login without a user": _once((OUT, b"root\n")),
    "ssh: login of a user of 5000 digits": _once((OUT, b"1" * 5000 + b"\n")),
}

PLAIN: Mapping[str, str] = {
    "plain: endless output": "exec yes xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "plain: endless errors": "exec yes xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx >&2",
    "plain: output that drips": "while :; do printf .; sleep 0.2; done",
}
"""What a node without Python does, in a shell."""

PRINTED: Mapping[str, bytes] = {
    "plain: nothing": b"",
    "plain: garbage": b"\xff\xfe\0\0\x1b[31m" * 1000,
    "plain: modes that are no numbers": _rows("/a", "f", "rw", "1.0", "7", ""),
    "plain: times that are no numbers": _rows("/a", "f", "644", "now", "7", ""),
    "plain: times of 400 digits": _rows("/a", "f", "644", str(HUGE), str(HUGE), ""),
    "plain: sizes of 5000 digits": _rows("/a", "f", "644", "1.0", "1" * 5000, ""),
    "plain: devices that are no numbers": _rows("/dev/a", "c", "644", "1.0", "7", ""),
    "plain: too few fields": _rows("/a", "f", "644"),
}
"""What a node without Python prints, whatever it is asked."""

LOGINS: Mapping[str, Callable[[], Said]] = {
    **_LOGINS,
    **dict.fromkeys((*PLAIN, *PRINTED), _without),
}

assert EXPLORE.startswith("id -u")
