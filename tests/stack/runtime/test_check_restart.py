"""The running containerd against its files: what runs decides, times only explain."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_gpu.errors import Unproven
from pytest_gpu.stack.containerd.live_config import LiveRuntime, parse
from pytest_gpu.stack.host.nvidia_programs import is_nvidia
from pytest_gpu.stack.injection.reached import gpu_runtimes
from pytest_gpu.stack.runtime import check_handler, check_restart, check_serving
from tests.stack.containerd.test_merge import CONFIG
from tests.stack.containerd.test_merge import handler as table
from tests.stack.runtime.runtime_machine import HEALTHY, NVIDIA, STARTED, Machine
from tests.stack.runtime.test_check_runtime import ONLY_RUNC, cause, missed, text_of

OLD_BINARY = "/opt/old/nvidia-container-runtime"


def loaded(
    binary: str = NVIDIA, *, systemd: bool = True, default: str = "runc", **more: Any
) -> dict[str, Any]:
    """Return a CRI configuration as containerd prints its own."""
    nvidia = {"BinaryName": binary, "SystemdCgroup": systemd}
    runtimes = {
        "nvidia": {"runtimeType": "io.containerd.runc.v2", "options": nvidia},
        "runc": {"runtimeType": "io.containerd.runc.v2", "options": {"SystemdCgroup": True}},
    }
    return {"containerd": {"defaultRuntimeName": default, "runtimes": runtimes}, **more}


def test_what_was_not_printed_is_unknown() -> None:
    """No options, null options, and options in another spelling are three things."""
    told = (
        '{"config": {"containerd": {"runtimes": {"a": {"runtimeType": "x"}, "b": {"options": null},'
        ' "c": {"options": {"BinaryName": "/a", "binaryName": "/b", "systemdCgroup": true}}}}}}'
    )
    config = parse(told)
    assert config.runtimes["a"] == LiveRuntime(runtime_type="x")
    assert config.runtimes["b"] == LiveRuntime(binary="", systemd_cgroup=False)
    assert config.runtimes["c"] == LiveRuntime(binary="/b", systemd_cgroup=True)
    assert (config.default, config.cdi_enabled, config.cdi_dirs) == ("", None, None)
    config = parse('{"config": {"containerd": {"runtimes": {}}, "enableCDI": "false"}}')
    assert config.cdi_enabled is None, "a text is no switch"


def test_the_same_values_are_no_difference() -> None:
    """A configuration that is loaded as it stands shows nothing, changed since then or not."""
    for at in (STARTED - 10, STARTED, STARTED + 3600):
        node = Machine(loaded=loaded(enableCDI=False), mtimes={CONFIG: at}).node()
        assert check_restart.not_restarted(node) is None
        assert check_restart.change_at_restart(node) is None


def test_a_corrected_program_that_is_not_loaded_yet() -> None:
    """What runs is a program that is gone; the files name the right one."""
    node = Machine(loaded=loaded(OLD_BINARY), listed=["/opt"]).node()
    finding = check_restart.not_restarted(node)
    assert cause(finding) == "runtime/change-not-loaded"
    assert f"runs with {OLD_BINARY}, on disk {NVIDIA}" in text_of(finding)


def test_a_handler_that_runs_runc_until_the_restart() -> None:
    """Nothing is injected by it, whatever the files say by now."""
    node = Machine(loaded=loaded("")).node()
    assert cause(check_restart.not_restarted(node)) == "runtime/change-not-loaded"
    assert not node.containerd.injects("nvidia")


def test_a_program_that_changes_with_the_next_restart() -> None:
    """The one that runs is there: it works now, so this is noted and fails nothing."""
    node = Machine(loaded=loaded(OLD_BINARY), binaries=(NVIDIA, OLD_BINARY)).node()
    assert check_restart.not_restarted(node) is None
    finding = check_restart.change_at_restart(node)
    assert cause(finding) == "runtime/change-at-restart"
    assert OLD_BINARY in text_of(finding)


def test_what_runs_is_judged_now_not_what_stands_on_disk() -> None:
    """The program on disk is missing, that which runs is not."""
    text = HEALTHY.replace(NVIDIA, "/opt/new/nvidia-container-runtime")
    node = Machine(files={CONFIG: text}, loaded=loaded()).node()
    assert [runtime.binary for runtime in gpu_runtimes(node)] == [NVIDIA]
    assert cause(check_restart.change_at_restart(node)) == "runtime/change-at-restart"


def test_the_cgroup_driver_that_runs() -> None:
    """The kubelet wants systemd: what runs is wrong and corrected, or right and spoilt."""
    wrong = Machine(loaded=loaded(systemd=False)).node()
    assert cause(check_restart.not_restarted(wrong)) == "runtime/change-not-loaded"
    text = "version = 2\n" + table("runc", systemd=True) + table("nvidia", binary=NVIDIA)
    spoilt = Machine(files={CONFIG: text}, loaded=loaded()).node()
    assert check_restart.not_restarted(spoilt) is None
    assert cause(check_restart.change_at_restart(spoilt)) == "runtime/change-at-restart"


DEFAULT = (
    HEALTHY
    + '[plugins."io.containerd.grpc.v1.cri".containerd]\n'
    + 'default_runtime_name = "nvidia"\n'
)


def test_a_default_that_is_not_loaded_yet() -> None:
    """It fails where GPU pods rely on the default, and waits where they name a class."""
    machine = Machine(files={CONFIG: DEFAULT}, loaded=loaded())
    assert cause(check_restart.not_restarted(machine.node())) == "runtime/change-not-loaded"
    pod = {"metadata": {"name": "p"}, "spec": {"runtimeClassName": "nvidia"}}
    machine.objects["pods"] = [pod]
    assert check_restart.not_restarted(machine.node()) is None
    assert cause(check_restart.change_at_restart(machine.node())) == "runtime/change-at-restart"


def test_cdi_that_is_switched_on_but_not_loaded() -> None:
    """Without any handler CDI is the only way; 1.6 prints nothing of it, which proves nothing."""
    head = 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nenable_cdi = true\n'
    text = head + ONLY_RUNC.partition("\n")[2]
    runc_only = {"containerd": {"runtimes": {"runc": {}}}, "enableCDI": False}
    machine = Machine(files={CONFIG: text}, loaded=runc_only)
    assert cause(check_restart.not_restarted(machine.node())) == "runtime/change-not-loaded"
    machine.loaded = {"containerd": {"runtimes": {"runc": {}}}}
    assert check_restart.not_restarted(machine.node()) is None
    dirs = {**runc_only, "enableCDI": True, "cdiSpecDirs": ["/opt/cdi"]}
    machine.loaded = dirs
    assert cause(check_restart.change_at_restart(machine.node())) == "runtime/change-at-restart"


def test_what_every_sandbox_needs_changes_with_the_restart() -> None:
    """CNI and pause image, where both sides tell them."""
    section = '[plugins."io.containerd.grpc.v1.cri"]\nsandbox_image = "pause:new"\n'
    cni = '[plugins."io.containerd.grpc.v1.cri".cni]\nconf_dir = "/etc/cni/other"\n'
    machine = Machine(files={CONFIG: HEALTHY + section + cni}, loaded=loaded())
    assert check_restart.change_at_restart(machine.node()) is None
    machine.loaded = loaded(sandboxImage="pause:old", cni={"binDir": "/opt/cni/bin"})
    assert "pause:old, on disk pause:new" in text_of(
        check_restart.change_at_restart(machine.node())
    )
    machine.loaded = loaded(cni={"confDir": "/etc/cni/net.d"})
    assert "on disk /etc/cni/other" in text_of(check_restart.change_at_restart(machine.node()))


def test_handler_gone_from_disk_but_live_is_latent() -> None:
    """It works until the next restart, so it is no failure and not nothing."""
    machine = Machine(
        files={CONFIG: "# Ansible managed\n" + ONLY_RUNC}, mtimes={CONFIG: STARTED + 3600}
    )
    assert cause(check_handler.no_gpu_handler(machine.node())) is None
    finding = check_restart.lost_at_restart(machine.node())
    assert cause(finding) == "runtime/lost-at-restart"
    for words in ("Ansible managed", "changed 1970-01-12"):
        assert words in text_of(finding)


def test_a_handler_of_another_name_is_live_by_its_program() -> None:
    """The name says little: gpu runs NVIDIA's runtime, nvidia may run runc."""
    options = {"BinaryName": NVIDIA}
    machine = Machine(
        files={CONFIG: ONLY_RUNC},
        loaded={"containerd": {"runtimes": {"gpu": {"options": options}, "runc": {}}}},
    )
    assert cause(check_restart.lost_at_restart(machine.node())) == "runtime/lost-at-restart"
    plain = {"containerd": {"runtimes": {"nvidia": {"options": {"BinaryName": "runc"}}}}}
    machine.loaded = plain
    assert check_restart.lost_at_restart(machine.node()) is None


