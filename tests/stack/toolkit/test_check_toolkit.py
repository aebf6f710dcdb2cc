"""The NVIDIA runtime's own configuration: a wrong setting is found, a near miss is not."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.stack.kube import device_plugin
from pytest_gpu.stack.toolkit import check_config, check_device_access
from pytest_gpu.stack.toolkit.own_config import CLI, DEFAULTS, RUNTIME, config_path, own_config
from tests.stack.containerd.test_merge import CONFIG
from tests.stack.containerd.test_merge import handler as table
from tests.stack.kube.test_device_plugin import policy
from tests.stack.runtime.runtime_machine import HEALTHY, NVIDIA, Machine
from tests.stack.runtime.test_check_runtime import OWN, cause, text_of
from tests.support.fake_evidence import FakeNode

LIBRARY = "/usr/lib/x86_64-linux-gnu/libnvidia-container.so.1"
GPU = "/sys/bus/pci/devices/0000:17:00.0"


def machine(text: str, version: str = "", **files: str) -> Machine:
    """Return a machine whose runtime reads this text, of this release of the toolkit."""
    found = Machine(files={CONFIG: HEALTHY, OWN: text, **files})
    found.listed = ["/usr/lib/x86_64-linux-gnu", "/usr/sbin", "/usr/local/bin", "/dev"]
    found.listed += ["/usr/local/sbin", "/sbin", "/bin", "/run/nvidia"]
    if any(path.startswith("/run/nvidia/driver/") for path in files):
        found.listed += ["/run/nvidia/driver"]
    if version:
        found.links = {LIBRARY: f"libnvidia-container.so.{version}"}
    return found


def cli(line: str) -> str:
    """Return a file with one line about nvidia-container-cli."""
    return f"disable-require = false\n\n[{CLI}]\n{line}\n"


def runtime(line: str) -> str:
    """Return a file with one line about the runtime."""
    return f"[{RUNTIME}]\n{line}\n"


ROOT = 'root = "/run/nvidia/driver"'
FILLED = {"/run/nvidia/driver/usr/lib64/libnvidia-ml.so.1": ""}
EMPTY = {"/run/nvidia/driver/.keep": ""}
REAL = 'ldconfig = "@/usr/sbin/ldconfig.real"'
PLAIN = 'ldconfig = "@/usr/sbin/ldconfig"'
HAS_PLAIN = {"/usr/sbin/ldconfig": ""}
HAS_BOTH = {"/usr/sbin/ldconfig": "", "/usr/sbin/ldconfig.real": ""}
OWN_LDCONFIG = 'ldconfig = "/sbin/ldconfig"'
ALLOWED = "[features]\nallow-ldconfig-from-container = true\n"


@pytest.mark.parametrize(
    ("text", "version", "files", "expected"),
    [
        (cli(ROOT), "", {}, "runtime/toolkit-root-missing"),
        (cli(ROOT), "", EMPTY, "runtime/toolkit-root-without-driver"),
        (cli(ROOT), "", FILLED, None),
        (cli(ROOT) + runtime('mode = "cdi"'), "", {}, None),
        (cli('root = "/"'), "", {}, None),
        (cli(REAL), "1.14.3", HAS_PLAIN, "runtime/toolkit-ldconfig-missing"),
        (cli(REAL), "1.17.8", HAS_PLAIN, None),
        (cli(REAL), "1.17.8", {}, "runtime/toolkit-ldconfig-missing"),
        (cli(REAL), "1.14.3", HAS_BOTH, None),
        (cli(PLAIN), "1.14.3", HAS_PLAIN, None),
        (cli(PLAIN), "1.14.3", HAS_BOTH, "runtime/toolkit-ldconfig-missing"),
        (cli(PLAIN), "1.17.8", HAS_BOTH, None),
        (cli(REAL) + runtime('mode = "cdi"'), "1.17.8", {}, None),
        (cli(REAL), "1.18.0", {}, None),
        (cli(OWN_LDCONFIG), "1.17.8", {}, "runtime/toolkit-ldconfig-of-container"),
        (cli(OWN_LDCONFIG), "1.17.2", {}, None),
        (cli(OWN_LDCONFIG) + ALLOWED, "1.17.8", {}, None),
        (runtime('mode = "Auto"'), "", {}, "runtime/toolkit-mode-unknown"),
        (runtime('mode = ""'), "", {}, "runtime/toolkit-mode-unknown"),
        (runtime('mode = "jit-cdi"'), "1.17.8", {}, "runtime/toolkit-mode-unknown"),
        (runtime('mode = "jit-cdi"'), "1.18.0", {}, None),
        (runtime('mode = "legacy"'), "", {}, None),
        (runtime('runtimes = ["crun"]'), "", {}, None),
        (runtime('runtimes = "runc"'), "", {}, "runtime/toolkit-config-mistyped"),
        (runtime("mode = 1"), "", {}, "runtime/toolkit-config-mistyped"),
        (cli('no-cgroups = "false"'), "", {}, "runtime/toolkit-config-mistyped"),
        (f'{CLI} = "x"\n', "", {}, "runtime/toolkit-config-mistyped"),
        (runtime("runtimes = ["), "", {}, "runtime/toolkit-config-invalid"),
        ("", "", {}, None),
    ],
)
def test_one_setting(text: str, version: str, files: dict[str, str], expected: str | None) -> None:
    """Each setting that keeps containers from starting, its repair, and near misses."""
    found = check_config.own_config_wrong(machine(text, version, **files).node())
    assert cause(found) == expected


def test_the_line_is_named() -> None:
    """The finding shows the very line; the fix names the file and what would be right."""
    found = check_config.own_config_wrong(machine(cli(REAL), "1.14.3", **HAS_PLAIN).node())
    assert found is not None
    assert (found.evidence[0].source, found.evidence[0].line) == (OWN, 4)
    assert "nvidia-container-cli.ldconfig=@/usr/sbin/ldconfig" in text_of(found)


def test_csv_on_a_pci_gpu() -> None:
    """The mode is for Tegra."""
    node = machine(runtime('mode = "csv"'))
    node.files |= {f"{GPU}/vendor": "0x10de\n", f"{GPU}/class": "0x030200\n"}
    node.listed = [*node.listed, "/sys/bus/pci/devices", GPU]
    assert cause(check_config.own_config_wrong(node.node())) == "runtime/toolkit-mode-csv"
    node.files[f"{GPU}/vendor"] = "0x8086\n"
    assert check_config.own_config_wrong(node.node()) is None


def test_an_ldconfig_of_an_unknown_toolkit_is_unproven() -> None:
    """Old toolkits fail with it, newer ones do not: unknown is no pass and no failure."""
    with pytest.raises(Unproven, match=r"1\.15"):
        check_config.own_config_wrong(machine(cli(REAL), "", **HAS_PLAIN).node())


def test_a_configuration_nobody_read_is_unproven() -> None:
    """Without the file's folder listed, the defaults are not taken for granted."""
    node = Machine(files={CONFIG: "version = 2\n" + table("nvidia", binary="/opt/nv/runtime")})
    node.files[CONFIG] = node.files[CONFIG].replace("/opt/nv/runtime", "/opt/nv/" + NVIDIA[9:])
    with pytest.raises(NotInEvidence):
        check_config.own_config_wrong(node.node())


