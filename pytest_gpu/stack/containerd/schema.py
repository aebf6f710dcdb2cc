"""The fields into which containerd decodes its configuration, by generation.

Source: the structs of ``cmd/containerd/server/config`` (1.x: ``services/server/config``) and of
the CRI plugin: ``pkg/cri/config`` (1.6, 1.7), ``internal/cri/config`` (2.x). A key that is
not a field is ignored; a value of the wrong type stops containerd from starting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from pytest_gpu.stack.containerd.release import Generation


@dataclass(frozen=True, slots=True)
class Struct:
    """A table with known fields; ``fields`` maps names to kinds."""

    fields: Mapping[str, Kind]


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose keys are free and whose values are all of one kind."""

    of: Kind


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value of one Python type; ``name`` is its name in messages."""

    type: type
    name: str


@dataclass(frozen=True, slots=True)
class Strings:
    """A list of strings."""


@dataclass(frozen=True, slots=True)
class Anything:
    """A value that is not checked."""


Kind = Struct | Table | Scalar | Strings | Anything

TEXT, FLAG, NUMBER = Scalar(str, "text"), Scalar(bool, "true or false"), Scalar(int, "a number")
LIST, ANY = Strings(), Anything()


def _struct(texts: str = "", flags: str = "", numbers: str = "", **fields: Kind) -> Struct:
    plain = ((texts, TEXT), (flags, FLAG), (numbers, NUMBER))
    return Struct({name: kind for names, kind in plain for name in names.split()} | fields)


ROOT = _struct(
    "root state temp",
    "",
    "version oom_score",
    imports=LIST,
    disabled_plugins=LIST,
    required_plugins=LIST,
    plugins=Table(ANY),
    timeouts=Table(TEXT),
    cgroup=_struct("path"),
    debug=_struct("address level format", "", "uid gid"),
    metrics=_struct("address", "grpc_histogram"),
    ttrpc=_struct("address", "", "uid gid"),
    grpc=_struct(
        "address tcp_address tcp_tls_ca tcp_tls_cert tcp_tls_key",
        "",
        "uid gid max_recv_message_size max_send_message_size",
    ),
    proxy_plugins=Table(_struct("type address")),
    stream_processors=Table(_struct("returns path", accepts=LIST, args=LIST, env=LIST)),
)

NRI = _struct("plugin_path plugin_config_path socket_path", "disable disable_connections")


@cache
def runtime(generation: Generation) -> Struct:
    """Return the fields of one entry of ``containerd.runtimes``."""
    texts = "runtime_type runtime_path base_runtime_spec cni_conf_dir"
    flags = "privileged_without_host_devices"
    if generation.has_fields_of_1_7:
        texts += " snapshotter"
        flags += " privileged_without_host_devices_all_devices_allowed"
    texts += " runtime_engine runtime_root" if generation.one_cri_section else " sandboxer io_type"
    lists: dict[str, Kind] = {"pod_annotations": LIST, "container_annotations": LIST}
    return _struct(texts, flags, "cni_max_conf_num", options=Table(ANY), **lists)


@cache
def cri(generation: Generation) -> Struct:
    """Return the fields of the CRI section that holds the runtimes."""
    texts = "unset_seccomp_profile"
    flags = (
        "enable_selinux disable_apparmor restrict_oom_score_adj disable_proc_mount"
        " tolerate_missing_hugetlb_controller disable_hugetlb_controller"
        " device_ownership_from_security_context ignore_image_defined_volumes"
        " netns_mounts_under_state_dir enable_unprivileged_ports enable_unprivileged_icmp"
    )
    numbers = "selinux_category_range max_container_log_line_size"
    more: dict[str, Kind] = {"containerd": _containerd(generation), "cni": _cni(generation)}
    if generation.knows_cdi:
        more |= {"cdi_spec_dirs": LIST, "drain_exec_sync_io_timeout": TEXT}
    if generation.has_cdi_switch:
        more["enable_cdi"] = FLAG
    if generation.one_cri_section:
        moved = {**images(generation).fields, **SERVER.fields}
        more |= {name: moved[name] for name in moved if name not in {"snapshotter"}}
        texts += " sandbox_image"
        flags += " systemd_cgroup disable_cgroup"
    return _struct(texts, flags, numbers, **more)


def _containerd(generation: Generation) -> Struct:
    flags = "ignore_rdt_not_enabled_errors"
    if not generation.one_cri_section:
        return _struct("default_runtime_name", flags, runtimes=Table(runtime(generation)))
    flags += " no_pivot disable_snapshot_annotations discard_unpacked_layers"
    return _struct(
        "default_runtime_name snapshotter",
        flags,
        runtimes=Table(runtime(generation)),
        default_runtime=runtime(generation),
        untrusted_workload_runtime=runtime(generation),
    )


def _cni(generation: Generation) -> Struct:
    lists: dict[str, Kind] = {"bin_dirs": LIST} if generation.several_cni_folders else {}
    texts = "conf_dir conf_template ip_pref"
    texts += " bin_dir" if generation.single_cni_folder else ""
    return _struct(texts, "", "max_conf_num", **lists)


@cache
def images(generation: Generation) -> Struct:
    """Return the fields of the CRI's image section, which in 1.x is part of the one CRI section."""
    registry = _struct(
        "config_path",
        mirrors=Table(_struct(endpoint=LIST)),
        configs=Table(_struct(auth=_struct("username password auth identitytoken"))),
        auths=Table(_struct("username password auth identitytoken")),
        headers=Table(LIST),
    )
    texts, flags = "snapshotter", "disable_snapshot_annotations discard_unpacked_layers"
    more: dict[str, Kind] = {} if generation.one_cri_section else {"pinned_images": Table(TEXT)}
    if generation.has_fields_of_1_7:
        texts, flags = f"{texts} image_pull_progress_timeout", f"{flags} image_pull_with_sync_fs"
    more |= {"registry": registry, "image_decryption": _struct("key_model")}
    if generation.one_cri_section:
        flags = flags.replace("disable_snapshot_annotations discard_unpacked_layers", "")
    return _struct(texts, flags, "max_concurrent_downloads stats_collect_period", **more)


SERVER = _struct(
    "stream_server_address stream_server_port stream_idle_timeout",
    "disable_tcp_service enable_tls_streaming",
    x509_key_pair_streaming=_struct("tls_cert_file tls_key_file"),
)
"""The fields of the CRI's server, which in 1.x are part of the one CRI section."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """The values that containerd uses if no file sets them."""

    cdi: bool
    cdi_dirs: tuple[str, ...] = ("/etc/cdi", "/var/run/cdi")
    cni_bin_dirs: tuple[str, ...] = ("/opt/cni/bin",)
    cni_conf_dir: str = "/etc/cni/net.d"
    sandbox_image: str
    snapshotter: str = "overlayfs"
    default_runtime: str = "runc"
    runtime_type: str = "io.containerd.runc.v2"
    nri: bool


def defaults(generation: Generation) -> Defaults:
    """Return the defaults of containerd as released by its project."""
    return Defaults(
        cdi=generation.cdi_by_default,
        nri=generation.nri_by_default,
        sandbox_image=generation.sandbox_image,
    )
