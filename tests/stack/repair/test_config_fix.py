"""Repairs of containerd's configuration: the patch goes into the right file, and it is one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_gpu.causes import Finding, fix_of
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.run.placeholders import filled
from pytest_gpu.stack.containerd import config_file
from pytest_gpu.stack.distributions.detect import distribution_of
from pytest_gpu.stack.distributions.products.talos import TALOS
from pytest_gpu.stack.repair import config_fix
from pytest_gpu.stack.runtime import (
    check_cgroups,
    check_cri,
    check_handler,
    check_restart,
    check_templates,
    handler_fix,
    next_start,
    template_missing,
)
from pytest_gpu.stack.toolkit import check_programs
from tests.samples.mending import apply, diffs, shown, target
from tests.stack.containerd.test_merge import CONFIG
from tests.stack.containerd.test_merge import handler as table
from tests.stack.runtime.runtime_machine import HEALTHY, NVIDIA, SOCKET, Machine

Check = Callable[[GpuNode], Finding | None]

CONF_D = "/etc/containerd/conf.d"
DROP_IN = f"{CONF_D}/99-nvidia.toml"
IMPORTING = f'version = 2\nimports = ["{CONF_D}/*.toml"]\n'
RUNC = table("runc", systemd=True)
GPU = table("nvidia", binary=NVIDIA, systemd=True)
ONLY_RUNC = f"version = 2\n{RUNC}"
REGISTRY = 'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/x"\n'
V3 = "version = 3\nimports = ['/etc/containerd/conf.d/*.toml']\n"
CRI, AUFS = '"io.containerd.grpc.v1.cri"', '"io.containerd.snapshotter.v1.aufs"'
CRI3 = "io.containerd.cri.v1.runtime"
SECTION = '[plugins."io.containerd.grpc.v1.cri".containerd]\n'

FAULTS: dict[str, tuple[Check, dict[str, str], str, str]] = {
    # name: check, files, containerd's version, the file that the patch changes
    "cgroup driver": (
        check_cgroups.cgroup_driver_differs,
        {CONFIG: f"version = 2\n{RUNC}{table('nvidia', binary=NVIDIA)}"},
        "1.7.24",
        CONFIG,
    ),
    "cgroup driver, spelled otherwise": (
        check_cgroups.cgroup_driver_differs,
        {
            CONFIG: f"version = 2\n{RUNC}{table('nvidia', binary=NVIDIA)}".replace(
                f'BinaryName = "{NVIDIA}"', f'BinaryName = "{NVIDIA}"\nsystemdCgroup = false'
            )
        },
        "1.7.24",
        CONFIG,
    ),
    "cgroup driver in a drop-in": (
        check_cgroups.cgroup_driver_differs,
        {CONFIG: IMPORTING + RUNC, DROP_IN: f"version = 2\n{table('nvidia', binary=NVIDIA)}"},
        "2.1.9",
        DROP_IN,
    ),
    "no type": (
        check_programs.handler_without_type,
        {CONFIG: ONLY_RUNC + GPU.replace('runtime_type = "io.containerd.runc.v2"\n', "")},
        "1.7.24",
        CONFIG,
    ),
    "binary elsewhere": (
        check_programs.binary_missing,
        {CONFIG: HEALTHY.replace(NVIDIA, "/opt/nvidia/nvidia-container-runtime")},
        "1.7.24",
        CONFIG,
    ),
    "CRI disabled": (
        check_cri.cri_disabled,
        {CONFIG: 'disabled_plugins = ["cri"] # by a package\n' + HEALTHY.partition("\n")[2]},
        "1.6.20",
        CONFIG,
    ),
    "CRI disabled twice": (
        check_cri.cri_disabled,
        {
            CONFIG: f"disabled_plugins = [{CRI}, {AUFS}]\n{IMPORTING}{RUNC}{GPU}",
            f"{CONF_D}/a.toml": 'version = 2\ndisabled_plugins = [\n"io.containerd.grpc.v1.cri"]\n',
        },
        "2.1.9",
        CONFIG,
    ),
    "default misspelt": (
        check_cri.default_undefined,
        {CONFIG: f'{HEALTHY}{SECTION}default_runtime_name = "Nvidia"\n'},
        "1.7.24",
        CONFIG,
    ),
    "default of nobody": (
        check_cri.default_undefined,
        {CONFIG: f'{HEALTHY}{SECTION}default_runtime_name = "crun"\n'},
        "1.7.24",
        CONFIG,
    ),
    "no runc": (
        check_cri.default_undefined,
        {CONFIG: IMPORTING, DROP_IN: f"version = 2\n{GPU}"},
        "1.7.24",
        DROP_IN,
    ),
    "section replaced": (
        check_handler.no_gpu_handler,
        {CONFIG: IMPORTING + RUNC + GPU, f"{CONF_D}/z.toml": REGISTRY},
        "1.7.24",
        f"{CONF_D}/z.toml",
    ),
    "outside the imports": (
        check_handler.no_gpu_handler,
        {CONFIG: ONLY_RUNC, DROP_IN: f"version = 2\n{GPU}"},
        "1.7.24",
        CONFIG,
    ),
    "nothing configured": (check_handler.no_gpu_handler, {CONFIG: ONLY_RUNC}, "1.7.24", CONFIG),
    "nothing configured, 2.x, imports": (
        check_handler.no_gpu_handler,
        {CONFIG: f"{V3}[plugins.'io.containerd.cri.v1.runtime']\nenable_cdi = false\n"},
        "2.1.9",
        DROP_IN,
    ),
    "import of nothing": (
        check_cri.unreadable,
        {CONFIG: HEALTHY.replace("\n", '\nimports = ["/etc/containerd/gone.toml"] # old\n', 1)},
        "1.7.24",
        CONFIG,
    ),
    "CRI disabled by a name of version 1": (
        check_cri.unreadable,
        {CONFIG: 'disabled_plugins = ["cri"]\n' + HEALTHY},
        "2.1.9",
        CONFIG,
    ),
    "version 3 on 1.7": (
        check_cri.unreadable,
        {CONFIG: HEALTHY.replace("version = 2", "version = 3").replace(CRI[1:-1], CRI3)},
        "1.7.24",
        CONFIG,
    ),
    "versions mixed": (
        check_cri.versions_mixed,
        {
            CONFIG: f"{IMPORTING}{REGISTRY[12:]}{RUNC}",
            DROP_IN: f"version = 3\n{GPU}".replace(CRI[1:-1], CRI3),
        },
        "2.1.9",
        DROP_IN,
    ),
}


def mend(machine: Machine, finding: Finding, root: Path) -> list[str]:
    """Apply the patches of a finding to a machine's files; return the paths they changed."""
    for path, text in machine.files.items():
        file = root / path[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())
    fix = fix_of(filled(finding, machine.node()))
    apply(fix, root)
    for file in sorted(root.rglob("*.toml")):
        machine.files[f"/{file.relative_to(root)}"] = file.read_text()
    return [target(diff) for diff in diffs(fix)]


