"""Configurations that are rendered at every start: the result of the next start counts."""

from __future__ import annotations

import pytest

from pytest_gpu.causes import Finding
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.run.placeholders import filled
from pytest_gpu.stack.containerd.templates import parse_template, rendering
from pytest_gpu.stack.runtime import check_handler, check_restart, check_templates
from tests.stack.containerd.test_merge import CRI2, CRI3
from tests.stack.containerd.test_merge import handler as table
from tests.stack.runtime.runtime_machine import NVIDIA, SOCKET, STARTED, Machine
from tests.stack.runtime.test_check_runtime import cause, text_of
from tests.support.fake_evidence import FakeNode

FOLDER = "/var/lib/rancher/rke2/agent/etc/containerd"
RENDERED = f"{FOLDER}/config.toml"
V3, V2 = f"{FOLDER}/config-v3.toml.tmpl", f"{FOLDER}/config.toml.tmpl"
OPT = "/opt/nvidia/bin/nvidia-container-runtime"
BASE = '{{ template "base" . }}\n'
RUNC_3 = "version = 3\n" + table("runc", CRI3, systemd=True)
FOUND_3 = RUNC_3 + table("nvidia", CRI3, binary=NVIDIA, systemd=True)
HAND_3 = table("nvidia", CRI3, binary=OPT, systemd=True)
HAND_2 = table("nvidia", CRI2, binary=OPT, systemd=True)
PLACES = (FOLDER, "/usr/local/nvidia", "/usr/local/bin", "/usr/local/sbin", "/usr/sbin", "/sbin")
OWN = ("/bin", "/opt/nvidia/bin", "/etc/rancher/rke2", "/etc/default", "/etc/sysconfig")
SETTINGS = "/etc/rancher/rke2/config.yaml"


def rke2(text: str, **files: str) -> Machine:
    """Return a healthy RKE2 node with containerd 2.1 and this rendered file."""
    return Machine(
        files={RENDERED: text, **files},
        version="2.1.5",
        kubelet_version="v1.33.7+rke2r3",
        containerds={SOCKET: f"containerd -c {RENDERED}"},
        binaries=(NVIDIA, OPT),
        mtimes={RENDERED: STARTED - 1},
        listed=[*PLACES, *OWN, "/etc/systemd/system"],
    )


def next_time(machine: Machine) -> Finding | None:
    """Return what the next start breaks."""
    return check_templates.fault_at_next_start(machine.node())


def test_what_rke2_finds_itself_comes_again() -> None:
    """No template, or one that extends the built-in one: the handler is listed at every start."""
    assert next_time(rke2(FOUND_3)) is None
    kata = table("kata", CRI3, binary="/opt/kata")
    assert next_time(rke2(FOUND_3, **{V3: BASE + kata})) is None
    assert next_time(rke2(FOUND_3, **{V2: "{{ range .ExtraRuntimes }}x{{ end }}"})) is None


def test_a_handler_written_into_the_rendered_file() -> None:
    """RKE2 does not look in /opt: what was written by hand is lost."""
    machine = rke2(RUNC_3 + HAND_3)
    machine.binaries = (OPT,)
    machine.mtimes[RENDERED] = STARTED + 3600
    finding = next_time(machine)
    assert cause(finding) == "runtime/rendered-file-edited"
    for words in (RENDERED, V3, "after containerd started", 'template "base"'):
        assert words in text_of(finding)


def test_a_handler_of_the_template_comes_again() -> None:
    """The same handler, in the template."""
    machine = rke2(RUNC_3 + HAND_3, **{V3: BASE + HAND_3})
    machine.binaries = (OPT,)
    assert next_time(machine) is None


def test_a_handler_of_a_drop_in_comes_again() -> None:
    """config-v3.toml.d is read by containerd itself."""
    drop_in = f"{FOLDER}/config-v3.toml.d/nvidia.toml"
    text = RUNC_3.replace(
        "version = 3\n", f"version = 3\nimports = ['{FOLDER}/config-v3.toml.d/*.toml']\n"
    )
    machine = rke2(text, **{drop_in: "version = 3\n" + HAND_3})
    machine.binaries = (OPT,)
    machine.listed = [*machine.listed, f"{FOLDER}/config-v3.toml.d"]
    assert next_time(machine) is None