def test_the_wrapper_says_where() -> None:
    """The toolkit's container wraps its programs; the wrapper names the folder."""
    binary = "/usr/local/nvidia/toolkit/nvidia-container-runtime"
    wrapper = "#! /bin/sh\nXDG_CONFIG_HOME=/srv/nvidia/.config \\\n\texec x.real\n"
    own = "/srv/nvidia/.config/nvidia-container-runtime/config.toml"
    files = {binary: wrapper, own: runtime('mode = "cdi"')}
    node = FakeNode(files=files, complete=["/usr/local/nvidia/toolkit"])
    assert (own_config(node, binary).path, own_config(node, binary).mode) == (own, "cdi")
    plain = FakeNode(files={binary: "\x7fELF"}, complete=["/usr/local/nvidia/toolkit"])
    assert own_config(plain, binary).path == (
        "/usr/local/nvidia/toolkit/.config/nvidia-container-runtime/config.toml"
    )


def test_the_wrapper_of_talos_names_another_folder() -> None:
    """It is a program, so the one beside it tells; a plain program there reads /etc."""
    binary = "/usr/local/bin/nvidia-container-runtime"
    wrapped = FakeNode(files={f"{binary}.real": ""})
    plain = FakeNode(absent=[f"{binary}.real"])
    name = "nvidia-container-runtime/config.toml"
    assert config_path(wrapped, binary) == f"/usr/local/etc/{name}"
    assert config_path(plain, binary) == config_path(FakeNode(), binary) == f"/etc/{name}"


