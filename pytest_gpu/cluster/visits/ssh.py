"""The line to a node over the system's OpenSSH client, with the user's own configuration.

ssh(1) always passes one text to the login shell at the other end: :func:`shlex.join` makes that
text from an argument list, here and nowhere else.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from socket import inet_aton

from pytest_gpu.cluster.visits.plain import Output, PlainStream
from pytest_gpu.cluster.visits.probe_app import BOOTSTRAP, sent_app
from pytest_gpu.cluster.visits.streams import ChildStream
from pytest_gpu.cluster.visits.visit import NoAnswer, Stream, greet
from pytest_gpu.errors import GpuError
from pytest_gpu.evidence import KubeObject
from pytest_gpu.stack.kube.objects import name_of, status_of

OPTIONS = {
    "BatchMode": "yes",  # never ask: there is nobody to answer
    "ConnectTimeout": "10",
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "3",
}
"""Options that override the user's configuration, so that everything ends."""

EXPLORE_TIME = 30.0

EXPLORE = """\
id -u
[ "$(id -u)" = 0 ] || sudo -n true || exit 9
for python in python3 /usr/libexec/platform-python; do
    command -v "$python" && exit
done
exit 0"""
"""Prints the user's ID and where Python is, after checking that the user may become root."""

MARK = "-- here it begins: 5f2c9a --"
MARKED = 'echo; echo "$0"; exec "$@"'
"""Prints a mark, then runs its arguments: some logins print something of their own first."""

_ADDRESSES = ("InternalIP", "Hostname", "ExternalIP")

_DNS_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9.-]*+(?<=[a-z0-9]))?", re.IGNORECASE | re.ASCII
)
"""A host name as RFC 1123, section 2.1 has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SshHost:
    """Where ssh connects to: a name that the user's configuration or DNS knows, or an address.

    ``options`` are further arguments of ssh, such as ``("-F", "FILE")``.
    """

    name: str
    options: tuple[str, ...] = ()

    def argv(self, *words: str) -> list[str]:
        """Return the command line of ssh that runs an argument list there."""
        given = [part for key, value in OPTIONS.items() for part in ("-o", f"{key}={value}")]
        return ["ssh", "-T", *given, *self.options, "--", self.name, shlex.join(words)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What a login can do: how it becomes root, and its Python, ``None`` if it has none."""

    sudo: tuple[str, ...]
    python: str | None


def open_ssh(host: SshHost) -> Stream:
    """Return a line to a probe on a host that has said hello, or to plain commands without Python.

    Raises:
        NoAnswer: ssh is refused, or its user may not become root there without a password.
    """
    login = explore(host)
    if login.python is not None:
        stream = _probe(host, login, login.python)
        try:
            greet(stream)
        except NoAnswer:
            # A Python that is too old, or broken.
            stream.close()
        else:
            return stream
    return _plain(host, login)


def explore(host: SshHost) -> Login:
    """Return what a login on a host can do.

    Raises:
        NoAnswer: it fails, or may not become root; the message is ssh's or sudo's own.
    """
    try:
        found = _run(host.argv("sh", "-c", EXPLORE), EXPLORE_TIME)
    except subprocess.TimeoutExpired:
        raise NoAnswer(f"ssh {host.name}: no answer within {EXPLORE_TIME:g} s") from None
    lines = found.stdout.decode(errors="replace").split()
    # A login may print a banner first: our output is at the end.
    user = next((at for at, word in enumerate(lines) if word.isdecimal()), None)
    if found.code != 0 or user is None:
        said = " ".join(found.stderr.decode(errors="replace").split())
        raise NoAnswer(f"ssh {host.name}: {said or f'exit code {found.code}'}")
    sudo = () if lines[user] == "0" else ("sudo", "-n")
    return Login(sudo=sudo, python=next(iter(lines[user + 1 :]), None))


def _probe(host: SshHost, login: Login, python: str) -> ChildStream:
    words = (*login.sudo, python, "-I", "-B", "-c", BOOTSTRAP)
    return ChildStream(host.argv(*words), sent_app())


