"""Every parser of a text that a node, a cluster or a recording sends, and texts it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pytest_gpu.causes import Evidence
from pytest_gpu.cluster.recording import listing, node_files, yaml_io
from pytest_gpu.cluster.recording.view import Recorded, View
from pytest_gpu.evidence import ElfSummary, Entry
from pytest_gpu.gpu_node import Node
from pytest_gpu.message_file import Where
from pytest_gpu.messages import meanings
from pytest_gpu.parsing import json_document, shell_words, toml, yaml_document
from pytest_gpu.stack.cdi import refresh, regenerate, specs
from pytest_gpu.stack.cdi.document import line_of
from pytest_gpu.stack.containerd import (
    config_file,
    import_glob,
    live_config,
    merge,
    refusal,
    templates,
)
from pytest_gpu.stack.containerd.toml_lines import walk
from pytest_gpu.stack.distributions import default_runtime, settings_files
from pytest_gpu.stack.distributions.command_line import with_arguments
from pytest_gpu.stack.docker import check_docker, daemon
from pytest_gpu.stack.gpu import device_nodes, driver, kernel_log, kernel_modules
from pytest_gpu.stack.host import (
    failed_units,
    journal,
    loader,
    mounts,
    processes,
    systemd_status,
    systemd_text,
    systemd_unit,
)
from pytest_gpu.stack.host.program import Program
from pytest_gpu.stack.injection import cgroups, node_refusals
from pytest_gpu.stack.kube import pressure, sharing
from pytest_gpu.stack.kubelet import (
    check_access,
    disk_usage,
    kubelet,
    kubelet_flags,
    unit_end,
)
from pytest_gpu.stack.operands import (
    container_log,
    decisive,
    log_message,
    named_in,
    roles,
    trouble,
    unreconciled,
)
from pytest_gpu.stack.pods import start_refusal, suite_pod
from pytest_gpu.stack.repair import file_owner, json_diff, patch, toml_edit
from pytest_gpu.stack.runtime import cri_log, template_damage
from pytest_gpu.stack.sandbox import config_files, lacking, logged, other_driver, sandboxes
from pytest_gpu.stack.sandbox.sandboxes import SandboxRun
from pytest_gpu.stack.toolkit import check_aside, check_programs, host_programs, own_config
from tests.support.fake_evidence import FakeCluster, FakeNode, node_object

_NOTHING = FakeCluster(objects={})
Parse = Callable[[str], object]

_CONFIG = "/etc/containerd/config.toml"
_UNIT = "/etc/systemd/system/kubelet.service"
_RUNTIMES = (
    '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nv{n:04}]\nruntime_type = "x"\n'
)


def _bytes(parse: Callable[[bytes], object]) -> Parse:
    return lambda text: parse(text.encode())


def _node(**evidence: Any) -> Node:
    node = FakeNode(**evidence)
    cluster = FakeCluster(nodes={"gpu-1": node}, objects={"nodes": [node_object()]})
    return Node("gpu-1", cluster)


def _printed(argv: str, read: Callable[[Node], object]) -> Parse:
    return lambda text: read(_node(commands=[(argv, 0, text, text)], complete=["/"]))


def _in_file(path: str, read: Callable[[FakeNode], object], **more: Any) -> Parse:
    return lambda text: read(FakeNode(files={path: text}, complete=["/"], **more))


def _kernel_log(node: Node) -> object:
    log = kernel_log.read(node.evidence)
    anything = kernel_log._XID
    found = [log.find(anything), log.find_wrapped("NVRM", anything)]
    return found, log.standing({79}), log.recovery_actions


def _starts(node: Node) -> object:
    found = journal.starts(journal.journal(node.evidence.commands, "kubelet"))
    return [unit_end.why(start) for start in found]


def _refused(text: str) -> object:
    return refusal.refusal(
        [Evidence(source="log", text=line) for line in text.splitlines() if line]
    )


def _unit_status(node: Node) -> object:
    status = systemd_status.unit_status(node.evidence.commands, "kubelet")
    return status and (status.evidence, status.exit, status.counter, status.just_started)


def _merged(evidence: FakeNode) -> object:
    found = merge.merge(evidence.read, evidence.names, _CONFIG, (2, 1, 0))
    lines = [found.origin("runtimes", name, "options", "BinaryName") for name in found.runtimes]
    files = [config_file.handler_line(file, name) for file in found.files for name in file.table]
    return lines, files, merge.merge(evidence.read, evidence.names, _CONFIG, (1, 7, 0))


def _names_told(text: str) -> object:
    node = _node(files={refresh.ENV: text}, complete=["/"])
    path = refresh.refreshed_path(node)
    return path, list(regenerate.strategies_told(node, refresh.REFRESHED))


def _wrapper_looks(text: str) -> object:
    script = ElfSummary(path="/w", machine="script", interpreter="/bin/sh", needed=(), versions={})
    node = _node(files={"/w": text}, elf={"/w": script}, complete=["/"])
    return check_aside._look(node, Program(node.evidence, "/w"))


def _lines_found(text: str) -> object:
    """Look up each key of a file, as findings about many handlers do."""
    file = config_file.parse("x", text.encode())
    return [file.at(("plugins", "io.containerd.grpc.v1.cri", f"k{n:04}")) for n in range(20)], [
        file.at((key,)) for key in file.table
    ]


def _unit(text: str) -> object:
    more = {"/etc/default/kubelet": text}
    return systemd_unit.service(FakeNode(files={_UNIT: text, **more}, complete=["/"]), "kubelet")


def _sandbox(text: str) -> object:
    run = SandboxRun(
        role="gpu",
        handler="nvidia",
        cdi_devices=(),
        exit=1,
        text=text,
        output=None,
        attempts=2,
        reaped=0,
    )
    return run.why, run.inconclusive


def _globbed(text: str) -> object:
    names = ["a" * 200, "nvidia.toml", text[:200].replace("/", "")]
    matched = [import_glob.matches(text, f"cdi.k8s.io/{name}") for name in names]
    return matched, import_glob.expand(
        lambda folder: names if folder == "/etc" else (), f"/etc/{text}".replace("\n", "")
    )


def _patched(text: str) -> object:
    return patch.patch("/x", text, text.replace("a", "b")), patch.patch("/x", text, f"{text}\nx\n")


def _docker(text: str) -> object:
    return daemon._parsed(text.encode())


def _cgroup_line(text: str) -> object:
    kubelet: Any = _Kubelet()
    return cgroups.kubelet_says(kubelet, FakeNode(files={"/k.yaml": text}))


def _sharing(text: str) -> object:
    return sharing._parse(text, sharing._Choice(config_map="a", namespace="b", key="c"), "none")


def _view(text: str) -> object:
    """Read a listing's paths into a view, and look each of them up."""
    paths = [f"/a/{line}".replace("\0", "") for line in text.split("\n") if ".." not in line]
    found = listing.Listing(
        complete=tuple(listing.clean(path, "x") for path in paths),
        absent=tuple(listing.clean(f"{path}/b", "x") for path in paths),
        entries=tuple(
            Entry(path=listing.clean(f"{path}/c", "x"), kind="symlink", target="/a")
            for path in paths
        ),
    )
    seen = View()
    seen.overlay(Recorded(listing=found))
    return [(seen.resolve(path), seen.kind(path), seen.names(path)) for path in paths]


