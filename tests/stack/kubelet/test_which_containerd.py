"""From the kubelet's socket to the containerd behind it, and every other runtime beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.cluster.visits.seen import SeenNode
from pytest_gpu.cluster.visits.visit import drive
from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.evidence import Door
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.stack.host.processes import Process, root_mount, running
from pytest_gpu.stack.kubelet.containerd import others
from pytest_gpu.stack.kubelet.listeners import (
    config_path,
    is_served,
    listener,
    socket_of,
    told_socket,
)
from pytest_gpu.stack.runtime import check_cri, check_handler, check_serving
from pytest_gpu.survey.survey import MAX_ROUNDS
from pytest_gpu.survey.wishes import WishingCluster
from tests.samples.sample_copy import SampleCopy
from tests.samples.sample_table import KUBEADM
from tests.stack.runtime.runtime_machine import SOCKET, Machine, process
from tests.stack.runtime.test_check_runtime import text_of
from tests.support.changes import entry, gpu_node, process_of, set_cmdline
from tests.support.fake_evidence import FakeCluster, FakeNode, node_object
from tests.support.replay import Replay

HOST_ROOT = (
    "22 1 259:1 / / rw shared:1 - ext4 /dev/root rw\n30 22 0:5 / /dev rw - devtmpfs udev rw\n"
)
OVERLAY = "700 1 0:88 / / rw - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/A\n"
K3S = "/var/lib/rancher/k3s/data/1ab2/bin/k3s"


def evidence(
    processes: Mapping[int, str], sockets: Mapping[int, str] | None = None, **more: Any
) -> FakeNode:
    """Return a node with these processes; ``sockets`` are the paths that some listen on, by PID."""
    files: dict[str, str] = dict(more.get("files") or {})
    links: dict[str, str] = {}
    sockets = sockets or {}
    for pid, argv in processes.items():
        folder = process(pid, argv, pid if pid in sockets else None)
        files, links = files | folder["files"], links | folder["links"]
        if ticks := (more.get("ticks") or {}).get(pid):
            stat = files[f"/proc/{pid}/stat"]
            files[f"/proc/{pid}/stat"] = stat.replace(" 100 0 0", f" {ticks} 0 0")
    lines = [f"0: 2 0 00010000 1 1 {pid} {path}\n" for pid, path in sockets.items()]
    files["/proc/net/unix"] = "Num\n" + "".join(lines)
    fds = [f"/proc/{pid}/fd" for pid in processes]
    return FakeNode(
        files=files,
        links=links | dict(more.get("links") or {}),
        complete=["/proc", "/etc/containerd", *fds],
        absent=more.get("absent", ()),
    )


class Unread(FakeNode):
    """Evidence of the same node, of which one file was not read."""

    def __init__(self, node: FakeNode, path: str) -> None:
        vars(self).update(vars(node))
        self._unread = path

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes, but not those."""
        if path == self._unread:
            raise NotInEvidence(self.name, path)
        return super().read(path)


def namespaces(pid: int, *, net: bool = False, mounts: bool = False) -> dict[str, str]:
    """Return links of a process and of PID 1: namespaces of its own, or the same."""
    found = {"/proc/1/ns/net": "net:[1]", "/proc/1/ns/mnt": "mnt:[2]"}
    found[f"/proc/{pid}/ns/net"] = "net:[9]" if net else "net:[1]"
    found[f"/proc/{pid}/ns/mnt"] = "mnt:[9]" if mounts else "mnt:[2]"
    return found


def behind(node: FakeNode, socket: str = SOCKET) -> int | None:
    """Return the PID of the containerd behind a socket."""
    found = listener(socket, running(node), node)
    return found.pid if found else None


def test_of_two_processes_the_one_that_has_the_socket_open() -> None:
    """Neither the lower PID decides nor what the command lines say."""
    argvs = {7: "/usr/bin/containerd", 9: "/opt/bin/containerd --config /opt/config.toml"}
    assert behind(evidence(argvs, {7: "/run/other.sock", 9: SOCKET})) == 9
    assert behind(evidence(argvs, {7: SOCKET, 9: "/run/other.sock"})) == 7


@pytest.mark.parametrize(("ticks", "younger"), [({7: 100, 9: 900}, 9), ({7: 900, 9: 100}, 7)])
def test_the_younger_of_two_that_have_the_path_open(ticks: dict[int, int], younger: int) -> None:
    """While one ends and another one begins, both hold a socket of the same path."""
    argvs = dict.fromkeys(ticks, "/usr/bin/containerd")
    files = {"/proc/stat": "btime 1000\n"}
    node = evidence(argvs, dict.fromkeys(ticks, SOCKET), files=files, ticks=ticks)
    assert behind(node) == younger


