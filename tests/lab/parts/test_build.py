"""Components are pinned, and built once per state of their module; needs no real Go."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.parts import build, debian, golang
from tests.lab.parts.components import COMPONENTS, MODULES, Component

GO_MOD = """\
module example.com/lab/thing

go 1.26.0

tool (
\texample.com/real/cmd/one
\texample.com/real/cmd/two
)

require example.com/real v1.2.3
"""

# Answers as `go env GOVERSION` does, and "builds" a file for each package of `go build`.
FAKE_GO = """\
#!/bin/sh
[ "$1" = env ] && { echo "${FAKE_VERSION:-go1.26.8}"; exit; }
echo "$@" >>"$FAKE_LOG"
[ -z "$FAKE_ERROR" ] || { echo "$FAKE_ERROR" >&2; exit 1; }
while [ "$1" != "${1%/}/" ]; do shift; done
target=$1; shift
for package in "$@"; do echo program >"$target${package##*/}"; done
"""


@pytest.fixture
def thing(tmp_path: Path) -> Component:
    """Return a component in a folder of the test."""
    folder = tmp_path / "go" / "thing"
    folder.mkdir(parents=True)
    (folder / "go.mod").write_text(GO_MOD)
    (folder / "go.sum").write_text("")
    return Component(
        name="thing",
        module="example.com/real",
        stamps={"example.com/real/version.Version": "{version}"},
        modules=folder.parent,
    )


@pytest.fixture
def go_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the fake Go on an otherwise empty PATH and return the file of its build commands."""
    program = tmp_path / "bin" / "go"
    program.parent.mkdir()
    program.write_text(FAKE_GO)
    program.chmod(0o755)
    log = tmp_path / "log"
    log.touch()
    monkeypatch.setenv("PATH", f"{program.parent}")
    monkeypatch.setenv("FAKE_LOG", str(log))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return log


def no_debian(*_: str) -> Path:
    """Stand in for Debian's archive where it gives nothing."""
    raise debian.Missing("needs root")


def test_every_folder_is_a_component_and_pins_its_module() -> None:
    """A module that nobody builds, or a component without one, would be found nowhere else."""
    assert {path.parent.name for path in MODULES.glob("*/go.mod")} == set(COMPONENTS)
    for component in COMPONENTS.values():
        assert re.match(r"v\d+\.\d+\.\d+", component.version), component.name
        assert component.packages, component.name
        sums = (component.folder / "go.sum").read_text()
        assert f"{component.module} v" in sums, component.name


@pytest.mark.parametrize("name", ["kubernetes", "kubernetes-older"])
def test_kubernetes_takes_each_of_its_modules_in_its_own_release(name: str) -> None:
    """What Kubernetes finds in its own tree is published as v0.N.P."""
    component = COMPONENTS[name]
    text = (component.folder / "go.mod").read_text()
    replaced = re.findall(r"^\t(k8s\.io/\S+) => (\S+) (\S+)$", text, re.MULTILINE)
    assert len(replaced) >= 30
    own = component.version.replace("v1.", "v0.")
    assert {(old, new, version) for old, new, version in replaced} == {
        (old, old, own) for old, _, _ in replaced
    }


@pytest.mark.parametrize(
    ("name", "linked"),
    [
        ("kubernetes", r"-X k8s\.io/component-base/version\.gitVersion=v1\.\d+\.\d+ "),
        ("kubernetes", r"-X k8s\.io/client-go/pkg/version\.gitMinor=\d+ "),
        ("crictl", r"-X sigs\.k8s\.io/cri-tools/pkg/version\.Version=1\.\d+\.\d+$"),
        ("containerd", r"-X \S+/containerd/v2/version\.Version=v2\.\d+\.\d+$"),
        ("toolkit", r"-X \S+/nvidia-container-toolkit/internal/info\.version=1\.\d+\.\d+$"),
        ("operator", r"-X \S+/gpu-operator/internal/info\.version=v25\.\d+\.\d+$"),
        ("helm", r"-X \S+/helm/v4/internal/version\.version=v4\.\d+\.\d+ "),
    ],
)
def test_programs_are_told_their_version(name: str, linked: str) -> None:
    """As the projects' own builds do: their programs print it."""
    arguments = COMPONENTS[name].arguments(Path("out"))
    assert re.search(linked, arguments[arguments.index("-ldflags") + 1])


def test_go_is_told_to_build_all_programs_at_once(thing: Component) -> None:
    """With the tags of the project's build, into one folder."""
    tagged = replace(thing, tags=("a", "b"))
    assert tagged.arguments(Path("out")) == (
        *("build", "-tags", "a,b"),
        *("-ldflags", "-s -w -X example.com/real/version.Version=v1.2.3"),
        *("-o", "out/", "example.com/real/cmd/one", "example.com/real/cmd/two"),
    )
    assert tagged.programs == ("one", "two")


def test_a_release_may_be_named_where_go_knows_only_a_commit(thing: Component) -> None:
    """Calendar tags such as v25.3.4 are no versions of a module."""
    assert replace(thing, released_as="v25.3.4").version == "v25.3.4"


def test_whatever_changes_the_programs_changes_the_key(thing: Component) -> None:
    """Nothing stale is taken from the cache."""
    changed = [thing.key("go1.26.8"), thing.key("go1.26.9")]
    changed += [
        replace(thing, tags=("a",)).key("go1.26.8"),
        replace(thing, cgo=True).key("go1.26.8"),
    ]
    for name in ("go.mod", "go.sum"):
        with (thing.folder / name).open("a") as file:
            file.write("// more\n")
        changed.append(thing.key("go1.26.8"))
    assert len(set(changed)) == 6
    assert changed[0].startswith("thing-v1.2.3-go1.26.8-")