def test_every_setting_has_its_line_or_its_default() -> None:
    """What is told comes with its line, whatever the table's form; the rest with its default."""
    text = (
        'modes.cdi.default-kind = "x"\n[nvidia-container-runtime]\nmodes.cdi.default-kind = "a/b"\n'
        '[nvidia-container-runtime."modes".csv]\nmount-spec-path = "/srv"\n'
    )
    config = own_config(FakeNode(files={OWN: text}), NVIDIA)
    kind, path = f"{RUNTIME}.modes.cdi.default-kind", f"{RUNTIME}.modes.csv.mount-spec-path"
    assert (config.value(kind), config.evidence(kind).line) == ("a/b", 3)
    assert (config.value(path), config.evidence(path).line) == ("/srv", 5)
    spec_dirs = config.evidence(f"{RUNTIME}.modes.cdi.spec-dirs")
    assert spec_dirs.text == 'spec-dirs = ["/etc/cdi", "/var/run/cdi"] (the default)'
    assert list(config.mistyped()) == []
    for name, default in DEFAULTS.items():
        assert type(config.value(name)) is type(default)


def plugin(strategy: str = "", *, device_nodes: str = "", args: str = "") -> dict[str, list[Any]]:
    """Return NVIDIA's device plugin with these settings."""
    env = {"DEVICE_LIST_STRATEGY": strategy, "PASS_DEVICE_SPECS": device_nodes}
    container = {
        "name": "nvidia-device-plugin",
        "image": "nvcr.io/nvidia/k8s-device-plugin:v0.17.0",
        "args": args.split(),
        "env": [{"name": name, "value": value} for name, value in env.items() if value],
    }
    metadata = {"name": "plugin", "namespace": "gpu"}
    return {"pods": [{"metadata": metadata, "spec": {"containers": [container], **_HERE}}]}


_HERE = {"nodeName": "gpu-1"}
VOLUMES = "accept-nvidia-visible-devices-as-volume-mounts = true\n"
NO_ENVVAR = "accept-nvidia-visible-devices-envvar-when-unprivileged = false\n"


@pytest.mark.parametrize(
    ("text", "strategy", "expected"),
    [
        ("", "", None),
        ("", "volume-mounts", "runtime/toolkit-refuses-volume-mounts"),
        (VOLUMES, "volume-mounts", None),
        (NO_ENVVAR, "envvar", "runtime/toolkit-refuses-envvar"),
        (NO_ENVVAR, "", "runtime/toolkit-refuses-envvar"),
        (NO_ENVVAR + VOLUMES, "volume-mounts", None),
        (NO_ENVVAR, "cdi-cri", None),
        ("", "volume-mounts,envvar", None),
    ],
)
def test_what_the_plugin_hands_over(text: str, strategy: str, expected: str | None) -> None:
    """The plugin's way and the runtime's switches fit together, or no pod gets its GPU."""
    node = machine(text)
    node.objects = plugin(strategy)
    found = check_device_access.refuses_devices(node.node())
    assert cause(found) == expected


def test_all_checks_read_one_strategy_of_the_plugin() -> None:
    """Where only the ClusterPolicy tells it: the toolkit's switches are about something else."""
    node = machine(NO_ENVVAR)
    node.objects = {
        **plugin(),
        "daemonsets": [],
        "clusterpolicies": [policy(cdi={"enabled": True})],
    }
    found = node.node()
    assert check_device_access.refuses_devices(found) is None
    told = device_plugin.strategy(found.cluster, device_plugin.find(found.cluster, found.name))
    assert told.means == ("cdi-annotations", "cdi-cri")
    assert told.said.source == "clusterpolicy: cdi.enabled: true"


