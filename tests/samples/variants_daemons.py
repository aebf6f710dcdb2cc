"""Samples whose kubelet or container runtime ends at each start, and what only looks like it.

containerd's lines are what releases 1.6.20, 1.7.24 and 2.1.9 printed for such files; those of the
kubelet, of RKE2 and of systemd are as their sources print them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_gpu.stack.host import failed_units
from tests.samples import variants_modern as modern
from tests.samples.sample_copy import SampleCopy
from tests.support import yaml_text
from tests.support.changes import command, each_object, entry

SNAP_SOCKET = "/var/lib/k8s-containerd/k8s-containerd/run/containerd/containerd.sock"
RKE2_SOCKET = "/run/k3s/containerd/containerd.sock"
RKE2_LOG = "/var/lib/rancher/rke2/agent/containerd/containerd.log"
RKE2_CONFIG = "/var/lib/rancher/rke2/agent/etc/containerd/config.toml"
DOWN = "[container runtime is down, PLEG is not healthy]"


def says(copy: SampleCopy, argv: str, text: str, code: int = 0) -> None:
    """Let a command have printed a text, whether it was run before or not."""
    path = copy.node / "commands.yaml"
    commands = yaml_text.load(path.read_text())
    words = argv.split()
    others = [each for each in commands if each["argv"] != words]
    path.write_text(yaml_text.dump([*others, {"argv": words, "exit": code, "stdout": text}]))


def status(copy: SampleCopy, unit: str, active: str, *, main: str = "", log: str = "") -> None:
    """Let systemd show a state of a unit."""
    text = f"● {unit}.service\n     Active: {active}\n   Main PID: 4711 {main}\n\n{log}"
    says(copy, f"systemctl status -l {unit}.service", text, 0 if "(running)" in active else 3)


def journal(copy: SampleCopy, unit: str, text: str) -> None:
    """Let a unit have logged a text."""
    says(copy, f"journalctl -u {unit} --no-pager -n 200", text)


AGO = "since Tue 2025-03-04 09:58:41 UTC; 4s ago"
RESTARTS = f"activating (auto-restart) (Result: exit-code) {AGO}"
EXIT_1 = "(code=exited, status=1/FAILURE)"


# The kubelet refuses its file; the ten lines of its status show nothing of that any more.
FIELD = 'strict decoding error: unknown field \\"featureGate\\"'
KUBELET_JOURNAL = f"""\
Mar 04 09:58:10 gpu-1 systemd[1]: kubelet.service: Scheduled restart job, restart counter is at 11.
Mar 04 09:58:10 gpu-1 systemd[1]: Started kubelet.service - kubelet: The Kubernetes Node Agent.
Mar 04 09:58:10 gpu-1 kubelet[4702]: E0304 09:58:10.101112    4702 run.go:74] "command failed" err="an older reason"
Mar 04 09:58:10 gpu-1 systemd[1]: kubelet.service: Main process exited, code=exited, status=1/FAILURE
Mar 04 09:58:10 gpu-1 systemd[1]: kubelet.service: Failed with result 'exit-code'.
Mar 04 09:58:41 gpu-1 systemd[1]: kubelet.service: Scheduled restart job, restart counter is at 12.
Mar 04 09:58:41 gpu-1 systemd[1]: Started kubelet.service - kubelet: The Kubernetes Node Agent.
Mar 04 09:58:41 gpu-1 kubelet[4711]: I0304 09:58:41.091011    4711 server.go:211] "--pod-infra-container-image will not be pruned"
Mar 04 09:58:41 gpu-1 kubelet[4711]: E0304 09:58:41.101112    4711 run.go:74] "command failed" err="failed to load kubelet config file, path: /var/lib/kubelet/config.yaml, error: {FIELD}"
Mar 04 09:58:41 gpu-1 systemd[1]: kubelet.service: Main process exited, code=exited, status=1/FAILURE
Mar 04 09:58:41 gpu-1 systemd[1]: kubelet.service: Failed with result 'exit-code'.
"""  # noqa: E501 - as the journal prints them
SINCE_THEN = """\
Mar 04 09:30:02 gpu-1 systemd[1]: Stopping kubelet.service - kubelet: The Kubernetes Node Agent...
Mar 04 09:30:02 gpu-1 systemd[1]: Started kubelet.service - kubelet: The Kubernetes Node Agent.
Mar 04 09:30:02 gpu-1 kubelet[4790]: E0304 09:30:02.1 4790 kubelet.go:1] "Image garbage collection failed once. Stats initialization may not have completed yet" err="failed to get imageFs info"
"""  # noqa: E501 - as the journal prints them


def kubelet_refuses_its_file(copy: SampleCopy) -> None:
    """Let the kubelet end at each start; the Node still says Ready."""
    modern.end_process(copy, "kubelet")
    status(copy, "kubelet", RESTARTS, main=EXIT_1, log="Mar 04 09:58:41 gpu-1 kubelet[4711]: bye\n")
    journal(copy, "kubelet", KUBELET_JOURNAL)


def kubelet_refused_its_file_before(copy: SampleCopy) -> None:
    """Let the same have been so until somebody repaired it."""
    status(copy, "kubelet", "active (running) since Tue 2025-03-04 09:30:02 UTC; 30min ago")
    journal(copy, "kubelet", KUBELET_JOURNAL.replace(" 09:58:", " 09:28:") + SINCE_THEN)


PANIC = "panic: runtime error: invalid memory address or nil pointer dereference"
EKS_JOURNAL = f"""\
Jun 03 07:11:20 ip-10-0-3-7 systemd[1]: Starting kubelet.service - Kubernetes Kubelet...
Jun 03 07:11:20 ip-10-0-3-7 systemd[1]: Started kubelet.service - Kubernetes Kubelet.
Jun 03 07:11:21 ip-10-0-3-7 kubelet[9120]: E0603 07:11:21.300000    9120 kubelet.go:2911] "Container runtime network not ready" networkReady="NetworkReady=false"
Jun 03 07:11:21 ip-10-0-3-7 kubelet[9120]: {PANIC}
Jun 03 07:11:21 ip-10-0-3-7 kubelet[9120]: [signal SIGSEGV: segmentation violation code=0x1 addr=0x18 pc=0x2b1]
Jun 03 07:11:21 ip-10-0-3-7 kubelet[9120]: goroutine 411 [running]:
Jun 03 07:11:21 ip-10-0-3-7 kubelet[9120]: k8s.io/kubernetes/pkg/kubelet.(*Kubelet).syncLoop(0x0)
Jun 03 07:11:21 ip-10-0-3-7 systemd[1]: kubelet.service: Main process exited, code=exited, status=2/INVALIDARGUMENT
Jun 03 07:11:21 ip-10-0-3-7 systemd[1]: kubelet.service: Failed with result 'exit-code'.
Jun 03 07:11:21 ip-10-0-3-7 systemd[1]: kubelet.service: Start request repeated too quickly.
Jun 03 07:11:21 ip-10-0-3-7 systemd[1]: Failed to start kubelet.service - Kubernetes Kubelet.
"""  # noqa: E501 - as the journal prints them


def kubelet_given_up(copy: SampleCopy) -> None:
    """Let systemd not start the kubelet any more, after it panicked five times."""
    modern.end_process(copy, "kubelet")
    active = "failed (Result: start-limit-hit) since Tue 2025-06-03 07:11:21 UTC; 3h ago"
    status(copy, "kubelet", active, main="(code=exited, status=2)")
    journal(copy, "kubelet", EKS_JOURNAL)
    modern.condition(copy, "Ready", "Unknown", "NodeStatusUnknown", "Kubelet stopped posting")


def rke2_starts(counter: int) -> str:
    """Return the journal of an RKE2 that ended before, and starts at the moment."""
    fatal = 'level=fatal msg="Error: token CA hash does not match the Cluster CA certificate hash"'
    return f"""\
