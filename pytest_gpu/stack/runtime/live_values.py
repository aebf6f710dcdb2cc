"""The values containerd runs with now against those its files set for the next start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_gpu.causes import Evidence
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.containerd.live_config import LiveConfig, LiveRuntime
from pytest_gpu.stack.cri.handler import Handler
from pytest_gpu.stack.host.nvidia_programs import is_nvidia
from pytest_gpu.stack.kube.objects import optional, spec_of, template_of
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.kubelet.containerd_runtime import handler_injects
from pytest_gpu.stack.kubelet.kubelet import kubelet_of
from pytest_gpu.stack.runtime.check_handler import names_gpu_class


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One value whose loaded state differs from the files.

    ``source`` is the line on disk; ``broken_now`` says that the loaded value breaks GPU containers
    and the one on disk would not.
    """

    what: str
    running: str
    on_disk: str
    source: Evidence
    broken_now: bool = False

    @property
    def text(self) -> str:
        """The text with both values, for evidence."""
        return f"{self.what}: runs with {self.running}, on disk {self.on_disk}"


def differences(node: Node) -> tuple[Difference, ...]:
    """Return the values that matter to GPU containers and differ from the files.

    Files that containerd cannot read have no values.
    """
    live = containerd_of(node).live
    if live is None or live.config is None or containerd_of(node).config.problems:
        return ()
    return tuple(_differences(node, live.config))


def _differences(node: Node, live: LiveConfig) -> Iterator[Difference]:
    config = containerd_of(node).config
    for name in containerd_of(node).gpu_handlers:
        if name in live.runtimes:
            yield from _of_handler(node, config.runtimes[name], live.runtimes[name])
    yield from _of_default(node, live)
    yield from _of_cdi(node, live)
    yield from _of_sandboxes(node, live)


def _of_handler(node: Node, disk: Handler, live: LiveRuntime) -> Iterator[Difference]:
    def different(*keys: str, running: str, on_disk: str, broken: bool) -> Difference:
        return Difference(
            what=f"{disk.name}: {keys[-1]}",
            running=running,
            on_disk=on_disk,
            source=_line(node, disk, *keys),
            broken_now=broken,
        )

    binary = disk.binary or ""
    if live.runtime_type is not None and live.runtime_type != disk.runtime_type:
        yield different(
            "runtime_type",
            running=live.runtime_type,
            on_disk=disk.runtime_type,
            broken=not live.runtime_type,
        )
    if live.binary is not None and live.binary != binary:
        broken = not is_nvidia(live.binary) or _gone(node, live.binary)
        yield different(
            "options", "BinaryName", running=live.binary or "runc", on_disk=binary, broken=broken
        )
    if live.systemd_cgroup is not None and live.systemd_cgroup != disk.systemd_cgroup:
        yield different(
            "options",
            "SystemdCgroup",
            running=_toml(live.systemd_cgroup),
            on_disk=_toml(disk.systemd_cgroup),
            broken=_kubelet_wants(node) == disk.systemd_cgroup,
        )


def _line(node: Node, runtime: Handler, *keys: str) -> Evidence:
    """Return the line of a handler's value, or of the handler, since a default has no line."""
    origin = containerd_of(node).config.origin("runtimes", runtime.name, *keys)
    return origin if origin.line is not None else runtime.source


def _gone(node: Node, binary: str) -> bool:
    """Say whether a program is proven to be missing."""
    try:
        return binary.startswith("/") and node.evidence.entry(binary) is None
    except NotInEvidence:
        return False


def _kubelet_wants(node: Node) -> bool | None:
    """Return the SystemdCgroup that the kubelet needs; with 2.x it uses containerd's."""
    driver = kubelet_of(node).cgroup_driver
    return (
        driver == "systemd"
        if driver and not containerd_of(node).generation.tells_cgroup_driver
        else None
    )


def _of_default(node: Node, live: LiveConfig) -> Iterator[Difference]:
    config = containerd_of(node).config
    wanted = config.default_runtime
    if not live.default or live.default == wanted or wanted not in config.runtimes:
        return
    gains = handler_injects(config, wanted) and not containerd_of(node).injects("")
    yield Difference(
        what="default_runtime_name",
        running=live.default,
        on_disk=wanted,
        source=config.origin("default_runtime_name"),
        broken_now=gains and not _by_class(node),
    )


def _by_class(node: Node) -> bool:
    """Say whether GPU pods of this cluster name a class, so that the default need not inject."""
    specs = [template_of(each) for each in optional(node.cluster, "daemonsets")]
    specs += [spec_of(each) for each in optional(node.cluster, "pods")]
    return names_gpu_class(node, specs)


def _of_cdi(node: Node, live: LiveConfig) -> Iterator[Difference]:
    config = containerd_of(node).config
    if live.cdi_enabled is not None and live.cdi_enabled != config.cdi_enabled:
        yield Difference(
            what="enable_cdi",
            running=_toml(live.cdi_enabled),
            on_disk=_toml(config.cdi_enabled),
            source=config.origin("enable_cdi"),
            broken_now=config.cdi_enabled and not containerd_of(node).gpu_handlers,
        )
    elif live.cdi_enabled:
        yield from _of_texts(node, ("cdi_spec_dirs",), live.cdi_dirs, config.cdi_dirs)


def _of_sandboxes(node: Node, live: LiveConfig) -> Iterator[Difference]:
    """Yield differences in what every sandbox needs; they work now, or no sandbox would start."""
    config = containerd_of(node).config
    yield from _of_texts(node, ("cni", "bin_dir"), live.cni_bin_dirs, config.cni.bin_dirs)
    conf_dir = (live.cni_conf_dir,) if live.cni_conf_dir else None
    yield from _of_texts(node, ("cni", "conf_dir"), conf_dir, (config.cni.conf_dir,))
    image = (live.sandbox_image,) if live.sandbox_image else None
    told = config.origin("sandbox_image").line is not None
    if told:
        yield from _of_texts(node, ("sandbox_image",), image, (config.sandbox_image,))


def _of_texts(
    node: Node, keys: tuple[str, ...], running: Sequence[str] | None, on_disk: Sequence[str]
) -> Iterator[Difference]:
    if running and {*running} != {*on_disk}:
        yield Difference(
            what=" ".join(keys),
            running=", ".join(running),
            on_disk=", ".join(on_disk),
            source=containerd_of(node).config.origin(*keys),
        )


def _toml(value: object) -> str:
    return str(bool(value)).lower()