def test_the_services_own_path() -> None:
    """PATH of the environment file counts, too."""
    machine = rke2(RUNC_3 + HAND_3)
    machine.binaries = (OPT,)
    machine.files["/etc/default/rke2-agent"] = "PATH=/usr/bin:/opt/nvidia/bin\n"
    assert next_time(machine) is None


def test_the_path_that_containerd_runs_with() -> None:
    """However the unit set it: what lies along it is found again, what does not is not."""
    machine = rke2(RUNC_3 + HAND_3)
    machine.binaries = (OPT,)
    environment = "/proc/4700/environ"
    machine.files[environment] = "A=b\0PATH=/usr/bin:/opt/nvidia/bin\0"
    assert next_time(machine) is None
    machine.files[environment] = "A=b\0PATH=/usr/bin\0"
    assert cause(next_time(machine)) == "runtime/rendered-file-edited"


def test_a_template_that_replaces_the_built_in_one() -> None:
    """It lists nothing that RKE2 finds, and no nvidia: noted while it works, the cause after."""
    alone = {V3: RUNC_3}
    assert cause(next_time(rke2(FOUND_3, **alone))) == "runtime/template-without-nvidia"
    machine = rke2(RUNC_3, **alone)
    machine.live = ("runc",)
    found = check_handler.no_gpu_handler(machine.node())
    assert cause(found) == "runtime/template-without-nvidia"


@pytest.mark.parametrize("version", ["v1.33.10+rke2r1", "v1.36.0+rke2r1"])
def test_newer_releases_merge_a_template_over_their_own(version: str) -> None:
    """Since spring 2026 a template without base replaces nothing."""
    machine = rke2(FOUND_3, **{V3: RUNC_3})
    machine.kubelet_version = version
    assert next_time(machine) is None


def test_sections_of_another_version_count_for_nothing() -> None:
    """The name of the template makes it version 3; the handler stands under version 2's name."""
    machine = rke2(RUNC_3 + HAND_2, **{V3: BASE + HAND_2})
    machine.live = ("runc",)
    finding = check_handler.no_gpu_handler(machine.node())
    assert cause(finding) == "runtime/template-for-other-version"
    for words in (V3, "io.containerd.cri.v1.runtime", "version 3"):
        assert words in text_of(finding)


def test_version_2_sections_in_a_version_2_template() -> None:
    """The old name still works with containerd 2.x: it gives a version 2 file."""
    text = RUNC_3.replace("3", "2", 1).replace(CRI3, CRI2) + HAND_2
    machine = rke2(text, **{V2: BASE + HAND_2})
    machine.binaries = (OPT,)
    assert next_time(machine) is None


def test_the_template_that_is_not_read() -> None:
    """Both names are there: with containerd 2.x the older one is passed over."""
    machine = rke2(RUNC_3, **{V3: BASE, V2: BASE + HAND_2})
    machine.live, machine.binaries = ("runc",), (OPT,)
    finding = check_handler.no_gpu_handler(machine.node())
    assert cause(finding) == "runtime/template-not-read"
    assert f"is not read: {V3} is" in text_of(finding)


def test_the_newer_name_is_not_read_by_containerd_1() -> None:
    """Before containerd 2.0 only config.toml.tmpl exists."""
    text = "version = 2\n" + table("runc", systemd=True)
    machine = rke2(text, **{V3: BASE + HAND_3})
    machine.version, machine.live, machine.binaries = "1.7.24", ("runc",), (OPT,)
    assert cause(check_handler.no_gpu_handler(machine.node())) == "runtime/template-not-read"


