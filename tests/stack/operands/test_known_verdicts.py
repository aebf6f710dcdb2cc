"""Operands that fail with words that are known, in recordings of several distributions: verdicts.

The logs of the toolkit are those of the real program (``real/README.md``); the others are written
from the components' sources, which the rows of ``messages.toml`` name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pytest_gpu.stack.operands import roles as r
from tests.stack.operands.made_up_operands import READY, Object
from tests.stack.operands.test_driver_container import CRASH, Cluster, daemonset, driver_pod
from tests.stack.operands.test_unknown_verdicts import Family, lines

REAL = Path(__file__).parent / "real"


class Case(NamedTuple):
    """A family of recordings, the operand that fails there, its log, and what it means."""

    family: str
    role: str
    cause: str
    log: str
    fix: str


def _real(name: str) -> str:
    return (REAL / f"{name}.log").read_text()


def _klog(text: str) -> str:
    return (
        f"I0304 09:51:01.000411       1 main.go:78] Starting\nE0304 09:51:02.1 1 a.go:84] {text}\n"
    )


CASES = (
    Case(
        "kubeadm",
        r.TOOLKIT,
        "runtime/toolkit-folder-read-only",
        _real("toolkit-read-only-target"),
        "toolkit.installDir=FOLDER",
    ),
    Case(
        "rke2",
        r.TOOLKIT,
        "runtime/toolkit-folder-read-only",
        'time="2025-11-04T10:00:00Z" level=error msg="error running nvidia-toolkit: unable to '
        "install toolkit: could not create required directories: error creating directory: mkdir "
        '/srv/gpu/toolkit: read-only file system"\n',
        "such as /opt/nvidia",
    ),
    Case(
        "k8s-snap",
        r.TOOLKIT,
        "runtime/toolkit-config-folder-read-only",
        _real("toolkit-read-only-config"),
        "toolkit.enabled=false",
    ),
    Case(
        "k3s",
        r.TOOLKIT,
        "runtime/toolkit-config-folder-read-only",
        'level=error msg="error running nvidia-toolkit: unable to setup runtime: unable to '
        "configure containerd: unable to flush config: unable to open /runtime/config-dir/"
        'config.toml for writing: open /runtime/config-dir/config.toml: read-only file system"\n',
        "Talos",
    ),
    Case(
        "kubeadm",
        r.TOOLKIT,
        "runtime/nri-not-offered",
        _real("toolkit-no-nri-socket"),
        'plugins."io.containerd.nri.v1.nri"',
    ),
    Case(
        "rke2",
        r.TOOLKIT,
        "runtime/nri-not-offered",
        _real("toolkit-no-nri-socket").replace("/var/run/nri/nri.sock", "/run/k3s/nri/nri.sock"),
        "config-v3.toml.d/nri.toml",
    ),
    Case(
        "k8s-snap",
        r.TOOLKIT,
        "runtime/second-toolkit-container",
        _real("toolkit-second-instance"),
        "crictl",
    ),
    Case(
        "k3s",
        r.TOOLKIT,
        "runtime/second-toolkit-container",
        'level=error msg="error running nvidia-toolkit: unable to initialize: unable to get flock '
        'on pidfile: resource temporarily unavailable"\n',
        "crictl",
    ),
    Case(
        "kubeadm",
        r.MIG_MANAGER,
        "device-plugin/operand-without-driver",
        'level=fatal msg="Error running program: failed to create CDI spec: error getting nvml: '
        'ERROR_LIBRARY_NOT_FOUND"\n',
        "kubectl delete pod nvidia-mig-manager-w5jrp -n gpu-operator",
    ),
    Case(
        "k8s-snap",
        r.GFD,
        "device-plugin/operand-without-driver",
        _klog("failed to create resource manager: failed to initialize NVML: Driver Not Loaded"),
        "RuntimeClass",
    ),
    Case(
        "eks",
        r.DEVICE_PLUGIN,
        "device-plugin/operand-without-driver",
        _klog(
            "error starting plugins: error creating plugin manager: unable to create plugin "
            "manager: invalid device discovery strategy"
        ),
        "RuntimeClass",
    ),
    Case(
        "eks",
        r.DEVICE_PLUGIN,
        "device-plugin/mig-not-uniform",
        _klog(
            "error building device map: all devices on the node must be configured with the same "
            "migEnabled value"
        ),
        "nvidia.com/mig.config=CONFIG",
    ),
    Case(
        "rke2",
        r.DEVICE_PLUGIN,
        "device-plugin/mig-not-uniform",
        _klog("invalid MIG configuration: more than one MIG device type present on node"),
        "mig.strategy=mixed",
    ),
    Case(
        "cdi",
        r.DEVICE_PLUGIN,
        "device-plugin/mig-without-instances",
        _klog(
            "invalid MIG configuration: at least one device with migEnabled=true was not "
            "configured correctly: device 0 has an invalid MIG configuration"
        ),
        "nvidia-smi mig -i GPU -cgi PROFILE -C",
    ),
    Case(
        "k8s-snap",
        r.GFD,
        "device-plugin/mig-without-instances",
        _klog(
            "error generating labels: at least one device with migEnabled=true was not configured "
            "correctly: device 0 has an invalid MIG configuration"
        ),
        "nvidia-smi -i GPU -mig 0",
    ),
    Case(
        "eks",
        r.DEVICE_PLUGIN,
        "device-plugin/mps-with-mixed-mig",
        _klog("unable to validate flags: using --mig-strategy=mixed is not supported with MPS"),
        "timeSlicing",
    ),
    Case(
        "k3s",
        r.DEVICE_PLUGIN,
        "device-plugin/mps-with-mixed-mig",
        _klog("unable to load config: using --mig-strategy=mixed is not supported with MPS"),
        "instead of mps",
    ),
    Case(
        "kubeadm",
        r.DCGM,
        "device-plugin/dcgm-metrics-refused",
        'time=2025-03-04T09:51:01.100Z level=ERROR msg="error reading DCGM fields file: record on '
        'line 7: wrong number of fields"\n',
        "dcgmExporter.config",
    ),
    Case(
        "rke2",
        r.DCGM,
        "device-plugin/dcgm-metrics-refused",
        'level=fatal msg="Could not find DCGM field DCGM_FI_DEV_GPU_TEMPERATUR"\n',
        "dcgmExporter.config",
    ),
    Case(
        "k8s-snap",
        r.DCGM,
        "device-plugin/dcgm-profiling-fails",
        'level=fatal msg="Failed to watch metrics: Error watching fields: The third-party '
        'Profiling module returned an unrecoverable error"\n',
        "DCGM_FI_PROF_",
    ),
    Case(
        "k3s",
        r.DCGM,
        "device-plugin/dcgm-profiling-fails",
        'level=fatal msg="Error watching fields: Profiling is not supported for this group of '
        'GPUs or GPU"\n',
        "DCGM_FI_PROF_",
    ),
    Case(
        "kubeadm",
        r.DCGM,
        "device-plugin/dcgm-engine-not-reached",
        'time=2025-03-04T09:51:01Z level=ERROR msg="Failed to connect to remote hostengine" '
        'error="error connecting to nv-hostengine: Host engine connection invalid/disconnected"\n',
        "dcgm.enabled=true",
    ),
    Case(
        "rke2",
        r.DCGM,
        "device-plugin/dcgm-engine-not-reached",
        'level=fatal msg="Error connecting to nv-hostengine: Host engine connection '
        'invalid/disconnected"\n',
        "DCGM_REMOTE_HOSTENGINE_INFO",
    ),
    Case(
        "rke2",
        r.GFD,
        "operator/kind-unknown",
        _klog(
            "failed to get NodeFeature object: the server could not find the requested resource "
            "(get nodefeatures.nfd.k8s-sigs.io nvidia-features-for-rke2-agent-1)"
        ),
        "helm show crds nfd/node-feature-discovery",
    ),
    Case(
        "k8s-snap",
        r.OPERATOR,
        "operator/kind-unknown",
        '{"level":"error","ts":"2025-09-30T09:00:00Z","msg":"if kind is a CRD, it should be '
        'installed before calling Start","kind":"NVIDIADriver.nvidia.com","error":"no matches for '
        'kind \\"NVIDIADriver\\" in version \\"nvidia.com/v1alpha1\\""}\n',
        "helm show crds nvidia/gpu-operator",
    ),
    Case(
        "k8s-snap",
        r.OPERATOR,
        "operator/lease-lost",
        '{"level":"error","ts":"2025-09-30T09:00:00Z","logger":"setup","msg":"problem running '
        'manager","error":"leader election lost"}\n',
        "etcd",
    ),
    Case("rke2", r.NFD, "operator/lease-lost", _klog("leader election lost"), "etcd"),
    Case(
        "kubeadm",
        r.VALIDATOR,
        "driver/device-links-not-made",
        'time="2025-03-04T09:51:02Z" level=info msg="Error: error validating driver installation: '
        "error creating symlink creator: failed to create NVIDIA device nodes: failed to create "
        'device node nvidiactl: failed to determine major: invalid device node"\n',
        "validator.driver.env",
    ),
    Case(
        "k8s-snap",
        r.VALIDATOR,
        "driver/device-links-not-made",
        'time="2025-09-30T09:00:00Z" level=info msg="Error: error validating driver installation: '
        'error creating symlinks: failed to get device nodes: failed to get GPU information"\n',
        "create-dev-char-symlinks --create-all",
    ),
)
EVERY = pytest.mark.parametrize(
    ("family", "case"),
    [pytest.param(each.family, each, id=f"{each.cause}-{each.family}") for each in CASES],
    indirect=["family"],
)


@pytest.fixture(scope="module")
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Family:
    """Return a copy of one family's healthy recording."""
    return Family(request.param, tmp_path_factory)


