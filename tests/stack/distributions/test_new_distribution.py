"""A new distribution is one module: once it lies among the others, all that asks knows it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_gpu.catalogue import catalogue
from pytest_gpu.causes import fix_of
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.run.placeholders import filled
from pytest_gpu.stack.distributions import every, products
from pytest_gpu.stack.distributions.distribution import Product
from pytest_gpu.stack.distributions.signs import Observed
from pytest_gpu.stack.gpu import libraries
from pytest_gpu.stack.kubelet.rendering import rendering_of
from pytest_gpu.stack.runtime import check_handler, check_templates
from pytest_gpu.stack.toolkit.operator_values import wanted_env
from pytest_gpu.survey.first_questions import first_questions
from pytest_gpu.survey.survey import crictl_of
from tests.stack.containerd.test_merge import handler
from tests.stack.runtime.runtime_machine import NVIDIA, STARTED, Machine
from tests.support.fake_evidence import FakeCluster, FakeNode, node_object

MOON = "/var/lib/moon/containerd"
CONFIG, SOCKET = f"{MOON}/moon.toml", "/run/moon/containerd.sock"
BY_HAND = handler("nvidia", binary="/opt/nvidia/bin/nvidia-container-runtime", systemd=True)
RUNC = "version = 2\n" + handler("runc", systemd=True)


@pytest.fixture
def moon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the made-up module lie among the real ones, for one test."""
    folder = Path(__file__).parent / "made_up"
    monkeypatch.setattr(products, "__path__", [*products.__path__, str(folder)])
    _forget()
    yield
    sys.modules.pop(f"{products.__name__}.moon")
    monkeypatch.undo()
    _forget()


def _forget() -> None:
    every.products.cache_clear()
    every.embedding.cache_clear()


def reported(labels: tuple[str, ...] = (), **info: str) -> GpuNode:
    """Return a node that nobody visited: it only reports of itself."""
    node = node_object("gpu-1", labels=dict.fromkeys(labels, "x"))
    node["status"]["nodeInfo"] = info
    return GpuNode("gpu-1", FakeCluster(objects={"nodes": [node]}))


def machine(text: str = RUNC, **files: str) -> Machine:
    """Return a node of Moon with this rendered file and these files."""
    return Machine(
        files={CONFIG: text, **files},
        kubelet="/opt/moon/bin/moond run --cri=unix:///run/moon/containerd.sock",
        containerds={SOCKET: "/opt/moon/bin/containerd"},
        version="1.7.24",
        kubelet_version="v1.31.2+moon1",
        binaries=(NVIDIA,),
        mtimes={CONFIG: STARTED - 1},
        listed=[MOON, "/opt/moon/nvidia", "/usr/local", "/usr/sbin", "/sbin", "/bin", "/etc"],
    )


@pytest.mark.usefixtures("moon")
@pytest.mark.parametrize(
    "node",
    [
        reported(osImage="Moon OS 7"),
        reported(kubeletVersion="v1.31.2+moon1"),
        reported(labels=("moon.example/side",)),
    ],
    ids=["system", "version", "label"],
)
def test_it_is_recognised_by_what_a_node_reports(node: GpuNode) -> None:
    """Each sign alone is enough."""
    assert (node.distribution.name, node.distribution.kubelet_unit) == ("moon", "moon")


def test_without_its_module_nobody_knows_it() -> None:
    """Nothing else in the house names it, neither by a sign nor by a path."""
    assert reported(kubeletVersion="v1.31.2+moon1", osImage="Moon OS 7").distribution.name == (
        "unknown"
    )
    assert every.rendered_at(CONFIG) is None
    assert "moon" not in str(first_questions())


@pytest.mark.usefixtures("moon")
def test_its_program_is_the_kubelet_and_hands_flags_on() -> None:
    """What the running program was told becomes the kubelet's socket, and that is containerd's."""
    made = machine()
    made.kubelet_version = "v1.31.2"
    node = made.node()
    assert node.distribution.name == "moon"
    assert node.kubelet.running
    assert node.kubelet.socket == SOCKET
    assert node.containerd.config_path == CONFIG, "its containerd shows no flag"
    made.kubelet = "/opt/moon/bin/moond dark"
    assert made.node().distribution.kubelet_unit == "moon-dark-side"


@pytest.mark.usefixtures("moon")
def test_its_rendered_file_is_known_with_its_templates() -> None:
    """The template that is read for this containerd counts, the other one does not."""
    made = machine(**{f"{MOON}/moon.tmpl": "version = 2\n", f"{MOON}/moon-3.tmpl": "version = 3\n"})
    rendering = rendering_of(made.node())
    assert rendering
    assert rendering.template
    assert rendering.template.path == f"{MOON}/moon.tmpl"
    assert [each.path for each in rendering.ignored] == [f"{MOON}/moon-3.tmpl"]
    made.version = "2.1.5"
    rendering = rendering_of(made.node())
    assert rendering
    assert (rendering.wanted, rendering.version) == (f"{MOON}/moon-3.tmpl", 3)