@pytest.mark.parametrize("bound", ["/var/run/containerd/containerd.sock", SOCKET])
def test_links_lead_to_the_same_socket(bound: str) -> None:
    """/var/run is a link to /run nearly everywhere, and /proc/net/unix shows what was asked for."""
    node = evidence({7: "/usr/bin/containerd"}, {7: bound}, links={"/var/run": "/run"})
    assert behind(node) == 7
    assert behind(evidence({7: "/usr/bin/containerd"}, {7: "@containerd"}), "@containerd") == 7


def test_a_listener_that_nobody_recognises_is_unknown() -> None:
    """A proxy of the CRI, perhaps: that no containerd listens would be wrong."""
    node = evidence({7: "/usr/bin/nri-proxy", 9: "/usr/bin/containerd"}, {7: SOCKET, 9: "/run/x"})
    with pytest.raises(NotInEvidence, match=SOCKET):
        behind(node)
    assert behind(evidence({9: "/usr/bin/containerd"}, {9: "/run/x"})) is None
    with pytest.raises(NotInEvidence, match=SOCKET):
        behind(evidence({7: "/usr/bin/nri-proxy"}, {7: SOCKET}))


@pytest.mark.parametrize(
    ("argv", "exe", "config", "socket"),
    [
        ("containerd", "/usr/bin/containerd", "/etc/containerd/config.toml", SOCKET),
        ("containerd --config=/a.toml -a /a.sock", "/usr/bin/containerd", "/a.toml", "/a.sock"),
        ("containerd -c /b.toml --address /b.sock", "/usr/bin/containerd", "/b.toml", "/b.sock"),
        (
            "containerd",
            K3S,
            "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
            "/run/k3s/containerd/containerd.sock",
        ),
        (
            "containerd -c /var/lib/rancher/rke2/agent/etc/containerd/config.toml",
            "/var/lib/rancher/rke2/data/v1/bin/containerd (deleted)",
            "/var/lib/rancher/rke2/agent/etc/containerd/config.toml",
            "/run/k3s/containerd/containerd.sock",
        ),
    ],
)
def test_what_a_containerd_was_started_with(argv: str, exe: str, config: str, socket: str) -> None:
    """Its flags, else the folder of k3s or RKE2 that its program lies in, else the defaults."""
    found = Process(pid=7, argv=tuple(argv.split()), exe=exe)
    node = FakeNode(absent=["/etc/containerd/config.toml", "/a.toml"])
    assert (config_path(found), told_socket(found, node)) == (config, socket)


@pytest.mark.parametrize(
    ("text", "more", "socket"),
    [
        ('[grpc]\nuid = 0\n[debug]\naddress = "/run/debug.sock"\n', "", SOCKET),
        ('grpc.address = "/run/x.sock"\n', "", "/run/x.sock"),
        ('[grpc]\n# address = "/a"\naddress = "/run/y.sock"\n', "", "/run/y.sock"),
        ('[grpc]\naddress = "/run/x.sock"\n', '[grpc]\naddress = "/run/z.sock"\n', "/run/z.sock"),
        ('[grpc]\naddress = "/run/x.sock"\n', '[grpc]\naddress = ""\n', "/run/x.sock"),
    ],
)
def test_the_socket_that_files_tell(text: str, more: str, socket: str) -> None:
    """By the tables and imports as containerd merges them, not by the next line of that name."""
    files = {"/etc/containerd/config.toml": f'version = 2\nimports = ["more.toml"]\n{text}'}
    files["/etc/containerd/more.toml"] = f"version = 2\n{more}"
    found = Process(pid=7, argv=("/usr/bin/containerd",), exe="/usr/bin/containerd")
    assert told_socket(found, FakeNode(files=files)) == socket


@pytest.mark.parametrize(
    ("open_ones", "socket"),
    [
        (["/run/own.sock", "/run/own.sock.ttrpc"], "/run/own.sock"),
        (["/run/a-debug.sock", "/run/x.sock"], "/run/x.sock"),
        (["/run/one.sock", "/run/two.sock"], "/run/one.sock"),
        ([], "/run/x.sock"),
    ],
)
def test_an_open_socket_counts_before_what_files_tell(open_ones: list[str], socket: str) -> None:
    """A file may have been changed since the start; of several, the one that was told."""
    files = {"/etc/containerd/config.toml": '[grpc]\naddress = "/run/x.sock"\n'}
    argv = ("/usr/bin/containerd",)
    found = Process(pid=7, argv=argv, exe=argv[0], sockets=frozenset(open_ones))
    assert socket_of(found, FakeNode(files=files)) == socket


