"""The programs of a GPU handler: each reason why the host cannot start them has its cause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pytest_gpu.causes import Finding, steps_of
from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.evidence import ElfSummary
from pytest_gpu.finding_json import as_json
from pytest_gpu.gpu_node import Node
from pytest_gpu.looks import first_of
from pytest_gpu.stack.host import loader
from pytest_gpu.stack.host.mounts import parse
from pytest_gpu.stack.repair import config_fix
from pytest_gpu.stack.toolkit import check_executable, check_libraries, check_programs
from pytest_gpu.steps import Step, Steps
from tests.stack.containerd.test_merge import CONFIG
from tests.stack.runtime.runtime_machine import (
    CLI,
    HEALTHY,
    HOOK,
    HOST,
    LIBC,
    LIBRARY,
    LOADER,
    NVIDIA,
    ROOT,
    Machine,
    installed,
    process,
    program,
)
from tests.support.fake_evidence import node_object
from tests.support.told import full

INSTALLED: tuple[Callable[[Node], Finding | None], ...] = (
    check_programs.handler_without_type,
    check_programs.binary_missing,
    check_programs.half_installed,
    check_executable.not_executable,
    check_executable.on_noexec_mount,
    check_executable.damaged,
    check_executable.wrong_architecture,
    check_programs.no_low_level_runtime,
    check_libraries.interpreter_missing,
    check_libraries.library_missing,
    check_libraries.glibc_too_old,
)
"""In the order in which the suite asks."""

TOOLKIT = "/usr/local/nvidia/toolkit"
OWN = "/etc/nvidia-container-runtime/config.toml"
PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/sbin", "/bin")
SCRIPT: dict[str, Any] = {
    "machine": "script",
    "interpreter": "/bin/sh",
    "needed": (),
    "versions": {},
}


def found(machine: Machine) -> tuple[str | None, str]:
    """Return the cause that the suite names, and all that the finding says."""
    finding = first_of(machine.node(), *INSTALLED)
    return (finding.cause, str(as_json(full(finding)))) if finding else (None, "")


def wrapped() -> Machine:
    """Return a node whose toolkit a container installed: wrappers beside what they wrap."""
    names = [f"{TOOLKIT}/{path.rpartition('/')[2]}" for path in (NVIDIA, HOOK, CLI)]
    library = f"{TOOLKIT}/libnvidia-container.so.1"
    summaries = [program(name, **SCRIPT) for name in names]
    summaries += [program(f"{name}.real") for name in names]
    summaries += [replace(installed()[LIBRARY], path=library), installed()[LIBC]]
    machine = Machine(files={CONFIG: HEALTHY.replace("/usr/bin/", f"{TOOLKIT}/")}, binaries=())
    machine.elf = {each.path: each for each in summaries}
    machine.listed = [TOOLKIT]
    machine.binaries = [each.path for each in summaries if "/nvidia-c" in each.path]
    return machine


@pytest.mark.parametrize("machine", [Machine(), wrapped()], ids=["package", "container"])
def test_a_whole_installation_shows_nothing(machine: Machine) -> None:
    """Neither that of a package nor that of the toolkit's container."""
    assert found(machine) == (None, "")


def test_a_link_to_nothing_is_not_installed() -> None:
    """The link is there, and what it leads to is not; the target is told."""
    machine = Machine(binaries=(HOOK, CLI))
    machine.links[NVIDIA] = "/opt/gone/nvidia-container-runtime"
    machine.listed = ["/opt"]
    cause, text = found(machine)
    assert cause == "runtime/binary-missing"
    assert "is a link to /opt/gone/nvidia-container-runtime" in text
    assert f'BinaryName of runtimes.nvidia to "{NVIDIA}"' not in text  # it says so already
    machine.links[NVIDIA] = HOOK
    assert found(machine)[0] is None


@pytest.mark.parametrize(
    ("patch", "said"),
    [((Step("node", "sudo patch"),), " in /etc/x:"), ((), " in /etc/x, by hand.")],
)
def test_another_runtime_is_there(monkeypatch: pytest.MonkeyPatch, patch: Steps, said: str) -> None:
    """The handler can start that one; without a patch the words stand alone."""
    monkeypatch.setattr(config_fix, "set_option", lambda *_: config_fix.Fix("/etc/x", patch))
    text = HEALTHY.replace(NVIDIA, "/opt/gone/nvidia-container-runtime")
    found = check_programs.binary_missing(Machine(files={CONFIG: text}, listed=["/opt"]).node())
    assert found
    words, *steps = steps_of(full(found))[3:]
    assert words.text.endswith(f'to "{NVIDIA}"{said}')
    assert tuple(steps[: len(patch)]) == patch