DROP_IN = "/etc/containerd/conf.d/99-nvidia.toml"
IMPORTING = 'version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n'
ROOT = IMPORTING + ONLY_RUNC.partition("\n")[2]
OLD = {CONFIG: STARTED - 100}


def without_drop_in(mtimes: dict[str, float], **more: str) -> Machine:
    """Return a node whose containerd has loaded a drop-in that is not there any more."""
    machine = Machine(files={CONFIG: ROOT, **more}, mtimes=mtimes, version="2.1.9")
    machine.loaded = loaded()
    return machine


def test_a_drop_in_that_is_gone_is_not_the_root_files_fault() -> None:
    """That one is as containerd read it; the folder changed since then."""
    machine = without_drop_in({**OLD, "/etc/containerd/conf.d": STARTED + 60})
    finding = check_restart.lost_at_restart(machine.node())
    assert cause(finding) == "runtime/drop-in-gone"
    text = text_of(finding)
    assert "its drop-in is gone from /etc/containerd/conf.d" in text
    assert "/etc/containerd/conf.d holds nothing" in text.replace("', 'line': None, 'text': '", " ")
    assert "/etc/containerd/conf.d changed 1970-01-12" in text
    assert 'imports = ["/etc/containerd/conf.d/*.toml"]' in text.replace("\\", "")