@EVERY
def test_an_operand_that_fails_with_known_words(family: Family, case: Case) -> None:
    """The plugin fails its layer; what the node works without is latent. Its line comes first."""
    operand = family.operand(case.role)
    name = family.change(operand, case.log, 5, state=CRASH, ready=False, restartCount=5)
    node = family.verdict()
    plugin = case.role == r.DEVICE_PLUGIN
    assert node["verdict"] == ("fails" if plugin else "conforms")
    [finding] = [node] if plugin else node["latent"]
    assert finding["cause"] == case.cause
    source, line, _ = lines(finding)[0]
    assert source == f"log of {operand.name}, container {name}"
    assert isinstance(line, int)
    assert case.fix in "\n".join(finding["fix"])


@EVERY
def test_the_repaired_operand(family: Family, case: Case) -> None:
    """It runs; the same words are in the log of the run before."""
    operand = family.operand(case.role)
    family.change(operand, case.log, 5, **{**READY, "restartCount": 6})
    node = family.verdict()
    assert (node["verdict"], node["latent"]) == ("conforms", [])


DRIVER = {
    "driver/drain-refused": (
        "time=2025-03-04T09:51:01Z level=info msg=Draining node\n"
        "time=2025-03-04T09:51:02Z level=fatal msg=failed to drain node: cannot delete Pods that "
        "declare no controller (use --force to override): ml-team/debug-shell\n",
        "evicting pod lab/train-0\n"
        'error when evicting pods/"train-0" -n "lab" (will retry after 5s): Cannot evict pod as '
        "it would violate the pod's disruption budget.\n",
    ),
    "driver/compiler-too-old": (
        "Compiling NVIDIA driver kernel modules...\n"
        "gcc: error: unrecognized command-line option '-ftrivial-auto-var-init=zero'\n"
        "make[2]: *** [scripts/Makefile.build:250: nvidia/nv.o] Error 1\n",
        "cc: error: unrecognized command-line option \u2018-fmin-function-alignment=16\u2019\n",
    ),
    "driver/second-driver-container": (
        "Starting installation of NVIDIA driver version 570.124.06\n\n"
        "An instance of the NVIDIA driver is already running, aborting\n",
        "DRIVER_ARCH is aarch64\nAn instance of the NVIDIA driver is already running, aborting\n",
    ),
    "driver/vgpu-driver-does-not-fit": (
        "found 2 vgpu devices on host\n"
        "cannot find match for compatible vgpu driver from available list, please check "
        "/var/log/vgpu-util.log for more details...\n",
        "found 1 vgpu devices on host\n"
        "cannot find match for compatible vgpu driver from available list, please check x\n",
    ),
}