Feb 10 08:00:01 rke2-agent-1 systemd[1]: Starting rke2-agent.service - Rancher Kubernetes Engine v2 (agent)...
Feb 10 08:00:03 rke2-agent-1 rke2[77001]: time="2026-02-10T08:00:03Z" level=info msg="Starting rke2 agent v1.33.7+rke2r3"
Feb 10 08:00:04 rke2-agent-1 rke2[77001]: time="2026-02-10T08:00:04Z" {fatal}
Feb 10 08:00:04 rke2-agent-1 systemd[1]: rke2-agent.service: Main process exited, code=exited, status=1/FAILURE
Feb 10 08:00:04 rke2-agent-1 systemd[1]: rke2-agent.service: Failed with result 'exit-code'.
Feb 10 08:00:04 rke2-agent-1 systemd[1]: Failed to start rke2-agent.service - Rancher Kubernetes Engine v2 (agent).
Feb 10 08:00:09 rke2-agent-1 systemd[1]: rke2-agent.service: Scheduled restart job, restart counter is at {counter}.
Feb 10 08:00:09 rke2-agent-1 systemd[1]: Starting rke2-agent.service - Rancher Kubernetes Engine v2 (agent)...
Feb 10 08:00:11 rke2-agent-1 rke2[77052]: time="2026-02-10T08:00:11Z" level=info msg="Starting rke2 agent v1.33.7+rke2r3"
"""  # noqa: E501 - as the journal prints them


def rke2_down(copy: SampleCopy) -> None:
    """Let neither RKE2 nor the kubelet and containerd that it starts run; only ssh gets in."""
    modern.end_process(copy, "rke2")
    modern.end_process(copy, "kubelet")
    runtime_down(copy, RKE2_SOCKET)
    modern.condition(copy, "Ready", "Unknown", "NodeStatusUnknown", "Kubelet stopped posting")


def rke2_ends_at_each_start(copy: SampleCopy) -> None:
    """Let RKE2 end before it has told systemd that it is ready."""
    rke2_down(copy)
    status(copy, "rke2-agent", "activating (start) since Tue 2026-02-10 08:00:09 UTC; 2s ago")
    journal(copy, "rke2-agent", rke2_starts(7))


NO_DEFAULT = "failed to set up containerd: default runtime nvidia was not found"


def rke2_without_default(copy: SampleCopy) -> None:
    """Let RKE2 not find the default runtime that its settings name."""
    rke2_ends_at_each_start(copy)
    settings = copy.node / "files/etc/rancher/rke2/config.yaml"
    copy.edit(settings, lambda text: f"{text.rstrip()}\ndefault-runtime: nvidia\n")
    text = rke2_starts(7).replace("Error: token CA hash", NO_DEFAULT + " or")
    journal(copy, "rke2-agent", text)


def rke2_without_flagged_default(copy: SampleCopy) -> None:
    """Let a flag of RKE2's unit name a default runtime that is not there."""
    rke2_ends_at_each_start(copy)
    unit = copy.node / "files/usr/local/lib/systemd/system/rke2-agent.service"
    unit.parent.mkdir(parents=True, exist_ok=True)
    start = "ExecStart=/usr/local/bin/rke2 agent --default-runtime=crun"
    unit.write_text(f"[Service]\n{start}\n")
    text = rke2_starts(7).replace("token CA hash", NO_DEFAULT.replace("nvidia", "crun") + " or")
    journal(copy, "rke2-agent", text)


