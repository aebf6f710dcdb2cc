"""Libraries of another driver in a sandbox than the one that the host runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.gpu.driver import Driver, driver_of
from pytest_gpu.stack.sandbox.injecting import injecting
from pytest_gpu.stack.sandbox.lacking import names
from pytest_gpu.stack.sandbox.sandboxes import SandboxRun

# Not libcuda: an image may bring a newer one for an older driver (CUDA's compat packages).
_NVML = re.compile(r"(?:\A|/)libnvidia-ml\.so\.(?P<version>\d{1,6}(?:\.\d{1,6}){1,3})\Z")


def other_driver(node: Node, run: SandboxRun) -> Finding | None:
    """Return that a sandbox got only NVML libraries that are not of the loaded module's version.

    ``None`` if one of them is, or if a version is not known.
    """
    driver = driver_of(node)
    loaded = known(lambda: driver.version)
    inside = versions(run.output or ())
    if not loaded or not inside or loaded in inside:
        return None
    way = injecting(node, run)
    return Finding.of(
        "sandbox/libraries-of-another-driver",
        *(Evidence(source=run.command, text=f"injected: {path}") for path in inside.values()),
        *_on_host(driver),
        *way.evidence,
        inside=", ".join(inside),
        loaded=loaded,
        look=() if way.spec else way.look,
        remake=way.remade(node),
        **names(node, run),
    )


def versions(paths: Iterable[str]) -> Mapping[str, str]:
    """Return the paths of NVML's libraries by the version in their names."""
    found = (_NVML.search(path) for path in paths)
    return {match["version"]: match.string for match in found if match}


def _on_host(driver: Driver) -> tuple[Evidence, ...]:
    module = Evidence(source=driver.version_source, text=driver.version_line)
    library = known(lambda: driver.libnvml)
    if not library:
        return (module,)
    return (module, Evidence(source="the host", text=f"has: {library.file}"))