class _Kubelet:
    argv = ()
    process = None
    config_files = ("/k.yaml",)


def _with_arguments(text: str) -> object:
    return with_arguments(("kubelet",), "/a", {"SNAP_DATA": "/x"}, FakeNode(files={"/a": text}))


def _found(text: str) -> object:
    return kernel_modules.nvidia_files(
        FakeNode(commands=[("find /lib/modules", 0, text, "")]), "6.8.0"
    )


TOML = (
    _RUNTIMES,
    "k{n:04} = 1\n",
    'k{n:04} = "a\\n"\n',
    "[[a]]\n",
    "k{n:04} = {{a = 1, b = [1, 2],}}\n",
    "a.b.k{n:04} = 1\n",
    "x = [",
    "imports = [",
)
YAML = (
    "k{n:04}: 1\n",
    "- a\n",
    "a: [1, ",
    "x: 1:10",
    "? a\n",
    "<<: {{a: 1}}\n",
    "&a{n:04} b: *a{n:04}\n",
)
JSON = ('{{"k{n:04}": [1, ', '"k{n:04}": "\\\\", ', '{{"config": {{"containerd": {{"runtimes": {{')
WORDS = (
    "ExecStart=/a $A {n:04}\n",
    "Environment='A=b' \\\n",
    '"a\\x41" ',
    "A={n:04}\n",
    "[Service]\n",
)
LOG = (
    "NVRM: Xid (PCI:0000:a1:00): 79, pid={n:04}\n",
    "NVRM: Xid (PCI:0000:a1:00",
    "NVRM: loading NVIDIA UNIX\n",
    "[ 1.0] pci 0000:a1:00.0: [10de:20b0]\n",
)
UNIT_STATUS = (
    "Active: activating (auto-restart) since Tue; 4s ago\n",
    "Main PID: 5 (code=exited, status=1)\n",
    "Mar 04 09:58:41 n1 kubelet[5]: E0304 failed\n",
    "Mar 04 09:58:41 n1 systemd[1]: restart counter is at {n}.\n",
)
UNIT_STARTS = (
    "Mar 04 09:58:41 n1 systemd[1]: Starting x...\n",
    "Mar 04 09:58:41 n1 systemd[1]: Main process exited, code=exited\n",
    'Mar 04 09:58:41 n1 x[{n:04}]: time="1" level=error msg="a" error="b"\n',
    "a b c d[1]",
    "a ",
)
REFUSALS = (
    "containerd: failed to load TOML: /a: (1, 2): b ",
    '"Failure unmarshaling TOML" column=1 error="a\\" file=/b row=2',
    'msg="containerd: open /a: \\" component=containerd',
)
DISK_USAGE = ("/dev/sda2 959786032 886842293 72943739 93% /\n",)
EVICTION = (
    "Evicted: The node had condition: [DiskPressure MemoryPressure]. ",
    "Evicted: The node was low on resource: ephemeral-storage. ",
)
UNIT_LOG = (
    "Active: inactive since Tue ",
    "Stopping kubelet\n",
    "kubelet[{n:04}]: containerd.sock connection ",
    "failed to load plugin ",
)
LOG_FILE = (
    "2026-01-13T08:15:33.104220781Z stderr F a\n",
    "2026-01-13T08:15:33.104220781Z stdout P a",
    '{{"log":"a{n:04}","stream":"stderr"}}\n',
    "\x1b[31m",
)
MESSAGES = (
    "E0113 08:15:33.104220       1 a.go:1] a: b\n",
    'E0113 08:15:33.104220       1 a.go:1] "a" err="b\\"\n',
    'time="a" level=error msg="b" a{n:04}=c ',
    '{{"level":"error","msg":"a{n:04}"}}\n',
    "2026/01/13 08:15:33 a.go:1: ",
    "2026-01-13 08:15:33,104 ERROR a\n",
    '2025-03-04T10:00:00.123Z\tERROR\ta  b\tc {{"error": "d"}}\n',
    "panic: a\n",
    "NVRM: a\n",
)
ERRORS = (
    "FATA failed desc = ",
    'time="1" level=fatal msg="failed desc = \\"{n:04}"',
    "nvidia-container-runtime",
    "version `GLIBC_2.{n:04}' (required by ",
)
COLUMNS = ("a b c d e f g\n", "1 2 3:4 / / rw,a - ext4\n", "0: 1 2 00010000 1 1 {n:04} /run/a\n")