def test_an_old_template_beside_what_is_found_is_no_fault() -> None:
    """It is not read, and nobody misses it."""
    assert next_time(rke2(FOUND_3, **{V3: BASE, V2: BASE + HAND_2})) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BASE + "[plugins\n", "no valid TOML"),
        (BASE + table("runc", CRI3, binary=OPT), "has this table, too"),
        (BASE + table("nvidia", CRI3, binary=OPT), "has this table, too"),
    ],
)
def test_a_template_that_gives_no_toml(text: str, words: str) -> None:
    """Damage that shows at the next start only."""
    finding = next_time(rke2(FOUND_3, **{V3: text}))
    assert cause(finding) == "runtime/template-damaged"
    assert words in text_of(finding)


def test_a_table_that_was_merged_is_no_damage() -> None:
    """The rendered file holds the template's own value: this release merges them."""
    added = table("nvidia", CRI3, binary=OPT, systemd=True)
    assert next_time(rke2(RUNC_3 + HAND_3, **{V3: BASE + added})) is None


def test_what_conditions_leave_open_is_no_fault() -> None:
    """Nobody can tell without the values: no word about it."""
    text = "{{ if .A }}[x]\n{{ end }}{{ if .B }}[x]\n{{ end }}[plugins\n"
    assert next_time(rke2(FOUND_3, **{V3: text})) is None


def test_a_default_runtime_that_will_not_be_found() -> None:
    """RKE2 refuses to start then; with the program in place nothing is wrong."""
    machine = rke2(RUNC_3, **{SETTINGS: "default-runtime: nvidia\n"})
    assert next_time(machine) is None
    machine.binaries = (OPT,)
    finding = next_time(machine)
    assert cause(finding) == "runtime/default-runtime-not-found"
    assert SETTINGS in text_of(finding)


def test_a_default_written_into_the_rendered_file() -> None:
    """As the toolkit does when it is given that file; a default of the settings comes again."""
    text = FOUND_3 + f'[{CRI3}]\ndefault_runtime_name = "nvidia"\n'
    machine = rke2(text)
    assert next_time(machine) is None, "it may come from a flag"
    machine.mtimes[RENDERED] = STARTED + 60
    finding = next_time(machine)
    assert finding
    assert cause(finding) == "runtime/rendered-file-edited"
    assert "default-runtime: nvidia" in text_of(filled(finding, machine.node()))
    machine.files[SETTINGS] = "default-runtime: nvidia\n"
    assert next_time(machine) is None


@pytest.mark.parametrize("told", ["folder", "flag", "other-file", "outranked"])
def test_a_default_is_told_in_a_further_file_or_by_a_flag(told: str) -> None:
    """All that RKE2 reads counts, each over the one before it."""
    machine = rke2(FOUND_3 + f'[{CRI3}]\ndefault_runtime_name = "nvidia"\n')
    machine.mtimes[RENDERED] = STARTED + 60
    setting, further = "default-runtime: nvidia\n", f"{SETTINGS}.d/gpu.yaml"
    if told == "folder":
        machine.files[further] = setting
    elif told == "flag":
        machine.others = ["/usr/local/bin/rke2 agent --default-runtime=nvidia"]
    elif told == "other-file":
        machine.others = ["/usr/local/bin/rke2 agent --config /opt/rke2.yaml"]
        machine.files["/opt/rke2.yaml"] = setting
        machine.listed = [*machine.listed, "/opt"]
    else:
        machine.files |= {SETTINGS: setting, further: "default-runtime: runc\n"}
    machine.listed = [*machine.listed, f"{SETTINGS}.d"]
    if told == "outranked":
        assert cause(next_time(machine)) == "runtime/rendered-file-edited"
        return
    assert next_time(machine) is None
    machine.binaries = (OPT,)
    finding = next_time(machine)
    assert cause(finding) == "runtime/default-runtime-not-found"
    where = {"folder": further, "flag": "--default-runtime=nvidia", "other-file": "/opt/rke2.yaml"}
    assert where[told] in text_of(finding)


def test_a_folder_of_settings_that_nobody_listed_is_unknown() -> None:
    """It might name the default."""
    machine = rke2(FOUND_3)
    machine.listed = [each for each in machine.listed if each != "/etc/rancher/rke2"]
    machine.files[SETTINGS] = "token: x\n"
    with pytest.raises(NotInEvidence, match=r"config\.yaml\.d"):
        next_time(machine)


