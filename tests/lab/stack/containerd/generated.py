"""Random configurations: trees of imports, versions, overlapping sections, ways of writing TOML."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import strategies as st

PLUGINS = ("cri", "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime")
CHANCE = {"cri", "io.containerd.grpc.v1.cri"}
"""Two names of one section in a file of version 1: containerd goes through a Go map, so each start
takes another one of them."""

IMAGES = "io.containerd.cri.v1.images"
NAMES = ("conf.d/10-a.toml", "conf.d/50-b.toml", "conf.d/99-nvidia.toml", "other.toml")
PATTERNS = ("@DIR@/conf.d/*.toml", "conf.d/*.toml", "@DIR@/conf.d/[1-5]*.toml", "@DIR@/other.toml",
            "other.toml", "@DIR@/config.toml", "@DIR@/none.d/*", "*.toml")  # fmt: skip

_handler_names = st.sampled_from(["runc", "nvidia", "Nvidia", "nvidia-cdi", "a.b", "crun"])
_binary = st.sampled_from(["", "/usr/bin/nvidia-container-runtime", "/usr/bin/crun"])
_options = st.fixed_dictionaries(
    {},
    optional={
        "BinaryName": _binary,
        "binaryName": _binary,
        "SystemdCgroup": st.booleans(),
        "systemdcgroup": st.booleans(),
        "Root": st.just("/run/x"),
    },
)
_handler = st.fixed_dictionaries(
    {},
    optional={
        "runtime_type": st.sampled_from(["io.containerd.runc.v2", "io.containerd.kata.v2"]),
        "Runtime_Type": st.just("io.containerd.runc.v1"),
        "options": _options,
        "pod_annotations": st.lists(st.sampled_from(["cdi.k8s.io/*", "a"]), max_size=2),
        "container_annotations": st.lists(st.just("cdi.k8s.io/*"), max_size=1),
        "privileged_without_host_devices": st.booleans(),
        "unknown": st.integers(0, 9),
    },
)
_containerd = st.fixed_dictionaries(
    {},
    optional={
        "default_runtime_name": st.sampled_from(["runc", "nvidia", ""]),
        "runtimes": st.dictionaries(_handler_names, _handler, max_size=3),
        "Runtimes": st.dictionaries(_handler_names, _handler, max_size=1),
        "snapshotter": st.sampled_from(["overlayfs", "nydus"]),
        "default_runtime": _handler,
    },
)
_folder = st.sampled_from(["/opt/cni/bin", "/var/lib/cni", ""])
_cni = st.fixed_dictionaries(
    {},
    optional={"bin_dir": _folder, "conf_dir": _folder, "bin_dirs": st.lists(_folder, max_size=2)},
)
_section = st.fixed_dictionaries(
    {},
    optional={
        "containerd": _containerd,
        "cni": _cni,
        "sandbox_image": st.sampled_from(["pause:1", "pause:2"]),
        "enable_cdi": st.booleans(),
        "cdi_spec_dirs": st.lists(st.sampled_from(["/etc/cdi", "/opt/cdi"]), max_size=2),
        "enable_selinux": st.booleans(),
    },
)
_images = st.fixed_dictionaries(
    {},
    optional={
        "pinned_images": st.fixed_dictionaries({"sandbox": st.just("pinned:3")}),
        "snapshotter": st.just("stargz"),
    },
)
_disabled = st.sampled_from(
    [*PLUGINS, IMAGES, "io.containerd.snapshotter.v1.zfs", "restart", "io.containerd.nri.v1.nri"]
)
_version = st.sampled_from([2, 2, 2, 3, 3, 1, 4, 0])
_root = st.fixed_dictionaries(
    {},
    optional={
        "version": _version,
        "disabled_plugins": st.lists(_disabled, max_size=1),
        "oom_score": st.integers(-999, 0),
    },
)
_way = st.sampled_from(["headers", "dotted", "inline", "quoted"])


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, str]:
    """Draw a configuration: its files by their paths, the root file among them."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=3))
    plugin = draw(st.sampled_from(PLUGINS))
    return {name: draw(_file(plugin)) for name in ("config.toml", *names)}


@st.composite
def _file(draw: st.DrawFn, usual: str) -> str:
    top = draw(_root)
    patterns = draw(st.lists(st.sampled_from(PATTERNS), max_size=2))
    if patterns:
        top["imports"] = patterns
    plugins: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from([usual, usual, *PLUGINS]), unique=True, max_size=2)):
        plugins[name] = draw(_section)
    if top.get("version", 0) < 2 and plugins.keys() >= CHANCE:
        del plugins["cri"]
    if draw(st.booleans()):
        plugins[IMAGES] = draw(_images)
    lines = [f"{key} = {_value(value)}" for key, value in top.items()]
    return "\n".join([*lines, *_written(plugins, draw(_way)), ""])


def _written(plugins: Mapping[str, Any], way: str) -> Iterator[str]:
    if way == "inline":
        yield f"plugins = {_value(plugins)}"
    elif way == "dotted":
        yield "[plugins]"
        yield from _dotted("", plugins)
    else:
        yield from _headers("plugins" if way == "headers" else '"plugins"', plugins)


def _headers(path: str, table: Mapping[str, Any]) -> Iterator[str]:
    yield f"[{path}]"
    yield from (f"{_key(k)} = {_value(v)}" for k, v in table.items() if not isinstance(v, dict))
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _headers(f"{path}.{_key(key)}", value)


def _dotted(path: str, table: Mapping[str, Any]) -> Iterator[str]:
    for key, value in table.items():
        name = f"{path}{_key(key)}"
        if isinstance(value, dict) and value:
            yield from _dotted(f"{name}.", value)
        else:
            yield f"{name} = {_value(value)}"


def _key(key: str) -> str:
    return f"'{key}'" if "." in key else key


def _value(value: Any) -> str:
    """Return a value as TOML: texts, numbers and lists are written as in JSON."""
    if not isinstance(value, dict):
        return json.dumps(value)
    return "{" + ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items()) + "}"