def test_default_runtime_that_was_uninstalled() -> None:
    """Without a toolkit in the cluster it is a leftover; with one its pod is to install it."""
    section = '[plugins."io.containerd.grpc.v1.cri".containerd]\ndefault_runtime_name = "nvidia"\n'
    text = HEALTHY + section
    machine = Machine(files={CONFIG: text}, binaries=(), live=None)
    cause, said = found(machine)
    assert cause == "runtime/default-runtime-uninstalled"
    assert 'default_runtime_name = "runc" in' in said
    assert "No pod can start here" in said
    machine.files[CONFIG] = text.replace('"nvidia"\n', '"runc"\n')
    assert found(machine)[0] == "runtime/binary-missing"


STORY = ("removed", "uninstalled", "no longer", "any more in")


@pytest.mark.parametrize(
    ("binary", "owner", "first"),
    [
        (NVIDIA, "a package or the node's image brings it", "Install the NVIDIA container toolkit"),
        (f"{TOOLKIT}/nvidia-container-runtime", "GPU operator's toolkit", "Install the GPU operat"),
    ],
)
def test_a_default_runtime_that_is_missing_is_brought_back_first(
    binary: str, owner: str, first: str
) -> None:
    """Then GPU pods start, too; nothing is said of a DaemonSet that nobody has seen."""
    section = '[plugins."io.containerd.grpc.v1.cri".containerd]\ndefault_runtime_name = "nvidia"\n'
    text = HEALTHY.replace(NVIDIA, binary) + section
    finding = check_programs.binary_missing(
        Machine(files={CONFIG: text}, binaries=(), live=None, listed=[TOOLKIT]).node()
    )
    assert finding
    assert owner in str(finding.values["owner"])
    words = [step.text for step in steps_of(full(finding))]
    assert words[0].startswith(first)
    assert "apt-get install --reinstall nvidia-container-toolkit" in words[1]
    assert not any(each in " ".join([*words, as_json(full(finding))["why"]]) for each in STORY)


@pytest.mark.parametrize("name", ["nvidia-container-runtime.real", "nvidia-container-cli.real"])
def test_a_wrapper_without_what_it_wraps(name: str) -> None:
    """Each link of the chain is looked at; other wrappers in the folder tell what it is."""
    machine = wrapped()
    del machine.elf[f"{TOOLKIT}/{name}"]
    machine.binaries = [path for path in machine.binaries if not path.endswith(f"/{name}")]
    cause, text = found(machine)
    assert cause == "runtime/toolkit-half-installed"
    assert f"{TOOLKIT}/{name}" in text


def test_a_missing_hook_matters_where_the_mode_asks_for_it() -> None:
    """Legacy mode needs it; CDI does not; newer toolkits bring another one for ``auto``."""
    machine = Machine(binaries=(NVIDIA, CLI), listed=PATH)
    own = "/etc/nvidia-container-runtime/config.toml"
    for mode, cause in (("legacy", "runtime/toolkit-half-installed"), ("cdi", None)):
        machine.files[own] = f'[nvidia-container-runtime]\nmode = "{mode}"\n'
        assert found(machine)[0] == cause
    machine.files[own] = '[nvidia-container-runtime]\nmode = "auto"\n'
    assert found(machine)[0] == "runtime/toolkit-half-installed"
    machine.host["/usr/bin/nvidia-cdi-hook"] = "ELF"
    assert found(machine)[0] is None


CTK = "/usr/bin/nvidia-ctk"


def printing(version: str, *binaries: str, mode: str = "auto") -> Machine:
    """Return a node with these programs alone, whose NVIDIA runtime prints its version."""
    told = f"NVIDIA Container Runtime version {version}\ncommit: 8c3a1e\n\nrunc version 1.3.0\n"
    machine = Machine(binaries=(NVIDIA, *binaries), listed=PATH)
    machine.commands = [(f"{NVIDIA} --version", 0, told, "")]
    machine.elf[CTK] = program(CTK)
    machine.files[OWN] = f'[nvidia-container-runtime]\nmode = "{mode}"\n'
    return machine


