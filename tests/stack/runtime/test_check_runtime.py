"""Every cause of the runtime layer: one fault is found, a near miss is not."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_gpu.causes import Finding
from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.evidence import ElfSummary
from pytest_gpu.finding_json import as_json
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.stack.cdi import check_specs
from pytest_gpu.stack.docker import check_docker
from pytest_gpu.stack.host.processes import SEARCH_PATH
from pytest_gpu.stack.repair import config_fix
from pytest_gpu.stack.runtime import (
    check_cgroups,
    check_cri,
    check_handler,
    check_restart,
    check_serving,
    check_templates,
)
from pytest_gpu.stack.toolkit import check_config, check_libraries, check_programs
from tests.samples.mending import shown
from tests.stack.containerd.test_merge import CONFIG
from tests.stack.containerd.test_merge import handler as table
from tests.stack.runtime.runtime_machine import (
    CLI,
    HEALTHY,
    LIBC,
    NVIDIA,
    SOCKET,
    Machine,
    installed,
    program,
)
from tests.support.told import full

OTHER = "/var/lib/k8s-containerd/k8s-containerd/etc/containerd/config.toml"
OTHER_SOCKET = "/var/lib/k8s-containerd/k8s-containerd/run/containerd/containerd.sock"
DROP_IN = "/etc/containerd/conf.d/99-nvidia.toml"
ONLY_RUNC = "version = 2\n" + table("runc", systemd=True)
ONLY_NVIDIA = "version = 2\n" + table("nvidia", binary=NVIDIA, systemd=True)
IMPORTING = 'version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n'


def cause(finding: Finding | None) -> str | None:
    """Return a finding's cause, having filled in every text of it."""
    if finding is None:
        return None
    assert finding.evidence
    assert as_json(full(finding))["fix"]
    return finding.cause


def text_of(finding: Finding | None) -> str:
    """Return all that a finding says."""
    assert finding is not None
    return str(as_json(full(finding)))


def toolkit_daemonset(**env: str) -> dict[str, list[dict[str, Any]]]:
    """Return a toolkit DaemonSet with this environment."""
    container = {
        "name": "toolkit",
        "image": "nvcr.io/nvidia/k8s/container-toolkit:v1.17.5-ubuntu20.04",
        "env": [{"name": name, "value": value} for name, value in env.items()],
    }
    metadata = {"name": "nvidia-container-toolkit-daemonset", "namespace": "gpu-operator"}
    spec = {"template": {"spec": {"containers": [container]}}}
    return {"daemonsets": [{"metadata": metadata, "spec": spec}]}


def test_a_healthy_machine_shows_nothing() -> None:
    """No cause is found where nothing is broken."""
    node = Machine().node()
    checks = [
        check_serving.uses_no_containerd,
        check_serving.not_running,
        check_cri.unreadable,
        check_cri.versions_mixed,
    ]
    checks += [
        check_cri.cri_disabled,
        check_cri.default_undefined,
        check_serving.silent,
        check_handler.no_gpu_handler,
    ]
    checks += [
        check_restart.not_loaded,
        check_restart.lost_at_restart,
        check_restart.change_at_restart,
    ]
    checks += [check_templates.fault_at_next_start]
    checks += [
        check_programs.binary_missing,
        check_programs.handler_without_type,
        check_libraries.glibc_too_old,
    ]
    checks += [
        check_config.own_config_wrong,
        check_cgroups.cgroup_driver_differs,
        check_specs.spec_in_use_wrong,
    ]
    assert not [*check_docker.docker_findings(node), *check_cri.others_unreadable(node)]
    assert [cause(check(node)) for check in checks] == [None] * len(checks)


def test_kubelet_on_docker_is_found_by_its_own_flag() -> None:
    """The command line of the kubelet outranks what the Node object still says."""
    machine = Machine(kubelet="/usr/bin/kubelet --container-runtime docker --config /x")
    finding = check_serving.uses_no_containerd(machine.node())
    assert cause(finding) == "runtime/kubelet-uses-docker"
    assert "--container-runtime docker" in text_of(finding)


