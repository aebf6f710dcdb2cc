"""The toolkit's next start: its effect is computed, merged and reported before it happens."""

from __future__ import annotations

from typing import Any

import pytest

from conformance import test_runtime as layer
from pytest_gpu.causes import LATENT
from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.stack.runtime import check_handler, check_restart
from pytest_gpu.stack.toolkit import check_env, check_next_start, operator_values
from tests.samples.mending import applied, diffs, shown
from tests.stack.containerd.test_merge import CONFIG
from tests.stack.containerd.test_merge import handler as table
from tests.stack.runtime.runtime_machine import HEALTHY, NVIDIA, SOCKET, Machine
from tests.stack.runtime.test_check_runtime import cause, text_of

DROP_IN = "/etc/containerd/conf.d/99-nvidia.toml"
ON_PATH = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/sbin", "/bin"]
TOOLKIT = "/usr/local/nvidia/toolkit/nvidia-container-runtime"
IMPORTING = 'version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n'
BOTH = "version = 2\n" + table("runc", systemd=True) + table("nvidia", binary=TOOLKIT, systemd=True)
BARE = "/opt/bin/containerd"
"""A containerd that is not on the PATH, so that the toolkit starts from the file."""


def toolkit(version: str = "v1.18.1", **env: str) -> dict[str, list[dict[str, Any]]]:
    """Return the operator's toolkit with this release and environment."""
    container = {
        "name": "nvidia-container-toolkit-ctr",
        "image": f"nvcr.io/nvidia/k8s/container-toolkit:{version}",
        "env": [{"name": name, "value": value} for name, value in env.items()],
    }
    metadata = {"name": "toolkit", "namespace": "gpu", "labels": {"helm.sh/chart": "x-v1.2.3"}}
    return {"daemonsets": [{"metadata": metadata, "spec": {"template": {"spec": {
        "containers": [container]}}}}]}  # fmt: skip


def machine(files: dict[str, str], *, version: str = "1.7.24", program: str = BARE) -> Machine:
    """Return a machine with these files of containerd and a toolkit that does not set defaults."""
    found = Machine(files=dict(files), version=version, containerds={SOCKET: program})
    found.binaries = [NVIDIA, TOOLKIT, program]
    found.listed = ON_PATH
    found.objects = toolkit(CONTAINERD_SET_AS_DEFAULT="false")
    return found


def split(root: str) -> dict[str, str]:
    """Return a root file that imports, and the drop-in that works now."""
    return {CONFIG: root, DROP_IN: BOTH}


def test_a_root_file_without_runc_breaks_1x_and_not_2x() -> None:
    """The drop-in of today holds runc, that of the next start does not: 1.x loses its CRI."""
    found = check_next_start.next_start(machine(split(IMPORTING)).node())
    assert cause(found) == "runtime/next-toolkit-start-breaks-cri"
    said = text_of(found)
    assert "Define runc" in said
    assert "+++ /etc/containerd/config.toml" in said
    modern = machine(split(IMPORTING), version="2.1.9").node()
    assert cause(check_next_start.next_start(modern)) == (
        "runtime/next-toolkit-start-loses-systemd-cgroup"
    )


def test_the_runc_that_is_proposed_has_the_kubelets_cgroup_driver() -> None:
    """A kubelet that is told nothing uses cgroupfs."""
    node = machine(split(IMPORTING))
    node.kubelet_config = ""
    assert "+SystemdCgroup = false" in text_of(check_next_start.next_start(node.node()))


def test_what_one_look_cannot_see_hides_nothing_of_the_other() -> None:
    """The toolkit signals another containerd; what it would write is not known."""
    node = machine(split(IMPORTING + table("runc", systemd=True)))
    node.objects = toolkit("latest", CONTAINERD_SOCKET="/run/other/containerd.sock")
    token = LATENT.set([])
    try:
        with pytest.raises(Unproven, match="release"):
            layer.test_next_start_of_the_toolkit_keeps_the_node_working(node.node())
        noted = [finding.cause for finding in LATENT.get()]
    finally:
        LATENT.reset(token)
    assert noted == ["runtime/toolkit-signals-other-containerd"]


def test_runc_in_the_root_file_is_kept() -> None:
    """What the fix says: with runc in the file that the toolkit starts from all is well."""
    root = IMPORTING + table("runc", systemd=True)
    assert check_next_start.next_start(machine(split(root)).node()) is None
    assert check_next_start.next_start(machine(split(root), version="2.1.9").node()) is None


