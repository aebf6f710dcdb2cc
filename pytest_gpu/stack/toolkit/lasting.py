"""Settings that the toolkit's pod writes into a file at each start: what is changed there, too.

Source of the variables: cmd/nvidia-ctk-installer/toolkit/toolkit.go and container/runtime.go of the
NVIDIA container toolkit (1.17: tools/container).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.kube.daemonset_change import set_variable
from pytest_gpu.stack.kube.manifest import env_values
from pytest_gpu.stack.kube.operator import cluster_policy
from pytest_gpu.stack.toolkit.instructions import toolkit_of
from pytest_gpu.stack.toolkit.operator_values import apply, entries
from pytest_gpu.stack.toolkit.own_config import ENVVAR, RUNTIME, VOLUME_MOUNTS
from pytest_gpu.steps import Step, Steps, typed

VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        ENVVAR: "ACCEPT_NVIDIA_VISIBLE_DEVICES_ENVVAR_WHEN_UNPRIVILEGED",
        VOLUME_MOUNTS: "ACCEPT_NVIDIA_VISIBLE_DEVICES_AS_VOLUME_MOUNTS",
        f"{RUNTIME}.mode": "NVIDIA_CONTAINER_RUNTIME_MODE",
        f"{RUNTIME}.modes.cdi.default-kind": "NVIDIA_CONTAINER_RUNTIME_MODES_CDI_DEFAULT_KIND",
        f"{RUNTIME}.runtimes": "NVIDIA_CONTAINER_RUNTIME_RUNTIMES",
    }
)
"""The toolkit's variables for settings of the runtime's own configuration."""


def lasting(node: Node, path: str, variable: str, value: str) -> Steps:
    """Return the steps that set a variable of the toolkit, none if it has that value.

    Without them the toolkit's next start would undo a change of the file.
    """
    toolkit = toolkit_of(node)
    if toolkit.daemonset is None or toolkit.env.get(variable) == value:
        return ()
    said = f"The toolkit's pod writes {path} at each start, so tell the toolkit first"
    now = Step("words", f"When its pod is ready, see whether {path} has it. If it does not:")
    if cluster_policy(node.cluster) is None:
        line = typed("cluster", set_variable(toolkit.daemonset, f"{variable}={value}"))
        return (Step("words", f"{said}:"), line, now)
    said += " (toolkit-values.yaml, with the whole env list, which is replaced):"
    values = env_values("toolkit", {**entries(node), variable: value})
    return (Step("words", said), Step("file", values), *apply(node), now)


def writes_containerds(node: Node, path: str) -> bool:
    """Say whether the toolkit's pod writes a file of containerd's at each start."""
    toolkit = toolkit_of(node)
    order = toolkit.order()
    if toolkit.daemonset is None or order is None:
        return False
    own = order.drop_in if toolkit.writes_drop_in else order.config
    return node.evidence.resolve(own) == node.evidence.resolve(path)


def as_variable(value: Any) -> str:
    """Return a setting's value as a variable has it."""
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