def rke2_restarted_once(copy: SampleCopy) -> None:
    """Let RKE2 have ended once and be starting: nobody knows yet how this start ends."""
    rke2_ends_at_each_start(copy)
    journal(copy, "rke2-agent", rke2_starts(1))


def runtime_down(copy: SampleCopy, socket: str) -> None:
    """Let the containerd behind a socket not run; only ssh gets in."""
    modern.through_ssh(copy)
    listening = (copy.node / "files/proc/net/unix").read_text()
    inode = next(t.split()[6] for t in listening.splitlines() if t.endswith(socket))
    pid = next(p for p in _pids(copy) if _holds(copy, p, inode))
    forget(copy, pid)
    unix = copy.node / "files/proc/net/unix"
    copy.edit(unix, lambda text: "".join(t for t in text.splitlines(True) if socket not in t))
    command(
        copy, "--runtime-endpoint", exit=1, stdout="", stderr="connect: no such file or directory"
    )
    modern.condition(copy, "Ready", "False", "KubeletNotReady", DOWN)


def _pids(copy: SampleCopy) -> list[str]:
    return [each.name for each in (copy.node / "files/proc").iterdir() if each.name.isdecimal()]


def _holds(copy: SampleCopy, pid: str, inode: str) -> bool:
    listing = yaml_text.load((copy.node / "listing.yaml").read_text())
    sockets = (e.get("target") for p, e in listing["entries"].items() if f"/proc/{pid}/fd/" in p)
    return f"socket:[{inode}]" in sockets