def test_who_listens_is_unknown_where_nobody_looked_at_the_sockets() -> None:
    """A containerd that was told another socket proves nothing about this one."""
    argvs = {1: "/sbin/init", 7: "/usr/bin/containerd --address /run/other.sock"}
    node = evidence(argvs)
    assert listener(SOCKET, running(node), node) is None, "all was looked at"
    assert not is_served(SOCKET, running(node), node)
    unread = Unread(node, "/proc/net/unix")
    for ask in (listener, is_served):
        with pytest.raises(NotInEvidence, match="who listens on"):
            ask(SOCKET, running(unread), unread)
    alone = Unread(evidence({1: "/sbin/init"}), "/proc/net/unix")
    assert listener(SOCKET, running(alone), alone) is None, "no containerd runs at all"


def test_a_kind_node_beside_is_another_machine() -> None:
    """Its containerd has the usual paths, in a container with a network of its own."""
    argvs = {1: "/sbin/init", 9: "/usr/local/bin/containerd"}
    assert behind(evidence(argvs)) == 9
    node = evidence(argvs, links=namespaces(9, net=True, mounts=True))
    assert behind(node) is None
    (kind,) = [each for each in running(node) if each.pid == 9]
    assert kind.foreign


@pytest.mark.parametrize(("theirs", "own_root"), [(OVERLAY, True), (HOST_ROOT, False)])
def test_mounts_of_its_own_and_files_of_its_own(theirs: str, own_root: bool) -> None:
    """A unit with PrivateTmp= sees the node's files; a container sees others under their names."""
    files = {"/proc/1/mountinfo": HOST_ROOT, "/proc/9/mountinfo": theirs}
    argvs = {1: "/sbin/init", 9: "/usr/bin/containerd --config /etc/x.toml"}
    links = namespaces(9, mounts=True)
    node = evidence(argvs, {9: SOCKET}, files=files, links=links)
    (found,) = [each for each in running(node) if each.pid == 9]
    assert (found.foreign, found.own_root) == (False, own_root)


def test_root_mount_is_the_last_one_at_the_root() -> None:
    """What was mounted over it later is what paths lead into."""
    assert root_mount(f"{OVERLAY}{HOST_ROOT}") == ("259:1", "/")
    assert root_mount("") is None
    assert root_mount("no such columns\n") is None


def around(node: FakeNode) -> GpuNode:
    """Return a GPU node with this evidence and a Node object that is Ready."""
    objects = {"nodes": [node_object("gpu-1")], "daemonsets": [], "pods": []}
    return GpuNode("gpu-1", FakeCluster(nodes={"gpu-1": node}, objects=objects))


KUBELET = f"/usr/bin/kubelet --container-runtime-endpoint=unix://{SOCKET}"


def test_a_containerd_with_files_of_its_own_is_unproven() -> None:
    """Its configuration is not the node's file of that name, which must not be judged for it."""
    files = {"/proc/1/mountinfo": HOST_ROOT, "/proc/9/mountinfo": OVERLAY}
    files["/etc/containerd/config.toml"] = "not read { at all"
    argvs = {1: "/sbin/init", 5: KUBELET, 9: "/usr/bin/containerd"}
    node = around(evidence(argvs, {9: SOCKET}, files=files, links=namespaces(9, mounts=True)))
    with pytest.raises(Unproven, match="root file system of its own"):
        check_cri.unreadable(node)
    argvs[9] = "/snap/microk8s/9/bin/containerd --config /var/snap/microk8s/9/args/containerd.toml"
    files["/var/snap/microk8s/9/args/containerd.toml"] = "version = 2\n"
    snap = around(evidence(argvs, {9: SOCKET}, files=files, links=namespaces(9, mounts=True)))
    assert check_cri.unreadable(snap) is None, "a confined snap sees the node's own /var/snap"