def test_containerd_that_listens_elsewhere_is_not_the_kubelets() -> None:
    """A containerd runs, but not on the socket the kubelet uses."""
    machine = Machine(containerds={"/run/other.sock": "/usr/bin/containerd"})
    assert cause(check_serving.not_running(machine.node())) == "runtime/containerd-not-running"


def test_broken_toml_names_the_file() -> None:
    """Containerd cannot start with it."""
    machine = Machine(files={CONFIG: "version = 2\n[plugins\n"})
    finding = check_cri.unreadable(machine.node())
    assert cause(finding) == "runtime/config-invalid"
    assert CONFIG in text_of(finding)


def test_mixed_versions_are_told() -> None:
    """A drop-in of version 3 beside a root file of version 2."""
    machine = Machine(version="2.1.9", files={CONFIG: IMPORTING, DROP_IN: "version = 3\n"})
    assert cause(check_cri.versions_mixed(machine.node())) == "runtime/config-versions-mixed"


def test_cri_disabled_by_dockers_package() -> None:
    """The line Docker's containerd.io package brings."""
    machine = Machine(files={CONFIG: 'disabled_plugins = ["cri"]\n'})
    assert cause(check_cri.cri_disabled(machine.node())) == "runtime/cri-disabled"


def test_drop_in_that_left_no_runc_is_mended_in_two_files_on_1x() -> None:
    """On 1.x the runc drop-in alone would not help: the nvidia file must define runc, too."""
    machine = Machine(files={CONFIG: IMPORTING, DROP_IN: "# mine\n" + ONLY_NVIDIA})
    finding = check_cri.default_undefined(machine.node())
    assert cause(finding) == "runtime/drop-in-left-no-runc"
    text = "\n".join(as_json(full(finding))["fix"]) if finding else ""
    assert "+++ /etc/containerd/conf.d/00-k8s-runc.toml" in text
    assert f"+++ {DROP_IN}" in text
    assert '+[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]' in text
    assert not [line for line in text.splitlines() if line[:1] == "-" and line[:3] != "---"]


def test_a_runc_file_that_nobody_would_import_is_not_proposed() -> None:
    """k0s imports the toolkit's drop-in by its name: only that one can be mended."""
    root = f'version = 2\nimports = ["{DROP_IN}"]\n'
    machine = Machine(files={CONFIG: root, DROP_IN: ONLY_NVIDIA})
    text = text_of(check_cri.default_undefined(machine.node()))
    assert f"+++ {DROP_IN}" in text
    assert "00-k8s-runc.toml" not in text


def test_the_runc_that_is_proposed_has_the_kubelets_cgroup_driver() -> None:
    """A kubelet that is told nothing uses cgroupfs."""
    machine = Machine(files={CONFIG: IMPORTING, DROP_IN: ONLY_NVIDIA}, kubelet_config="")
    text = text_of(check_cri.default_undefined(machine.node()))
    assert text.count("SystemdCgroup = false") == len(("00-k8s-runc.toml", DROP_IN))
    machine.files = {CONFIG: IMPORTING}
    assert "+SystemdCgroup = false" in str(shown(config_fix.add_runc(machine.node()).patch))


def test_with_the_runc_file_in_place_1x_is_still_red_and_2x_green() -> None:
    """The measured trap: 00 beside a 99 that lacks runc."""
    files = {
        CONFIG: IMPORTING,
        "/etc/containerd/conf.d/00-k8s-runc.toml": ONLY_RUNC,
        DROP_IN: ONLY_NVIDIA,
    }
    finding = check_cri.default_undefined(Machine(files=files).node())
    assert cause(finding) == "runtime/drop-in-left-no-runc"
    assert "+++ /etc/containerd/conf.d/00-k8s-runc.toml" not in text_of(finding)
    assert cause(check_cri.default_undefined(Machine(files=files, version="2.1.9").node())) is None


