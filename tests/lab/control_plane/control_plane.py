"""etcd, API server, controller manager and scheduler in a network namespace of their own."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.control_plane import audit, door
from tests.lab.control_plane.api import Api, ApiError, open_api
from tests.lab.control_plane.pki import Pki, make_pki
from tests.lab.nodes.daemons import Daemon, in_network, new_network, start, wait_for
from tests.lab.parts import debian
from tests.lab.parts.programs import Programs
from tests.lab.workplace import Workplace

ADDRESS = "10.66.0.1"
BRIDGE = "br0"
INNER = f"https://{ADDRESS}:6443"
ETCD = "http://127.0.0.1:2379"
QUERIES = ("--kube-api-qps=200", "--kube-api-burst=400")


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlane:
    """A running control plane; nodes join its bridge.

    ``kubeconfig`` is the administrator's, with the API at a port of the machine's loopback.
    """

    workplace: Workplace
    programs: Programs
    pki: Pki
    network: Daemon
    kubeconfig: Path
    api: Api
    daemons: tuple[Daemon, ...]


def start_control_plane(workplace: Workplace, programs: Programs) -> ControlPlane:
    """Start a control plane and wait until its API serves.

    Args:
        workplace: where it lives.
        programs: the real programs.
    """
    pki = make_pki(workplace.folder / "pki")
    network = new_network(workplace)
    _make_bridge(network.pid)
    etcd = _start(workplace, "etcd", _etcd(workplace.folder), network)
    kubernetes = programs.kubernetes
    command = [*_apiserver(kubernetes, pki), *audit.flags(workplace.folder)]
    server = _start(workplace, "apiserver", command, network)
    port, opened = open_door(workplace, "door", network.pid, "127.0.0.1", 6443)
    kubeconfig = workplace.folder / "kubeconfig"
    kubeconfig.write_text(pki.kubeconfig("admin", f"https://127.0.0.1:{port}"))
    api = open_api(kubeconfig)
    wait_for(lambda: _ready(api), "the API server", etcd, server, opened, seconds=180)
    managers = [
        _start(workplace, name, _manager(kubernetes, pki, name), network)
        for name in ("controller-manager", "scheduler")
    ]
    return ControlPlane(
        workplace=workplace,
        programs=programs,
        pki=pki,
        network=network,
        kubeconfig=kubeconfig,
        api=api,
        daemons=(etcd, server, opened, *managers),
    )


def open_door(
    workplace: Workplace, name: str, pid: int, host: str, port: int
) -> tuple[int, Daemon]:
    """Open a free port of the machine's loopback into the network namespace of a process.

    Returns:
        The port, and the process that serves it.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        argv = [
            sys.executable,
            "-I",
            door.__file__,
            str(listener.fileno()),
            str(pid),
            host,
            str(port),
        ]
        opened = start(workplace, workplace.log(name), argv, pass_fds=(listener.fileno(),))
        return listener.getsockname()[1], opened


def _start(workplace: Workplace, name: str, argv: Sequence[str], network: Daemon) -> Daemon:
    return start(workplace, workplace.log(name), argv, network.pid)


def _make_bridge(pid: int) -> None:
    in_network(pid, "ip", "link", "add", BRIDGE, "type", "bridge")
    in_network(pid, "ip", "address", "add", f"{ADDRESS}/24", "dev", BRIDGE)
    in_network(pid, "ip", "link", "set", BRIDGE, "up")
    in_network(pid, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")


def _ready(api: Api) -> bool:
    try:
        return bool(api.get("/readyz") == "ok")
    except (OSError, ApiError):
        return False


def _etcd(folder: Path) -> list[str]:
    program = debian.unpacked("etcd", "bookworm", "etcd-server") / "usr/bin/etcd"
    peers = "http://127.0.0.1:2380"
    return [
        str(program),
        f"--data-dir={folder / 'etcd'}",
        *(f"--listen-client-urls={ETCD}", f"--advertise-client-urls={ETCD}"),
        f"--listen-peer-urls={peers}",
        "--unsafe-no-fsync",
    ]


def _apiserver(programs: Path, pki: Pki) -> list[str]:
    headers = [
        f"--requestheader-{name}"
        for name in (
            f"client-ca-file={pki.certificate('ca')}",
            "allowed-names=front-proxy-client",
            "username-headers=X-Remote-User",
            "group-headers=X-Remote-Group",
            "extra-headers-prefix=X-Remote-Extra-",
        )
    ]
    return [
        str(programs / "kube-apiserver"),
        f"--etcd-servers={ETCD}",
        *("--bind-address=0.0.0.0", "--secure-port=6443", f"--advertise-address={ADDRESS}"),
        "--service-cluster-ip-range=10.96.0.0/16",
        f"--cert-dir={pki.folder}",
        f"--tls-cert-file={pki.certificate('apiserver')}",
        f"--tls-private-key-file={pki.key('apiserver')}",
        f"--client-ca-file={pki.certificate('ca')}",
        f"--kubelet-client-certificate={pki.certificate('apiserver-kubelet')}",
        f"--kubelet-client-key={pki.key('apiserver-kubelet')}",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki.folder / 'service-accounts.pub'}",
        f"--service-account-signing-key-file={pki.key('service-accounts')}",
        *("--authorization-mode=Node,RBAC", "--allow-privileged=true"),
        *headers,
        f"--proxy-client-cert-file={pki.certificate('front-proxy')}",
        f"--proxy-client-key-file={pki.key('front-proxy')}",
    ]


def _manager(programs: Path, pki: Pki, name: str) -> list[str]:
    kubeconfig = pki.folder / f"{name}.kubeconfig"
    kubeconfig.write_text(pki.kubeconfig(name, "https://127.0.0.1:6443"))
    common = [f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--bind-address=127.0.0.1"]
    argv = [str(programs / f"kube-{name}"), *common, *QUERIES]
    return argv if name == "scheduler" else [*argv, *_controllers(pki)]


def _controllers(pki: Pki) -> list[str]:
    return [
        f"--service-account-private-key-file={pki.key('service-accounts')}",
        f"--root-ca-file={pki.certificate('ca')}",
        f"--cluster-signing-cert-file={pki.certificate('ca')}",
        f"--cluster-signing-key-file={pki.key('ca')}",
        "--use-service-account-credentials=true",
        *("--allocate-node-cidrs=true", "--cluster-cidr=10.244.0.0/16"),
        "--service-cluster-ip-range=10.96.0.0/16",
    ]