_Table = Mapping[str, tuple[Parse, tuple[str, ...]]]

PARSERS: _Table = {
    "TOML": (_bytes(toml), TOML),
    "TOML lines": (walk, TOML),
    "containerd configuration": (_lines_found, TOML),
    "containerd configuration, merged": (_in_file(_CONFIG, _merged), TOML),
    "containerd template": (
        _bytes(lambda text: templates.parse_template("/a/config.toml.tmpl", text)),
        (*TOML, "{{{{if .A}}}}\n", "{{{{- ", "{{{{ end }}}}\n", "{{{{define 'a'}}}}\n", "}}}} "),
    ),
    "containerd template of k8s-snap": (
        _bytes(lambda text: templates.parse_template("/a/config.toml", text)),
        (*TOML, "${{A}}", "${{"),
    ),
    "header of a template": (template_damage._HEADER.match, TOML),
    "keys of a header": (template_damage._keys, TOML),
    "file name pattern": (_globbed, ("*a", "?", "[a-", "[a-z]*", "\\", "a/*/")),
    "crictl info": (live_config.parse, JSON),
    "daemon.json": (_docker, JSON),
    "daemon.json, changed": (lambda text: json_diff.edited(text, {"a": 1}), JSON),
    "JSON": (json_document, JSON),
    "report of a pod": (suite_pod.is_report, JSON),
    "TOML, changed": (
        lambda text: toml_edit.edited(text, {("plugins", "cri", "a"): 1, ("version",): 3}),
        TOML,
    ),
    "difference of two files": (_patched, ("a\n", "\n", "a{n:04}\n", "a")),
    "YAML": (_bytes(yaml_document), YAML),
    "settings of a distribution": (
        _in_file(
            "/etc/rancher/rke2/config.yaml",
            lambda node: settings_files.read((), node, "/etc/rancher/rke2"),
        ),
        YAML,
    ),
    "default runtime of a distribution": (
        _in_file("/c.yaml", lambda node: default_runtime._line(node, "/c.yaml")),
        ("default-runtime: nvidia #\n", *YAML),
    ),
    "cgroup gate of the kubelet": (
        lambda text: cgroups._yaml(FakeNode(), "/k.yaml", f"{cgroups.GATE}: 1\n{text}"),
        YAML,
    ),
    "configuration of the kubelet": (
        _in_file("/k.yaml", lambda node: kubelet._config(node, "/k.yaml")),
        YAML,
    ),
    "sharing of GPUs": (_sharing, YAML),
    "cgroup driver of the kubelet": (_cgroup_line, (" 'cgroupDriver' :", *YAML)),
    "CDI spec": (_bytes(lambda text: specs.parse("/etc/cdi/a.yaml", text)), (*YAML, *JSON)),
    "line of a CDI spec": (_bytes(lambda text: line_of(text, ("devices", 0))), YAML),
    "names in a refreshed CDI spec": (
        _names_told,
        (f"{regenerate.STRATEGIES}=uuid\n", f"{regenerate.STRATEGIES}", "A=b\n"),
    ),
    "wrapper of the toolkit": (
        _wrapper_looks,
        ('cat /proc/modules | grep -e "^nvidia "\n', "cat /proc/modules\n", 'grep -e "^nvidia "'),
    ),
    "kernel log": (_printed("dmesg", _kernel_log), LOG),
    "driver version": (
        _in_file(driver.VERSION_FILE, lambda node: driver.read(node).version),
        ("NVRM version: Kernel Module ", "NVRM version:", "Kernel Module for a ", "5.5."),
    ),
    "driver version, numbers": (driver.numbers, ("1.", "a1")),
    "kernel modules": (_in_file("/proc/modules", kernel_modules.loaded), COLUMNS),
    "kernel release": (_in_file("/proc/version", kernel_modules.release), ("Linux version ",)),
    "kernel module files": (_found, ("/lib/modules/{n:04}/nvidia.ko\n", "/lib/modules/a/")),
    "device majors": (_in_file("/proc/devices", device_nodes.majors), ("195 nvidia\n", " 1 ")),
    "journal of the kubelet": (
        _printed(
            "systemctl status kubelet",
            lambda node: (
                list(check_access._status_lines(node)),
                check_access._stopped_at(node),
                list(check_access._cut_off(node)),
            ),
        ),
        UNIT_LOG,
    ),
    "status of a unit": (_printed("systemctl status kubelet.service", _unit_status), UNIT_STATUS),
    "disk usage": (_printed("df -P /", disk_usage.fullest), DISK_USAGE),
    "words of an eviction": (
        lambda text: pressure.evicting(_NOTHING, node_object(), Evidence(source="x", text=text)),
        EVICTION,
    ),
    "starts of a unit": (_printed("journalctl -u kubelet", _starts), UNIT_STARTS),
    "failed units": (
        _printed(" ".join(failed_units.LIST), lambda n: failed_units.listed(n.evidence.commands)),
        ("nvidia-a.service loaded failed failed a\n", "● dkms.service", "gpu"),
    ),
    "owner of a file": (
        lambda text: list(file_owner.owner_comments("/a", text)),
        ("# Ansible managed\n", "# managed by ", "do not "),
    ),
    "refused configuration": (_refused, REFUSALS),
    "end of containerd's journal": (
        _printed("journalctl -u containerd", cri_log.last_words),
        UNIT_LOG,
    ),
    "journal of containerd": (
        _printed(
            "journalctl -u containerd",
            lambda node: (cri_log.cri_log(node), cri_log.cri_refusal(node)),
        ),
        (*UNIT_LOG, 'msg="starting containerd"\n'),
    ),
    "status of the kubelet": (
        kubelet_flags.status_argv,
        ("ExecStart=/a/kubelet --a=b ", "ExecStart="),
    ),
    "log of a container": (container_log.lines_of, LOG_FILE),
    "message of a container": (
        lambda text: list(map(log_message.message_of, filter(None, text.split("\n")))),
        MESSAGES,
    ),
    "decisive line of a log": (
        lambda text: decisive.decisive(container_log.lines_of(text)),
        MESSAGES,
    ),
    "wrapped error": (
        lambda text: decisive.shortened(text * 2, 10),
        ("failed to a: ", 'Get "https://a: b": ', "a:b:", "`a: "),
    ),
    "script of a container": (
        lambda text: roles.role_of({"spec": {"containers": [{"command": ["sh", "-c", text]}]}}),
        ("exec /usr/bin/nvidia-driver init\n", "/a/b/", "until [ -f /a ]; do sleep 5; ", "exec "),
    ),
    "image of a container": (
        lambda text: roles.role_of({"spec": {"containers": [{"image": text}]}}),
        ("nvidia/driver:1", "mirrored-nvidia-", "a/", "nvidia-driver-daemonset-"),
    ),
    "kind of trouble": (
        lambda text: (trouble.kind_of("Error", text), trouble.kind_of("FailedCreate", text)),
        (*MESSAGES, "cannot list resource ", "failed to parse ", "admission webhook "),
    ),
    "path in a message": (
        named_in.path_in,
        ("open /a/b: ", "/a/", "https://a/b ", "/a.b-c/@+"),
    ),
    "condition of a ClusterPolicy": (
        unreconciled.stopped_at,
        ("Failed to reconcile state-driver: ", "Failed to reconcile a", "-a"),
    ),
    "unit": (lambda text: list(systemd_text.assignments(text, "Service")), WORDS),
    "unit bound to another": (
        lambda text: check_access.bound_unit(_node(files={_UNIT: text}, complete=["/"])),
        (*WORDS, "BindsTo=containerd"),
    ),
    "words of a unit": (systemd_text.words, WORDS),
    "environment file": (systemd_text.environment_file, WORDS),
    "variables in a unit": (
        lambda text: systemd_text.expand(tuple(text.split()), {"A": "b c"}),
        ("$A ", "${{A}} ", "${{A}}", '\\"a '),
    ),
    "service": (_unit, (*WORDS, "EnvironmentFile=/etc/default/kubelet\n")),
    "command line": (shell_words, WORDS),
    "arguments file": (_with_arguments, ("--a=$SNAP_DATA/{n:04}\n", "${{SNAP_DATA", "# ", *WORDS)),
    "loader configuration": (_bytes(loader.parse), ("include /a/*.conf\n", "/lib{n:04} # a\n")),
    "loader search": (
        _in_file(loader.CONF, lambda node: loader.find(node, "liba.so", "x86-64")),
        ("include /etc/ld.so.conf\n", "/lib{n:04}\n"),
    ),
    "mounts": (_bytes(mounts.parse), (*COLUMNS, "1 2 3 4 /\\040 a,")),
    "root mount": (processes.root_mount, COLUMNS),
    "arguments of a process": (_bytes(processes.arguments), ("a\0", "a\n")),
    "sockets": (processes.socket_paths, COLUMNS),
    "boot time": (processes.boot_time, ("btime 1", "btime 1\n")),
    "start time": (lambda text: processes.start_time(text, 1.0), ("1 (a) ", ") 1 ")),
    "PATH of a process": (
        _in_file("/proc/1/environ", lambda node: host_programs._environment_path(node, _Process())),
        ("PATH=/a:", "A=1\0"),
    ),
    "configuration of the toolkit": (
        _in_file(
            "/etc/nvidia-container-runtime/config.toml",
            lambda node: own_config.own_config(node, "/usr/bin/nvidia-container-runtime"),
        ),
        TOML,
    ),
    "lines of the toolkit's configuration": (lambda text: list(own_config._lines(text)), TOML),
    "line of a key": (
        lambda text: check_programs._line_of(config_file.parse("x", text.encode()), "a"),
        TOML,
    ),
    "errors of docker": (
        _printed("docker run a", lambda node: list(check_docker._refusals(node))),
        ERRORS,
    ),
    "output of a sandbox": (sandboxes._lines, COLUMNS),
    "error of a sandbox": (_sandbox, ERRORS),
    "messages of crictl": (logged.messages, ERRORS),
    "message of a component": (
        lambda text: [meanings(text, where) for where in Where],
        ERRORS,
    ),
    "refusal of the node": (
        node_refusals.node_refusal,
        (
            *ERRORS,
            'failed pulling image "a:{n:04}"',
            'creating pod sandbox with name "a": initializing source docker://a',
            "apparmor_parser not ",
            "inotify: too many ",
        ),
    ),
    "refusal of a container": (
        start_refusal.is_of_image,
        (*ERRORS, 'exec: "a{n:04}": ', "exec /a", 'exec: "nvidia'),
    ),
    "container config of an admin": (lacking.visible_devices, JSON),
    "libraries of a sandbox": (
        lambda text: other_driver.versions(text.split(" ")),
        ("/libnvidia-ml.so.1.2 ", "libnvidia-ml.so.", "libnvidia-ml.so.1.", "1."),
    ),
    "listing of a container": (config_files.listing_of, ("t stdout F a\n", "t stdout P a\n")),
    "report of a GPU pod": (lambda text: suite_pod._seen({"output": text}), JSON),
    "YAML of a recording": (_bytes(lambda text: yaml_io.load_all(text, "x")), (*YAML, *JSON)),
    "JSON of a recording": (_bytes(lambda text: yaml_io.load_json(text, "x")), JSON),
    "commands of a recording": (
        _bytes(lambda text: node_files.parse_commands(text, "x")),
        ("- argv: a b\n", "- {{argv: [a], stdout: b}}\n"),
    ),
    "ELF summaries of a recording": (
        _bytes(lambda text: node_files.parse_elf(text, "x")),
        ("/lib/a{n:04}: {{machine: x86-64}}\n",),
    ),
    "node of a recording": (_bytes(lambda text: node_files.parse_head(text, "x")), YAML),
    "paths of a recording": (_view, ("a{n:04}\n", "a/", "a/b{n:04}\n")),
    "listing of a recording": (
        _bytes(lambda text: listing.parse_listing(text, "x")),
        ("complete: [/a{n:04}, ", "entries:\n  /a{n:04}: {{kind: file}}\n"),
    ),
}


