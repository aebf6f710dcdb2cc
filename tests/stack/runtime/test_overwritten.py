"""Who overwrote containerd's file: the toolkit's pod, the image's bootstrap, a boot-time job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from pytest_gpu.stack.distributions import every
from pytest_gpu.stack.runtime import check_handler, check_restart
from tests.stack.containerd.test_merge import CONFIG
from tests.stack.runtime.runtime_machine import STARTED, Machine
from tests.stack.runtime.test_check_runtime import (
    DROP_IN,
    ONLY_NVIDIA,
    ONLY_RUNC,
    cause,
    text_of,
    toolkit_daemonset,
)

BOOT = 1_000_000


def toolkit_pod(started: str | None = None, *, ready: bool = True) -> dict[str, Any]:
    """Return the toolkit's pod on the node."""
    state = {"running": {"startedAt": started}} if started else {}
    statuses = [{"ready": ready, "state": state}]
    return {
        "metadata": {"name": "toolkit-x", "namespace": "gpu-operator"},
        "spec": {"nodeName": "gpu-1", "containers": [{"image": "x/container-toolkit:v1.17.5"}]},
        "status": {"phase": "Running", "containerStatuses": statuses},
    }


def machine(started: str | None, changed: float, *, ready: bool = True) -> Machine:
    """Return a node whose toolkit ran, and whose file has no handler any more."""
    made = Machine(
        files={CONFIG: "# Ansible managed\n" + ONLY_RUNC},
        live=("runc",),
        objects=toolkit_daemonset(),
        mtimes={CONFIG: changed},
    )
    made.objects["pods"] = [toolkit_pod(started, ready=ready)]
    return made


def test_a_file_that_containerd_cannot_read_was_overwritten_by_nobody() -> None:
    """It defines no handler because of the line that is wrong."""
    broken = machine("2026-11-21T09:00:00Z", STARTED - 1)
    broken.files[CONFIG] += "[plugins\n"
    found = check_handler.no_gpu_handler(broken.node())
    assert cause(found) == "runtime/config-invalid"
    assert "is not valid TOML" in text_of(found)


def test_overwritten_after_the_toolkit_ran() -> None:
    """The toolkit's pod is well, told this very file, and the handler is not in it."""
    found = check_handler.no_gpu_handler(machine("1970-01-12T14:00:00Z", STARTED + 9000).node())
    assert cause(found) == "runtime/config-overwritten"
    for words in ("Ansible managed", "wrote at its start, 1970-01-12 14:00:00 UTC", "toolkit-x"):
        assert words in text_of(found)


def test_times_only_explain() -> None:
    """A restored file with an old time, and a pod that tells no start: still overwritten."""
    for started in (None, "1970-01-13T00:00:00Z", "yesterday"):
        found = check_handler.no_gpu_handler(machine(started, STARTED - 50_000).node())
        assert cause(found) == "runtime/config-overwritten"


OLD_TIME = "put in place later with its old time"


@pytest.mark.parametrize(
    ("live", "told"), [(("runc",), False), (None, False), (("runc", "kata"), True)]
)
def test_a_file_that_runs_as_it_stands_was_not_put_in_place_later(
    live: Sequence[str] | None, told: bool
) -> None:
    """Older than the start, and loaded: its time is right. Only what runs otherwise is strange."""
    made = machine("1970-01-12T13:46:40Z", STARTED - 9000)
    made.live = live
    found = check_handler.no_gpu_handler(made.node())
    assert cause(found) == "runtime/config-overwritten"
    assert f"{CONFIG} changed 1970-01-12" in text_of(found)
    assert (OLD_TIME in text_of(found)) is told


def test_a_file_that_lost_what_still_runs_was_put_in_place_later() -> None:
    """The daemon read another one when it started."""
    made = machine("1970-01-12T13:46:40Z", STARTED - 9000)
    made.live = ("runc", "nvidia")
    found = check_restart.lost_at_restart(made.node())
    assert cause(found) == "runtime/lost-at-restart"
    assert OLD_TIME in text_of(found)


def test_written_anew_at_boot() -> None:
    """Right after the boot, and after the toolkit had written; later it is another cause."""
    before = "1970-01-12T13:46:40Z"  # the very second of the boot
    found = check_handler.no_gpu_handler(machine(before, BOOT + 30).node())
    assert cause(found) == "runtime/config-rewritten-at-boot"
    assert "30 s later" in text_of(found)
    late = check_handler.no_gpu_handler(machine(before, BOOT + 3600).node())
    assert cause(late) == "runtime/config-overwritten"


def test_a_toolkit_that_is_not_ready_never_wrote() -> None:
    """Then nothing was overwritten: it does not come up, whose work this is."""
    found = check_handler.no_gpu_handler(machine(None, STARTED, ready=False).node())
    assert cause(found) == "runtime/operand-fails"
    assert "is Running, but not ready" in text_of(found)


def test_the_bootstraps_own_file() -> None:
    """Byte by byte what the image's script copies; one byte more is somebody else's."""
    for path in every.copied_files():
        made = Machine(files={CONFIG: ONLY_RUNC, path: ONLY_RUNC}, live=("runc",))
        found = check_handler.no_gpu_handler(made.node())
        assert cause(found) == "runtime/bootstrap-overwrote-config"
        assert path in text_of(found)
        made.files[path] += "\n"
        found = check_handler.no_gpu_handler(made.node())
        assert cause(found) == "runtime/handler-not-configured"


def test_the_import_line_that_was_overwritten() -> None:
    """The toolkit's drop-in is there, its line in the root file is gone; elsewhere it never was."""
    made = machine("1970-01-12T14:00:00Z", STARTED + 9000)
    made.files[DROP_IN] = ONLY_NVIDIA
    assert cause(check_handler.no_gpu_handler(made.node())) == "runtime/config-overwritten"
    made.files[CONFIG] = 'imports = ["/etc/elsewhere/*.toml"]\n' + ONLY_RUNC
    made.listed = ["/etc/elsewhere"]
    assert cause(check_handler.no_gpu_handler(made.node())) == "runtime/drop-in-outside-imports"
    made.files[CONFIG] = "# of version 1, which the toolkit gives no import\n"
    assert cause(check_handler.no_gpu_handler(made.node())) == "runtime/drop-in-outside-imports"
