"""Asks the API server what this user may do: once for all rights, if it can tell.

A review of the rules that count in a namespace answers for every right. Only an authorizer that
does not list its rules, such as a cloud's webhook, is asked about each right that no rule gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_gpu.cluster.api.answers import FORBIDDEN, ApiError, items_of, part
from pytest_gpu.cluster.api.client import KubeClient
from pytest_gpu.cluster.api.rights import Right, Rights
from pytest_gpu.cluster.daemon_pool import DaemonPool

_API = "/apis/authorization.k8s.io/v1"
REVIEWS = f"{_API}/selfsubjectaccessreviews"
RULES = f"{_API}/selfsubjectrulesreviews"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules that give this user rights in a namespace.

    ``complete`` says whether these are all: then a right that no rule gives is missing.
    """

    rules: Sequence[Mapping[str, Any]] = ()
    complete: bool = False

    def give(self, right: Right) -> bool:
        """Return whether a rule gives this right."""
        return any(_gives(rule, right) for rule in self.rules)


def ask(client: KubeClient, namespace: str, wanted: Iterable[Right]) -> Rights:
    """Ask the API server about rights in one namespace, or on objects that belong to none.

    A rule of a Role counts for the latter, too. Such a role gives no right to them, but then
    the request itself is refused, with the same words.

    Raises:
        ApiError: it cannot be reached, or does not know this user.
    """
    rights = tuple(wanted)
    rules = _rules(client, namespace) if rights else Rules(complete=True)
    lacking = tuple(right for right in rights if not rules.give(right))
    if rules.complete:
        return Rights(missing=lacking)
    with DaemonPool(8, "gpu-rights") as pool:
        allowed = pool.map(lambda right: _is_allowed(client, right), lacking)
    return Rights(missing=tuple(r for r, may in zip(lacking, allowed, strict=True) if not may))


def _rules(client: KubeClient, namespace: str) -> Rules:
    try:
        answer = client.create(RULES, _review("SelfSubjectRulesReview", namespace=namespace))
    except ApiError as error:
        if error.status == FORBIDDEN:  # nobody may ask: other reviews, or the requests, show it
            return Rules()
        raise
    status = part(answer, "status")
    return Rules(
        rules=items_of(status, "resourceRules"), complete=status.get("incomplete") is False
    )


def _gives(rule: Mapping[str, Any], right: Right) -> bool:
    """Return whether a rule gives a right, as RBAC compares them."""
    _, slash, subresource = right.resource.partition("/")
    of_any = f"*/{subresource}" if slash else "*"
    return (
        _has(rule, "verbs", right.verb, "*")
        and _has(rule, "apiGroups", right.group, "*")
        and _has(rule, "resources", right.resource, of_any, "*")
        and (not rule.get("resourceNames") or _has(rule, "resourceNames", right.only))
    )


def _has(rule: Mapping[str, Any], key: str, *wanted: str) -> bool:
    values = rule.get(key)
    return isinstance(values, list) and any(each in values for each in wanted)


def _is_allowed(client: KubeClient, right: Right) -> bool:
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "verb": right.verb,
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
        "namespace": right.namespace,
        "name": right.only,
    }
    review = _review("SelfSubjectAccessReview", resourceAttributes=attributes)
    try:
        answer = client.create(REVIEWS, review)
    except ApiError as error:
        if error.status == FORBIDDEN:  # nobody may ask: the requests themselves will show it
            return True
        raise
    return part(answer, "status").get("allowed") is True


def _review(kind: str, **spec: Any) -> Mapping[str, Any]:
    return {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
