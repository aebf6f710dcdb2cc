"""Files and answers of a node that break what reads them: never a pass of what they decide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.hostile.inputs import Input
from tests.hostile.recordings.overlays import KUBEADM, Content, hurt, latent
from tests.stack.test_hostile_files import JSON, TOML, YAML

CONTAINERD = "/etc/containerd/config.toml"
TOOLKIT = "/usr/local/nvidia/toolkit/.config/nvidia-container-runtime/config.toml"
KUBELET = "/var/lib/kubelet/config.yaml"
RKE2 = "/var/lib/rancher/rke2/agent/etc/containerd"
CRI = '[plugins."io.containerd.grpc.v1.cri"'
RUNTIME = f'{CRI}.containerd.runtimes.%s]\n  runtime_type = "io.containerd.runc.v2"\n'

HANDLER = f"version = 2\n{RUNTIME % 'runc'}{RUNTIME % 'nvidia'}"
MANY = "".join(RUNTIME % f"nv{n:04}" for n in range(5000))
DOTTED = f"version = 2\n[plugins]\n{'a.' * 5000}b = 1\n"
LOOP = 'version = 2\nimports = ["/etc/containerd/config.toml", "/etc/containerd/*.toml"]\n'

TOMLS: Mapping[str, Content] = {
    **TOML,
    "empty": "",
    "null-bytes-in-text": 'version = 2\nroot = "\\u0000"\n',
    "utf-16": "version = 2\n".encode("utf-16"),
    "many-runtimes": f"version = 2\n{MANY}",
    "many-keys": "version = 2\n" + "".join(f"k{n} = 1\n" for n in range(200_000)),
    "dotted-key": DOTTED,
    "dotted-section": f"version = 2\n[{'a.' * 5000}b]\n",
    "imports-loop": LOOP,
    "imports-all": 'version = 2\nimports = ["/**", "/*/*/*/*/*", "/etc/containerd/[a-"]\n',
    "imports-of-numbers": "version = 2\nimports = [1, [2], {}]\n",
    "version-huge": f"version = {'9' * 400}\n",
    "version-text": 'version = "2"\n',
    "plugins-a-list": "version = 2\nplugins = [1]\n",
    "runtimes-a-text": f'version = 2\n{CRI}.containerd]\nruntimes = "nvidia"\n',
    "runtime-a-number": f"version = 2\n{CRI}.containerd.runtimes]\nnvidia = 7\n",
    "options-a-list": f"{HANDLER}options = [1]\n",
    "binary-a-list": f"{HANDLER}options = {{BinaryName = []}}\n",
    "binary-hostile": f"{HANDLER}options = {{BinaryName = '/x;$(touch PWN)'}}\n",
    "twice-a-table": f"version = 2\n{RUNTIME % 'a'}{RUNTIME % 'a'}",
    "long-line": f"version = 2\nroot = '{'x' * 3_000_000}'\n",
    "open-quote": 'version = 2\nroot = """' + '"\\' * 100_000,
    "5-MiB": "# x\n" * (5 * 2**18),
}
TEMPLATES = {
    "unclosed": "{{ if .A }}\nversion = 2\n",
    "unclosed-action": "version = 2\n{{ ",
    "many-actions": "{{ if .A }}" * 20_000,
    "define-loop": '{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}',
    "hostile": 'version = 2\n{{ .A | printf "%s" `\x1b` }}\n[',
}


BEFORE = "absent: [outcomes, crictl-info, runtime-handlers]\n"
"""What the base's containerd had loaded would hide what is hurt."""


def _files(
    kind: str, path: str, texts: Mapping[str, Content], base: str = KUBEADM, head: str = ""
) -> Iterator[Input]:
    for name, text in texts.items():
        yield hurt(f"{kind}-{name}", {path: text}, "runtime", base=base, head=head)


def _latent(
    kind: str, path: str, texts: Mapping[str, Content], says: Mapping[str, str], base: str
) -> Iterator[Input]:
    for name, text in texts.items():
        yield latent(f"{kind}-{name}", {path: text}, "runtime", says.get(name, says[""]), base=base)


INPUTS = (
    *_files("containerd", CONTAINERD, TOMLS, head=BEFORE),
    *_files(
        "toolkit",
        TOOLKIT,
        {**TOML, "dotted-key": DOTTED, "list": "nvidia-container-cli = [1]\n"},
    ),
    *_latent(
        "template",
        f"{RKE2}/config.toml.tmpl",
        TEMPLATES,
        {
            "": "runtime/template-without-nvidia",
            "unclosed-action": "runtime/template-damaged",
            "hostile": "runtime/template-damaged",
        },
        "healthy-rke2",
    ),
    *_files("kubelet", KUBELET, YAML),
    *_files("rke2", "/etc/rancher/rke2/config.yaml", YAML, "healthy-rke2"),
    *_files("cdi-json", "/run/cdi/k8s.device-plugin.nvidia.com-gpu.json", JSON, "healthy-cdi"),
    *_latent(
        "cdi-yaml", "/run/cdi/nvidia.yaml", YAML, {"": "runtime/cdi-spec-invalid"}, "healthy-cdi"
    ),
)