def test_every_runtime_is_named_with_what_it_serves() -> None:
    """The kubelet's, Docker's, one that nobody is known to use, one of a node inside this one."""
    argvs = {
        1: "/sbin/init",
        5: KUBELET,
        7: "/usr/bin/containerd",
        8: "/usr/bin/dockerd --containerd=/run/docker.sock/containerd.sock --config-file=/o.json",
        9: "/opt/containerd --config /o.toml",
        10: "/usr/local/bin/containerd",
        11: "/usr/bin/crio",
        12: "/usr/bin/cri-dockerd",
        13: "/usr/bin/containerd --config /free.toml",
    }
    sockets = {
        7: SOCKET,
        9: "/run/docker.sock/containerd.sock",
        11: "/run/crio/crio.sock",
        13: "/run/free.sock",
    }
    node = around(evidence(argvs, sockets, links=namespaces(10, net=True)))
    lines = {each.process.pid: str(each) for each in node.runtimes}
    assert lines == {
        7: f"containerd on {SOCKET}, configuration /etc/containerd/config.toml; serves the kubelet",
        8: "Docker, configuration /o.json; serves its own users",
        9: "containerd on /run/docker.sock/containerd.sock, configuration /o.toml; serves Docker",
        10: "containerd; serves a node inside this one, with a network of its own",
        11: "CRI-O on /run/crio/crio.sock, configuration /etc/crio/crio.conf;"
        " serves nobody that is known",
        12: "cri-dockerd; serves nobody that is known",
        13: "containerd on /run/free.sock, configuration /free.toml; serves nobody that is known",
    }
    assert [each.process.pid for each in node.runtimes if each.is_kubelets] == [7]


def test_one_containerd_for_the_kubelet_and_for_docker() -> None:
    """As the packages set it up: dockerd finds the one on the usual path."""
    argvs = {5: KUBELET, 7: "/usr/bin/containerd", 8: "/usr/bin/dockerd -H fd://"}
    node = around(evidence(argvs, {7: SOCKET}))
    assert [each.serves for each in node.runtimes] == ["the kubelet and Docker", "its own users"]


def test_docker_that_started_a_containerd_itself() -> None:
    """Without one on the usual path it starts its own below /run/docker."""
    argvs = {
        5: "/usr/bin/kubelet --container-runtime-endpoint=unix:///run/k.sock",
        7: "containerd --config /var/run/docker/containerd/containerd.toml",
        8: "/usr/bin/dockerd",
    }
    sockets = {7: "/var/run/docker/containerd/containerd.sock"}
    node = around(evidence(argvs, sockets, links={"/var/run": "/run"}))
    assert node.runtimes[0].serves == "Docker"


def test_kubelet_on_docker() -> None:
    """Dockershim talks to dockerd itself, today's kubelets through cri-dockerd."""
    argv = "/usr/bin/kubelet --container-runtime=docker"
    node = around(evidence({5: argv, 8: "/usr/bin/dockerd"}))
    assert [each.serves for each in node.runtimes] == ["the kubelet"]
    argv = "/usr/bin/kubelet --container-runtime-endpoint=unix:///run/cri-dockerd.sock"
    argvs = {5: argv, 8: "/usr/bin/dockerd", 9: "/usr/bin/cri-dockerd"}
    node = around(evidence(argvs, {9: "/run/cri-dockerd.sock"}))
    assert [each.serves for each in node.runtimes] == [
        "the kubelet, through cri-dockerd",
        "the kubelet",
    ]


def test_kubelet_on_crio_is_plainly_unproven() -> None:
    """By who listens on its socket, or by the socket's name where no kubelet reported yet."""
    argv = "/usr/bin/kubelet --container-runtime-endpoint=unix:///run/own.sock"
    node = around(evidence({5: argv, 7: "/usr/bin/crio"}, {7: "/run/own.sock"}))
    node.object["status"]["nodeInfo"].clear()
    with pytest.raises(Unproven, match="CRI-O"):
        check_serving.uses_no_containerd(node)
    argv = "/usr/bin/kubelet --container-runtime-endpoint=unix:///run/crio/crio.sock"
    with pytest.raises(Unproven, match="CRI-O"):
        check_serving.uses_no_containerd(around(evidence({5: argv})))


def test_the_wrong_file_is_not_laid_at_a_kind_nodes_door() -> None:
    """A containerd inside a container has the default path, too, and does not read this file."""
    argvs = {
        1: "/sbin/init",
        5: f"/usr/bin/kubelet --container-runtime-endpoint=unix://{SOCKET}",
        7: "/usr/bin/containerd --config /etc/containerd/own.toml",
        9: "/usr/local/bin/containerd",
    }
    node = around(
        evidence(
            argvs,
            {7: SOCKET},
            files={"/etc/containerd/own.toml": "version = 2\n"},
            links=namespaces(9, net=True, mounts=True),
        )
    )
    assert [each.process for each in others(node.containerd, node.processes, node.evidence)] == []