def test_installed_after_the_start() -> None:
    """Found only at a start; a node that has no program at all is another cause."""
    machine = rke2(RUNC_3)
    machine.live = ("runc",)
    assert cause(check_handler.no_gpu_handler(machine.node())) == "runtime/installed-after-start"
    machine.binaries = ()
    assert cause(check_handler.no_gpu_handler(machine.node())) == "runtime/handler-not-configured"


def test_the_next_start_brings_back_what_the_file_lost() -> None:
    """Live, not in the rendered file, and found again at every start: nothing is lost."""
    assert check_restart.lost_at_restart(rke2(RUNC_3).node()) is None
    machine = rke2(RUNC_3)
    machine.binaries = ()
    assert cause(check_restart.lost_at_restart(machine.node())) == "runtime/lost-at-restart"


def test_an_edit_in_vain() -> None:
    """Written into the rendered file, never loaded: a restart alone would only lose it."""
    machine = rke2(RUNC_3 + HAND_3)
    machine.live, machine.binaries = ("runc",), (OPT,)
    assert cause(check_restart.not_restarted(machine.node())) == "runtime/rendered-file-edited"
    machine.files[V3] = BASE + HAND_3
    assert cause(check_restart.not_restarted(machine.node())) == "runtime/not-restarted"


def test_templates_that_nobody_looked_for_are_unknown() -> None:
    """No verdict on the next start without them."""
    machine = rke2(FOUND_3)
    machine.listed = [*PLACES[1:], *OWN]
    with pytest.raises(NotInEvidence):
        next_time(machine)


MICROK8S = "/var/snap/microk8s/7500/args/containerd.toml"
SOURCE = "/var/snap/microk8s/7500/args/containerd-template.toml"
SNAP_ROOT = 'version = 2\nroot = "${SNAP_COMMON}/var/lib/containerd"\n'


def microk8s(rendered: str, source: str) -> Machine:
    """Return a MicroK8s node with these two files."""
    return Machine(
        files={MICROK8S: "version = 2\n" + rendered, SOURCE: SNAP_ROOT + source},
        containerds={SOCKET: f"/snap/microk8s/7500/bin/containerd --config {MICROK8S}"},
    )


def test_microk8s_renders_from_its_template() -> None:
    """The handler only in the rendered file, in both, and only in the template."""
    runc, nvidia = table("runc"), table("nvidia", binary=NVIDIA)
    finding = next_time(microk8s(runc + nvidia, runc))
    assert cause(finding) == "runtime/rendered-file-edited"
    assert SOURCE in text_of(finding)
    assert next_time(microk8s(runc + nvidia, runc + nvidia)) is None
    machine = microk8s(runc, runc + nvidia)
    machine.live = ("runc",)
    found = check_handler.no_gpu_handler(machine.node())
    assert cause(found) == "runtime/template-not-rendered"


def test_a_file_like_any_other() -> None:
    """What nobody renders has no template."""
    assert rendering(FakeNode(), "/etc/containerd/config.toml", (2, 1, 5)) is None


def test_the_literal_part_of_a_go_template() -> None:
    """Values become 0, of conditions the first part stays, comments and commas go."""
    text = (
        '{{- /* [x] */ -}}\na = {{ .A }}\n{{- if .B }}\nb = "{{ .B }}"\n'
        "{{ else }}\nb = 1\n{{ end }}\n"
        'c = [{{range $i, $j := .C}}{{if $i}}, {{end}}{{printf "%q" .}}{{end}}]\n'
        "{{range $k, $v := .ExtraRuntimes}}\n[{{$k}}]\n{{end}}"
    )
    template = parse_template("x.tmpl", text.encode())
    assert template.table == {"a": 0, "b": "0", "c": [0], "0": {}}
    assert (template.base, template.detects, template.error) == (False, True, "")


@pytest.mark.parametrize("text", ["{{", "{{ end }}", "{{ if", "{{ else }}{{ end }}", "\xff"])
def test_damaged_templates_are_read_without_a_crash(text: str) -> None:
    """Half a file, or none of ours."""
    parse_template("x.tmpl", text.encode("latin-1"))