def _plain(host: SshHost, login: Login) -> Stream:
    folder = tempfile.mkdtemp(prefix="gpu-ssh-")
    shared = replace(host, options=(*host.options, *_shared(folder)))
    before = ("sh", "-c", MARKED, MARK, *login.sudo, "env", "LC_ALL=C", "timeout", "-k", "1")

    def run(argv: Sequence[str], timeout: float) -> Output:
        try:
            done = _run(shared.argv(*before, f"{timeout:g}", *argv), timeout + EXPLORE_TIME)
        except subprocess.TimeoutExpired:
            raise GpuError(f"ssh {host.name}: no answer to {argv[0]}") from None
        _, mark, printed = done.stdout.partition(f"{MARK}\n".encode())
        if not mark:
            raise GpuError(f"ssh {host.name}: {done.said or 'the line is dead'}")
        return replace(done, stdout=printed)

    def close() -> None:
        _run(["ssh", *shared.options, "-O", "exit", "--", host.name], EXPLORE_TIME)
        shutil.rmtree(folder, ignore_errors=True)

    return PlainStream(run, close)


def _shared(folder: str) -> Iterator[str]:
    """Yield options that let many calls share one connection, which ends soon after them."""
    for setting in ("ControlMaster=auto", f"ControlPath={folder}/%C", "ControlPersist=20"):
        yield from ("-o", setting)


def _run(argv: Sequence[str], timeout: float) -> Output:
    try:
        done = subprocess.run(  # noqa: S603 - an argument list, no shell here
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
        )
    except OSError as error:
        raise NoAnswer(f"{argv[0]} cannot be started: {error.strerror}") from error
    return Output(code=done.returncode, stdout=done.stdout, stderr=done.stderr)


def host_of(node: KubeObject, options: tuple[str, ...] = ()) -> SshHost:
    """Return where ssh finds a node: its name, if the user's configuration has it.

    Otherwise the address that Kubernetes gives, the internal one first.

    Raises:
        NoAnswer: the name or the address is neither an IP address nor a DNS name, or the address
            means this machine.
    """
    name = _checked("name", name_of(node))
    if _is_configured(SshHost(name=name, options=options)):
        return SshHost(name=name, options=options)
    given = status_of(node).get("addresses") or ()
    addresses = {each.get("type"): str(each.get("address")) for each in given}
    found = next((addresses[kind] for kind in _ADDRESSES if addresses.get(kind)), name)
    if _is_this_machine(_checked("address", found)):
        raise NoAnswer(f"the Node's address {found!r} means the machine that pytest runs on")
    return SshHost(name=found, options=options)


def _checked(kind: str, value: str) -> str:
    """Return a name or address that ssh can mean one thing by.

    A kubelet writes its Node's addresses: ``root@elsewhere`` would choose the user as well, and a
    user's ``Match exec`` hands the name to a shell.
    """
    if not (_DNS_NAME.fullmatch(value) or _is_ip_address(value)):
        raise NoAnswer(f"the Node's {kind} {value!r} is neither an IP address nor a DNS name")
    return value


def _is_ip_address(value: str) -> bool:
    try:
        # Without a zone ("%eth0"): ipaddress would accept any text there.
        return not getattr(ip_address(value), "scope_id", None)
    except ValueError:
        return False


def _is_this_machine(value: str) -> bool:
    """Return whether an address means the machine that uses it, also as one number or in hex."""
    if value.lower().rpartition(".")[2] == "localhost":
        return True
    try:
        found = ip_address(inet_aton(value))
    except OSError:
        if not _is_ip_address(value):
            return False
        found = ip_address(value)
    found = getattr(found, "ipv4_mapped", None) or found
    return found.is_loopback or found.is_unspecified


def _is_configured(host: SshHost) -> bool:
    """Return whether the user's configuration redirects this name (``ssh -G`` shows it)."""
    argv = ["ssh", "-G", *host.options, "--", host.name]
    try:
        lines = _run(argv, EXPLORE_TIME).stdout.decode(errors="replace").splitlines()
    except subprocess.TimeoutExpired:
        return False
    settings = dict(line.split(" ", 1) for line in lines if " " in line)
    told = {"proxycommand", "proxyjump"} & set(settings)
    return settings.get("hostname", host.name) != host.name.lower() or bool(told)
