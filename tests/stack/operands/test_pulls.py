"""An image that is not pulled: it is not there, is refused, or the registry is not reached."""

from __future__ import annotations

import pytest

from pytest_gpu.stack.operands.chain import culprit_for
from pytest_gpu.stack.operands.roles import TOOLKIT
from pytest_gpu.stack.operands.telling import advice_of
from tests.stack.operands.made_up_operands import Object, node_with, warning, workload
from tests.stack.operands.test_chain import operand
from tests.stack.operands.test_change import BY_POLICY, HELM, POLICY

BACK_OFF = 'Back-off pulling image "nvcr.io/nvidia/k8s/container-toolkit:v1.17.4"'
# The kubelet's event and containerd's words, core/remotes/docker.
PULL = (
    'Failed to pull image "r.example/toolkit:1": rpc error: code = {} desc = failed to pull and'
    ' unpack image "r.example/toolkit:1": failed to resolve reference "r.example/toolkit:1": {}'
)
HEAD = 'failed to do request: Head "https://r.example/v2/toolkit/manifests/1": '
ABSENT, REFUSED, NOT_REACHED = "has no image", "does not give the image", "does not reach"


def fix(said: str, policy: Object = POLICY) -> str:
    """Return the advice for a toolkit whose image is not pulled; only an event says why."""
    state: Object = {"waiting": {"reason": "ImagePullBackOff", "message": BACK_OFF}}
    made = operand(TOOLKIT, main={"state": state, "ready": False, "restartCount": 0})
    node = node_with(
        made,
        events=[warning(made, "Failed", said)] if said else [],
        daemonsets=[workload(made, name=TOOLKIT, metadata=BY_POLICY)],
        clusterpolicies=[policy],
    )
    culprit = culprit_for(node, TOOLKIT)
    assert culprit is not None
    return "\n".join(step.shown for step in advice_of(node, culprit.fault))


@pytest.mark.parametrize(
    ("code", "words", "advised"),
    [
        ("NotFound", "r.example/toolkit:1: not found", ABSENT),
        ("Unknown", "manifest unknown: manifest unknown", ABSENT),
        (
            "Unknown",
            "failed to authorize: failed to fetch anonymous token: unexpected status from GET"
            " request to https://r.example/token: 401 Unauthorized",
            REFUSED,
        ),
        (
            "Unknown",
            "pull access denied, repository does not exist or may require authorization:"
            " authorization failed: no basic auth credentials",
            REFUSED,
        ),
        ("Unknown", f"{HEAD}tls: failed to verify certificate: x509: unknown", NOT_REACHED),
        ("Unknown", f"{HEAD}dial tcp: lookup r.example: no such host", NOT_REACHED),
        ("Unknown", f"{HEAD}net/http: TLS handshake timeout", NOT_REACHED),
    ],
)
def test_the_advice_follows_from_what_the_registry_answers(
    code: str, words: str, advised: str
) -> None:
    """A tag is changed only where it may be wrong, and a secret given only where one is asked."""
    said = fix(PULL.format(code, words))
    assert advised in said
    assert [each in said for each in (ABSENT, REFUSED, NOT_REACHED)].count(True) == 1
    assert ("toolkit.version of" in said) is (advised == ABSENT)
    assert ("toolkit.imagePullSecrets of" in said) is (advised == REFUSED)
    assert ("$ curl -I https://nvcr.io/v2/" in said) is (advised == NOT_REACHED)
    assert "kubectl logs" not in said


def test_helm_sets_another_tag_only_for_an_image_that_is_not_there() -> None:
    """The values of the release are the durable place."""
    owned = {**POLICY, "metadata": {**POLICY["metadata"], **HELM}}
    assert "--set toolkit.version=VERSION" in fix(PULL.format("NotFound", "x: not found"), owned)
    refused = fix(PULL.format("Unknown", "403 Forbidden"), owned)
    assert "toolkit.imagePullSecrets" in refused
    assert "VERSION" not in refused


def test_without_the_registrys_words_all_three_are_possible() -> None:
    """The kubelet's back-off names none of them."""
    assert "cannot be had" in fix("")
    assert "cannot be had" in fix("Failed: Error: ImagePullBackOff")
