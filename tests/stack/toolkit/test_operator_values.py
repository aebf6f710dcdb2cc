"""How the toolkit is told its settings: by whoever owns it in this cluster."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_gpu.stack.toolkit.operator_values import apply
from tests.samples.mending import shown
from tests.stack.runtime.runtime_machine import Machine

HELM = {"meta.helm.sh/release-name": "gpus", "meta.helm.sh/release-namespace": "nvidia"}
POLICY = {"metadata": {"name": "main"}, "spec": {}}
TOOLKIT = {
    "metadata": {
        "name": "toolkit",
        "namespace": "gpu",
        "labels": {"app": "nvidia-container-toolkit-daemonset"},
    },
    "spec": {
        "template": {
            "spec": {
                "containers": [{"name": "x", "image": "nvcr.io/nvidia/k8s/container-toolkit:v1"}]
            }
        }
    },
}


@pytest.mark.parametrize(
    ("objects", "step"),
    [
        (
            {"clusterpolicies": [{**POLICY, "metadata": {"name": "main", "annotations": HELM}}]},
            "$ helm upgrade gpus nvidia/gpu-operator -n nvidia --reuse-values"
            " -f toolkit-values.yaml",
        ),
        (
            {"clusterpolicies": [POLICY], "daemonsets": [TOOLKIT]},
            "$ kubectl edit clusterpolicy main   # put the env list under spec.toolkit",
        ),
        (
            {"clusterpolicies": [], "daemonsets": [TOOLKIT]},
            "$ kubectl edit daemonset toolkit -n gpu   # put the env list into its container",
        ),
        (
            {"clusterpolicies": []},
            "If a GPU operator is to manage the toolkit, install it so.",
        ),
    ],
)
def test_the_owner_of_the_toolkit_is_told(objects: dict[str, Any], step: str) -> None:
    """Its Helm release, its ClusterPolicy, its DaemonSet; nobody is made up."""
    assert shown(apply(Machine(objects=objects).node())) == [step]
