"""Certificates and kubeconfigs of the lab's cluster, made with openssl."""

from __future__ import annotations

import base64
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

CONTEXT = "lab"
DAYS = "3650"
API_NAMES = (
    "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,"
    "IP:127.0.0.1,IP:10.66.0.1,IP:10.96.0.1"
)

SUBJECTS = {
    "apiserver": "/CN=kube-apiserver",
    "admin": "/O=system:masters/CN=admin",
    "controller-manager": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
    "apiserver-kubelet": "/O=system:masters/CN=kube-apiserver-kubelet-client",
    "front-proxy": "/CN=front-proxy-client",
}
"""The certificates of a control plane: file name to subject."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pki:
    """A certificate authority in a folder; ``<name>.crt`` and ``<name>.key`` for each client."""

    folder: Path

    def certificate(self, name: str) -> str:
        """Return the path of a certificate."""
        return str(self.folder / f"{name}.crt")

    def key(self, name: str) -> str:
        """Return the path of a private key."""
        return str(self.folder / f"{name}.key")

    def issue(self, name: str, subject: str, alternatives: str = "") -> None:
        """Make a key and a certificate for client and server use.

        ``alternatives`` are subject alternative names as openssl writes them.
        """
        extensions = [
            "basicConstraints=CA:FALSE",
            "keyUsage=digitalSignature,keyEncipherment",
            "extendedKeyUsage=serverAuth,clientAuth",
        ]
        extensions += [f"subjectAltName={alternatives}"] if alternatives else []
        (self.folder / f"{name}.ext").write_text("\n".join(extensions))
        self._key(name)
        self._openssl(
            *("req", "-new", "-key", f"{name}.key", "-subj", subject, "-out", f"{name}.csr")
        )
        signed = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", DAYS]
        signed += ["-extfile", f"{name}.ext", "-out", f"{name}.crt"]
        self._openssl("x509", "-req", "-in", f"{name}.csr", *signed)

    def kubeconfig(self, name: str, server: str) -> str:
        """Return a kubeconfig (JSON is YAML) for the client ``name``, context ``lab``."""
        user = {
            "client-certificate-data": self._encoded(f"{name}.crt"),
            "client-key-data": self._encoded(f"{name}.key"),
        }
        cluster = {"server": server, "certificate-authority-data": self._encoded("ca.crt")}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": CONTEXT, "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": name}}],
            "current-context": CONTEXT,
        }
        return json.dumps(config, indent=1)

    def _encoded(self, name: str) -> str:
        return base64.b64encode((self.folder / name).read_bytes()).decode()

    def _key(self, name: str) -> None:
        self._openssl(
            *("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
        )

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(
            ["/usr/bin/openssl", *arguments],
            check=True,
            cwd=self.folder,
            capture_output=True,
            timeout=60,
        )

    def make_authority(self) -> None:
        """Make the authority, the control plane's certificates, and the service account keys."""
        self._key("ca")
        usage = "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"
        self._openssl(
            *("req", "-x509", "-new", "-key", "ca.key", "-days", DAYS, "-subj"),
            *("/CN=kubernetes-ca", "-out", "ca.crt", "-addext", usage),
        )
        for name, subject in SUBJECTS.items():
            self.issue(name, subject, API_NAMES if name == "apiserver" else "")
        self._openssl("genrsa", "-out", "service-accounts.key", "2048")
        self._openssl(
            "rsa", "-in", "service-accounts.key", "-pubout", "-out", "service-accounts.pub"
        )


def make_pki(folder: Path) -> Pki:
    """Make a folder with a new authority and everything a control plane needs."""
    folder.mkdir()
    pki = Pki(folder=folder)
    pki.make_authority()
    return pki