def test_a_flag_of_the_plugin_counts_before_its_variable() -> None:
    """As the plugin itself reads them."""
    node = machine("")
    node.objects = plugin("envvar", args="--device-list-strategy=volume-mounts")
    assert cause(check_device_access.refuses_devices(node.node())) == (
        "runtime/toolkit-refuses-volume-mounts"
    )


@pytest.mark.parametrize(
    ("text", "version", "found"),
    [
        (cli("no-cgroups = true"), "1.17.8", True),
        (cli("no-cgroups = false"), "1.17.8", False),
        (cli("no-cgroups = true"), "1.18.0", False),
        (cli("no-cgroups = true") + runtime('mode = "legacy"'), "1.18.0", True),
        (cli("no-cgroups = true") + runtime('mode = "cdi"'), "1.17.8", False),
    ],
)
def test_cgroups_left_alone(text: str, version: str, *, found: bool) -> None:
    """It counts where nvidia-container-cli sets containers up."""
    node = machine(text, version).node()
    expected = "runtime/toolkit-no-cgroups" if found else None
    assert cause(check_device_access.cgroups_left_alone(node)) == expected


def test_a_plugin_that_passes_device_nodes() -> None:
    """Then the kubelet has them allowed, whatever the runtime does."""
    node = machine("")
    node.objects = plugin(device_nodes="true")
    assert check_device_access.passes_device_nodes(node.node())
    node.objects = plugin(args="--pass-device-specs")
    assert check_device_access.passes_device_nodes(node.node())
    node.objects = plugin()
    assert not check_device_access.passes_device_nodes(node.node())


@pytest.mark.parametrize(
    ("word", "passes"), [("1", True), ("T", True), ("TRUE", True), ("", False)]
)
def test_every_word_that_go_takes_for_true(word: str, *, passes: bool) -> None:
    """The plugin reads its variables as Go does."""
    node = machine("")
    node.objects = plugin(device_nodes=word)
    assert check_device_access.passes_device_nodes(node.node()) is passes


@pytest.mark.parametrize(
    "told", [{"/run/systemd/container": "lxc\n"}, {"/proc/1/environ": "A=b\0container=lxc\0"}]
)
def test_a_node_that_is_a_container_may_need_cgroups_left_alone(told: dict[str, str]) -> None:
    """Only its host knows; where the device plugin passes device nodes, nobody minds."""
    node = machine(cli("no-cgroups = true"), "1.17.8", **told)
    node.objects = plugin()
    with pytest.raises(Unproven, match="container \\(lxc\\)"):
        check_device_access.cgroups_left_alone(node.node())
    node.objects = plugin(device_nodes="true")
    assert check_device_access.cgroups_left_alone(node.node()) is None


def test_wsl_is_no_container_in_that_sense() -> None:
    """It sets the same variable."""
    node = machine(cli("no-cgroups = true"), "1.17.8", **{"/run/systemd/container": "wsl\n"})
    assert (
        cause(check_device_access.cgroups_left_alone(node.node())) == "runtime/toolkit-no-cgroups"
    )


ON_HOST = {"/usr/lib64/libnvidia-ml.so.1": ""}
FOLDERS = ["/usr/lib/aarch64-linux-gnu", "/usr/lib/wsl", "/home/kubernetes/bin/nvidia"]


def test_the_host_told_as_root_of_a_driver_in_a_container() -> None:
    """Nothing else has the driver: the finding names the right root."""
    node = machine(cli('root = "/"'), "1.17.8", **FILLED)
    node.listed = [*node.listed, *FOLDERS]
    found = check_config.own_config_wrong(node.node())
    assert cause(found) == "runtime/toolkit-root-without-driver"
    assert "nvidia-container-cli.root=/run/nvidia/driver" in text_of(found)
    node.files |= ON_HOST
    assert check_config.own_config_wrong(node.node()) is None
    del node.files["/usr/lib64/libnvidia-ml.so.1"]
    node.files[OWN] = cli(ROOT)
    assert check_config.own_config_wrong(node.node()) is None


def test_a_driver_on_the_host_that_nobody_looked_for() -> None:
    """The container's driver may not be the only one."""
    node = machine(cli('root = "/"'), "1.17.8", **FILLED)
    with pytest.raises(NotInEvidence):
        check_config.own_config_wrong(node.node())
