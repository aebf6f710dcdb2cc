"""What a template that stands alone lacks, compared with what is rendered now."""

from __future__ import annotations

import pytest

from pytest_gpu.stack.runtime import check_templates
from tests.samples.mending import applied, diffs, shown
from tests.stack.containerd.test_merge import CRI2, CRI3
from tests.stack.containerd.test_merge import handler as table
from tests.stack.containerd.test_templates import (
    BASE,
    FOLDER,
    FOUND_3,
    HAND_3,
    MICROK8S,
    OPT,
    RENDERED,
    RUNC_3,
    V2,
    V3,
    microk8s,
    next_time,
    rke2,
)
from tests.stack.runtime.runtime_machine import NVIDIA, Machine
from tests.stack.runtime.test_check_runtime import cause, text_of

IMAGES = "[plugins.'io.containerd.cri.v1.images']\n"
LOST = "runtime/template-loses-settings"
MORE_3 = (
    f"{IMAGES}snapshotter = 'zfs'\n"
    "[plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = 'mirror.example/pause:3.9'\n"
    f"[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '{FOLDER}/certs.d'\n"
)
SECTION_2, SECTION_3 = CRI2.removesuffix(".containerd"), CRI3.removesuffix(".containerd")


def of(machine: Machine) -> tuple[str | None, str]:
    """Return the cause of what the next start loses, and all that is said of it."""
    finding = next_time(machine)
    return cause(finding), text_of(finding) if finding else ""


def rendered(machine: Machine, template: str) -> str:
    """Return the template as the fix changes it."""
    finding = check_templates.fault_at_next_start(machine.node())
    assert finding is not None
    patch = finding.values["patch"]
    assert isinstance(patch, tuple)
    (diff,) = diffs(shown(patch))
    return applied(diff, machine.files[template])


def test_images_registries_and_snapshotter_are_lost() -> None:
    """Version 3, rke2: the template has both handlers and nothing else of the rendered file."""
    machine = rke2(FOUND_3 + MORE_3, **{V3: FOUND_3})
    found, text = of(machine)
    assert found == LOST
    for words in ("snapshotter, sandbox_image, registry", "mirror.example/pause:3.9", "'zfs'", V3):
        assert words in text
    healed = rendered(machine, V3)
    assert of(rke2(FOUND_3 + MORE_3, **{V3: healed})) == (None, "")
    assert of(rke2(FOUND_3, **{V3: FOUND_3})) == (None, "")


def test_cdi_and_cgroups_are_lost() -> None:
    """Version 2 under containerd 1.7, k3s' older template."""
    alone = "version = 2\n" + table("runc") + table("nvidia", binary=NVIDIA, systemd=True)
    now = f"version = 2\n[{SECTION_2}]\nenable_cdi = true\nsandbox_image = 'p:3'\n"
    now += table("runc", systemd=True) + table("nvidia", binary=NVIDIA, systemd=True)
    machine = rke2(now, **{V2: alone})
    machine.version, machine.kubelet_version = "1.7.23", "v1.30.9+rke2r1"
    found, text = of(machine)
    assert found == LOST
    assert "enable_cdi = true, runc's SystemdCgroup = true, sandbox_image" in text
    assert "does not set enable_cdi = true, sandbox_image" in text
    assert "SystemdCgroup = false" in text
    machine.files[V2] = rendered(machine, V2)
    assert "enable_cdi = true" in machine.files[V2]
    assert of(machine) == (None, "")


def test_the_cgroup_driver_of_runc_is_lost() -> None:
    """The template has runc's table without options: containers get the wrong cgroups."""
    runc = f"version = 3\n[{CRI3}.runtimes.runc]\nruntime_type = 'io.containerd.runc.v2'\n"
    nvidia = table("nvidia", CRI3, binary=NVIDIA, systemd=True)
    machine = rke2(FOUND_3, **{V3: runc + nvidia})
    found, text = of(machine)
    assert found == LOST
    assert "runc's SystemdCgroup = true" in text
    machine.files[V3] = rendered(machine, V3)
    assert of(machine) == (None, "")


def test_imports_are_lost_and_the_drop_in_with_them() -> None:
    """The handler is in a drop-in, which nobody reads after the next start."""
    folder = f"{FOLDER}/config-v3.toml.d"
    imports = f"version = 3\nimports = ['{folder}/*.toml']\n"
    text = RUNC_3.replace("version = 3\n", imports)
    machine = rke2(text, **{f"{folder}/gpu.toml": "version = 3\n" + HAND_3, V3: RUNC_3})
    machine.binaries, machine.listed = (OPT,), [*machine.listed, folder]
    found, said = of(machine)
    assert found == LOST
    assert "The next start loses imports" in said
    assert f"{folder}/gpu.toml" in said
    assert "does not set imports" in said
    machine.files[V3] = rendered(machine, V3)
    assert of(machine) == (None, "")