def test_the_command_line_knows_runc() -> None:
    """Where the toolkit asks containerd itself, runc comes out even if no file says it."""
    files = {CONFIG: "version = 2\n" + table("nvidia", binary=TOOLKIT) + table("runc")}
    node = machine(files, program="/usr/bin/containerd")
    assert check_next_start.next_start(node.node()) is None


def test_the_containerd_of_docker_on_the_path() -> None:
    """What is asked is another containerd, whose CRI is switched off: runc is unknown to it."""
    own = "/srv/k8s/config.toml"
    files = {
        own: IMPORTING + table("runc", systemd=True),
        DROP_IN: BOTH,
        CONFIG: 'disabled_plugins = ["cri"]\n',
    }
    node = machine(files, program=f"{BARE} --config {own} --address {SOCKET}")
    node.binaries = [*node.binaries, BARE]
    node.others = ["/usr/bin/containerd"]
    node.commands = [("/usr/bin/containerd --version", 0, "containerd containerd.io 1.7.29 x", "")]
    env = {"CONTAINERD_CONFIG": own, "CONTAINERD_SET_AS_DEFAULT": "false"}
    node.objects = toolkit(**env)
    found = check_next_start.next_start(node.node())
    assert cause(found) == "runtime/next-toolkit-start-breaks-cri"
    assert '- name: RUNTIME_CONFIG_SOURCE\n    value: "file"' in operator_values.values_file(
        node.node()
    )
    node.objects = toolkit(**env, RUNTIME_CONFIG_SOURCE="file")
    assert check_next_start.next_start(node.node()) is None
    node.objects = toolkit("v1.16.2", **env)
    assert check_next_start.next_start(node.node()) is None


def test_a_file_of_version_1_gets_a_drop_in_that_nobody_reads() -> None:
    """The handler that stands in the file is copied into a drop-in; the file keeps it."""
    old = '[plugins.cri.containerd.runtimes.{}]\nruntime_type = "io.containerd.runc.v2"\n{}'
    binary = f'[plugins.cri.containerd.runtimes.nvidia.options]\nBinaryName = "{TOOLKIT}"\n'
    node = machine(
        {CONFIG: old.format("runc", "") + old.format("nvidia", binary)}, version="1.6.20"
    )
    assert check_next_start.next_start(node.node()) is None


def test_another_name_of_the_handler() -> None:
    """RuntimeClasses lead to nvidia; the toolkit is told to call its handler gpu."""
    node = machine(split(IMPORTING + table("runc", systemd=True)))
    node.objects = toolkit(CONTAINERD_SET_AS_DEFAULT="false", CONTAINERD_RUNTIME_CLASS="gpu")
    found = check_next_start.next_start(node.node())
    assert cause(found) == "runtime/next-toolkit-start-loses-handler"
    assert "Define runc" not in text_of(found), "the toolkit finds one already"
    assert "without nvidia" in text_of(found)


def test_a_default_that_pods_rely_on() -> None:
    """GPU pods without a RuntimeClass live on the default, which the drop-in alone sets."""
    node = machine(split(IMPORTING + table("runc", systemd=True)))
    section = '[plugins."io.containerd.grpc.v1.cri".containerd]\ndefault_runtime_name = "nvidia"\n'
    node.files[DROP_IN], node.live = BOTH + section, None
    limits = {"limits": {"nvidia.com/gpu": "1"}}
    spec = {"nodeName": "gpu-1", "containers": [{"name": "main", "resources": limits}]}
    pod = {
        "metadata": {"name": "p", "namespace": "d"},
        "spec": spec,
        "status": {"phase": "Running"},
    }
    node.objects["pods"] = [pod]
    found = check_next_start.next_start(node.node())
    assert cause(found) == "runtime/next-toolkit-start-changes-default"
    node.objects = {**toolkit(CONTAINERD_SET_AS_DEFAULT="true"), "pods": [pod]}
    assert check_next_start.next_start(node.node()) is None


def test_nothing_without_a_toolkit_that_runs_here() -> None:
    """No DaemonSet, or one that does not select the node, writes nothing."""
    node = machine(split(IMPORTING))
    node.objects = {}
    assert check_next_start.next_start(node.node()) is None
    node.objects = toolkit()
    spec = node.objects["daemonsets"][0]["spec"]["template"]["spec"]
    spec["nodeSelector"] = {"nvidia.com/gpu.deploy.container-toolkit": "true"}
    assert check_next_start.next_start(node.node()) is None


