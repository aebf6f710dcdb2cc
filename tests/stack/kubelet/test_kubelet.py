"""The kubelet's socket: from its process, else from what would start it, never guessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.stack.distributions.detect import detect
from pytest_gpu.stack.host.processes import running
from pytest_gpu.stack.host.systemd_unit import FOLDERS
from pytest_gpu.stack.kubelet import kubelet
from pytest_gpu.stack.kubelet.kubelet import Kubelet, socket_path
from tests.stack.runtime.runtime_machine import process
from tests.support.fake_evidence import FakeNode, node_object

ETC, USR = FOLDERS[0], FOLDERS[3]
DEFAULT = "/run/containerd/containerd.sock"
UNIT = "[Service]\nEnvironmentFile=-/etc/default/kubelet\nExecStart=/usr/bin/kubelet $OPTS\n"
WHERE = "/etc /etc/default /var/lib/kubelet /var/snap /etc/rancher /run /snap /var/lib/rancher"


def read(
    files: Mapping[str, str] | None = None,
    *processes: str,
    version: str = "v1.31.2",
    sockets: tuple[str, ...] = (),
    links: Mapping[str, str] | None = None,
    seen_only: Sequence[str] | None = None,
) -> Kubelet:
    """Return the facts of a NotReady node's kubelet; all folders named here were listed whole.

    ``sockets`` are those that containerds listen on, one process each. With ``seen_only`` nobody
    looked at anything but these folders and the files.
    """
    files, links = dict(files or {}), dict(links or {})
    argvs = [*processes, *(f"/usr/bin/containerd --address={path}" for path in sockets)]
    for pid, argv in enumerate(argvs, 100):
        folder = process(pid, argv, pid if "--address" in argv else None)
        files |= folder["files"]
        links |= folder["links"]
    lines = [
        f"0: 2 0 00010000 1 1 {100 + len(processes) + at} {path}\n"
        for at, path in enumerate(sockets)
    ]
    files["/proc/net/unix"] = "Num\n" + "".join(lines)
    fds = [f"/proc/{pid}/fd" for pid in range(100, 100 + len(argvs))]
    listed = {path.rpartition("/")[0] for path in files if not path.startswith("/proc")}
    absent = [path for path in (*FOLDERS, *WHERE.split()) if path not in listed]
    looked = [*listed, *WHERE.split(), *FOLDERS] if seen_only is None else seen_only
    evidence = FakeNode(
        files=files,
        links=links,
        complete=["/proc", *fds, *looked],
        absent=absent if seen_only is None else FOLDERS[1:] if seen_only else (),
    )
    node = node_object("gpu-1")
    node["status"]["conditions"] = [{"type": "Ready", "status": "Unknown"}]
    node["status"]["nodeInfo"] |= {"kubeletVersion": version}
    seen = running(evidence)
    return kubelet.read(node, seen, evidence, detect(node, seen, evidence))


def test_a_process_comes_before_all_files() -> None:
    """What runs was started with what it was started with, whatever its unit says today."""
    unit = {f"{ETC}/kubelet.service": UNIT.replace("$OPTS", f"{kubelet_flag('/run/unit.sock')}")}
    found = read(unit, f"/usr/bin/kubelet {kubelet_flag('/run/process.sock')}")
    assert (found.socket, found.running) == ("/run/process.sock", True)


def kubelet_flag(path: str) -> str:
    """Return the flag for a socket."""
    return f"--container-runtime-endpoint=unix://{path}"


def test_a_dead_kubelets_unit_tells() -> None:
    """Unit, drop-in, file of environment: the last flag wins."""
    files = {
        f"{USR}/kubelet.service": UNIT,
        f"{ETC}/kubelet.service.d/9.conf": "[Service]\nEnvironment=OPTS=--v=1\n",
    }
    assert read(files).socket == DEFAULT
    files["/etc/default/kubelet"] = f'OPTS="{kubelet_flag("/a.sock")} {kubelet_flag("/b.sock")}"\n'
    found = read(files)
    assert (found.socket, found.running) == ("/b.sock", False)


def test_a_dead_kubelets_configuration_file_tells() -> None:
    """After the flags; drop-ins of --config-dir outrank it, and a flag outranks both."""
    options = "--config=/etc/k.yaml --config-dir=/etc/k.d"
    files = {
        f"{ETC}/kubelet.service": UNIT.replace("$OPTS", options),
        "/etc/k.yaml": "containerRuntimeEndpoint: unix:///run/file.sock\ncgroupDriver: cgroupfs\n",
        "/etc/k.d/README": "containerRuntimeEndpoint: unix:///run/no.sock\n",
    }
    found = read(files)
    assert (found.socket, found.cgroup_driver) == ("/run/file.sock", "cgroupfs")
    files["/etc/k.d/20.conf"] = "containerRuntimeEndpoint: unix:///run/drop-in.sock\n"
    assert read(files).socket == "/run/drop-in.sock"
    unit = files[f"{ETC}/kubelet.service"].replace("--config-dir", "-x --config-dir")
    flagged = unit.replace("-x", kubelet_flag("/run/flag.sock"))
    assert read({**files, f"{ETC}/kubelet.service": flagged}).socket == "/run/flag.sock"


def test_a_unit_of_which_not_all_is_known() -> None:
    """It counts where its socket is served, or no containerd could be blamed for another one."""
    unit = UNIT.replace("$OPTS", kubelet_flag("/run/a.sock"))
    files = {f"{ETC}/kubelet.service": unit}
    assert read(files, seen_only=[ETC]).socket == "/run/a.sock"
    assert read(files, sockets=("/run/a.sock",), seen_only=[ETC]).socket == "/run/a.sock"
    with pytest.raises(NotInEvidence, match="/etc/default/kubelet"):
        read(files, sockets=("/run/other.sock",), seen_only=[ETC])


def test_no_unit_at_hand() -> None:
    """One containerd leaves no choice; of two, neither is taken."""
    assert read(seen_only=()).socket == DEFAULT
    assert read(sockets=("/run/x/only.sock",), seen_only=()).socket == "/run/x/only.sock"
    with pytest.raises(NotInEvidence, match="kubelet"):
        read(sockets=("/run/x/one.sock", "/run/x/two.sock"), seen_only=())


def test_no_unit_of_that_name() -> None:
    """It has another name here, perhaps: of two containerds, neither is taken."""
    assert read(sockets=("/run/x/only.sock",)).socket == "/run/x/only.sock"
    with pytest.raises(NotInEvidence, match=r"kubelet\.service"):
        read(sockets=("/run/x/one.sock", "/run/x/two.sock"))


def test_a_unit_that_starts_a_shell() -> None:
    """The script's own words are the kubelet's flags."""
    script = f"/bin/bash -c 'exec /usr/bin/kubelet {kubelet_flag('/run/sh.sock')} $(cat /more)'"
    unit = f"[Service]\nExecStart={script}\n"
    assert read({f"{ETC}/kubelet.service": unit}).socket == "/run/sh.sock"


@pytest.mark.parametrize("state", ["running", "dead"])
def test_a_snaps_file_of_arguments(state: str) -> None:
    """MicroK8s' kubelite reads it, with variables of the snap; so does its service at the start."""
    path = "/var/snap/microk8s/current/args/kubelet"
    text = "# comment\n--container-runtime-endpoint=${SNAP_COMMON}/run/containerd.sock\n--v='2'\n"
    kubelite = f"/snap/microk8s/7394/kubelite --kubelet-args-file={path}"
    other = "/snap/microk8s/7394/bin/containerd"
    found = read({path: text}, kubelite if state == "running" else other)
    assert found.socket == "/var/snap/microk8s/common/run/containerd.sock"
    assert "--v=2" in found.argv