def test_a_patch_that_heals_the_handler_heals_the_rest_as_well() -> None:
    """The template lacks the handler, the image and the imports: one patch has them all."""
    folder = f"{FOLDER}/config-v3.toml.d"
    now = FOUND_3.replace("version = 3\n", f"version = 3\nimports = ['{folder}/*.toml']\n")
    files = {f"{folder}/kata.toml": "version = 3\n" + table("kata", CRI3, binary="/opt/kata")}
    machine = rke2(now + MORE_3, **files, **{V3: RUNC_3})
    machine.listed = [*machine.listed, folder]
    found, text = of(machine)
    assert found == "runtime/template-without-nvidia"
    assert "does not set imports, snapshotter, sandbox_image, registry" in text
    healed = rendered(machine, V3)
    for words in ("imports", "zfs", "certs.d", "runtimes.nvidia"):
        assert words in healed
    machine.files[V3] = healed
    assert of(machine) == (None, "")


def test_microk8s() -> None:
    """Its template is TOML with ${NAME}; there is no other one beside it."""
    nvidia = table("runc") + table("nvidia", binary=NVIDIA)
    more = f"[{SECTION_2}.registry]\nconfig_path = '/var/snap/microk8s/current/args/certs.d'\n"
    machine = microk8s(nvidia + more, nvidia)
    found, text = of(machine)
    assert found == LOST
    assert "loses registry" in text
    assert 'template "base"' not in text
    assert of(microk8s(nvidia + more, nvidia + more)) == (None, "")
    assert MICROK8S in text


@pytest.mark.parametrize(
    "template",
    [
        BASE,
        BASE + table("kata", CRI3, binary="/opt/kata"),
        "{{ if .IsRunningInUserNS }}x{{ end }}\n" + FOUND_3 + MORE_3,
        FOUND_3 + MORE_3.replace("'mirror.example/pause:3.9'", "'{{ .PauseImage }}'"),
        FOUND_3 + "{{ with .Registry }}\n" + MORE_3 + "{{ end }}\n",
    ],
)
def test_near_misses(template: str) -> None:
    """The built-in template is included, or each setting is there, perhaps under a condition."""
    assert of(rke2(FOUND_3 + MORE_3, **{V3: template})) == (None, "")


def test_what_is_containerds_default_is_not_lost() -> None:
    """To set it, or not to set it, is the same."""
    usual = f"{IMAGES}snapshotter = 'overlayfs'\n[{SECTION_3}]\nenable_cdi = true\n"
    assert of(rke2(FOUND_3 + usual, **{V3: FOUND_3})) == (None, "")


@pytest.mark.parametrize("version", ["v1.34.6+rke2r1", "v1.37.0+rke2r1"])
def test_releases_that_merge_lose_nothing(version: str) -> None:
    """The built-in template stays below the admin's."""
    machine = rke2(FOUND_3 + MORE_3, **{V3: FOUND_3})
    machine.kubelet_version = version
    assert of(machine) == (None, "")


def test_a_file_that_nobody_renders_loses_nothing() -> None:
    """No template beside it, or no template at all."""
    assert of(rke2(FOUND_3 + MORE_3)) == (None, "")
    assert RENDERED.endswith("config.toml")
    assert of(Machine()) == (None, "")


def test_the_default_runtime_is_lost() -> None:
    """What a flag put into the built-in template does not come into one that stands alone."""
    now = FOUND_3 + f"[{CRI3}]\ndefault_runtime_name = 'nvidia'\n"
    machine = rke2(now, **{V3: FOUND_3})
    found, text = of(machine)
    assert found == LOST
    assert "loses default_runtime_name" in text
    machine.files[V3] = rendered(machine, V3)
    assert of(machine) == (None, "")


@pytest.mark.parametrize(("version", "expected"), [("1.7.25", LOST), ("2.1.4", None)])
def test_runc_itself_is_lost(version: str, expected: str | None) -> None:
    """Containerd 1.x has it built in only where a file defines no handler at all."""
    nvidia = table("nvidia", binary=NVIDIA, systemd=True)
    now = "version = 2\n" + table("runc") + nvidia
    machine = rke2(now, **{V2: "version = 2\n" + nvidia})
    machine.version, machine.kubelet_version = version, "v1.31.5+rke2r1"
    found, text = of(machine)
    assert found == expected
    if expected:
        assert "loses the handler runc" in text
        machine.files[V2] = rendered(machine, V2)
        assert of(machine) == (None, "")