def test_a_default_that_nobody_defines() -> None:
    """Not the drop-in's doing: the name itself is wrong."""
    text = HEALTHY + '[plugins."io.containerd.grpc.v1.cri".containerd]\n'
    machine = Machine(files={CONFIG: text + 'default_runtime_name = "nvidia-cdi"\n'})
    assert cause(check_cri.default_undefined(machine.node())) == "runtime/default-runtime-undefined"


def test_two_containerds_and_the_wrong_one_configured() -> None:
    """The handler stands in the file of a containerd that the kubelet does not use."""
    machine = two_containerds()
    finding = check_handler.no_gpu_handler(machine.node())
    assert cause(finding) == "runtime/toolkit-configured-other-containerd"
    text = text_of(finding)
    for line in (f'CONTAINERD_CONFIG\\n    value: "{OTHER}"', OTHER_SOCKET):
        assert line in text


def test_the_wrong_containerd_may_read_any_file() -> None:
    """It is found by what its process was started with, not by the usual places."""
    usual = "/usr/bin/containerd"
    own = "/srv/second/containerd.toml"
    machine = Machine(
        files={CONFIG: ONLY_RUNC, own: HEALTHY},
        containerds={SOCKET: usual, OTHER_SOCKET: f"{usual} --config {own}"},
        live=None,
    )
    finding = check_handler.no_gpu_handler(machine.node())
    assert cause(finding) == "runtime/toolkit-configured-other-containerd"


def test_another_containerd_that_cannot_read_its_file() -> None:
    """Told one containerd's socket only, the toolkit wrote the other one's file, in version 3."""
    machine = two_containerds()
    machine.files[CONFIG] = "version = 3\n"
    assert not [*check_cri.others_unreadable(machine.node())], "its version is not known"
    machine.commands = [("/usr/bin/containerd --version", 0, "containerd containerd.io 1.7.27", "")]
    (found,) = check_cri.others_unreadable(machine.node())
    assert found.cause == "runtime/other-containerd-unreadable"
    assert "containerd 1.7.27 on" in text_of(found)
    machine.files[CONFIG] = "version = 2\n"
    assert not [*check_cri.others_unreadable(machine.node())]


def two_containerds() -> Machine:
    """Return a node whose kubelet uses a second containerd, while the first one is configured."""
    return Machine(
        files={CONFIG: HEALTHY, OTHER: ONLY_RUNC},
        kubelet=f"/snap/k8s/1/bin/kubelet --container-runtime-endpoint=unix://{OTHER_SOCKET}",
        containerds={
            SOCKET: "/usr/bin/containerd",
            OTHER_SOCKET: f"/snap/k8s/1/bin/containerd --config {OTHER}",
        },
        live=None,
        objects=toolkit_daemonset(),
    )


def test_the_same_file_read_by_nobody_is_the_toolkits_default() -> None:
    """Without the second process the cause is another one: nobody reads the default file."""
    machine = two_containerds()
    del machine.containerds[SOCKET]
    assert cause(check_handler.no_gpu_handler(machine.node())) == "runtime/toolkit-default-paths"


def test_paths_of_another_distribution() -> None:
    """The toolkit was told a path, and it is k3s's on a node that is not k3s."""
    k3s = "/var/lib/rancher/k3s/agent/etc/containerd/config.toml"
    machine = Machine(
        files={CONFIG: ONLY_RUNC, k3s: HEALTHY},
        live=("runc",),
        objects=toolkit_daemonset(CONTAINERD_CONFIG=k3s),
    )
    finding = check_handler.no_gpu_handler(machine.node())
    assert cause(finding) == "runtime/toolkit-other-paths"
    assert k3s in text_of(finding)