@pytest.mark.parametrize("name", FAULTS)
def test_patch_mends_the_fault(tmp_path: Path, name: str) -> None:
    """Applied with the real program, it leaves a configuration without any fault."""
    check, files, version, where = FAULTS[name]
    machine = Machine(files=dict(files), version=version, live=("runc",), listed=["/opt/nvidia"])
    finding = check(machine.node())
    assert finding
    assert where in mend(machine, finding, tmp_path)
    machine.live = ("nvidia", "runc")
    node = machine.node()
    checks = [
        check_cri.unreadable,
        check_cri.versions_mixed,
        check_cri.cri_disabled,
        check_cri.default_undefined,
        check_handler.no_gpu_handler,
    ]
    checks += [check_programs.handler_without_type, check_programs.binary_missing]
    checks += [check_cgroups.cgroup_driver_differs, check_restart.not_loaded]
    assert [each(node) for each in checks] == [None] * len(checks)
    assert node.containerd.config.default_runtime in {"runc", "nvidia"}
    assert "runc" in node.containerd.config.runtimes


K3S = "/var/lib/rancher/k3s/agent/etc/containerd"
RENDERED = "# File generated by k3s. DO NOT EDIT.\n"
V3_SECTION = "plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes"
BAD_GPU = f"[{V3_SECTION}.nvidia.options]\nBinaryName = '{NVIDIA}'\nSystemdCgroup = false\n"
V3_RUNC = f"[{V3_SECTION}.runc.options]\nSystemdCgroup = true\n"
V3_IMPORTS = f"imports = ['{K3S}/config-v3.toml.d/*.toml']\n"


