"""Whether devices that pods ask for by UUID are GPUs of this node."""

from __future__ import annotations

import re

from pytest_gpu.causes import Evidence, Finding, join
from pytest_gpu.checks import check
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.cdi.device_names import in_mig_mode, mig_devices
from pytest_gpu.stack.cdi.refresh import said_of
from pytest_gpu.stack.cdi.regenerate import remake
from pytest_gpu.stack.cdi.requests import (
    DRA_KIND,
)
from pytest_gpu.stack.cdi.specs import cdi_of
from pytest_gpu.stack.gpu.nvml import nvml_of

_UUID = re.compile(r"(?:GPU|MIG)-[0-9a-f-]{8,}(?:/\d+/\d+)?")


@check("cdi/names-absent-gpu")
def names_absent_gpu(node: Node) -> Finding | None:
    """Find a device named after a GPU or MIG device that NVML does not list: no pod uses it now."""
    nvml = known(lambda: nvml_of(node))
    if nvml is None or not nvml.answers:
        return None
    listed = known(lambda: _uuids(node))
    for name, spec in cdi_of(node).resolved.items() if listed else ():
        own = name.partition("=")[2]
        dra = spec.kind.startswith(DRA_KIND.partition("/")[0])
        if spec.nvidias and not dra and _UUID.fullmatch(own) and own not in (listed or ()):
            return Finding.of(
                "runtime/cdi-names-absent-gpu",
                Evidence(source=spec.path, text=f"defines {name}"),
                Evidence(source="NVML", text=f"lists {join(sorted(listed or ()))}"),
                *said_of(node, spec.path),
                device=name,
                path=spec.path,
                remake=remake(node, spec.path, spec.kind),
            )
    return None


def _uuids(node: Node) -> frozenset[str]:
    """Return the names of all GPUs and MIG devices.

    Raises:
        NotInEvidence: the UUID of one was not recorded.
    """
    found = set()
    for device in nvml_of(node).devices:
        instances = mig_devices(device) if in_mig_mode(device) else ()
        for answers in (device.answers, *instances):
            if not isinstance(answers.get("uuid"), str):
                raise NotInEvidence(node.name, f"the UUIDs of GPU {device.index}")
            found.add(str(answers["uuid"]))
    return frozenset(found)