def test_drop_in_where_the_imports_do_not_look() -> None:
    """The drop-in exists; the glob looks into another folder. Beside it, all is well."""
    runc = {"/etc/elsewhere/00.toml": ONLY_RUNC}
    importing = 'version = 2\nimports = ["/etc/elsewhere/*.toml"]\n'
    machine = Machine(files={CONFIG: importing, DROP_IN: ONLY_NVIDIA, **runc}, live=("runc",))
    machine.listed = ["/etc/elsewhere"]
    finding = check_handler.no_gpu_handler(machine.node())
    assert cause(finding) == "runtime/drop-in-outside-imports"
    assert "/etc/elsewhere/99-nvidia.toml" in text_of(finding)
    machine.files["/etc/elsewhere/99-nvidia.toml"] = HEALTHY
    assert cause(check_handler.no_gpu_handler(machine.node())) is None


def test_unlisted_imports_are_unknown() -> None:
    """Nobody listed the folder that the glob looks into: no verdict on what it holds."""
    importing = 'version = 2\nimports = ["/etc/elsewhere/*.toml"]\n'
    with pytest.raises(NotInEvidence):
        check_handler.no_gpu_handler(Machine(files={CONFIG: importing}).node())


def test_section_replaced_by_a_later_import_on_1x_only() -> None:
    """A registries file with a CRI section takes the handler away; on 2.x both stand."""
    registries = 'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/x"\n'
    files = {
        CONFIG: IMPORTING + HEALTHY.partition("\n")[2],
        "/etc/containerd/conf.d/z.toml": registries,
    }
    finding = check_handler.no_gpu_handler(Machine(files=files, live=("runc",)).node())
    assert cause(finding) == "runtime/section-replaced-by-import"
    assert "+++ /etc/containerd/conf.d/z.toml" in text_of(finding)
    assert cause(check_handler.no_gpu_handler(Machine(files=files, version="2.0.4").node())) is None


def test_nothing_configured_anywhere() -> None:
    """No file on the node holds a handler."""
    machine = Machine(files={CONFIG: ONLY_RUNC}, live=("runc",), binaries=())
    assert cause(check_handler.no_gpu_handler(machine.node())) == "runtime/handler-not-configured"


def missed(node: GpuNode) -> GpuNode:
    """Let the control plane miss the node's kubelet."""
    status: dict[str, Any] = node.object["status"]
    status["conditions"] = [{"type": "Ready", "status": "Unknown"}]
    return node


def test_cri_that_does_not_answer() -> None:
    """Crictl's own error is the evidence."""
    error = "rpc error: code = Unimplemented desc = unknown service runtime.v1.RuntimeService"
    finding = check_serving.silent(Machine(info_error=error).node())
    assert cause(finding) == "runtime/cri-not-served"
    assert error in text_of(finding)


def test_runtime_binary_that_is_not_installed() -> None:
    """By absolute path and along the PATH."""
    finding = check_programs.binary_missing(Machine(binaries=()).node())
    assert cause(finding) == "runtime/binary-missing"
    assert NVIDIA in text_of(finding)
    by_name = HEALTHY.replace(NVIDIA, "nvidia-container-runtime")
    environ = {"/proc/4700/environ": "PATH=/usr/bin\0"}
    machine = Machine(files={CONFIG: by_name} | environ, binaries=(), listed=SEARCH_PATH)
    told = text_of(check_programs.binary_missing(machine.node()))
    assert "is in none of /" in told
    assert "is a link" not in told


def test_handler_without_a_runtime_type() -> None:
    """As in the malformed file of the two-containerds write-up."""
    text = HEALTHY.replace('runtime_type = "io.containerd.runc.v2"\n', "")
    found = check_programs.handler_without_type(Machine(files={CONFIG: text}).node())
    assert cause(found) == "runtime/handler-without-type"