def test_a_dead_kubelet_of_canonical_kubernetes() -> None:
    """Its args folder, beside a containerd of Docker's on the default path."""
    path = "/var/snap/k8s/common/args/kubelet"
    socket = "/var/lib/k8s-containerd/k8s-containerd/run/containerd/containerd.sock"
    files = {path: f"--container-runtime-endpoint={socket}\n"}
    assert read(files, "/snap/k8s/4155/bin/k8sd", sockets=(DEFAULT,)).socket == socket


@pytest.mark.parametrize(
    ("files", "argv", "expected"),
    [
        ({}, "k3s agent", "/run/k3s/containerd/containerd.sock"),
        (
            {"/etc/rancher/k3s/config.yaml": f"container-runtime-endpoint: unix://{DEFAULT}\n"},
            "k3s agent",
            DEFAULT,
        ),
        (
            {
                "/etc/rancher/k3s/config.yaml": "kubelet-arg: [v=1]\n",
                "/etc/rancher/k3s/config.yaml.d/9.yaml": "kubelet-arg+:\n"
                "- container-runtime-endpoint=unix:///run/more.sock\n",
            },
            "k3s agent",
            "/run/more.sock",
        ),
        (
            {"/etc/rancher/k3s/config.yaml": "container-runtime-endpoint: /run/file.sock\n"},
            "k3s agent --container-runtime-endpoint /run/flag.sock",
            "/run/flag.sock",
        ),
        ({}, "k3s agent --kubelet-arg container-runtime-endpoint=/run/arg.sock", "/run/arg.sock"),
        # What kubeadm left behind on a machine that runs k3s now.
        (
            {"/var/lib/kubelet/config.yaml": "containerRuntimeEndpoint: unix:///run/old.sock\n"},
            "k3s agent",
            "/run/k3s/containerd/containerd.sock",
        ),
    ],
)
@pytest.mark.parametrize("state", ["running", "dead"])
def test_settings_of_k3s(files: dict[str, str], argv: str, expected: str, state: str) -> None:
    """What config.yaml and its folder hand on to the kubelet inside; k3s' own flags outrank it."""
    version = "v1.33.7+k3s1"
    if state == "running":
        assert read(files, f"/usr/local/bin/{argv}", version=version).socket == expected
        return
    unit = f"[Service]\nExecStart=/usr/local/bin/{argv}\n"
    found = read({**files, f"{ETC}/k3s-agent.service": unit}, version=version)
    assert found.socket == expected


