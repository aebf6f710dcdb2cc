"""Fixes for the NVIDIA runtime's own config.toml, as patches.

The runtime reads the file before every container: nothing has to be restarted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.gpu.driver import driver_of
from pytest_gpu.stack.gpu.libraries import OPERATOR_ROOT
from pytest_gpu.stack.repair.toml_diff import changed
from pytest_gpu.stack.toolkit.instructions import INSTALL_DIR
from pytest_gpu.stack.toolkit.lasting import VARIABLES, as_variable, lasting
from pytest_gpu.stack.toolkit.own_config import DEFAULTS, ToolkitConfig
from pytest_gpu.steps import Steps


def set_own(node: Node, config: ToolkitConfig, name: str, value: Any) -> Steps:
    """Return the patch that sets one value; ``name`` is a key of ``DEFAULTS``.

    Where the operator's toolkit writes the file, its own setting comes first.
    """
    path = node.evidence.resolve(config.path)
    patch = changed(path, config.text, {tuple(name.split(".")): value})
    if name in VARIABLES and config.path.startswith(f"{INSTALL_DIR}/"):
        return (*lasting(node, config.path, VARIABLES[name], as_variable(value)), *patch)
    return patch


def root_of_the_host(node: Node, config: ToolkitConfig, name: str) -> Steps:
    """Return the patch that makes / the driver's root, none if a container has the driver."""
    driver = known(lambda: driver_of(node).directory)
    if driver is None or driver.startswith(OPERATOR_ROOT):
        return ()
    return set_own(node, config, name, "/")


def of_its_type(node: Node, config: ToolkitConfig, name: str) -> Steps:
    """Return the patch that writes a value in its required type, if the value is unambiguous."""
    value: Any = config.table
    for key in name.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    kind = type(DEFAULTS[name])
    if kind is bool and value in ("true", "false"):
        return set_own(node, config, name, value == "true")
    if kind is list and isinstance(value, str):
        return set_own(node, config, name, [value])
    return ()