def test_what_is_not_known_is_unproven() -> None:
    """DaemonSets nobody may read, a release that no tag names, a PATH that nobody looked at."""
    node = machine(split(IMPORTING))
    node.objects = toolkit("latest")
    with pytest.raises(Unproven, match="release"):
        check_next_start.next_start(node.node())
    node.objects = toolkit()
    node.listed = []
    with pytest.raises(NotInEvidence, match="/usr/local/sbin/containerd"):
        check_next_start.next_start(node.node())
    unread = node.node()
    unread.cluster._objects.pop("daemonsets")  # type: ignore[attr-defined]
    for check in (check_next_start.next_start, check_env.misled):
        with pytest.raises(NotInEvidence, match="daemonsets"):
            check(unread)


def test_a_toolkit_for_docker() -> None:
    """The handler is there by other means: the toolkit does nothing for this containerd."""
    node = machine({CONFIG: HEALTHY})
    node.objects = toolkit(RUNTIME="docker", DOCKER_CONFIG="/etc/docker/daemon.json")
    assert cause(check_env.misled(node.node())) == "runtime/toolkit-configures-other-runtime"
    assert check_next_start.next_start(node.node()) is None
    node.objects = toolkit(RUNTIME="containerd")
    assert check_env.misled(node.node()) is None


def test_a_socket_of_another_containerd() -> None:
    """Latent while the handler is loaded; the operator is blamed only where it was told right."""
    node = machine({CONFIG: HEALTHY})
    node.objects = toolkit(CONTAINERD_SOCKET="/run/other/containerd.sock")
    assert cause(check_env.misled(node.node())) == "runtime/toolkit-signals-other-containerd"
    asked = {"toolkit": {"env": [{"name": "CONTAINERD_SOCKET", "value": SOCKET}]}}
    node.objects["clusterpolicies"] = [{"metadata": {"name": "p"}, "spec": asked}]
    found = check_env.misled(node.node())
    assert cause(found) == "runtime/operator-ignores-socket"
    assert "mounts /run/other" in text_of(found)
    node.objects["daemonsets"] = toolkit(RUNTIME_RESTART_MODE="none")["daemonsets"]
    assert check_env.misled(node.node()) is None


def test_a_rendered_file_is_not_the_toolkits_to_write() -> None:
    """MicroK8s writes containerd.toml anew from a template, which the toolkit can edit instead."""
    args = "/var/snap/microk8s/current/args"
    files = {f"{args}/containerd.toml": HEALTHY, f"{args}/containerd-template.toml": HEALTHY}
    program = "/snap/microk8s/1/bin/containerd"
    node = machine(files, program=f"{program} --config {args}/containerd.toml --address {SOCKET}")
    node.binaries = [*node.binaries, program]
    node.kubelet = f"/snap/microk8s/1/kubelite --container-runtime-endpoint=unix://{SOCKET}"
    env = {"CONTAINERD_CONFIG": f"{args}/containerd.toml", "CONTAINERD_SOCKET": SOCKET}
    node.objects = toolkit(**env)
    found = check_env.misled(node.node())
    assert cause(found) == "runtime/toolkit-writes-rendered-file"
    said = operator_values.values_file(node.node())
    assert f'value: "{args}/containerd-template.toml"' in said
    assert f'value: "file={args}/containerd.toml"' in said
    node.objects = toolkit(**{**env, "CONTAINERD_CONFIG": f"{args}/containerd-template.toml"})
    assert check_env.misled(node.node()) is None


def test_why_the_handler_was_never_loaded() -> None:
    """The toolkit wrote the right file and signalled another socket: that is why, not the file."""
    node = machine({CONFIG: HEALTHY})
    node.live = ["runc"]
    node.objects = toolkit(CONTAINERD_SOCKET="/run/other/containerd.sock")
    loaded = check_restart.not_restarted(node.node())
    assert loaded is not None
    assert check_env.misled(node.node()) is None
    found = check_env.never_signalled(node.node(), loaded)
    assert cause(found) == "runtime/toolkit-signals-other-containerd"
    assert "loaded: runc" in text_of(found)
    node.objects = toolkit(CONTAINERD_SOCKET=SOCKET)
    assert check_env.never_signalled(node.node(), loaded) == loaded
    env = {"CONTAINERD_SOCKET": "/run/other/containerd.sock", "CONTAINERD_CONFIG": "/srv/x.toml"}
    node.objects = toolkit(**env)
    assert check_env.never_signalled(node.node(), loaded) == loaded


def fresh(**env: str) -> Machine:
    """Return a new node of containerd 1.7: its file imports, and the toolkit has not run yet."""
    found = machine({CONFIG: IMPORTING})
    found.live = ("runc",)
    found.objects = toolkit(CONTAINERD_SET_AS_DEFAULT="false", **env)
    return found