@pytest.mark.parametrize(
    ("version", "mode", "binaries", "missing"),
    [
        ("1.20.2", "auto", (CTK,), None),
        ("1.18.0-rc.1", "auto", (CTK,), None),
        ("1.20.2", "auto", (), CTK),
        ("1.20.2", "jit-cdi", (), CTK),
        ("1.20.2", "cdi", (), None),
        ("1.20.2", "legacy", (CTK,), HOOK),
        ("1.20.2", "legacy", (CTK, HOOK), CLI),
        ("1.17.8", "auto", (CTK, HOOK), CLI),
        ("1.17.8", "auto", (HOOK, CLI), None),
        ("unknown", "auto", (CTK, HOOK), CLI),
    ],
)
def test_what_is_started_follows_from_mode_and_release(
    version: str, mode: str, binaries: tuple[str, ...], missing: str | None
) -> None:
    """The runtime itself tells its release; CDI that it makes just in time needs no hook's CLI."""
    machine = printing(version, *binaries, mode=mode)
    machine.elf = {p: e for p, e in machine.elf.items() if p != CTK or CTK in binaries}
    cause, text = found(machine)
    assert cause == ("runtime/toolkit-half-installed" if missing else None)
    assert (missing or "") in text


def test_the_runtimes_own_word_counts_more_than_its_librarys_name() -> None:
    """The library is a package of its own, and may be older than the toolkit."""
    machine = printing("1.20.2", CTK)
    library = "/usr/lib/x86_64-linux-gnu/libnvidia-container.so.1"
    machine.links[library] = "libnvidia-container.so.1.17.4"
    assert found(machine)[0] is None


@pytest.mark.parametrize("path", [NVIDIA, HOOK, CLI])
def test_a_file_that_may_not_be_executed(path: str) -> None:
    """Its mode is told; one that nobody looked at proves nothing."""
    machine = Machine(modes={path: 0o644})
    cause, text = found(machine)
    assert cause == "runtime/binary-not-executable"
    assert "has the mode 0644" in text
    machine.modes[path] = None
    with pytest.raises(NotInEvidence, match="the mode of"):
        found(machine)
    machine.modes[path] = 0o100
    assert found(machine)[0] is None


def test_a_directory_is_no_program() -> None:
    """BinaryName names a folder."""
    folder = f"{NVIDIA}.real"
    machine = Machine(files={CONFIG: HEALTHY.replace(NVIDIA, folder)}, binaries=(HOOK, CLI))
    machine.files[f"{folder}/x"] = ""
    cause, text = found(machine)
    assert cause == "runtime/binary-not-executable"
    assert "is a directory" in text


NOEXEC = r"31 22 0:30 / /usr/lo\040cal rw,nosuid,noexec - tmpfs tmpfs rw"


def test_a_mount_without_execution() -> None:
    """The deepest mount counts, of equal ones the last; a neighbour of that name is none."""
    machine = Machine()
    lines = ["40 22 0:40 / /usr rw,noexec - tmpfs tmpfs rw"]
    machine.host["/proc/1/mountinfo"] = ROOT + "\n".join(lines)
    cause, text = found(machine)
    assert cause == "runtime/binary-on-noexec-mount"
    assert "remount,exec /usr" in text
    for other in ("41 40 0:41 / /usr rw - tmpfs tmpfs rw", "41 40 0:41 / /usr/bin rw - ext4 x rw"):
        machine.host["/proc/1/mountinfo"] = ROOT + "\n".join([*lines, other])
        assert found(machine)[0] is None
    machine.host["/proc/1/mountinfo"] = ROOT + lines[0].replace(" /usr ", " /usr/bi ")
    assert found(machine)[0] is None
    del machine.host["/proc/1/mountinfo"]
    with pytest.raises(NotInEvidence, match="mountinfo"):
        found(machine)


def test_mount_points_are_unescaped_and_nonsense_is_left_out() -> None:
    """A blank is written as an octal number; half a line says nothing."""
    (mount,) = parse(f"half a line\n{NOEXEC}\n".encode())
    assert (mount.point, mount.line, "noexec" in mount.options) == ("/usr/lo cal", 2, True)


@pytest.mark.parametrize("path", [NVIDIA, CLI])
@pytest.mark.parametrize(
    "error", ["is not an ELF file", "is a damaged ELF file: it ends before byte 4096"]
)
def test_a_file_that_was_copied_in_part(path: str, error: str) -> None:
    """What the probe says of it is the evidence."""
    machine = Machine()
    machine.elf[path] = ElfSummary(path=path, machine="none", versions={}, error=error)
    cause, text = found(machine)
    assert cause == "runtime/binary-damaged"
    assert error in text