def test_a_component_is_built_once(thing: Component, go_log: Path) -> None:
    """The second call takes it from the cache; another Go builds it anew."""
    [folder] = build.built(thing)
    assert sorted(path.name for path in folder.iterdir()) == ["one", "two"]
    assert build.built(thing) == (folder,)
    assert len(go_log.read_text().splitlines()) == 1


def test_another_go_builds_it_anew(
    thing: Component, go_log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its programs differ."""
    folders = build.built(thing)
    monkeypatch.setenv("FAKE_VERSION", "go1.27.0")
    assert build.built(thing) != folders
    assert len(go_log.read_text().splitlines()) == 2


def test_a_failed_build_leaves_no_component_and_says_why(
    thing: Component, go_log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Go's own last words are in the message; the next call tries again."""
    monkeypatch.setenv("FAKE_ERROR", "example.com/real: 403 Forbidden")
    with pytest.raises(debian.Missing, match=r"go build in thing: exit 1: .*403 Forbidden"):
        build.built(thing)
    assert list(tmp_path.glob("cache/**/thing-*")) == []
    monkeypatch.delenv("FAKE_ERROR")
    [folder] = build.built(thing)
    assert (folder / "one").exists()
    assert len(go_log.read_text().splitlines()) == 2


@pytest.mark.usefixtures("go_log")
def test_what_only_builds_need_is_removed_in_the_end(thing: Component, tmp_path: Path) -> None:
    """Several gigabytes; the programs stay."""
    work = tmp_path / "cache/pytest-gpu-lab/go"
    for name in ("mod", "build"):
        (work / name / "much").mkdir(parents=True)
    [folder] = build.built(thing)
    assert sorted(path.name for path in work.iterdir()) == ["build.lock", "programs"]
    assert folder.is_dir()


@pytest.mark.usefixtures("go_log")
def test_a_failed_build_keeps_what_the_next_try_needs(
    thing: Component, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was fetched and compiled is not fetched and compiled again."""
    monkeypatch.setenv("FAKE_ERROR", "no")
    monkeypatch.setattr(build, "COMPONENTS", {"thing": thing})
    source = tmp_path / "cache/pytest-gpu-lab/go/mod/much"
    source.mkdir(parents=True)
    assert build.main(["thing"]) == 1
    assert source.is_dir()


def test_c_needs_a_compiler(thing: Component, go_log: Path) -> None:
    """Go's own message would name a header."""
    with pytest.raises(debian.Missing, match="needs gcc to build thing"):
        build.built(replace(thing, cgo=True))
    assert go_log.read_text() == ""


@pytest.mark.parametrize(
    ("version", "why"),
    [("go1.20.14", "bin/go is too old"), ("none", "there is none on the PATH")],
)
@pytest.mark.usefixtures("go_log")
def test_no_go_is_missing_and_says_so(
    version: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that has none, and no Debian to get it from, leaves the lab out with this."""
    monkeypatch.setenv("FAKE_VERSION", version)
    monkeypatch.setattr(debian, "unpacked", no_debian)
    if version == "none":
        monkeypatch.setenv("PATH", "")
    with pytest.raises(
        debian.Missing, match=rf"^needs Go 1\.21 or newer: .*{why}, and needs root$"
    ):
        golang.find()


@pytest.mark.usefixtures("go_log")
def test_debian_gives_the_go_where_the_machine_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer suite's, unpacked as the lab's other parts are."""
    monkeypatch.setenv("FAKE_VERSION", "go1.19.8")
    monkeypatch.setattr(debian, "unpacked", lambda *_: Path("/unpacked"))
    assert golang.find().program == Path("/unpacked/usr/lib/go-1.26/bin/go")


def test_settings_of_the_user_do_not_change_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flags, another root and a workspace are ours; where modules come from is the user's."""
    for name, value in {"GOFLAGS": "-mod=vendor", "GOROOT": "/x", "GOPROXY": "off"}.items():
        monkeypatch.setenv(name, value)
    found = golang.Go(program=Path("/bin/go"), work=Path("/work")).environment(cgo=False)
    assert found["GOFLAGS"] == golang.FLAGS
    assert (found["GOROOT"], found["GOWORK"], found["CGO_ENABLED"]) == ("", "off", "0")
    assert (found["GOMODCACHE"], found["GOCACHE"]) == ("/work/mod", "/work/build")
    assert found["GOPROXY"] == "off"


def test_the_command_tells_times_and_what_is_missing(
    thing: Component,
    go_log: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line for each component; 1 if one is missing."""
    monkeypatch.setattr(build, "COMPONENTS", {"thing": thing, "c": replace(thing, cgo=True)})
    assert build.main(["thing"]) == 0
    assert re.match(r"thing v1\.2\.3: \d+\.\d s, \d+\.\d s of CPU, /", capsys.readouterr().out)
    assert build.main([]) == 1
    assert "thing v1.2.3: needs gcc to build thing" in capsys.readouterr().out
    assert len(go_log.read_text().splitlines()) == 1


def test_the_command_without_go_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once, not for each component."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(debian, "unpacked", no_debian)
    assert build.main([]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "needs Go 1.21 or newer: there is none on the PATH, and needs root"
    ]


def test_the_command_refuses_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    """With the names that there are."""
    with pytest.raises(SystemExit, match="2"):
        build.main(["nope"])
    assert "there is no component nope" in capsys.readouterr().err
