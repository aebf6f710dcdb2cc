"""Corner cases of containerd's configuration: spellings, wrong types, odd TOML, odd patterns.

``@DIR@`` stands for the folder's absolute path.
"""

from __future__ import annotations

from tests.lab.stack.containerd.pieces import NVIDIA, OTHER, RUNC, V1, V2, V3, default, handler

IMAGES = "'io.containerd.cri.v1.images'"
TWO, THREE = "version = 2\n", "version = 3\n"
_TYPE = 'runtime_type = "io.containerd.runc.v2"\n'


def table(plugin: str, below: str = "", *lines: str) -> str:
    """Return a table of a plugin with its lines."""
    return "\n".join([f"[plugins.{plugin}{below}]", *lines, ""])


def runtime(*lines: str) -> str:
    """Return a version 2 file with an nvidia handler of these lines."""
    return TWO + table(V2, ".containerd.runtimes.nvidia", *lines)


SPELLINGS = {
    "upper-case-keys": 'VERSION = 2\n[PLUGINS."io.containerd.grpc.v1.cri".CONTAINERD.RUNTIMES.x]\n'
    'RUNTIME_TYPE = "q"\n',
    "capital-keys": 'Version = 2\n[Plugins."io.containerd.grpc.v1.cri".Containerd.Runtimes.x]\n'
    'Runtime_Type = "q"\n',
    "capital-plugin-name": TWO + table("'io.containerd.grpc.v1.CRI'", ".containerd.runtimes.x"),
    "both-cases-of-containerd": TWO
    + table(V2, ".containerd.runtimes.x", _TYPE)
    + table(V2, ".Containerd.runtimes.y", _TYPE),
    "both-cases-of-runtimes": TWO
    + table(V2, ".containerd.runtimes.x", 'runtime_type = "a"')
    + table(V2, ".containerd.Runtimes.x", 'runtime_type = "b"')
    + table(V2, ".containerd.Runtimes.y", _TYPE),
    "both-cases-of-runtimes-v3": THREE
    + table(V3, ".containerd.runtimes.x", 'runtime_type = "a"')
    + table(V3, ".containerd.Runtimes.x", 'runtime_type = "b"')
    + table(V3, ".containerd.Runtimes.y", _TYPE),
    "both-cases-of-default": TWO
    + table(V2, ".containerd", 'default_runtime_name = "a"', 'Default_Runtime_Name = "b"'),
    "both-cases-of-enable-cdi": THREE + table(V3, "", "enable_cdi = true", "Enable_CDI = false"),
    "upper-case-default": TWO + table(V2, ".containerd", 'DEFAULT_RUNTIME_NAME = "b"'),
    "nvidia-and-Nvidia": TWO + handler(V2, "nvidia", *NVIDIA) + handler(V2, "Nvidia", *OTHER),
    "three-spellings-of-an-option": runtime(_TYPE)
    + table(V2, ".containerd.runtimes.nvidia.options", 'BinaryName = "a"', 'binaryName = "b"',
            'binaryname = "c"'),
    "sandbox-image-alone": TWO + table(V2, "", 'sandbox_image = "p"'),
    "sandbox-image-and-snapshotter": TWO
    + table(V2, "", 'sandbox_image = "p"')
    + table(V2, ".containerd", 'snapshotter = "s"'),
    "sandbox-image-snapshotter-runtimes": TWO
    + table(V2, "", 'sandbox_image = "p"')
    + table(V2, ".containerd", 'snapshotter = "s"')
    + handler(V2, "runc", *RUNC),
    "sandbox-image-in-both-sections": TWO
    + table(V2, "", 'sandbox_image = "p"')
    + handler(V2, "runc", *RUNC)
    + table(IMAGES, ".pinned_images", 'sandbox = "new"')
    + table(IMAGES, "", 'snapshotter = "a"')
    + table(V2, ".containerd", 'snapshotter = "b"'),
    "pinned-image-v3": THREE + table(IMAGES, ".pinned_images", 'sandbox = "new"', 'base = "b"'),
    "sandbox-image-in-the-wrong-section": THREE + table(V3, "", 'sandbox_image = "new"'),
    "snapshotter-v3": THREE + table(IMAGES, "", 'snapshotter = "nydus"'),
    "cni-folders": TWO + table(V2, ".cni", 'bin_dir = "/x"', 'conf_dir = "/y"'),
    "cni-list-in-the-old-section": TWO + table(V2, ".cni", 'bin_dirs = ["/x", "/z"]'),
    "cni-folder-v3": THREE + table(V3, ".cni", 'bin_dir = "/x"', 'conf_dir = "/y"'),
    "cni-list-v3": THREE + table(V3, ".cni", 'bin_dirs = ["/x", "/z"]'),
    "cni-folder-and-list": TWO
    + table(V2, ".cni", 'bin_dir = "/x"')
    + table(V3, ".cni", 'bin_dirs = ["/q"]'),
    "cni-folder-empty": TWO + table(V2, ".cni", 'bin_dir = ""'),
    "annotations": runtime(_TYPE, 'pod_annotations = ["cdi.k8s.io/*"]', "container_annotations = [",
                           '  "cdi.k8s.io/*",', '  "nvidia.cdi.k8s.io/*"', "]"),
    "privileged": runtime(_TYPE, "privileged_without_host_devices = true"),
    "runtime-path": runtime(_TYPE, 'runtime_path = "/opt/shim"', 'base_runtime_spec = "/b.json"'),
    "handler-without-type": runtime('runtime_path = "/opt/shim"'),
    "old-default-runtime": TWO
    + table(V2, ".containerd.default_runtime", 'runtime_type = "q"')
    + table(V2, ".containerd.default_runtime.options", 'BinaryName = "/usr/bin/nvidia"'),
    "old-default-runtime-v1": table(V1, ".containerd.default_runtime", 'runtime_type = "q"'),
    "old-default-runtime-without-type": TWO
    + table(V2, ".containerd.default_runtime", 'runtime_path = "q"'),
    "old-untrusted-runtime": TWO
    + table(V2, ".containerd.untrusted_workload_runtime", 'runtime_type = "q"'),
    "default-empty": TWO + default(V2, ""),
    "cdi-dirs-empty": TWO + table(V2, "", "cdi_spec_dirs = []"),
    "cdi-off-v3": THREE + table(V3, "", "enable_cdi = false"),
    "nri-on": TWO + table("'io.containerd.nri.v1.nri'", "", "disable = false"),
    "nri-off-v3": THREE + table("'io.containerd.nri.v1.nri'", "", "disable = true"),
    "nri-v1": table("nri", "", "disable = false"),
    "disabled-full-name-v1": 'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n',
    "disabled-short-name-v2": TWO + 'disabled_plugins = ["cri"]\n',
    "disabled-dotted-v2": TWO + 'disabled_plugins = ["a.b"]\n',
    "disabled-half-a-name-v2": TWO + 'disabled_plugins = ["io.containerd.x"]\n',
    "disabled-images-v2": TWO + 'disabled_plugins = ["io.containerd.cri.v1.images"]\n',
    "disabled-images-v3": THREE + 'disabled_plugins = ["io.containerd.cri.v1.images"]\n',
    "disabled-snapshotter": TWO + 'disabled_plugins = ["io.containerd.snapshotter.v1.zfs"]\n',
    "disabled-and-wrong": TWO
    + 'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
    + table(V2, "", "sandbox_image = 5"),
    "required-short-name": TWO + 'required_plugins = ["cri"]\n',
    "required": TWO + 'required_plugins = ["io.containerd.grpc.v1.cri"]\n',
    "plugin-by-its-short-name": TWO + "[plugins.linux]\nshim = 'x'\n",
    "version-0": "version = 0\n" + handler(V1, "nvidia", *NVIDIA),
    "version-1": "version = 1\n" + handler(V1, "nvidia", *NVIDIA),
    "version-minus-1": "version = -1\n" + handler(V2, "nvidia", *NVIDIA),
    "version-5": "version = 5\n" + handler(V3, "nvidia", *NVIDIA),
    "unknown-keys": TWO + "xyz = 1\n" + table(V2, "", "x = 1") + table(V2, ".containerd", "q = 2"),
}  # fmt: skip