@pytest.mark.parametrize("aside", [f"{DROP_IN}.bak", "/etc/containerd/99-nvidia.toml"])
def test_a_drop_in_that_was_set_aside_is_found(aside: str) -> None:
    """Renamed, or moved up since containerd started; the fix puts it back."""
    nvidia = "version = 2\n" + table("nvidia", binary=NVIDIA, systemd=True)
    folder = "/etc/containerd/conf.d"
    for times in (OLD, {CONFIG: STARTED + 60, folder: STARTED + 60}):
        finding = check_restart.lost_at_restart(without_drop_in(times, **{aside: nvidia}).node())
        assert cause(finding) == "runtime/drop-in-gone"
        assert f"sudo mv {aside} {DROP_IN}" in text_of(finding)
    long_ago = {CONFIG: STARTED + 60, folder: STARTED - 60}
    finding = check_restart.lost_at_restart(without_drop_in(long_ago, **{aside: nvidia}).node())
    assert cause(finding) == "runtime/lost-at-restart", "it was set aside before containerd started"


def test_a_root_file_that_was_rewritten_is_to_blame() -> None:
    """It is newer than the process: the handler may have stood in it."""
    finding = check_restart.lost_at_restart(without_drop_in({CONFIG: STARTED + 60}).node())
    assert cause(finding) == "runtime/lost-at-restart"
    alone = Machine(files={CONFIG: ONLY_RUNC}, mtimes=OLD, loaded=loaded())
    assert cause(check_restart.lost_at_restart(alone.node())) == "runtime/lost-at-restart"


def test_handler_on_disk_but_not_live_is_not_restarted() -> None:
    """The file changed after the daemon started."""
    machine = Machine(live=("runc",), mtimes={CONFIG: STARTED + 3600})
    finding = check_restart.not_restarted(machine.node())
    assert cause(finding) == "runtime/not-restarted"
    assert "changed 1970-01-12" in text_of(finding)


