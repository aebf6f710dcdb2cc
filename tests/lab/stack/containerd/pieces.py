"""Pieces of containerd configuration that the differential test combines with each other.

``ROOTS`` are whole root files without ``imports``; the test adds that line. ``DROP_INS`` are
whole imported files. ``LAYOUTS`` are folders of files for what imports themselves can do; there
``@DIR@`` stands for the folder's absolute path.
"""

from __future__ import annotations

V1 = "cri"
V2 = "'io.containerd.grpc.v1.cri'"
V3 = "'io.containerd.cri.v1.runtime'"


def handler(plugin: str, name: str, *options: str) -> str:
    """Return the table of one runtime handler, with option lines such as ``A = 1``."""
    table = f"plugins.{plugin}.containerd.runtimes.{name}"
    lines = [f"[{table}]", 'runtime_type = "io.containerd.runc.v2"', f"[{table}.options]"]
    return "\n".join([*lines, *options, ""])


def default(plugin: str, name: str) -> str:
    """Return the table that names the default runtime."""
    return f'[plugins.{plugin}.containerd]\ndefault_runtime_name = "{name}"\n'


def cdi(plugin: str, folder: str = "/opt/cdi") -> str:
    """Return the table that switches CDI on, with a directory of its own."""
    return f'[plugins.{plugin}]\nenable_cdi = true\ncdi_spec_dirs = ["{folder}"]\n'


RUNC = 'BinaryName = ""', "SystemdCgroup = true"
NVIDIA = ('BinaryName = "/usr/bin/nvidia-container-runtime"',)
OTHER = 'BinaryName = "/opt/other-runtime"', "SystemdCgroup = true"
SPELLED = 'binaryName = "/usr/bin/nvidia-container-runtime"', "systemdCgroup = true"

ROOTS = {
    "empty": "",
    "v1-docker-package": 'disabled_plugins = ["cri"]\n',
    "v1-nvidia": handler(V1, "nvidia", *NVIDIA),
    "v1-default-nvidia": default(V1, "nvidia") + handler(V1, "nvidia", *NVIDIA),
    "v2-bare": "version = 2\n",
    "v2-other-plugin": "version = 2\n[plugins.'io.containerd.gc.v1.scheduler']\n"
    'startup_delay = "1s"\n',
    "v2-only-nvidia": "version = 2\n" + handler(V2, "nvidia", *NVIDIA),
    "v2-runc-nvidia": "version = 2\n" + handler(V2, "runc", *RUNC) + handler(V2, "nvidia", *NVIDIA),
    "v2-default-nvidia": "version = 2\n" + default(V2, "nvidia") + handler(V2, "nvidia", *NVIDIA),
    "v2-default-no-runtimes": "version = 2\n" + default(V2, "runc"),
    "v2-spelled-otherwise": "version = 2\n" + handler(V2, "nvidia", *SPELLED),
    "v2-cdi": "version = 2\n" + cdi(V2) + handler(V2, "runc", *RUNC),
    "v2-with-v1-section": "version = 2\n" + handler(V1, "nvidia", *NVIDIA),
    "v2-cri-disabled": 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n',
    "v3-bare": "version = 3\n",
    "v3-cdi": "version = 3\n" + cdi(V3) + handler(V3, "runc", *RUNC),
    "v3-only-nvidia": "version = 3\n" + handler(V3, "nvidia", *NVIDIA),
    "v3-runc-nvidia": "version = 3\n" + handler(V3, "runc", *RUNC) + handler(V3, "nvidia", *NVIDIA),
    "v3-default-nvidia": "version = 3\n" + default(V3, "nvidia") + handler(V3, "nvidia", *NVIDIA),
    "v3-with-v2-section": "version = 3\n" + handler(V2, "nvidia", *NVIDIA),
    "v3-cri-disabled": 'version = 3\ndisabled_plugins = ["io.containerd.cri.v1.runtime"]\n',
    "v4-only-nvidia": "version = 4\n" + handler(V3, "nvidia", *NVIDIA),
}