def test_an_empty_file_needs_no_look_into_it() -> None:
    """Its size says it."""
    machine = Machine(binaries=(HOOK, CLI))
    machine.host[NVIDIA] = ""
    assert found(machine)[0] == "runtime/binary-damaged"


def test_a_program_for_another_processor() -> None:
    """A program of 32 bit runs, one for another processor does not."""
    machine = Machine()
    machine.elf[NVIDIA] = program(NVIDIA, machine="aarch64")
    cause, text = found(machine)
    assert cause == "runtime/binary-wrong-architecture"
    assert "is a program for aarch64" in text
    machine.elf[NVIDIA] = program(NVIDIA, machine="x86", interpreter=None, needed=(), versions={})
    assert found(machine)[0] is None


def test_none_of_the_runtimes_that_it_hands_over_to() -> None:
    """With containerd's PATH known that is proven; without, a guess of it proves nothing."""
    machine = Machine()
    del machine.host["/usr/bin/runc"]
    machine.listed = [*PATH, "/opt/bin"]
    with pytest.raises(NotInEvidence, match="containerd's PATH"):
        found(machine)
    environ = "LANG=C\0PATH=/opt/bin:/usr/bin\0"
    machine.host["/proc/4700/environ"] = environ
    cause, text = found(machine)
    assert cause == "runtime/no-low-level-runtime"
    assert "docker-runc, runc, crun" in text
    machine.host["/opt/bin/crun"] = "ELF"
    assert found(machine)[0] is None
    machine.files[OWN] = '[nvidia-container-runtime]\nruntimes = ["/opt/bin/runc"]\n'
    assert found(machine)[0] == "runtime/no-low-level-runtime"


@pytest.mark.parametrize("names", ["[]", '["/opt/runc"]', '["/opt/runc", "/opt/crun"]'])
def test_a_list_that_names_no_runtime_of_this_host(names: str) -> None:
    """The line is told; the patch names the one that the node has, and mends it."""
    machine = Machine()
    machine.listed = ["/opt", *PATH]
    machine.files[OWN] = f"[nvidia-container-runtime]\nruntimes = {names}\n"
    cause, text = found(machine)
    assert cause == "runtime/no-low-level-runtime"
    assert f"'source': '{OWN}', 'line': 2" in text
    wanted = 'runtimes = ["/usr/bin/runc"]'
    assert f"+{wanted}" in text
    machine.files[OWN] = f"[nvidia-container-runtime]\n{wanted}\n"
    assert found(machine)[0] is None


def test_a_name_without_a_folder_is_looked_for_in_containerds_path() -> None:
    """As its shim does."""
    machine = Machine(files={CONFIG: HEALTHY.replace("/usr/bin/nvidia", "nvidia")})
    assert found(machine)[0] is None
    machine.host["/proc/4700/environ"] = "PATH=/opt/bin\0"
    machine.listed = ["/opt/bin"]
    assert found(machine)[0] == "runtime/binary-missing"


@pytest.mark.parametrize("gone", [LOADER, "/bin/sh"])
def test_a_host_without_the_interpreter(gone: str) -> None:
    """A host with musl has no glibc loader; a script needs its shell."""
    machine = wrapped()
    del machine.host[gone]
    machine.listed = [TOOLKIT, "/bin", "/lib64"]
    cause, text = found(machine)
    assert cause == "runtime/interpreter-missing"
    assert gone in text


def test_a_library_that_no_loader_finds() -> None:
    """What the toolkit's own library needs counts, too; ld.so.conf says where else to look."""
    machine = Machine()
    cap = "/usr/lib/x86_64-linux-gnu/libcap.so.2"
    del machine.host[cap]
    cause, text = found(machine)
    assert cause == "runtime/library-missing"
    assert "libcap.so.2" in text
    machine.host |= {
        "/etc/ld.so.conf": "include /etc/ld.so.conf.d/*.conf\n",
        "/etc/ld.so.conf.d/own.conf": "# own\n/opt/lib\n",
        "/opt/lib/libcap.so.2": "ELF",
    }
    machine.listed = ["/etc/ld.so.conf.d"]
    assert found(machine)[0] is None
    del machine.host["/opt/lib/libcap.so.2"]
    with pytest.raises(NotInEvidence, match=r"/opt/lib/libcap\.so\.2"):
        found(machine)