def glibc(needs: str, *defines: str) -> dict[str, ElfSummary]:
    """Return ELF summaries of the toolkit, of which one asks for a version, and of a libc."""
    libc = program(LIBC, versions={}, needed=(), defines=("GLIBC_2.2.5", *defines))
    asking = program(CLI, versions={"libc.so.6": (needs,)})
    return {**installed(), CLI: asking, LIBC: libc}


def test_toolkit_for_a_newer_glibc() -> None:
    """The version that is asked for is not among those the host's libc defines."""
    machine = Machine(elf=glibc("GLIBC_2.27", "GLIBC_2.14", "GLIBC_2.26"))
    finding = check_libraries.glibc_too_old(machine.node())
    assert cause(finding) == "runtime/toolkit-glibc-too-new"
    assert "defines versions up to GLIBC_2.26" in text_of(finding)
    machine.elf = glibc("GLIBC_2.27", "GLIBC_2.26", "GLIBC_2.27")
    assert cause(check_libraries.glibc_too_old(machine.node())) is None


def test_versions_between_need_not_be_listed() -> None:
    """Glibc keeps old versions; a name without a number must be there by itself."""
    assert check_libraries.missing(["GLIBC_2.17"], ["GLIBC_2.2.5", "GLIBC_2.35"]) == []
    assert check_libraries.missing(["GLIBC_2.9"], ["GLIBC_2.10"]) == []
    assert check_libraries.missing(["GLIBC_2.34"], ["GLIBC_2.4"]) == ["GLIBC_2.34"]
    assert check_libraries.missing(["GLIBC_ABI_DT_RELR"], ["GLIBC_2.99"]) == ["GLIBC_ABI_DT_RELR"]


def test_unread_libraries_are_unproven() -> None:
    """One side was not looked into."""
    without = {path: each for path, each in installed().items() if path != LIBC}
    for elf in ({}, without):
        with pytest.raises(Unproven):
            check_libraries.glibc_too_old(Machine(elf=elf).node())


OWN = "/etc/nvidia-container-runtime/config.toml"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = [", "runtime/toolkit-config-invalid"),
        ('[nvidia-container-cli]\nroot = "/etc/containerd/gone"\n', "runtime/toolkit-root-missing"),
        (
            '[nvidia-container-cli]\nldconfig = "@/usr/bin/ldconfig.real"\n',
            "runtime/toolkit-ldconfig-missing",
        ),
        ('[nvidia-container-cli]\nldconfig = "@/usr/bin/nvidia-container-runtime"\n', None),
        ('[nvidia-container-runtime]\nmode = "auto"\n', None),
    ],
)
def test_the_runtimes_own_configuration(text: str, expected: str | None) -> None:
    """Each key that names what is not there, and near misses."""
    machine = Machine(files={CONFIG: HEALTHY, OWN: text})
    if "mode" in text:
        machine.files["/sys/bus/pci/devices/x/vendor"] = "0x1002"
    assert cause(check_config.own_config_wrong(machine.node())) == expected


DOCKER_JSON = "/etc/docker/daemon.json"
INSTALLED = '{"runtimes": {"nvidia": {"path": "/usr/bin/nvidia-container-runtime"}}}'