@pytest.mark.parametrize("env", [{}, {"CONTAINERD_CONFIG": "/srv/other.toml"}])
def test_a_new_node_whose_first_start_takes_the_cri_away(env: dict[str, str]) -> None:
    """With the environment that it has, or with the one that the fix proposes."""
    node = fresh(**env)
    if not env:
        assert cause(check_next_start.next_start(node.node())) == (
            "runtime/next-toolkit-start-breaks-cri"
        )
    found = check_handler.no_gpu_handler(node.node())
    assert cause(found) == "runtime/handler-not-configured"
    assert f"First define runc in {CONFIG}" in text_of(found)
    (patch,) = diffs(shown(operator_values.define_runc(node.node())))
    node.files[CONFIG] = applied(patch, node.files[CONFIG])
    node.objects = toolkit(
        CONTAINERD_SET_AS_DEFAULT="false", **operator_values.wanted_env(node.node())
    )
    assert check_next_start.next_start(node.node()) is None
    assert operator_values.define_runc(node.node()) == ()


def test_a_new_node_that_lacks_nothing() -> None:
    """On 2.x sections are merged; where the toolkit asks containerd itself it is told of runc."""
    modern = fresh()
    modern.version = "2.1.9"
    on_path = fresh()
    on_path.containerds = {SOCKET: "/usr/bin/containerd"}
    on_path.binaries = [NVIDIA, TOOLKIT, "/usr/bin/containerd"]
    for each in (modern, on_path):
        assert check_next_start.next_start(each.node()) is None
        assert operator_values.define_runc(each.node()) == ()


def asked(node: Machine, **env: str) -> None:
    """Let the ClusterPolicy ask for an environment, and the operator render it."""
    policy = {"toolkit": {"env": [{"name": name, "value": value} for name, value in env.items()]}}
    node.objects = toolkit(**env)
    node.objects["clusterpolicies"] = [{"metadata": {"name": "p"}, "spec": policy}]


def test_every_value_that_is_proposed_fits_this_node() -> None:
    """Paths, socket and names are this node's; what was asked for wrongly does not stay behind."""
    own = "/srv/k8s/config.toml"
    socket = "/run/k8s/containerd.sock"
    node = machine({own: IMPORTING.replace("/etc/containerd", "/srv/k8s")})
    node.containerds = {socket: f"{BARE} --config {own} --address {socket}"}
    node.kubelet = f"/usr/bin/kubelet --container-runtime-endpoint=unix://{socket}"
    node.listed = [*ON_PATH, "/srv/k8s", "/srv/k8s/conf.d"]
    wrong = {"RUNTIME_CONFIG": "/srv/x.toml", "RUNTIME_SOCKET": "/run/x.sock", "RUNTIME": "docker"}
    asked(node, **wrong, CONTAINERD_RUNTIME_CLASS="gpu", CONTAINERD_SET_AS_DEFAULT="false", A="b")
    said = operator_values.values_file(node.node())
    names = [line.split(": ")[1] for line in said.splitlines() if "name:" in line]
    told = [line.split('"')[1] for line in said.splitlines() if "value:" in line]
    assert dict(zip(names, told, strict=True)) == {
        "A": "b",
        "RUNTIME": "containerd",
        "CONTAINERD_CONFIG": own,
        "CONTAINERD_SOCKET": socket,
        "CONTAINERD_RUNTIME_CLASS": "gpu",
        "CONTAINERD_SET_AS_DEFAULT": "false",
        "RUNTIME_DROP_IN_CONFIG": "/srv/k8s/conf.d/99-nvidia.toml",
    }


def test_the_name_that_runtime_classes_lead_to() -> None:
    """The toolkit's own, unless RuntimeClasses lead to a handler of another name only."""
    node = machine(split(IMPORTING + table("runc", systemd=True)))
    asked(node, NVIDIA_RUNTIME_NAME="gpu", CONTAINERD_SET_AS_DEFAULT="false")
    node.objects["runtimeclasses"] = [{"metadata": {"name": "gpu"}, "handler": "nvidia"}]
    assert operator_values.wanted_env(node.node())["CONTAINERD_RUNTIME_CLASS"] == "nvidia"
    found = check_next_start.next_start(node.node())
    assert cause(found) == "runtime/next-toolkit-start-loses-handler"
    said = text_of(found)
    assert 'CONTAINERD_RUNTIME_CLASS\\n    value: "nvidia"' in said.replace("\\\\n", "\\n")
    assert "NVIDIA_RUNTIME_NAME" not in said
    node.objects["runtimeclasses"][0]["handler"] = "gpu"
    assert operator_values.wanted_env(node.node())["CONTAINERD_RUNTIME_CLASS"] == "gpu"
