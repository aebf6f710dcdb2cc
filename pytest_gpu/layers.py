"""The layers of the GPU stack, in the order in which the ladder climbs them."""

from __future__ import annotations

import enum
from collections.abc import Container
from sys import intern


class Layer(enum.IntEnum):
    """One layer of the stack; a lower value must work before a higher one can.

    Attributes:
        ACCESS: the node can be reached and seen.
        HARDWARE: the GPUs are on the bus.
        DRIVER: the kernel module, its device nodes and NVML work.
        RUNTIME: the kubelet's containerd can execute NVIDIA's runtime or CDI.
        SANDBOX: crictl starts a GPU container without Kubernetes.
        DEVICE_PLUGIN: the node offers the GPUs that it has.
        RUNTIMECLASS_POD: an ordinary pod gets the GPU that it asked for.
    """

    ACCESS = enum.auto()
    HARDWARE = enum.auto()
    DRIVER = enum.auto()
    RUNTIME = enum.auto()
    SANDBOX = enum.auto()
    DEVICE_PLUGIN = enum.auto()
    RUNTIMECLASS_POD = enum.auto()

    def __str__(self) -> str:
        # Interned: a fleet has thousands of tests for each layer.
        return intern(self.name.lower().replace("_", "-"))

    @classmethod
    def parse(cls, name: str) -> Layer:
        """Return the layer called ``name`` as the user writes it, such as ``device-plugin``.

        Raises:
            ValueError: there is no such layer; the message lists the layers.
        """
        for layer in cls:
            if str(layer) == name:
                return layer
        raise ValueError(f"{name!r} is not a layer; layers are {', '.join(map(str, cls))}")

    @property
    def module(self) -> str:
        """Name of the conformance module of this layer, without its suffix."""
        return f"test_{self.name.lower()}"


def node_of(nodeid: str, names: Container[str]) -> str | None:
    """Return the node a test ID such as ``t.py::test_x[gpu-1-all]`` belongs to.

    The longest match wins: node names contain ``-``, which also separates parameters.
    """
    candidate = nodeid.partition("[")[2].removesuffix("]")
    while candidate and candidate not in names:
        candidate = candidate.rpartition("-")[0]
    return candidate or None