_WRONG = (
    '"x"',
    "5",
    "true",
    "1.5",
    "[]",
    '["a", 1]',
    "{}",
    "[{}]",
    '{a = "b"}',
    "1979-05-27T07:32:00Z",
)
_FIELDS = {
    "version": "version = {}\n",
    "imports": TWO + "imports = {}\n",
    "disabled": TWO + "disabled_plugins = {}\n",
    "oom": TWO + "oom_score = {}\n",
    "root": TWO + "root = {}\n",
    "grpc": TWO + "grpc = {}\n",
    "plugins": TWO + "plugins = {}\n",
    "cri": TWO + "[plugins]\n'io.containerd.grpc.v1.cri' = {}\n",
    "other-plugin": TWO + "[plugins]\n'io.containerd.x.v1.y' = {}\n",
    "containerd": TWO + table(V2, "", "containerd = {}"),
    "default": TWO + table(V2, ".containerd", "default_runtime_name = {}"),
    "runtimes": TWO + table(V2, ".containerd", "runtimes = {}"),
    "runtime": TWO + table(V2, ".containerd.runtimes", "nvidia = {}"),
    "runtime-v3": THREE + table(V3, ".containerd.runtimes", "nvidia = {}"),
    "type": runtime("runtime_type = {}"),
    "annotations": runtime(_TYPE, "pod_annotations = {}"),
    "privileged": runtime(_TYPE, "privileged_without_host_devices = {}"),
    "options": runtime(_TYPE, "options = {}"),
    "option": runtime(_TYPE, "options.BinaryName = {}"),
    "cdi": TWO + table(V2, "", "enable_cdi = {}"),
    "cdi-dirs": TWO + table(V2, "", "cdi_spec_dirs = {}"),
    "cni": TWO + table(V2, "", "cni = {}"),
    "bin-dir": TWO + table(V2, ".cni", "bin_dir = {}"),
    "conf-dir": TWO + table(V2, ".cni", "conf_dir = {}"),
    "sandbox-image": TWO + table(V2, "", "sandbox_image = {}"),
    "pinned": THREE + table(IMAGES, "", "pinned_images = {}"),
    "registry": TWO + table(V2, "", "registry = {}"),
    "stream-port": TWO + table(V2, "", "stream_server_port = {}"),
    "line-size": TWO + table(V2, "", "max_container_log_line_size = {}"),
}  # fmt: skip

