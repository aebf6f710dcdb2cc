"""The release of a containerd process, and how its generation differs from others."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pytest_gpu.evidence import NodeEvidence
from pytest_gpu.stack.host.processes import DELETED, Process

Version = tuple[int, ...]
"""A version as numbers, such as ``(1, 7, 24)``."""


_PAUSE: tuple[tuple[Version, str], ...] = (
    ((2, 3), "3.10.2"),
    ((2, 2), "3.10.1"),
    ((2,), "3.10"),
    ((1, 7), "3.8"),
    ((), "3.6"),
)


@dataclass(frozen=True, slots=True)
class Generation:
    """How containerd of a version differs from older and newer ones.

    Sources, unless a property names another one: ``cmd/containerd/server/config/config.go`` (1.x:
    ``services/server/config``) and the CRI plugin's ``config.go`` (1.x: ``pkg/cri/config``, 2.x:
    ``internal/cri/config``), checked against the real containerd of 1.6, 1.7, 2.1 and 2.4.
    """

    version: Version

    @property
    def go_toml_2(self) -> bool:
        """Whether files are decoded by go-toml 2, which matches keys in any case (2.0)."""
        return self.version >= (2,)

    @property
    def merges_sections(self) -> bool:
        """Whether a plugin's section is merged from all files (2.0).

        1.x takes the whole section from the file imported last, so a drop-in with one handler
        removes all others.
        """
        return self.version >= (2,)

    @property
    def migrates_each_file(self) -> bool:
        """Whether each file is migrated to the newest version before files are merged (2.3)."""
        return self.version >= (2, 3)

    @property
    def refuses_newer_drop_ins(self) -> bool:
        """Whether it refuses a drop-in with a higher version than the root file's (2.3.0-2.3.4)."""
        return (2, 3) <= self.version < (2, 3, 5)

    @property
    def newest_config(self) -> int:
        """The newest version of configuration files that it reads: 2 (1.x), 3 (2.0) or 4 (2.3)."""
        return 2 if self.version < (2,) else 3 if self.version < (2, 3) else 4

    @property
    def assumed_config(self) -> int:
        """The version that files without one are merged as: 1 in 1.x, the newest from 2.0 on."""
        return self.newest_config if self.version >= (2,) else 1

    @property
    def reads_config_3(self) -> bool:
        """Whether it reads version 3, which separates runtimes and images (2.0)."""
        return self.newest_config >= 3

    @property
    def refuses_unknown_config(self) -> bool:
        """Whether a version that it does not know stops it from starting (1.7)."""
        return self.version >= (1, 7)

    @property
    def takes_over_older_sections(self) -> bool:
        """Whether it also reads a section by the names of older versions (2.0).

        1.x reads the one name that belongs to the merged version.
        """
        return self.version >= (2,)

    @property
    def imports_from_own_folder(self) -> bool:
        """Whether a relative import with ``*`` starts at its file's folder (1.7), not at ``/``."""
        return self.version >= (1, 7)

    @property
    def has_fields_of_1_7(self) -> bool:
        """Whether it has the CRI fields added in 1.7, such as a handler's snapshotter."""
        return self.version >= (1, 7)

    @property
    def one_cri_section(self) -> bool:
        """Whether the CRI's runtimes, images and server share one section (1.x)."""
        return self.version < (2,)

    @property
    def several_cni_folders(self) -> bool:
        """Whether ``cni.bin_dirs`` lists the folders of CNI's programs (2.1)."""
        return self.version >= (2, 1)

    @property
    def single_cni_folder(self) -> bool:
        """Whether ``cni.bin_dir`` is a setting (until 2.3), not only one of old files."""
        return self.version < (2, 4)

    @property
    def knows_nri(self) -> bool:
        """Whether it has NRI's second version (1.7)."""
        return self.version >= (1, 7)

    @property
    def nri_by_default(self) -> bool:
        """Whether NRI is on by default (2.0)."""
        return self.version >= (2,)

    @property
    def knows_cdi(self) -> bool:
        """Whether it can inject CDI devices: 1.7 added ``enable_cdi``."""
        return self.version >= (1, 7)

    @property
    def has_cdi_switch(self) -> bool:
        """Whether ``enable_cdi`` is a setting (1.7 to 2.3); from 2.4 on CDI is always on."""
        return (1, 7) <= self.version < (2, 4)

    @property
    def cdi_by_default(self) -> bool:
        """Whether CDI is on by default (2.0)."""
        return self.version >= (2,)

    @property
    def newest_cdi(self) -> Version:
        """The newest version of CDI specs that it is known to read.

        Measured on Debian's 1.7.24 (library 0.8.0) and 2.1.9 (1.0.1); 1.7.0 came with 0.5.
        """
        if self.version >= (2, 1, 9):
            return (1, 0, 0)
        return (0, 8, 0) if self.version >= (1, 7, 24) else (0, 5, 0)

    @property
    def sandbox_image(self) -> str:
        """The default image of a sandbox."""
        tag = next(tag for since, tag in _PAUSE if self.version >= since)
        return f"registry.k8s.io/pause:{tag}"

    @property
    def tells_cgroup_driver(self) -> bool:
        """Whether it tells the kubelet its cgroup driver (2.0: ``runtime_config_linux.go``)."""
        return self.version >= (2,)


def printed_version(process: Process, evidence: NodeEvidence) -> tuple[int, ...] | None:
    """Return the version that its program printed, ``None`` if it was upgraded or is k3s's."""
    if (process.exe or "").endswith(DELETED):
        return None
    return version_on_disk(evidence, process.exe or "", process.argv[0])


def version_on_disk(evidence: NodeEvidence, *paths: str) -> Version | None:
    """Return the version that a containerd at one of these paths printed, ``None`` if none did."""
    for result in evidence.commands:
        if result.argv[0] in paths and result.argv[-1] == "--version":
            return parse_version(result.stdout) if "containerd" in result.stdout else None
    return None


def parse_version(text: str) -> tuple[int, ...] | None:
    """Return the first ``N.N.N`` of ``containerd … v1.7.24 …`` or ``containerd://1.7.24``."""
    match = re.search(r"\bv?(\d+)\.(\d+)\.(\d+)", text)
    return tuple(int(number) for number in match.groups()) if match else None
