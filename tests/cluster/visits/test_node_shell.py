"""Shells on nodes: this machine, ssh, ssh without Python. The ssh client here is a stand-in.

It does what sshd does with the one text it gets, and nothing else: a login shell runs it.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.cluster.visits.bounded import Output
from pytest_gpu.cluster.visits.node_shell import NodeShell, ProbeShell, Shells, open_shell
from pytest_gpu.cluster.visits.plain import PlainStream
from pytest_gpu.cluster.visits.seen import SeenNode
from pytest_gpu.cluster.visits.ssh import SshHost, explore, host_of, open_ssh
from pytest_gpu.cluster.visits.streams import LocalStream
from pytest_gpu.cluster.visits.visit import NoAnswer, Stream, drive
from pytest_gpu.errors import GpuError, NotInEvidence, Unproven
from pytest_gpu.evidence import Door, KubeObject
from tests.probe.probing import OLDEST, python
from tests.support.fake_evidence import FakeCluster, node_object
from tests.support.runs import run_here

SSH = """\
#!/bin/sh
case "$*" in *"-O exit"*) exit;; esac
[ "$1" = -G ] && { echo "hostname ${4:-$3}"; exit; }
for text; do :; done
case "$*" in *refused*) echo "ssh: connect to host refused port 22: Connection refused" >&2
    exit 255;; esac
echo "Welcome to this host"
PATH=FOLDER/bin
export PATH
exec /bin/sh -c "$text"
"""

TOOLS = ["base64", "env", "find", "head", "id", "sh", "sleep", "stat", "tail", "timeout", "uname"]


@pytest.fixture(params=["python", "python of the oldest version", "no python"])
def remote(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> SshHost:
    """Return a host behind ssh: with Python, with an old one, without any."""
    login(tmp_path, monkeypatch)
    if request.param != "no python":
        version = "current" if request.param == "python" else OLDEST
        interpreter = tmp_path / "bin" / "python3"
        interpreter.write_text(f'#!/bin/sh\nexec {python(version)} "$@"\n')
        interpreter.chmod(0o755)
    return SshHost(name="gpu-1")


def login(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a stand-in for ssh on PATH, whose host has no programs but a few."""
    programs = folder / "bin"
    programs.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found, name
        (programs / name).symlink_to(found)
    sudo = programs / "sudo"
    sudo.write_text('#!/bin/sh\n[ "$1" = -n ] && shift\nexec "$@"\n')
    sudo.chmod(0o755)
    (programs / "true").symlink_to("/bin/true")
    client = folder / "client"
    client.mkdir()
    (client / "ssh").write_text(SSH.replace("FOLDER", str(folder)))
    (client / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(client), prepend=os.pathsep)


@pytest.fixture
def shell(remote: SshHost) -> Iterator[NodeShell]:
    """Return a shell on the host behind ssh."""
    shell = ProbeShell(lambda: _greeted(remote))
    yield shell
    shell.close()


def _greeted(remote: SshHost) -> Stream:
    return open_ssh(remote)


def test_arguments_arrive_as_they_are(shell: NodeShell) -> None:
    """Quotes, blanks, dollars, semicolons, new lines: no shell ever reads them."""
    nasty = "a b'c\"d$HOME;id\n`id`*\\"
    result = shell.run(["env", f"X={nasty}", "sh", "-c", 'printf %s "$X"'])
    assert (result.exit, result.stdout) == (0, nasty)
    assert result.argv[1] == f"X={nasty}"
    assert result.duration is not None


def test_exit_code_and_errors(shell: NodeShell) -> None:
    """Both come back; a program that is not there is 127."""
    result = shell.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (result.exit, result.stdout, result.stderr) == (3, "out\n", "err\n")
    assert shell.run(["no-such-program"]).exit == 127


def test_command_that_takes_too_long(shell: NodeShell) -> None:
    """It is killed, with exit code 124."""
    assert shell.run(["sleep", "30"], timeout=0.5).exit == 124


def test_files(shell: NodeShell, tmp_path: Path) -> None:
    """Bytes, existence, patterns; what is not there is said so."""
    (tmp_path / "a.toml").write_bytes(b"\0\xffbytes\n")
    (tmp_path / "b.toml").symlink_to("/nowhere")
    assert shell.read(f"{tmp_path}/a.toml") == b"\0\xffbytes\n"
    assert shell.exists(f"{tmp_path}/b.toml")
    assert not shell.exists(f"{tmp_path}/c.toml")
    assert shell.glob(f"{tmp_path}/*.toml") == (f"{tmp_path}/a.toml", f"{tmp_path}/b.toml")
    with pytest.raises(FileNotFoundError):
        shell.read(f"{tmp_path}/c.toml")
    with pytest.raises(GpuError):
        shell.read(str(tmp_path))