TYPES = {
    f"{field}-{number}": text.replace("{}", value, 1)
    for field, text in _FIELDS.items()
    for number, value in enumerate(_WRONG)
}  # fmt: skip

_GOOD = runtime(_TYPE)

SYNTAX: dict[str, str | bytes] = {
    "byte-order-mark": b"\xef\xbb\xbf" + _GOOD.encode(),
    "latin-1-comment": _GOOD.encode() + b"# caf\xe9\n",
    "latin-1-text": _GOOD.encode() + b"runtime_path = 'caf\xe9'\n",
    "control-character-in-a-comment": _GOOD + "# a\x01b\n",
    "carriage-returns": _GOOD.replace("\n", "\r\n"),
    "key-twice": _GOOD + _TYPE,
    "table-twice": _GOOD + table(V2, ".containerd.runtimes.nvidia", "runtime_path = 'z'"),
    "inline-then-table": TWO
    + "[plugins]\n'io.containerd.grpc.v1.cri' = {containerd = {}}\n"
    + table(V2, ".containerd.runtimes.nvidia", _TYPE),
    "comma-at-the-end-of-an-inline-table": TWO
    + "[plugins]\n'io.containerd.grpc.v1.cri' = {containerd = {default_runtime_name = 'x',},}\n",
    "inline-table-over-lines": TWO
    + "[plugins]\n'io.containerd.grpc.v1.cri' = {containerd = {\n  default_runtime_name = 'x'\n"
    + "}}\n",
    "no-newline-at-the-end": _GOOD.rstrip(),
    "key-without-value": _GOOD + "runtime_path =\n",
    "text-without-quotes": _GOOD + "runtime_path = runc\n",
    "two-on-a-line": _GOOD + "runtime_path = 'a' base_runtime_spec = 'b'\n",
    "template": TWO + "{{ if .NvidiaRuntime }}\n{{ end }}\n",
    "html": "<html>\n",
    "python-true": _GOOD + "privileged_without_host_devices = True\n",
    "numbers": _GOOD + "cni_max_conf_num = +1_0\n",
    "number-too-large": _GOOD + "cni_max_conf_num = 99999999999999999999\n",
    "infinite": _GOOD + "cni_max_conf_num = inf\n",
    "bad-escape": _GOOD + 'runtime_path = "\\q"\n',
    "escape": _GOOD + 'runtime_path = "\\u00e9\\t"\n',
    "text-over-lines": _GOOD + 'runtime_path = """\n[plugins.x]\n"""\n',
    "text-without-end": _GOOD + 'runtime_path = "a\n',
    "empty-key": _GOOD + "'' = 'a'\n",
    "blanks-in-a-header": TWO
    + "[ plugins . 'io.containerd.grpc.v1.cri' .containerd. runtimes . x ]\nruntime_type = 'q'\n",
    "header-without-end": _GOOD + "[plugins\n",
    "array-of-tables": _GOOD + "[[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.y]]\n",
    "quoted-header": TWO
    + '["plugins"."io.containerd.grpc.v1.cri"."containerd"."runtimes"."a b"]\nruntime_type = "q"\n',
    "comment-at-a-header": TWO
    + f"[plugins.{V2}.containerd.runtimes.x] # [y]\nruntime_type = 'q'#\n",
    "outer-table-later": _GOOD + default(V2, "nvidia"),
    "array-over-lines": _GOOD + "pod_annotations = [ # one\n  'a', # two\n  'b',\n]\n",
    "only-a-comment": "# nothing",
    "only-blanks": "  \n\t\n",
    "zero-bytes": b"\0" * 64,
    "binary": bytes(range(256)),
}