def test_evidence_names_what_else_runs() -> None:
    """Nobody listens where the kubelet asks: what does run is named, and what it serves."""
    machine = Machine(
        containerds={"/run/x.sock": "/usr/bin/containerd"}, others=["/usr/bin/dockerd"]
    )
    text = text_of(check_serving.not_running(machine.node()))
    assert "containerd on /run/x.sock, configuration /etc/containerd/config.toml" in text
    assert "Docker, configuration /etc/docker/daemon.json; serves its own users" in text
    machine.containerds, machine.others = {}, []
    assert "no containerd runs" in text_of(check_serving.not_running(machine.node()))
    machine = Machine(files={"/etc/containerd/config.toml": "version = 2\n"}, live=None)
    machine.others = ["/usr/bin/dockerd"]
    assert "serves its own users" in text_of(check_handler.no_gpu_handler(machine.node()))


def test_evidence_names_the_line_that_told_a_dead_kubelet() -> None:
    """The unit file or the file of environment that holds the socket, with its line."""
    machine = Machine(kubelet=None, containerds={"/run/x.sock": "/usr/bin/containerd"})
    flags = "/var/lib/kubelet/kubeadm-flags.env"
    unit = f"[Service]\nEnvironmentFile={flags}\nExecStart=/usr/bin/kubelet $A\n"
    machine.files |= {
        "/etc/systemd/system/kubelet.service": unit,
        flags: f'# of kubeadm\nA="--container-runtime-endpoint=unix://{SOCKET}"\n',
    }
    folders = [f"{each}/systemd/system" for each in ("/etc", "/run", "/usr/lib", "/lib")]
    machine.listed = [*folders, "/usr/local/lib/systemd/system"]
    node = machine.node()
    node.object["status"]["conditions"] = [{"type": "Ready", "status": "Unknown"}]
    finding = check_serving.not_running(node)
    assert f"{flags}:2" in "\n".join(f"{e.source}:{e.line}" for e in finding.evidence)  # type: ignore[union-attr]


SITE = "/run/site/containerd.sock"


def with_a_dead_kubelet(copy: SampleCopy) -> None:
    """Let a kubelet be stopped whose socket stands three files away from its unit."""
    copy.rename([("/run/containerd/containerd.sock", SITE)])
    exe = f"/proc/{process_of(copy, 'kubelet')}/exe"
    set_cmdline(copy, "kubelet", "sleep", "infinity")
    entry(copy, exe, kind="symlink", target="/usr/bin/sleep")
    files = {
        "etc/systemd/system/kubelet.service.d/20-site.conf": "[Service]\nExecStart=\n"
        "EnvironmentFile=/opt/site/kubelet.env\nExecStart=/usr/bin/kubelet $SITE\n",
        "opt/site/kubelet.env": "SITE='--config=/opt/site/kubelet.yaml'\n",
        "opt/site/kubelet.yaml": f"containerRuntimeEndpoint: unix://{SITE}\n",
    }
    for name, text in files.items():
        path = copy.node / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    folders = ["/etc/systemd/system/kubelet.service.d", "/etc/systemd/system"]
    copy.edit_yaml(copy.node / "listing.yaml", lambda it: it["complete"].extend(folders))

    def silent(node: dict[str, Any]) -> None:
        for each in node["status"]["conditions"]:
            each["status"] = "Unknown"

    gpu_node(copy, silent)


def test_a_visit_brings_what_tells_a_dead_kubelets_socket(tmp_path: Path) -> None:
    """Unit, drop-in, file of environment, configuration: within the rounds there are."""
    copy = SampleCopy(KUBEADM, tmp_path)
    with_a_dead_kubelet(copy)
    with open_recording(copy.folder, "dead") as cluster:
        stream = Replay(cluster.node("gpu-1"))
        seen = SeenNode("gpu-1", Door(kind="ssh"))
        drive(stream, seen, cluster)
        node = GpuNode("gpu-1", WishingCluster(cluster, seen))  # type: ignore[arg-type] # as others
        assert len(stream.rounds) <= MAX_ROUNDS
        assert (node.kubelet.running, node.kubelet.socket) == (False, SITE)
        assert node.containerd.process is not None
        assert "nvidia" in node.containerd.config.runtimes
        assert node.containerd.live is not None