def test_visit_over_ssh(remote: SshHost) -> None:
    """The same survey; without Python all that needs none."""
    stream = open_ssh(remote)
    node = SeenNode("gpu-1", Door(kind="ssh"))
    drive(stream, node, FakeCluster(objects={"nodes": [node_object()]}))
    stream.close()
    assert node.read("/proc/version") == Path("/proc/version").read_bytes()
    assert "null" in (node.names("/dev") or ())
    null = node.entry("/dev/null")
    assert null is not None
    assert (null.kind, null.device) == ("char", (1, 3))
    assert ("uname", "-r") in [each.argv for each in node.commands]
    if explore(remote).python is None:
        with pytest.raises(NotInEvidence):
            _ = node.nvml


def test_host_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is ssh's own."""
    login(tmp_path, monkeypatch)
    with pytest.raises(NoAnswer, match="Connection refused"):
        open_ssh(SshHost(name="refused"))
    with pytest.raises(Unproven, match="Connection refused"):
        ProbeShell(lambda: open_ssh(SshHost(name="refused"))).run(["id"])


def test_user_that_may_not_become_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is sudo's own: nothing half is looked at."""
    login(tmp_path, monkeypatch)
    for name, text in (
        ("id", "echo 1000"),
        ("sudo", "echo sudo: a password is required >&2; false"),
    ):
        (tmp_path / "bin" / name).unlink()
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    with pytest.raises(NoAnswer, match="a password is required"):
        open_ssh(SshHost(name="gpu-1"))


def test_user_who_is_not_root_goes_through_sudo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With -n: it never asks."""
    login(tmp_path, monkeypatch)
    (tmp_path / "bin" / "id").unlink()
    (tmp_path / "bin" / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "bin" / "id").chmod(0o755)
    assert explore(SshHost(name="gpu-1")).sudo == ("sudo", "-n")


def test_command_line_of_ssh() -> None:
    """Never asks, always ends, and a name is never taken for an option."""
    argv = SshHost(name="gpu-1", options=("-F", "file")).argv("cat", "/a b")
    assert argv[:2] == ["ssh", "-T"]
    assert {"BatchMode=yes", "ConnectTimeout=10"} <= set(argv)
    assert argv[-5:] == ["-F", "file", "--", "gpu-1", "cat '/a b'"]


@pytest.mark.parametrize(
    ("told", "addresses", "name"),
    [
        ("10.9.9.9", {"InternalIP": "10.0.0.1"}, "gpu-1"),
        ("gpu-1", {"ExternalIP": "1.2.3.4", "InternalIP": "10.0.0.1"}, "10.0.0.1"),
        ("gpu-1", {"ExternalIP": "1.2.3.4"}, "1.2.3.4"),
        ("gpu-1", {}, "gpu-1"),
    ],
)
def test_where_ssh_goes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    told: str,
    addresses: dict[str, str],
    name: str,
) -> None:
    """By the node's name if the user's configuration has one, else by its address."""
    client = tmp_path / "ssh"
    client.write_text(f"#!/bin/sh\necho user me\necho hostname {told}\n")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    node = node_object("gpu-1")
    node["status"]["addresses"] = [{"type": k, "address": v} for k, v in addresses.items()]
    assert host_of(node).name == name


@pytest.mark.parametrize(
    "address",
    ["root@elsewhere", "-oProxyCommand=id", "a b", "$(id)", "fe80::1%$(id)", "a.", "x" * 254, "ä"],
)
@pytest.mark.usefixtures("no_ssh")
def test_ssh_takes_addresses_and_dns_names_only(address: str) -> None:
    """A kubelet writes its Node's addresses: they must not choose user, options or commands."""
    node = node_object("gpu-1")
    node["status"]["addresses"] = [{"type": "InternalIP", "address": address}]
    with pytest.raises(NoAnswer, match=r"Node's address .* neither an IP address nor a DNS name"):
        host_of(node)
    with pytest.raises(NoAnswer, match=r"Node's name .* neither an IP address nor a DNS name"):
        host_of(node_object(address))


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.9.9.9", "127.1", "2130706433", "0x7f.1", "0.0.0.0", "0"),  # noqa: S104 - an address of a node
        *("::1", "::", "::ffff:127.0.0.1", "localhost", "LOCALHOST", "x.localhost"),
    ],
)
@pytest.mark.usefixtures("no_ssh")
def test_ssh_does_not_go_to_this_machine(address: str) -> None:
    """A kubelet must not get its commands run as root on the admin's own machine."""
    node = node_object("gpu-1")
    node["status"]["addresses"] = [{"type": "InternalIP", "address": address}]
    with pytest.raises(NoAnswer, match="means the machine that pytest runs on"):
        host_of(node)


