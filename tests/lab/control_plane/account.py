"""The shipped RBAC manifest on a lab's cluster, and the kubeconfig of its service account."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from tests.lab.control_plane.api import Api
from tests.lab.control_plane.audit import GROUP
from tests.lab.nodes.daemons import wait_for
from tests.lab.rounds.judge import Judged, run_pytest

NAMESPACE = "pytest-gpu"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
WITHIN = f"/namespaces/{NAMESPACE}"

COLLECTIONS = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": f"/api/v1{WITHIN}/serviceaccounts",
    "PriorityClass": "/apis/scheduling.k8s.io/v1/priorityclasses",
    "ClusterRole": f"{RBAC}/clusterroles",
    "ClusterRoleBinding": f"{RBAC}/clusterrolebindings",
    "Role": f"{RBAC}{WITHIN}/roles",
    "RoleBinding": f"{RBAC}{WITHIN}/rolebindings",
}
"""Where the API keeps what the manifest makes."""

LASTING = ("Namespace", "PriorityClass", "ClusterRole", "ClusterRoleBinding")
"""What does not go with the namespace."""

REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One verb on one resource in one rule of a role; ``kind`` is Role or ClusterRole."""

    kind: str
    rule: int
    group: str
    resource: str
    verb: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}" + (f".{self.group}" if self.group else "")

    @property
    def role(self) -> str:
        """The API's path of the role."""
        return f"{COLLECTIONS[self.kind]}/{NAMESPACE}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The service account of the shipped manifest; ``admin`` is the cluster's API."""

    admin: Api
    context: str
    kubeconfig: Path

    def options(self, *more: str) -> list[str]:
        """Return the options of a run as this user."""
        where = (f"--gpu-cluster=context:{self.context}", f"--gpu-kubeconfig={self.kubeconfig}")
        return [*where, "--gpu-timeout=90", *more]

    def judge(self, folder: Path, *more: str) -> Judged:
        """Run the suite as this user."""
        folder.mkdir(exist_ok=True)
        return run_pytest(folder, *self.options(*more))

    @contextmanager
    def without(self, verb: Verb) -> Iterator[None]:
        """Take one verb on one resource from the account."""
        rules: list[dict[str, Any]] = self.admin.get(verb.role)["rules"]
        rule = rules[verb.rule]
        others = [name for name in rule["resources"] if name != verb.resource]
        fewer = [name for name in rule["verbs"] if name != verb.verb]
        parts = [
            {**rule, "resources": others},
            {**rule, "resources": [verb.resource], "verbs": fewer},
        ]
        kept = [part for part in parts if part["resources"] and part["verbs"]]
        changed = [*rules[: verb.rule], *kept, *rules[verb.rule + 1 :]]
        self.admin.patch(verb.role, {"rules": changed})
        try:
            wait_for(lambda: not self.may(verb, rule), f"{verb} to be taken away")
            yield
        finally:
            self.admin.patch(verb.role, {"rules": rules})
            wait_for(lambda: self.may(verb, rule), f"{verb} to be given back")

    def may(self, verb: Verb, rule: Mapping[str, Any]) -> bool:
        """Ask the API server whether the account may do what a rule's verb is for."""
        resource, _, subresource = verb.resource.partition("/")
        attributes = {
            "verb": verb.verb,
            "group": verb.group,
            "resource": resource,
            "subresource": subresource,
            "name": rule.get("resourceNames", [""])[0],
            "namespace": NAMESPACE if verb.kind == "Role" else "",
        }
        user = f"system:serviceaccount:{NAMESPACE}:{NAMESPACE}"
        spec = {"user": user, "groups": [GROUP], "resourceAttributes": attributes}
        answer = self.admin.create(REVIEWS, {"spec": spec})
        return bool(answer["status"]["allowed"])


def manifest() -> Sequence[dict[str, Any]]:
    """Return the objects of the shipped manifest."""
    text = (files("pytest_gpu.fixtures") / "rbac.yaml").read_text(encoding="utf-8")
    return list(yaml.safe_load_all(text))


def verbs() -> list[Verb]:
    """Return each verb on each resource that the manifest gives to the account."""
    roles = [each for each in manifest() if each["metadata"]["name"] == NAMESPACE]
    return [
        Verb(kind=role["kind"], rule=number, group=group, resource=resource, verb=verb)
        for role in roles
        for number, rule in enumerate(role.get("rules", ()))
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


@contextmanager
def applied(api: Api, kubeconfig: Path, to: Path) -> Iterator[Account]:
    """Apply the manifest and write the account's kubeconfig; remove all of it afterwards."""
    for body in manifest():
        api.create(COLLECTIONS[body["kind"]], body)
    try:
        yield _account(api, kubeconfig, to)
    finally:
        names = [(body["kind"], body["metadata"]["name"]) for body in manifest()]
        for kind, name in names:
            if kind in LASTING:
                api.delete(f"{COLLECTIONS[kind]}/{name}")
        namespace = f"{COLLECTIONS['Namespace']}/{NAMESPACE}"
        wait_for(lambda: api.find(namespace) is None, "the namespace to be gone")


def _account(api: Api, kubeconfig: Path, to: Path) -> Account:
    asked = {"spec": {"expirationSeconds": 7200}}
    path = f"{COLLECTIONS['ServiceAccount']}/{NAMESPACE}/token"
    token = api.create(path, asked)["status"]["token"]
    config = json.loads(kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    to.write_text(json.dumps(config))
    to.chmod(0o600)
    return Account(admin=api, context=config["current-context"], kubeconfig=to)