def driver_case(cause: str, where: int, folder: Path, state: Object) -> Mapping[str, Any]:
    """Return the verdict on a node with that driver container: without driver, or with one."""
    cluster = Cluster(("no-driver", "healthy-kubeadm")[where], folder)
    cluster.enabled()
    cluster.add("daemonsets", daemonset("ClusterPolicy"))
    cluster.add("pods", driver_pod(state))
    cluster.log(DRIVER[cause][where])
    cluster.copy.rename([("gpu-1", f"node-{where}a"), ("gpu-operator", "nv-stack")])
    return cluster.verdict()


@pytest.mark.parametrize("cause", DRIVER)
@pytest.mark.parametrize("where", [0, 1])
def test_a_driver_container_that_fails_with_known_words(
    cause: str, where: int, tmp_path: Path
) -> None:
    """Without a driver the layer driver fails; with the old one loaded it is latent."""
    node = driver_case(cause, where, tmp_path, CRASH)
    [finding] = node["latent"] if where else [node]
    assert (finding["cause"], node["verdict"]) == (cause, "conforms" if where else "fails")
    assert lines(finding)[0][0].startswith("log of pod nv-stack/")  # type: ignore[attr-defined]
    assert "apt" not in "\n".join(finding["fix"]).split()


@pytest.mark.parametrize("cause", DRIVER)
def test_a_driver_container_that_works(cause: str, tmp_path: Path) -> None:
    """Whatever it printed."""
    node = driver_case(cause, 1, tmp_path, {"running": {}})
    assert (node["verdict"], node["latent"]) == ("conforms", [])