class _Process(processes.Process):
    """The first process."""

    def __init__(self) -> None:
        super().__init__(pid=1, argv=("containerd",), exe=None, started=None, sockets=None)


def hostile(seed: str, amount: float) -> Mapping[str, str]:
    """Return hostile texts of a kind by their names; ``{n:04}`` in the seed counts."""
    count = int(amount)
    items = [seed.format(n=number) for number in range(count)]
    one = items[0]
    return {
        "many items": "".join(items),
        "many items in one line": "".join(items).replace("\n", " "),
        "unclosed quote": f'{one}"' + "a" * count,
        "quotes and backslashes": one + '"\\' * count,
        "backslashes and quotes": one + "\\'" * count,
        "brackets": one + "[" * count,
        "braces and keys": one + '{"a":' * count,
        "dotted keys": one + "a." * count + "b = 1\n",
        "dotted section": f"[{'a.' * count}b]\n{one}",
        "sections": "".join(f"[s{number}]\n{each}" for number, each in enumerate(items)),
        "spaces": one + " " * count + one,
        "empty lines": one + "\n" * count + one,
        "digits": one + "9" * count,
        "base 60": f"{one}1" + ":10" * count,
        "long line": one + "a" * count,
        "indentation": "".join(f"{' ' * (number % 300)}a:\n" for number in range(count)),
    }