def test_libraries_beside_the_program_come_first() -> None:
    """RUNPATH with $ORIGIN, and the directory that the toolkit's wrapper adds."""
    machine = Machine()
    machine.elf[NVIDIA] = program(NVIDIA, needed=("libown.so.1",), runpath=("$ORIGIN/../own",))
    machine.listed = ["/usr/own"]
    assert found(machine)[0] == "runtime/library-missing"
    machine.host["/usr/own/libown.so.1"] = "ELF"
    assert found(machine)[0] is None


def test_a_program_with_a_loader_of_its_own_is_not_measured_by_the_hosts() -> None:
    """As on NixOS and Talos: its libraries and its glibc lie beside that loader."""
    own = "/opt/glibc/lib"
    machine = Machine()
    needs = {"libc.so.6": ("GLIBC_2.39",)}
    interpreter = f"{own}/ld-linux-x86-64.so.2"
    for path in (NVIDIA, HOOK, CLI):
        machine.elf[path] = program(path, interpreter=interpreter, versions=needs)
    machine.host[interpreter] = "ELF"
    with pytest.raises(NotInEvidence, match="libc"):
        found(machine)
    libc = f"{own}/libc.so.6"
    defines = ("GLIBC_2.39",)
    machine.elf[libc] = program(libc, versions={}, needed=(), defines=defines)
    machine.host[f"{own}/libcap.so.2"] = "ELF"
    assert found(machine)[0] is None
    machine.elf[NVIDIA] = program(NVIDIA, interpreter=interpreter, needed=("libown.so.1",))
    machine.listed = [own]
    with pytest.raises(NotInEvidence, match=r"where the loader in /opt/glibc/lib finds libown"):
        found(machine)


def test_libnvidia_container_is_loaded_by_name() -> None:
    """nvidia-container-cli needs it although its summary does not say so."""
    machine = Machine()
    del machine.elf[LIBRARY]
    cause, text = found(machine)
    assert cause == "runtime/library-missing"
    assert "libnvidia-container.so.1" in text


def test_a_static_program_needs_nothing() -> None:
    """Neither loader nor libraries nor glibc."""
    static: dict[str, Any] = {"interpreter": None, "needed": (), "versions": {}}
    machine = Machine()
    machine.elf = {path: program(path, **static) for path in (NVIDIA, HOOK)}
    node = node_object("gpu-1")
    node["status"]["nodeInfo"] |= {
        "architecture": "amd64",
        "containerRuntimeVersion": "containerd://1.7.24",
    }
    machine.objects["nodes"] = [node]
    machine.files[OWN] = '[nvidia-container-runtime]\nmode = "cdi"\n'
    for path in (LOADER, "/bin/sh"):
        del machine.host[path]
    assert found(machine)[0] is None


def test_a_version_asked_of_libm_counts_like_one_of_libc() -> None:
    """All libraries of glibc are of one release."""
    machine = Machine()
    machine.host["/usr/lib/x86_64-linux-gnu/libm.so.6"] = "ELF"
    versions = {"libm.so.6": ("GLIBC_2.38",)}
    machine.elf[CLI] = program(CLI, needed=("libm.so.6",), versions=versions)
    cause, text = found(machine)
    assert cause == "runtime/toolkit-glibc-too-new"
    assert "GLIBC_2.38" in text


def test_what_was_not_looked_at_hides_no_finding() -> None:
    """One program is unknown, another one asks for too much: that is told."""
    machine = Machine()
    del machine.elf[NVIDIA]
    machine.elf[CLI] = program(CLI, versions={"libc.so.6": ("GLIBC_2.99",)})
    assert found(machine)[0] == "runtime/toolkit-glibc-too-new"
    machine.elf[CLI] = program(CLI)
    with pytest.raises(Unproven, match="nvidia-container-runtime"):
        found(machine)


def test_ld_so_conf_as_it_is_written() -> None:
    """Comments, blanks, patterns."""
    lines = loader.parse(b"# x\n\n/opt/lib  # y\ninclude ld.so.conf.d/*.conf\n\xff\xff q r\n")
    assert lines == (("", "/opt/lib"), ("include", "ld.so.conf.d/*.conf"))


def test_helpers_describe_a_healthy_host() -> None:
    """The tests above take things away from it."""
    assert set(HOST) >= {LOADER, "/usr/bin/runc"}
    assert process(1, "/sbin/init")["files"]