def k3s(text: str, version: str, **files: str) -> Machine:
    """Return a k3s node whose rendered file says this; files lie beside it."""
    return Machine(
        files={f"{K3S}/config.toml": text, **{f"{K3S}/{k}": v for k, v in files.items()}},
        containerds={SOCKET: f"/usr/bin/containerd -c {K3S}/config.toml"},
        kubelet_version="v1.33.1+k3s1",
        version=version,
        listed=[K3S, f"{K3S}/config-v3.toml.d"],
    )


def test_a_rendered_file_is_never_patched_but_a_drop_in_is(tmp_path: Path) -> None:
    """k3s from 1.31.6 on imports a folder of drop-ins; what stands there outlives its starts."""
    bad = f"[{V3_SECTION}.nvidia]\nruntime_type = 'io.containerd.runc.v2'\n{BAD_GPU}"
    machine = k3s(f"{RENDERED}version = 3\n{V3_IMPORTS}{V3_RUNC}{bad}", "2.0.4")
    finding = check_cgroups.cgroup_driver_differs(machine.node())
    assert finding
    assert mend(machine, finding, tmp_path) == [f"{K3S}/config-v3.toml.d/99-nvidia.toml"]
    assert check_cgroups.cgroup_driver_differs(machine.node()) is None


def test_without_a_place_that_lasts_words_name_the_template() -> None:
    """What k3s itself renders cannot be said a second time in its template."""
    text = RENDERED + HEALTHY.replace("SystemdCgroup = true", "SystemdCgroup = false")
    machine = k3s(text.replace("SystemdCgroup = false", "SystemdCgroup = true", 1), "1.7.24")
    finding = check_cgroups.cgroup_driver_differs(machine.node())
    assert finding
    fix = fix_of(filled(finding, machine.node()))
    assert diffs(fix) == []
    assert f"{K3S}/config" in fix[0]
    assert ".tmpl" in fix[0]


def test_a_template_is_made_on_what_the_distribution_renders(tmp_path: Path) -> None:
    """A new one takes over all of it, and adds a handler."""
    machine = k3s(f"{RENDERED}{ONLY_RUNC}", "1.7.24")
    fix = handler_fix.define_handler(machine.node())
    apply(shown(fix.patch), tmp_path)
    text = (tmp_path / fix.file[1:]).read_text()
    assert text.startswith('{{ template "base" . }}\n\n[plugins.')
    assert fix.file in {f"{K3S}/config.toml.tmpl", f"{K3S}/config-v3.toml.tmpl"}


def test_a_template_that_is_there_is_added_to(tmp_path: Path) -> None:
    """What Go fills in stays as it is."""
    machine = k3s(f"{RENDERED}{ONLY_RUNC}", "1.7.24")
    path = handler_fix.define_handler(machine.node()).file
    template = '# ours\n{{ template "base" . }}\n{{- if .X }}\n[debug]\n{{ end }}\nlevel = "info"\n'
    machine.files[path] = template
    (tmp_path / path[1:]).parent.mkdir(parents=True)
    (tmp_path / path[1:]).write_text(template)
    apply(shown(handler_fix.define_handler(machine.node()).patch), tmp_path)
    after = (tmp_path / path[1:]).read_text()
    assert [line for line in template.splitlines() if line not in after.splitlines()] == []
    assert ".runtimes.nvidia]" in after