@pytest.mark.parametrize(
    ("argv", "text", "expected"),
    [
        ("dockerd", None, ["docker/runtime-not-configured"]),
        ("dockerd", "", ["docker/runtime-not-configured"]),
        ("dockerd", "{}", ["docker/runtime-not-configured"]),
        ("dockerd", INSTALLED, []),
        ("dockerd", '{"runtimes": {"nvidia": {"path": "nvidia-container-runtime"}}}', []),
        ("dockerd --add-runtime nvidia=/usr/bin/nvidia-container-runtime", "{}", []),
        ("dockerd", INSTALLED.replace("/usr/bin", "/usr/local/bin"), ["docker/runtime-missing"]),
        ("dockerd", INSTALLED.replace("/usr/bin", "/elsewhere"), []),
        ("dockerd", INSTALLED[:-1] + ', "default-runtime": "nvidia"}', []),
        ("dockerd", INSTALLED[:-1] + ', "default-runtime": "io.containerd.runc.v2"}', []),
        ("dockerd --default-runtime=nvidia", INSTALLED, []),
        (
            "dockerd",
            '{"default-runtime": "nvidia"}',
            ["docker/default-runtime-undefined", "docker/runtime-not-configured"],
        ),
        ("dockerd", "{runtimes: }", ["docker/config-invalid"]),
        ("dockerd", "[]", ["docker/config-invalid"]),
        ("dockerd", '{"runtimes": 1}', ["docker/config-invalid"]),
        (
            "dockerd --default-runtime=nvidia",
            INSTALLED[:-1] + ', "default-runtime": "nvidia"}',
            ["docker/config-invalid"],
        ),
        (
            "dockerd --config-file /etc/docker/other.json",
            INSTALLED,
            ["docker/runtime-not-configured"],
        ),
    ],
)
def test_docker_beside_the_kubelets_containerd(
    argv: str, text: str | None, expected: list[str]
) -> None:
    """Its file and its flags together, as dockerd reads them at its next start."""
    machine = Machine(others=[f"/usr/bin/{argv}"], listed=["/usr/local/bin"])
    if text is not None:
        machine.files[DOCKER_JSON] = text
    found = [each.cause for each in check_docker.docker_findings(machine.node())]
    assert found == expected


def test_no_docker_no_finding() -> None:
    """A file without a daemon says nothing, and neither does the kubelet's own Docker."""
    machine = Machine(files={CONFIG: HEALTHY, DOCKER_JSON: "{"})
    assert not [*check_docker.docker_findings(machine.node())]
    argv = "/usr/bin/kubelet --container-runtime docker"
    machine = Machine(kubelet=argv, others=["/usr/bin/dockerd"])
    machine.files[DOCKER_JSON] = "{"
    assert not [*check_docker.docker_findings(machine.node())]


def test_a_docker_file_that_nobody_read_leaves_kubernetes_alone() -> None:
    """It might hold anything, and Kubernetes does not use it."""
    machine = Machine(others=["/usr/bin/dockerd --config-file=/opt/docker/daemon.json"])
    assert not [*check_docker.docker_findings(machine.node())]


def test_files_of_another_containerd_that_nobody_read_leave_kubernetes_alone() -> None:
    """It is not the kubelet's."""
    machine = Machine(others=["/usr/bin/containerd --config /opt/docker/containerd.toml"])
    node = machine.node()
    assert not [*check_cri.others_unreadable(node)]
    assert check_cri.unreadable(node) is None


@pytest.mark.parametrize("line", ['version = "2"', 'imports = "/x"', "plugins = 3"])
def test_a_value_of_another_type_stops_containerd(line: str) -> None:
    """Its decoder takes no text for a number, and no number for a table."""
    machine = Machine(files={CONFIG: f"{line}\n"})
    finding = check_cri.unreadable(machine.node())
    assert cause(finding) == "runtime/config-invalid"
    assert line in text_of(finding)


@pytest.mark.parametrize("error", ["bash: crictl: command not found", "dial: permission denied"])
def test_trouble_of_crictl_itself_says_nothing_of_the_cri(error: str) -> None:
    """Nobody was asked, and no kubelet tells either."""
    with pytest.raises(Unproven):
        check_serving.silent(missed(Machine(info_error=error).node()))


def test_a_kubelet_nobody_recognises_leaves_the_socket_unknown() -> None:
    """The node is Ready: something is the kubelet, and its socket would be a guess."""
    with pytest.raises(NotInEvidence):
        check_serving.not_running(Machine(kubelet=None).node())


def test_an_empty_drop_in_mixes_no_versions() -> None:
    """It says neither a version nor anything of plugins."""
    files = {**Machine().files, "/etc/containerd/conf.d/empty.toml": ""}
    machine = Machine(files=files)
    assert check_cri.versions_mixed(machine.node()) is None