def forget(copy: SampleCopy, pid: str) -> None:
    """Let a process have ended."""
    for file in sorted((copy.node / f"files/proc/{pid}").rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    (copy.node / f"files/proc/{pid}").rmdir()

    def drop(listing: dict[str, Any]) -> None:
        here = f"/proc/{pid}"
        listing["complete"] = [p for p in listing["complete"] if not f"{p}/".startswith(f"{here}/")]
        for path in [p for p in listing["entries"] if f"{p}/".startswith(f"{here}/")]:
            del listing["entries"][path]

    copy.edit_yaml(copy.node / "listing.yaml", drop)


def containerd_journal(host: str, unit: str, program: str, *words: str, counter: int = 9) -> str:
    """Return the journal of a containerd whose last start ended with some words."""
    said = "".join(f"Mar 04 09:58:41 {host} {program}[4711]: {line}\n" for line in words)
    return f"""\
Mar 04 09:58:36 {host} systemd[1]: {unit}.service: Scheduled restart job, restart counter is at {counter}.
Mar 04 09:58:41 {host} systemd[1]: Starting {unit}.service...
{said}Mar 04 09:58:41 {host} systemd[1]: {unit}.service: Main process exited, code=exited, status=1/FAILURE
Mar 04 09:58:41 {host} systemd[1]: {unit}.service: Failed with result 'exit-code'.
Mar 04 09:58:41 {host} systemd[1]: Failed to start {unit}.service.
"""  # noqa: E501 - as the journal prints them


def containerd_ends(copy: SampleCopy, *words: str, active: str = RESTARTS) -> None:
    """Let the containerd of a kubeadm node end at each start, with some words."""
    runtime_down(copy, modern.SOCKET)
    status(copy, "containerd", active, main=EXIT_1)
    journal(copy, "containerd", containerd_journal("gpu-1", "containerd", "containerd", *words))


def containerd_just_restarted(copy: SampleCopy) -> None:
    """Let containerd run at the moment, between two of its ends."""
    ended = containerd_journal("gpu-1", "containerd", "containerd", READ_ONLY)
    again = "Mar 04 09:58:51 gpu-1 systemd[1]: Starting containerd.service...\n"
    journal(copy, "containerd", ended + again)
    status(copy, "containerd", "active (running) since Tue 2025-03-04 09:58:51 UTC; 3s ago")


def containerd_started_by_hand(copy: SampleCopy) -> None:
    """Let somebody have repaired it and started it again a moment ago."""
    containerd_just_restarted(copy)
    by_hand = "Mar 04 09:58:50 gpu-1 systemd[1]: Stopping containerd.service...\n"
    ended = containerd_journal("gpu-1", "containerd", "containerd", READ_ONLY)
    journal(copy, "containerd", ended + by_hand)


READ_ONLY = "containerd: mkdir /var/lib/containerd/io.containerd.content.v1: read-only file system"


def containerd_cannot_write(copy: SampleCopy) -> None:
    """Let containerd's folder be read-only; an error that it survives came before."""
    cni = 'time="2025-03-04T09:58:41Z" level=error msg="failed to load cni during init"'
    containerd_ends(copy, cni, READ_ONLY)


def snap_containerd_panics(copy: SampleCopy) -> None:
    """Let the containerd of a snap panic at each start, and systemd have given up."""
    runtime_down(copy, SNAP_SOCKET)
    unit = "snap.k8s.containerd"
    active = "failed (Result: exit-code) since Fri 2025-11-21 10:02:11 UTC; 6min ago"
    status(copy, unit, active, main="(code=exited, status=2)")
    panic = "panic: freepages: failed to get all reachable pages (page 214: multiple references)"
    log = containerd_journal("192-18-132-31", unit, "k8s.containerd", panic, "goroutine 1:")
    journal(copy, unit, f"{log}Nov 21 10:02 h systemd[1]: Start request repeated too quickly.\n")


BROKEN = "  [plugins[\n"
REFUSED_1 = (
    "containerd: failed to load TOML: /etc/containerd/config.toml: (12, 11): unexpected token"
    " unclosed table key, was expecting a table key"
)


def break_line(copy: SampleCopy, path: str, at: int, line: str = BROKEN) -> None:
    """Replace a line of a file on the node."""

    def change(text: str) -> str:
        lines = text.splitlines(keepends=True)
        lines[at - 1] = line
        return "".join(lines)

    copy.edit(copy.node / f"files{path}", change)


def containerd_refuses_its_file(copy: SampleCopy) -> None:
    """Let containerd refuse line 12 of its file."""
    break_line(copy, "/etc/containerd/config.toml", 12)
    containerd_ends(copy, REFUSED_1)


def file_of_ansible(copy: SampleCopy) -> None:
    """Let the same file say that a configuration manager maintains it."""
    break_line(copy, "/etc/containerd/config.toml", 1, "# Ansible managed\n")
    containerd_refuses_its_file(copy)


def containerd_refuses_unseen_file(copy: SampleCopy) -> None:
    """Let nobody have collected the file that containerd refuses."""
    containerd_refuses_its_file(copy)
    (copy.node / "files/etc/containerd/config.toml").unlink()
    entry(copy, "/etc/containerd/config.toml")

    def unlist(listing: dict[str, Any]) -> None:
        listing["complete"].remove("/etc/containerd")

    copy.edit_yaml(copy.node / "listing.yaml", unlist)


GAVE_UP = "failed (Result: exit-code) since Tue 2025-03-04 08:00:00 UTC; 2h ago"


def repaired_but_not_started(copy: SampleCopy) -> None:
    """Let somebody have repaired the file; systemd has given up, so that it has to be started."""
    containerd_ends(copy, REFUSED_1, active=GAVE_UP)


def refuses_what_we_accept(copy: SampleCopy) -> None:
    """Let containerd refuse its file at each start, although we find no fault in it."""
    containerd_ends(copy, REFUSED_1)


def refused_before(copy: SampleCopy) -> None:
    """Let containerd have refused its file once, and run well since then."""
    before = containerd_journal("gpu-1", "containerd", "containerd", REFUSED_1)
    commands = yaml_text.load((copy.node / "commands.yaml").read_text())
    (now,) = [c["stdout"] for c in commands if c["argv"][:3] == modern.JOURNAL]
    journal(copy, "containerd", before + now)
    status(copy, "containerd", "active (running) since Mon 2025-02-24 12:31:04 UTC; 8 days ago")


DROP_IN = "/etc/containerd/conf.d/99-nvidia.toml"


def snap_refuses_drop_in(copy: SampleCopy) -> None:
    """Let the containerd of a snap refuse the toolkit's drop-in."""
    break_line(copy, DROP_IN, 3, "[plugins\n")
    runtime_down(copy, SNAP_SOCKET)
    unit = "snap.k8s.containerd"
    status(copy, unit, RESTARTS, main=EXIT_1)
    words = (
        f"containerd: failed to load TOML: {DROP_IN}: (3, 2): unexpected token unclosed table key"
    )
    journal(copy, unit, containerd_journal("192-18-132-31", unit, "k8s.containerd", words))


def snap_toolkit_copies_dockers(copy: SampleCopy) -> None:
    """Let the toolkit start from what Docker's containerd prints, instead of from the file."""
    snap_refuses_drop_in(copy)

    def forget_source(found: dict[str, Any]) -> None:
        for env in _env_lists(found):
            env[:] = [each for each in env if each["name"] != "RUNTIME_CONFIG_SOURCE"]

    for kind in ("daemonsets", "clusterpolicies"):
        each_object(copy, kind, forget_source)


def _env_lists(found: Any) -> Iterator[list[dict[str, Any]]]:
    inner = found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    if isinstance(found, dict) and isinstance(found.get("env"), list):
        yield found["env"]
    for each in inner:
        yield from _env_lists(each)


TEMPLATE = "/var/lib/rancher/rke2/agent/etc/containerd/config-v3.toml.tmpl"
REFUSED_2 = f"""\
time="2026-02-10T08:00:11.1Z" level=error msg="Failure unmarshaling TOML" column=9 error="toml: expected ']' to close table name" file={RKE2_CONFIG} row=2
containerd: failed to unmarshal TOML at row 2 column 9: toml: expected ']' to close table name
"""  # noqa: E501 - as containerd 2.1.9 prints them
RKE2_JOURNAL = rke2_starts(7).replace(
    'level=fatal msg="Error: token CA hash does not match the Cluster CA certificate hash"',
    'level=error msg="containerd exited: exit status 1"',
)


def rke2_renders_broken_file(copy: SampleCopy) -> None:
    """Let a template of RKE2 have a fault, so that its containerd refuses what is made of it."""
    text = "version = 3\n[plugins\n"
    for path in (TEMPLATE, RKE2_CONFIG):
        (copy.node / f"files{path}").write_text(text)
    rke2_down(copy)
    status(copy, "rke2-agent", RESTARTS, main=EXIT_1)
    journal(copy, "rke2-agent", RKE2_JOURNAL)
    log = copy.node / f"files{RKE2_LOG}"
    log.parent.mkdir(parents=True)
    log.write_text(f'time="2026-02-09" level=info msg="starting containerd"\n{REFUSED_2}')


def rke2_renders_broken_file_unlogged(copy: SampleCopy) -> None:
    """Let nobody have collected containerd's own log; RKE2 says that containerd exited."""
    rke2_renders_broken_file(copy)
    (copy.node / f"files{RKE2_LOG}").unlink()


def persistence_daemon_failed(copy: SampleCopy) -> None:
    """Let two units have failed, of which one belongs to GPUs."""
    listing = """\
cups.service                loaded failed failed CUPS Scheduler
nvidia-persistenced.service loaded failed failed NVIDIA Persistence Daemon
"""
    says(copy, " ".join(failed_units.LIST), listing)


def module_unit_failed(copy: SampleCopy) -> None:
    """Let the image's own unit that loads the module at boot have failed."""
    said = "Jun 03 07:11:21 h load[612]: modprobe: FATAL: Module nvidia not found\n"
    status(copy, "gpu-module-load", "failed (Result: exit-code) since Tue", main=EXIT_1, log=said)


def no_systemd(copy: SampleCopy) -> None:
    """Let the host have neither systemd nor a journal."""
    path = copy.node / "commands.yaml"
    commands = yaml_text.load(path.read_text())
    for each in commands:
        if each["argv"][0] in ("systemctl", "journalctl"):
            each.update(exit=127, stdout="", stderr="No such file or directory")
    path.write_text(yaml_text.dump(commands))
