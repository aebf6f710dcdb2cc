"""The handlers that a running containerd serves, told by ``crictl info`` or by the kubelet."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_gpu.evidence import CommandResult, KubeObject
from pytest_gpu.stack.containerd import live_config
from pytest_gpu.stack.containerd.live_config import LiveConfig

# What crictl says when it reached nobody, or somebody without the CRI. Anything else, such as a
# flag it does not know or a socket it may not open, is between crictl and its user.
_NO_ANSWER = re.compile(
    r"validate (service|CRI)|unknown service|Unimplemented|DeadlineExceeded|deadline exceeded"
    r"|connection refused|connection reset|no such file or directory|(un)?reachable|EOF"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveHandlers:
    """What the running containerd says of itself, through ``crictl info`` or the kubelet.

    ``error`` is what crictl said when the CRI did not answer; the rest is then empty. ``config``
    is ``None`` where only names were told.
    """

    handlers: frozenset[str]
    default: str
    error: str = ""
    command: str = ""
    config: LiveConfig | None = None

    def program(self, handler: str) -> str | None:
        """Return the ``BinaryName`` of a loaded handler (``""``: runc), ``None`` if not told."""
        runtime = self.config.runtimes.get(handler) if self.config else None
        return runtime.binary if runtime else None


def live_handlers(
    commands: Sequence[CommandResult], socket: str, resolve: Callable[[str], str]
) -> LiveHandlers | None:
    """Return what ``crictl info`` on the kubelet's socket showed, ``None`` if nothing of use.

    ``resolve`` follows the links in a path, as the kubelet's socket is given.
    """
    for result in reversed(commands):
        if result.argv[-1] == "info" and any("crictl" in part for part in result.argv[:2]):
            endpoint = next((part for part in result.argv if "://" in part), None)
            if endpoint is None or resolve(endpoint.partition("://")[2]) == socket:
                return _live(result)
    return None


def reported_handlers(node: KubeObject) -> LiveHandlers | None:
    """Return the handlers that the kubelet reports of its runtime, ``None`` if it reports none.

    Source: ``status.runtimeHandlers`` of the Node (Kubernetes 1.30 and newer), filled on containerd
    2.x and empty on 1.6 and 1.7, where it proves nothing. The name ``""`` is the default one.
    """
    reported = (node.get("status") or {}).get("runtimeHandlers") or ()
    names = frozenset(str(each.get("name") or "") for each in reported) - {""}
    if not names:
        return None
    return LiveHandlers(handlers=names, default="", command="Node's status.runtimeHandlers")


def _live(result: CommandResult) -> LiveHandlers | None:
    """Return what one call showed; one that crictl itself broke off says nothing of the CRI."""
    command = " ".join(result.argv)
    if result.exit != 0:
        error = (result.stderr or result.stdout).strip()
        if not _NO_ANSWER.search(error):
            return None
        return LiveHandlers(handlers=frozenset(), default="", error=error, command=command)
    try:
        config = live_config.parse(result.stdout)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return LiveHandlers(
        handlers=frozenset(config.runtimes),
        default=config.default,
        command=command,
        config=config,
    )