def test_a_handler_that_pods_name_and_that_alone_is_not_loaded() -> None:
    """Another GPU handler is loaded: that serves the pods of its own class only."""
    text = HEALTHY + table("nvidia-cdi", binary=f"{NVIDIA}.cdi", systemd=True)
    machine = Machine(files={CONFIG: text}, live=("nvidia-cdi", "runc"))
    assert check_restart.not_restarted(machine.node()) is None
    made = {"metadata": {"name": "nvidia"}, "handler": "nvidia"}
    pod = {"metadata": {"name": "p"}, "spec": {"runtimeClassName": "nvidia", "nodeName": "gpu-1"}}
    machine.objects |= {"runtimeclasses": [made], "pods": [pod]}
    finding = check_restart.not_restarted(machine.node())
    assert cause(finding) == "runtime/not-restarted"
    assert finding
    assert finding.values["handler"] == "nvidia"
    elsewhere = {"runtimeClassName": "nvidia", "nodeName": "elsewhere"}
    machine.objects["pods"] = [pod | {"spec": elsewhere}]
    assert check_restart.not_restarted(machine.node()) is None


def test_a_copy_with_its_old_time_is_not_loaded_either() -> None:
    """``cp -p``: the time says before, the running daemon says no, and that decides."""
    finding = check_restart.not_restarted(
        Machine(live=("runc",), mtimes={CONFIG: STARTED - 9000}).node()
    )
    assert cause(finding) == "runtime/not-restarted"
    assert "with its old time" in text_of(finding)


@pytest.mark.parametrize("at", [None, 0.0, 0.5, 1.0])
def test_unasked_containerd_is_unproven(at: float | None) -> None:
    """Nobody asked, and the file is not surely older: a boot is known to the second only."""
    mtimes = {} if at is None else {CONFIG: STARTED + at}
    with pytest.raises(Unproven):
        check_restart.not_restarted(Machine(live=None, mtimes=mtimes).node())


def test_a_silent_kubelet_without_crictl_is_unproven() -> None:
    """Neither was asked whether the CRI answers."""
    with pytest.raises(Unproven):
        check_serving.silent(missed(Machine(live=None).node()))


def test_a_host_without_crictl_can_be_judged() -> None:
    """Its kubelet gets answers, and containerd is younger than every file that it reads."""
    node = Machine(live=None, mtimes={CONFIG: STARTED - 1}).node()
    assert cause(check_serving.silent(node)) is None
    assert cause(check_restart.not_restarted(node)) is None


def test_the_kubelets_report_of_handlers_counts_as_asking() -> None:
    """status.runtimeHandlers, filled on containerd 2.x only: empty, it proves nothing."""
    node = Machine(live=None, version="2.1.9").node()
    status: dict[str, Any] = node.object["status"]
    status["runtimeHandlers"] = [{"name": ""}, {"name": "runc"}]
    assert cause(check_restart.not_restarted(node)) == "runtime/not-restarted"
    other = Machine(live=None, version="2.1.9").node()
    other_status: dict[str, Any] = other.object["status"]
    other_status["runtimeHandlers"] = []
    with pytest.raises(Unproven):
        check_restart.not_restarted(other)


RUNC_AS_NVIDIA = ONLY_RUNC + table("nvidia", systemd=True)
HOOK = f"{NVIDIA}-hook"
READ = {CONFIG: STARTED - 10}


def test_a_handler_that_has_the_name_alone() -> None:
    """Without a BinaryName it starts runc, whatever it is called and whoever tells its name."""
    machine = Machine(files={CONFIG: RUNC_AS_NVIDIA}, mtimes=READ)
    finding = check_handler.no_gpu_handler(machine.node())
    assert cause(finding) == "runtime/handler-starts-another-program"
    for words in ("runtimes.nvidia", "starts runc", f'BinaryName = "{NVIDIA}"'):
        assert words in text_of(finding).replace("\\", "")
    assert check_restart.lost_at_restart(machine.node()) is None
    machine.files[CONFIG] = HEALTHY
    assert check_handler.no_gpu_handler(machine.node()) is None