def test_k3s_with_docker() -> None:
    """``docker: true`` is the kubelet on cri-dockerd inside k3s."""
    files = {"/etc/rancher/k3s/config.yaml": "docker: true\n"}
    found = read(files, "/usr/local/bin/k3s server", version="v1.33.7+k3s1")
    assert found.runtime == "docker"


def test_k0s_with_a_containerd_of_the_host() -> None:
    """``--cri-socket`` names the kind and the URL."""
    unit = "[Service]\nExecStart=/usr/local/bin/k0s worker --cri-socket=remote:unix:///run/h.sock\n"
    files = {f"{ETC}/k0sworker.service": unit}
    assert read(files, version="v1.31.5+k0s").socket == "/run/h.sock"
    assert read(version="v1.31.5+k0s").socket == "/run/k0s/containerd.sock"


def test_the_kubelet_of_a_node_inside_the_node_is_another_ones() -> None:
    """A kind node's kubelet has a network of its own, and must not stand in for a dead one."""
    argv = f"/usr/bin/kubelet {kubelet_flag('/run/kind.sock')}"
    links = {"/proc/1/ns/net": "net:[4026531840]", "/proc/100/ns/net": "net:[4026532999]"}
    unit = {f"{ETC}/kubelet.service": UNIT.replace("$OPTS", kubelet_flag("/run/own.sock"))}
    unit |= {"/proc/1/cmdline": "/sbin/init", "/proc/1/stat": ""}
    found = read(unit, argv, links=links)
    assert (found.socket, found.running) == ("/run/own.sock", False)
    links["/proc/100/ns/net"] = links["/proc/1/ns/net"]
    assert read(unit, argv, links=links).socket == "/run/kind.sock"


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        ("unix:///run/a.sock", "/run/a.sock"),
        ("unix:/run/a.sock", "/run/a.sock"),
        ("/run/a.sock", "/run/a.sock"),
        ("unix://@abstract", "@abstract"),
        ("unix:@abstract", "@abstract"),
    ],
)
def test_endpoints(endpoint: str, path: str) -> None:
    """A URL, a bare path, or the name of an abstract socket."""
    assert socket_path(endpoint) == path
