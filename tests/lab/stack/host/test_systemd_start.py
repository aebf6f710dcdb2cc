"""A real systemd starts services of many shapes: each gets the arguments that we computed."""

from __future__ import annotations

import json
import random
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pytest_gpu.stack.host.systemd_unit import service
from tests.lab.conftest import leave_out
from tests.lab.nodes import node_init
from tests.lab.nodes.cgroups import Cgroup
from tests.lab.nodes.daemons import start, wait_for
from tests.lab.nodes.systemd_units import write_units
from tests.lab.parts import debian
from tests.lab.workplace import open_workplace
from tests.support.fake_evidence import FakeNode

CASES = 120
NAMES = tuple(f"case-{number:03}" for number in range(CASES))
FOLDERS = ("etc/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system")
SHOW = """/bin/sh -c 'for a; do printf "<%%s>" "$$a"; done' sh"""
WORDS = (
    *("$A", "${A}", "x${B}y", "$B", "${NONE}", "$NONE", "$$A", "--v=$A", "${A}${B}", "$C", "${C}"),
    *('"$A"', "'${B} c'", '"a b"', "--x='q r'", r"\x41\tb", r"\101", r"a\sb", "$$", "a$$b", "$1"),
)
VALUES = ('"1 2"', "'p q'", '""', "plain", r'"a\"b"', "\"x 'y z' w\"", r"back\\slash", '"it\'s"')
LINES = (
    *(
        "A=1 2  ",
        'A="q \\"r\\" $B"',
        "A='s t' u",
        "B=\\\n  more",
        "#A=no",
        "B=x # y",
        "C='",
        "C=a'b",
    ),
    *('A=""', 'C="two\nlines"', r"B=a\ b", r'C="c\d\$e"', "export A=no", "A =sp", "B= lead"),
)


def files_of(name: str, chance: random.Random) -> dict[str, str]:
    """Return the files of one service, some of them drop-ins and files of environment."""

    def command() -> str:
        words = [chance.choice(WORDS) for _ in range(chance.randrange(6))]
        return " ".join([f"ExecStart={SHOW}", *words]) + "\n"

    def settings() -> str:
        pairs = (f"{chance.choice('ABC')}={chance.choice(VALUES)}" for _ in range(2))
        return "".join(f"Environment={_outside_quotes(pair)}\n" for pair in pairs)

    fixed = f"[Service]\nType=oneshot\nStandardOutput=file:/var/log/{name}\n"
    environment = f"EnvironmentFile=-/etc/{name}.env\nEnvironmentFile=-/etc/{name}.d/*.env\n"
    unit = f"[Unit]\nDefaultDependencies=no\n{fixed}{settings()}{environment}{command()}"
    found = {f"{chance.choice(FOLDERS[1:])}/{name}.service": unit}
    for file in chance.sample(("10-a", "20-b", "30-c"), chance.randrange(4)):
        text = chance.choice((settings(), "ExecStart=\n" + command(), "EnvironmentFile=\n"))
        found[f"{chance.choice(FOLDERS)}/{name}.service.d/{file}.conf"] = f"[Service]\n{text}"
    for place in chance.sample((f"{name}.env", f"{name}.d/1.env", f"{name}.d/2.env"), 2):
        found[f"etc/{place}"] = "\n".join(chance.sample(LINES, 3)) + "\n"
    return found


def _outside_quotes(pair: str) -> str:
    """Return an assignment as Environment= takes it: the quotes around the whole."""
    name, _, value = pair.partition("=")
    return f"{value[0]}{name}={value[1:]}" if value[0] in "\"'" else pair


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    """Return all files of all cases, by path below the root."""
    chance = random.Random(20)  # noqa: S311 - the same cases every time
    return {path: text for name in NAMES for path, text in files_of(name, chance).items()}


@pytest.fixture(scope="module")
def given(written: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """Start a systemd that starts all cases; return what each of them got."""
    try:
        debian.require_debian()
        place = open_workplace()
    except debian.Missing as missing:
        leave_out(f"a machine with systemd: {missing}")
    folder = place.folder / "systemd"
    for name in ("upper", "work", "root", "log"):
        (folder / name).mkdir(parents=True)
    write_units(folder / "upper", {})
    wants = " ".join(f"{name}.service" for name in NAMES)
    last = f"[Unit]\nDefaultDependencies=no\nAfter={wants}\n[Service]\nType=oneshot\n"
    target = f"[Unit]\nDefaultDependencies=no\nAllowIsolate=yes\nWants=last.service {wants}\n"
    texts = {
        **written,
        "etc/systemd/system/node.target": target,
        "etc/systemd/system/last.service": f"{last}ExecStart=/bin/touch /var/log/last\n",
    }
    for path, text in texts.items():
        file = folder / "upper" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    spec = {
        "name": "systemd",
        "folder": str(folder),
        "systemd": True,
        "devices": [],
        "environment": {"PATH": "/usr/bin:/usr/sbin", "container": "lab"},
        "daemons": {},
        "binds": {"/var/log": str(folder / "log")},
    }
    (folder / "spec.json").write_text(json.dumps(spec))
    group = Cgroup(name=f"{place.cgroup.name}/systemd")
    group.create()
    kinds = ("--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup")
    program = ["/usr/bin/python3", "-I", node_init.__file__, str(folder / "spec.json")]
    argv = ["unshare", *kinds, "--fork", "--kill-child", "--", *program]
    outer = start(place, folder / "init.log", group.joined(argv), stdin=subprocess.PIPE)
    try:
        assert outer.process.stdin
        outer.process.stdin.write(b"go\n")
        outer.process.stdin.flush()
        log = folder / "log"
        wait_for((log / "last").exists, "systemd to start all services", outer, seconds=180)
        yield {name: (log / name).read_text() for name in NAMES if (log / name).exists()}
    finally:
        place.close()


def ours(name: str, written: Mapping[str, str]) -> str:
    """Return what we say that a service gets, as it shows its arguments."""
    files = {f"/{path}": text for path, text in written.items()}
    folders = {str(Path(path).parent) for path in files} | {f"/{each}" for each in FOLDERS}
    absent = ["/run/systemd/system", "/lib/systemd/system"]
    node = FakeNode(files=files, complete=[*folders, "/etc"], absent=absent)
    found = service(node, name)
    assert found.unread == ()
    return "".join(f"<{word}>" for word in found.argv[4:])


def test_every_service_gets_the_arguments_that_we_say(
    given: Mapping[str, str], written: Mapping[str, str]
) -> None:
    """Variables in every form, quotes, escapes, drop-ins of several folders, files by pattern."""
    different = {
        name: (ours(name, written), text)
        for name, text in given.items()
        if ours(name, written) != text
    }
    assert different == {}
    assert len(given) == CASES
    assert sum(bool(re.search("<.*><", text)) for text in given.values()) > CASES / 3