@pytest.mark.usefixtures("moon")
def test_a_handler_written_into_its_file_is_told_with_its_fix() -> None:
    """The patch is one of its template, the restart is its own, and what to know comes first."""
    made = machine(RUNC + BY_HAND)
    made.binaries = ("/opt/nvidia/bin/nvidia-container-runtime",)
    node = made.node()
    finding = check_templates.fault_at_next_start(node)
    assert finding
    assert finding.cause == "runtime/rendered-file-edited"
    assert "is neither in /opt/moon/nvidia nor along" in str(finding.evidence)
    first, *steps = fix_of(filled(finding, node))
    assert first == "Moon puts its own files back at every start of gpu-1."
    assert "$ moonctl restart containerd --on gpu-1" in steps
    assert any("moonctl crictl --runtime-endpoint unix:///run/moon" in step for step in steps)
    (patch,) = (step for step in steps if "moon.tmpl" in step and "BinaryName" in step)
    assert '+{{ template "base" . }}' in patch


@pytest.mark.usefixtures("moon")
def test_a_runtime_that_it_finds_comes_again() -> None:
    """In its own folder, or along the service's PATH."""
    made = machine(RUNC + handler("nvidia", binary="/opt/moon/nvidia/nvidia-container-runtime"))
    made.binaries = ("/opt/moon/nvidia/nvidia-container-runtime",)
    assert check_templates.fault_at_next_start(made.node()) is None
    assert set(wanted_env(made.node())) == {"CONTAINERD_SOCKET"}
    made.binaries = ()
    assert check_templates.fault_at_next_start(made.node()) is not None


@pytest.mark.usefixtures("moon")
def test_its_places_are_asked_of_every_node() -> None:
    """A visit knows no distribution yet: it asks for all of them at once."""
    questions = first_questions()
    assert {CONFIG, "/etc/moon/config.yaml"} <= set(questions.read)
    assert {"/opt/moon/bin/moonctl", "/opt/moon/driver/libcuda.so.1"} <= set(questions.stat)
    assert f"{MOON}/conf.d" in questions.list
    made = Machine()
    made.host["/opt/moon/bin/moonctl"] = "ELF"
    made.host["/opt/moon/driver/libcuda.so.1"] = "ELF"
    node = made.node()
    assert crictl_of(node) == ("/opt/moon/bin/moonctl", "crictl")
    found = libraries.find(node.evidence, libraries.CUDA)
    assert found
    assert found.path == "/opt/moon/driver/libcuda.so.1"


@pytest.mark.usefixtures("moon")
def test_a_file_that_its_image_copies_is_told() -> None:
    """Byte by byte what its image has: nobody else wrote that."""
    copied = "/usr/share/moon/containerd.toml"
    made = Machine(files={"/etc/containerd/config.toml": RUNC, copied: RUNC}, live=("runc",))
    finding = check_handler.no_gpu_handler(made.node())
    assert finding
    assert finding.cause == "runtime/bootstrap-overwrote-config"
    assert copied in [each.source for each in finding.evidence]


def test_no_sign_of_one_is_a_sign_of_another() -> None:
    """The order of the modules decides nothing."""
    signs = [each.signs for each in every.products()]
    for kind in ("systems", "versions", "folders", "programs", "labels"):
        texts = [text for each in signs for text in getattr(each, kind)]
        assert len(texts) == len(set(texts)), kind
        assert [
            (a, b) for a in texts for b in texts if a != b and (a in b or a.startswith(b))
        ] == [], kind


def test_fixes_are_for_distributions_that_exist() -> None:
    """A fix for a misspelt distribution would reach nobody."""
    names = {name for product in every.products() for name in product.names}
    for cause in catalogue().values():
        assert set(cause.fix) - {"default"} <= names, cause.id


@pytest.mark.parametrize("product", every.products(), ids=lambda each: each.names[0])
def test_a_product_returns_what_it_names(product: Product) -> None:
    """And what is asked of a node that runs it is what is asked of every node."""
    node = reported().object
    found = product.on(Observed(node=node, processes=(), kubelet=None, evidence=FakeNode()))
    assert {found.name, found.family} - {""} <= set(product.names)
    assert found.rendered == product.rendered
    if found.rendered:
        assert found.config.endswith(found.rendered.end)
    if found.settings:
        assert f"{found.settings}/config.yaml" == product.settings
