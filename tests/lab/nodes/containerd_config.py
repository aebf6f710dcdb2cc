"""The containerd configuration of a node, as each generation wants it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.lab.parts.images import PAUSE

NVIDIA_RUNTIME = "/usr/bin/nvidia-container-runtime"
PATH = "/etc/containerd/config.toml"
SOCKET = "/run/containerd/containerd.sock"

_HEAD = """\
version = {version}
root = "/var/lib/containerd"
state = "/run/containerd"
imports = ["/etc/containerd/conf.d/*.toml"]

[grpc]
  address = "{socket}"
"""

_CRI_2 = """
[plugins."{cri}"]
  restrict_oom_score_adj = true
  sandbox_image = "{pause}"
{cdi}
[plugins."{cri}".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "/etc/cni/net.d"

[plugins."{cri}".containerd]
  default_runtime_name = "runc"
"""

_CRI_3 = """
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{pause}"

[plugins."{cri}"]
  restrict_oom_score_adj = true
{cdi}
[plugins."{cri}".cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = "/etc/cni/net.d"

[plugins."{cri}".containerd]
  default_runtime_name = "runc"
"""

_HANDLER = """
[plugins."{cri}".containerd.runtimes.{name}]
  runtime_type = "io.containerd.runc.v2"

[plugins."{cri}".containerd.runtimes.{name}.options]
  BinaryName = "{binary}"
  SystemdCgroup = {systemd}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerdConfig:
    """What differs between nodes.

    ``generation`` is one of ``containerds.GENERATIONS``; ``handlers`` maps runtime handlers to
    programs, of which ``runc`` is the default one.
    """

    generation: str
    handlers: tuple[tuple[str, str], ...] = (("runc", "/usr/sbin/runc"), ("nvidia", NVIDIA_RUNTIME))
    systemd: bool = False

    @property
    def cri(self) -> str:
        """The plugin that holds the runtimes."""
        return "io.containerd.cri.v1.runtime" if self._newest else "io.containerd.grpc.v1.cri"

    @property
    def has_cdi(self) -> bool:
        """Whether this generation can inject CDI devices."""
        return self.generation != "1.6"

    def text(self) -> str:
        """Return the file."""
        head = _HEAD.format(version=3 if self._newest else 2, socket=SOCKET)
        cdi = "  enable_cdi = true\n" if self.has_cdi else ""
        section = _CRI_3 if self._newest else _CRI_2
        handlers = [self.handler(name, binary) for name, binary in self.handlers]
        return "".join([head, section.format(cri=self.cri, pause=PAUSE, cdi=cdi), *handlers])

    def handler(self, name: str, binary: str) -> str:
        """Return the tables of one runtime handler."""
        systemd = "true" if self.systemd else "false"
        return _HANDLER.format(cri=self.cri, name=name, binary=binary, systemd=systemd)

    @property
    def _newest(self) -> bool:
        return self.generation.startswith("2.")