DROP_INS = {
    "empty": "",
    "no-version-disables": 'disabled_plugins = ["restart"]\n',
    "v1-nvidia": handler(V1, "nvidia", *NVIDIA),
    "v2-bare": "version = 2\n",
    "v2-nvidia": "version = 2\n" + handler(V2, "nvidia", *NVIDIA),
    "v2-nvidia-without-version": handler(V2, "nvidia", *NVIDIA),
    "v2-runc": "version = 2\n" + handler(V2, "runc", *RUNC),
    "v2-other-nvidia": "version = 2\n" + handler(V2, "nvidia", *OTHER),
    "v2-default-nvidia": "version = 2\n" + default(V2, "nvidia"),
    "v2-default-runc": "version = 2\n" + default(V2, "runc") + handler(V2, "runc", *RUNC),
    "v2-cdi": "version = 2\n" + cdi(V2, "/srv/cdi"),
    "v3-nvidia": "version = 3\n" + handler(V3, "nvidia", *NVIDIA),
    "v3-default-nvidia": "version = 3\n" + default(V3, "nvidia") + handler(V3, "nvidia", *NVIDIA),
    "v3-cdi": "version = 3\n" + cdi(V3, "/srv/cdi"),
    "v4-nvidia": "version = 4\n" + handler(V3, "nvidia", *NVIDIA),
}

_ROOT = "version = 2\n" + handler(V2, "runc", *RUNC)
_NVIDIA = "version = 2\n" + handler(V2, "nvidia", *NVIDIA)
_OTHER = "version = 2\n" + handler(V2, "other", *OTHER)
_DEFAULT = "version = 2\n" + default(V2, "other") + handler(V2, "other", *OTHER)