BESIDE = {
    "device-plugin/dra-driver-root": (
        "create symlink: /driver-root -> /driver-root-parent/driver\n"
        "2025-03-04T09:51:01Z  /driver-root (/run/nvidia/driver on host): nvidia-smi: not found\n"
        "Check failed. Has the NVIDIA GPU driver been set up? It is expected to be installed under "
        "NVIDIA_DRIVER_ROOT (currently set to '/run/nvidia/driver') in the host filesystem. If "
        "that path appears to be unexpected: review the DRA driver's 'nvidiaDriverRoot' Helm chart "
        "variable.\n",
        "Check failed. Has the NVIDIA GPU driver been set up? The GPU driver is expected to be "
        "installed under NVIDIA_DRIVER_ROOT (currently set to '/') in the host filesystem.\n",
    ),
    "device-plugin/dra-checkpoint-corrupted": (
        "Error: error creating driver: unable to get checkpoint: checkpoint is corrupted\n",
        "DRA driver\nError: unable to get checkpoint: checkpoint is corrupted\n",
    ),
    "device-plugin/mps-folder-not-labelled": (
        _klog(
            "Failed to start MPS daemon: error setting SELinux context: lsetxattr "
            "/mps/nvidia.com/gpu/pipe: operation not supported"
        ),
        _klog("error setting SELinux context: lsetxattr /mps/nvidia.com/gpu.shared/pipe: denied"),
    ),
}
PROGRAM = {"dra": "gpu-kubelet-plugin", "mps": "mps-control-daemon"}
WHERE = (("healthy-eks", "kube-system"), ("healthy-dgx-spark", "dra"))


def beside(cause: str, where: int, folder: Path, state: Object) -> Mapping[str, Any]:
    """Return the verdict on a node with a DRA driver or MPS daemon beside its plugin."""
    sample, namespace = WHERE[where]
    cluster = Cluster(sample, folder)
    short = cause.partition("/")[2][:3]
    made = driver_pod(state, cluster.copy.node.name)
    made["metadata"] = {"name": f"{short}-7c2vx", "namespace": namespace, "uid": "u1"}
    made["spec"]["containers"] = [{"name": "ctr", "image": "x", "command": [PROGRAM[short]]}]
    made["status"]["containerStatuses"][0]["name"] = "ctr"
    cluster.add("pods", made)
    log = cluster.copy.node / f"files/var/log/pods/{namespace}_{short}-7c2vx_u1/ctr/3.log"
    log.parent.mkdir(parents=True)
    log.write_text(BESIDE[cause][where])
    return cluster.verdict()


@pytest.mark.parametrize("cause", BESIDE)
@pytest.mark.parametrize("where", [0, 1])
def test_what_fails_beside_a_plugin_that_works(cause: str, where: int, tmp_path: Path) -> None:
    """It is latent, by its own words; once it runs, nothing is."""
    [finding] = beside(cause, where, tmp_path / "a", CRASH)["latent"]
    assert finding["cause"] == cause
    assert finding["evidence"][0]["source"].startswith(f"log of pod {WHERE[where][1]}/")
    node = beside(cause, where, tmp_path / "b", {"running": {}})
    assert (node["verdict"], node["latent"]) == ("conforms", [])