_ROOT = TWO + handler(V2, "runc", *RUNC)
_NVIDIA = TWO + handler(V2, "nvidia", *NVIDIA)


def _patterns(pattern: str, *names: str) -> dict[str, str]:
    root = f'imports = ["{pattern}"]\n{_ROOT}'
    return {"config.toml": root, **dict.fromkeys(names, _NVIDIA)}


PATTERNS = {
    "range": _patterns("@DIR@/conf.d/[0-8]*.toml", "conf.d/9.toml"),
    "negated-range": _patterns("@DIR@/conf.d/[^0-8]*.toml", "conf.d/9.toml", "conf.d/1.toml"),
    "exclamation-is-no-negation": _patterns("@DIR@/conf.d/[!0-8]*.toml", "conf.d/9.toml"),
    "question-mark": _patterns("@DIR@/conf.d/9?*.toml", "conf.d/9.toml", "conf.d/99.toml"),
    "escaped-star": _patterns("@DIR@/conf.d/\\\\**.toml", "conf.d/9.toml"),
    "unclosed-range": _patterns("@DIR@/conf.d/[0-8*.toml", "conf.d/9.toml"),
    "empty-range": _patterns("@DIR@/conf.d/[]*.toml", "conf.d/9.toml"),
    "two-stars": _patterns("@DIR@/**/*.toml", "conf.d/9.toml", "conf.d/deep/9.toml"),
    "star-for-a-folder": _patterns("@DIR@/*/9.toml", "a/9.toml", "b/9.toml"),
    "range-for-a-folder": _patterns("@DIR@/[ab]/*.toml", "a/9.toml", "b/9.toml", "c/9.toml"),
    "folder-named-like-a-file": _patterns("@DIR@/conf.d/*.toml", "conf.d/dir.toml/9.toml"),
    "dots-in-a-pattern": _patterns("@DIR@/x/../conf.d/*.toml", "conf.d/9.toml"),
    "no-suffix": _patterns("@DIR@/conf.d/*", "conf.d/9.conf", "conf.d/8.toml"),
    "folder-missing": _patterns("@DIR@/none.d/*.toml"),
    "slash-twice": _patterns("@DIR@//conf.d//*.toml", "conf.d/9.toml"),
}