LAYOUTS: dict[str, dict[str, str]] = {
    "plain": {"config.toml": _ROOT},
    "empty-imports": {"config.toml": "imports = []\n" + _ROOT},
    "imported-by-name": {
        "config.toml": 'imports = ["@DIR@/nvidia.toml"]\n' + _ROOT,
        "nvidia.toml": _NVIDIA,
    },
    "imported-by-relative-name": {
        "config.toml": 'imports = ["nvidia.toml"]\n' + _ROOT,
        "nvidia.toml": _NVIDIA,
    },
    "imported-by-name-below": {
        "config.toml": 'imports = ["./conf.d/../conf.d/nvidia.toml"]\n' + _ROOT,
        "conf.d/nvidia.toml": _NVIDIA,
    },
    "glob-matches-nothing": {"config.toml": 'imports = ["@DIR@/conf.d/*.toml"]\n' + _ROOT},
    "relative-glob": {
        "config.toml": 'imports = ["conf.d/*.toml"]\n' + _ROOT,
        "conf.d/nvidia.toml": _NVIDIA,
    },
    "glob-of-folders": {
        "config.toml": 'imports = ["@DIR@/*/nvidia.toml"]\n' + _ROOT,
        "a.d/nvidia.toml": _NVIDIA,
        "b.d/nvidia.toml": _OTHER,
    },
    "brackets-in-a-glob": {
        "config.toml": 'imports = ["@DIR@/conf.d/[0-8]*.toml"]\n' + _ROOT,
        "conf.d/10.toml": _NVIDIA,
        "conf.d/99.toml": _OTHER,
    },
    "glob-passes-over-other-suffixes": {
        "config.toml": 'imports = ["@DIR@/conf.d/*.toml"]\n' + _ROOT,
        "conf.d/99-nvidia.toml.bak": _NVIDIA,
    },
    "glob-takes-hidden-files": {
        "config.toml": 'imports = ["@DIR@/conf.d/*.toml"]\n' + _ROOT,
        "conf.d/.99-nvidia.toml": _NVIDIA,
    },
    "glob-includes-the-root-file": {
        "config.toml": 'imports = ["@DIR@/*.toml"]\n' + _ROOT,
        "nvidia.toml": _NVIDIA,
    },
    "two-drop-ins": {
        "config.toml": 'imports = ["@DIR@/conf.d/*.toml"]\n' + _ROOT,
        "conf.d/00-runc.toml": _ROOT,
        "conf.d/99-nvidia.toml": _NVIDIA,
    },
    "two-drop-ins-the-other-way": {
        "config.toml": 'imports = ["@DIR@/conf.d/*.toml"]\n' + _ROOT,
        "conf.d/00-nvidia.toml": _NVIDIA,
        "conf.d/99-runc.toml": _ROOT,
    },
    "two-drop-ins-both-whole": {
        "config.toml": 'version = 2\nimports = ["@DIR@/conf.d/*.toml"]\n',
        "conf.d/00-runc.toml": _ROOT,
        "conf.d/99-nvidia.toml": _NVIDIA + handler(V2, "runc", *RUNC),
    },
    "order-is-that-of-the-imports": {
        "config.toml": 'imports = ["@DIR@/z.toml", "@DIR@/a.toml"]\n' + _ROOT,
        "z.toml": _DEFAULT,
        "a.toml": _NVIDIA,
    },
    "nested-imports": {
        "config.toml": 'imports = ["@DIR@/one.toml"]\n' + _ROOT,
        "one.toml": 'imports = ["deep/two.toml"]\n' + _NVIDIA,
        "deep/two.toml": 'imports = ["three.toml"]\n' + _OTHER,
        "deep/three.toml": "version = 2\n" + default(V2, "nvidia"),
    },
    "nested-imports-are-breadth-first": {
        "config.toml": 'imports = ["@DIR@/one.toml", "@DIR@/two.toml"]\n' + _ROOT,
        "one.toml": 'imports = ["@DIR@/last.toml"]\n' + _NVIDIA,
        "two.toml": _OTHER,
        "last.toml": _DEFAULT,
    },
    "imports-in-a-circle": {
        "config.toml": 'imports = ["@DIR@/one.toml"]\n' + _ROOT,
        "one.toml": 'imports = ["@DIR@/config.toml"]\n' + _NVIDIA,
    },
    "imported-file-is-no-toml": {
        "config.toml": 'imports = ["@DIR@/bad.toml"]\n' + _ROOT,
        "bad.toml": "version = 2\n[plugins\n",
    },
    "root-is-no-toml": {"config.toml": "version = 2\n[plugins\n"},
    "imported-folder": {
        "config.toml": 'imports = ["@DIR@/conf.d"]\n' + _ROOT,
        "conf.d/nvidia.toml": _NVIDIA,
    },
    "disabled-in-several-files": {
        "config.toml": 'imports = ["@DIR@/one.toml"]\ndisabled_plugins = ["a", "b"]\n' + _ROOT,
        "one.toml": 'disabled_plugins = ["b", "c"]\n' + _NVIDIA,
    },
    "root-version-1-drop-in-version-2": {
        "config.toml": 'imports = ["@DIR@/one.toml"]\n' + handler(V1, "nvidia", *NVIDIA),
        "one.toml": _OTHER,
    },
    "three-versions": {
        "config.toml": 'imports = ["@DIR@/two.toml", "@DIR@/three.toml"]\n'
        + handler(V1, "nvidia", *NVIDIA),
        "two.toml": _OTHER,
        "three.toml": "version = 3\n" + handler(V3, "third", *NVIDIA),
    },
    "both-spellings-of-the-plugin-in-one-file": {
        "config.toml": "version = 3\n"
        + handler(V2, "nvidia", *NVIDIA)
        + handler(V3, "other", *OTHER),
    },
    "handler-with-a-quoted-name": {
        "config.toml": "version = 2\n" + handler(V2, '"nvidia.legacy"', *NVIDIA)
    },
    "inline-tables": {
        "config.toml": "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.containerd]\n"
        'runtimes = {nvidia = {runtime_type = "io.containerd.runc.v2", '
        'options = {BinaryName = "/usr/bin/nvidia-container-runtime"}}}\n'
    },
    "dotted-keys": {
        "config.toml": "version = 2\n[plugins]\n"
        '"io.containerd.grpc.v1.cri".containerd.default_runtime_name = "nvidia"\n'
        '"io.containerd.grpc.v1.cri".containerd.runtimes.nvidia.runtime_type = '
        '"io.containerd.runc.v2"\n'
    },
    "empty-runtimes-table": {
        "config.toml": "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes]\n"
    },
    "handler-without-options": {
        "config.toml": "version = 2\n"
        "[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.nvidia]\n"
        'runtime_type = "io.containerd.runc.v2"\n'
    },
    "runc-with-options-only": {
        "config.toml": "version = 2\n"
        "[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc.options]\n"
        "SystemdCgroup = true\n"
    },
    "drop-in-changes-one-option": {
        "config.toml": 'imports = ["@DIR@/one.toml"]\n' + _ROOT + handler(V2, "nvidia", *NVIDIA),
        "one.toml": "version = 2\n"
        "[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.nvidia.options]\n"
        "SystemdCgroup = true\n",
    },
}

MISSING_IMPORTS: dict[str, dict[str, str]] = {
    "imported-file-missing": {"config.toml": 'imports = ["@DIR@/nvidia.toml"]\n' + _ROOT},
    "question-mark-is-no-glob": {
        "config.toml": 'imports = ["@DIR@/conf.d/9?.toml"]\n' + _ROOT,
        "conf.d/99.toml": _NVIDIA,
    },
}