@pytest.mark.parametrize("address", ["10.0.0.7", "fd00::7", "Gpu-1.Example.com", "7", "x" * 253])
@pytest.mark.usefixtures("no_ssh")
def test_addresses_and_dns_names_that_ssh_takes(address: str) -> None:
    """Both kinds of IP address, and names as RFC 1123 has them."""
    node = node_object("gpu-1")
    node["status"]["addresses"] = [{"type": "InternalIP", "address": address}]
    assert host_of(node).name == address


@pytest.fixture
def no_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put an ssh first that redirects no host."""
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\n", encoding="utf-8")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)


def test_shell_on_this_machine(tmp_path: Path) -> None:
    """Without any client."""
    shell = open_shell("local", node_object())
    try:
        assert shell.run(["uname", "-s"]).stdout == "Linux\n"
        assert shell.exists("/proc/version")
    finally:
        shell.close()
    with pytest.raises(GpuError, match="'telnet' is not a way into a node"):
        open_shell("telnet", node_object())


def test_shells_of_a_run() -> None:
    """One a node, closed at the end; none into a recording."""
    door = Door(kind="local")
    with Shells("local", None) as shells:
        assert shells.of(node_object("a"), door) is shells.of(node_object("a"), door)
    for cluster, kind in (("sample:healthy-rke2", "ssh"), ("local", "none"), ("local", "pod")):
        with Shells(cluster, kind) as shells, pytest.raises(Unproven, match="way into"):
            shells.of(node_object("a"), door)


def test_shells_of_a_live_cluster() -> None:
    """The live door has them; what it cannot open is unproven."""
    door = Door(kind="pod")
    shell = ProbeShell(LocalStream)

    class Live:
        def shell(self, node: KubeObject, door: Door) -> ProbeShell:
            if door.kind == "none":
                raise GpuError("there is no way into a: the pod did not start")
            return shell

    with Shells("context:x", None, Live()) as shells:
        assert shells.of(node_object("a"), door) is shell
        with pytest.raises(Unproven, match="the pod did not start"):
            shells.of(node_object("a"), Door(kind="none"))


def test_fixture(pytester: pytest.Pytester) -> None:
    """A user's test gets a shell on this machine; on a recording it is unproven."""
    pytester.makepyfile(
        """
        import pytest
        from pytest_gpu import Layer

        pytestmark = pytest.mark.gpu_layer(Layer.ACCESS)

        def test_kernel(gpu_node, node_shell):
            '''The kernel is Linux.'''
            assert node_shell.run(["uname", "-s"]).stdout == "Linux\\n"
        """
    )
    options = ("-p", "no:cacheprovider", "-p", "no:randomly", "-rA")
    result = run_here(pytester, "--gpu-cluster=local", *options, "test_fixture.py")
    result.assert_outcomes(passed=1)
    result = run_here(pytester, "--gpu-cluster=sample:healthy-rke2", "test_fixture.py")
    result.stdout.fnmatch_lines(["*no way into*recorded*"])
    assert result.ret == 1
    wrong = run_here(pytester, "--gpu-cluster=local", "--gpu-node-shell=telnet")
    wrong.stderr.fnmatch_lines(["*--gpu-node-shell: telnet: is not a way into a node*"])


FOLDER = ("/a/.", "d", "755", "1.0", "7", "")


def answers(printed: str) -> list[dict[str, Any]]:
    """Return what a node without Python says of a folder and a file, where commands print this."""
    done = Output(code=0, stdout=printed.encode(), stderr=b"")
    stream = PlainStream(lambda argv, timeout: done, lambda: None)
    stream.send(b'{"round": 1, "list": ["/a"], "stat": ["/a/b"]}\n')
    return [json.loads(line) for line in stream.lines(time.monotonic() + 20)][:2]


@pytest.mark.parametrize("row", [["rw", "1.0", "7"], ["644", "now", "7"], ["644", "1", "1" * 5000]])
def test_metadata_that_makes_no_sense_is_unknown(row: list[str]) -> None:
    """A node without Python prints it; an exception would cost every node."""
    printed = "\0".join([*FOLDER, "/a/b", "f", *row, "", ""])
    listed, stat = answers(printed)
    assert listed["entries"] == {"b": None}
    assert "entry" not in stat


def test_no_answer_is_no_empty_folder() -> None:
    """Who prints nothing was not find; else the node would have no GPU."""
    listed, stat = answers("")
    assert "entries" not in listed
    assert listed["error"] == stat["error"] == "no answer"
    assert answers("\0".join([*FOLDER, ""]))[0]["entries"] == {}