ARGS = "/var/snap/microk8s/current/args"
MICROK8S_TEMPLATE = f'version = 2\nroot = "${{SNAP_COMMON}}/run"\n{RUNC}'


def microk8s(template: str) -> Machine:
    """Return a MicroK8s node whose rendered file has the handler, and whose template says this."""
    return Machine(
        files={
            f"{ARGS}/containerd.toml": f"version = 2\n{RUNC}{GPU}",
            f"{ARGS}/containerd-template.toml": template,
        },
        containerds={SOCKET: f"/snap/microk8s/1/bin/containerd --config {ARGS}/containerd.toml"},
        listed=[ARGS],
    )


def test_a_handler_in_a_rendered_file_goes_into_its_template(tmp_path: Path) -> None:
    """The next start of MicroK8s would lose it; with the patch it does not."""
    machine = microk8s(MICROK8S_TEMPLATE)
    finding = check_templates.fault_at_next_start(machine.node())
    assert finding
    assert finding.cause == "runtime/rendered-file-edited"
    assert mend(machine, finding, tmp_path) == [f"{ARGS}/containerd-template.toml"]
    assert check_templates.fault_at_next_start(machine.node()) is None


V2_HANDLER = GPU.replace(NVIDIA, "/opt/nvidia/nvidia-container-runtime")
TEMPLATES = {
    "not read": {"config.toml.tmpl": f'{{{{ template "base" . }}}}\n{V2_HANDLER}'},
    "other version": {"config-v3.toml.tmpl": f'{{{{ template "base" . }}}}\n{V2_HANDLER}'},
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_handler_in_a_wrong_template_is_moved_or_renamed(tmp_path: Path, name: str) -> None:
    """After the patch the next start renders a handler that counts."""
    base = {"config-v3.toml.tmpl": '{{ template "base" . }}\n'} if name == "not read" else {}
    files = {**base, **TEMPLATES[name]}
    machine = k3s(f"{RENDERED}version = 3\n{V3_RUNC}", "2.0.4", **files)
    machine.binaries = ("/opt/nvidia/nvidia-container-runtime",)
    folders = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/sbin", "/bin", "/etc", "/opt")
    machine.listed = [*machine.listed, *folders]
    finding = template_missing.missing_by_template(machine.node())
    assert finding
    assert mend(machine, finding, tmp_path) == [f"{K3S}/config-v3.toml.tmpl"]
    machine.files |= {
        f"/{path.relative_to(tmp_path)}": path.read_text() for path in tmp_path.rglob("*.tmpl")
    }
    coming = next_start.predict(machine.node())
    assert coming
    assert "nvidia" in coming.handlers


def test_nothing_is_patched_on_a_node_that_is_made_of_settings() -> None:
    """Talos has no shell: words name the settings."""
    machine = Machine(files={CONFIG: f"version = 2\n{RUNC}{table('nvidia', binary=NVIDIA)}"})
    node = machine.node()
    node.memory.recall(distribution_of, lambda: TALOS)
    finding = check_cgroups.cgroup_driver_differs(node)
    assert finding
    fix = fix_of(filled(finding, node))
    assert diffs(fix) == []
    first, second, *_ = fix
    assert "talosctl patch machineconfig" in first
    assert "the settings from which talos generates" in second


@pytest.mark.parametrize(
    ("options", "spelled"), [('{binaryname = "a"}', ["binaryname"]), ("[1]", []), ("7", [])]
)
def test_options_of_another_shape_have_no_names(options: str, spelled: list[str]) -> None:
    """The check of the configuration tells that it is wrong; a fix is no place to stumble."""
    section = '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia]'
    text = f"version = 2\n{section}\noptions = {options}\n"
    file = config_file.parse("config.toml", text.encode())
    assert config_fix._spelled([file], "nvidia", "BinaryName") == spelled