def test_a_newer_file_does_not_tell_what_a_loaded_handler_starts() -> None:
    """It may have been the NVIDIA runtime when containerd started; told, it is no question."""
    machine = Machine(files={CONFIG: RUNC_AS_NVIDIA}, mtimes={CONFIG: STARTED + 3600})
    with pytest.raises(Unproven, match="what the loaded handler nvidia starts"):
        check_handler.no_gpu_handler(machine.node())
    machine.loaded = loaded("")
    assert (
        cause(check_handler.no_gpu_handler(machine.node()))
        == "runtime/handler-starts-another-program"
    )
    machine.loaded = loaded()
    assert check_handler.no_gpu_handler(machine.node()) is None
    assert cause(check_restart.lost_at_restart(machine.node())) == "runtime/lost-at-restart"


@pytest.mark.parametrize("beside", ["", table("nvidia-cdi", binary=f"{NVIDIA}.cdi", systemd=True)])
def test_the_hook_is_no_runtime(beside: str) -> None:
    """A handler cannot start it, and other handlers do not help who names this one."""
    text = ONLY_RUNC + table("nvidia", binary=HOOK, systemd=True) + beside
    machine = Machine(files={CONFIG: text}, loaded=loaded(HOOK))
    pod = {"metadata": {"name": "p"}, "spec": {"runtimeClassName": "nvidia", "nodeName": "gpu-1"}}
    gpu = {"metadata": {"name": "nvidia"}, "handler": "nvidia"}
    machine.objects = {"pods": [pod], "runtimeclasses": [gpu], "clusterpolicies": []}
    finding = check_handler.no_gpu_handler(machine.node())
    assert cause(finding) == "runtime/handler-starts-another-program"
    assert HOOK in text_of(finding)


@pytest.mark.parametrize("told", [True, False])
def test_an_unknown_program_is_not_proven_to_bring_no_gpus(*, told: bool) -> None:
    """A handler with NVIDIA's name may well start a program of somebody's own."""
    other = "/opt/site/gpu-runtime"
    text = ONLY_RUNC + table("nvidia", binary=other, systemd=True)
    machine = Machine(files={CONFIG: text}, loaded=loaded(other) if told else None)
    for look in (check_handler.no_gpu_handler, lambda node: node.containerd.injects("nvidia")):
        with pytest.raises(Unproven, match="a program that this version does not know"):
            look(machine.node())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nvidia-container-runtime", True),
        ("/opt/nvidia-container-runtime.real", True),
        ("nvidia-container-runtime.cdi", True),
        ("nvidia-container-runtime.legacy.real", True),
        ("nvidia-container-runtime-experimental", True),
        ("nvidia-oci", True),
        ("nvidia-container-runtime-hook", False),
        ("nvidia-container-runtime-hook.real", False),
        ("runc", False),
        ("", False),
    ],
)
def test_which_programs_are_nvidias(name: str, *, expected: bool) -> None:
    """The runtimes of every mode, wrapped or not, and Bottlerocket's; never the hook."""
    assert is_nvidia(name) is expected


@pytest.mark.parametrize("spelling", ["binaryName", "Binaryname", "binaryname"])
@pytest.mark.parametrize("imported", [False, True])
def test_a_program_that_is_written_in_two_spellings(spelling: str, *, imported: bool) -> None:
    """Containerd 2 takes the one that sorts last; no other file has replaced the section."""
    handler = HEALTHY + f'{spelling} = "runc"\n'
    files = {CONFIG: IMPORTING, DROP_IN: handler} if imported else {CONFIG: handler}
    other = loaded("runc")
    machine = Machine(version="2.1.9", files=files, mtimes=dict.fromkeys(files, 1.0), loaded=other)
    finding = check_handler.no_gpu_handler(machine.node())
    assert cause(finding) == "runtime/handler-starts-another-program"
    assert "imported later" not in text_of(finding)
    assert f'-{spelling} = "runc"' in text_of(finding)
    older = Machine(version="1.7.24", files={CONFIG: handler}, mtimes=READ, loaded=loaded())
    assert check_handler.no_gpu_handler(older.node()) is None
