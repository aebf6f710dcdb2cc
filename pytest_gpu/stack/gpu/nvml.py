"""NVML's answers on the node. The codes are from nvmlReturn_t in nvml.h."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.evidence import NodeEvidence
from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.stack.gpu import nvml_shape
from pytest_gpu.stack.gpu.pci import normal

NOT_SUPPORTED = 3
NOT_FOUND = 6
LIBRARY_NOT_FOUND = 12
FUNCTION_NOT_FOUND = 13
GPU_IS_LOST = 15
RESET_REQUIRED = 16
LIB_RM_VERSION_MISMATCH = 18
UNKNOWN = 999

# If this GPU or driver branch does not support a question, that is not a fault of the GPU.
NOT_ASKABLE = frozenset({NOT_SUPPORTED, FUNCTION_NOT_FOUND})


@dataclass(frozen=True, slots=True, kw_only=True)
class NvmlError:
    """An error instead of an answer.

    Attributes:
        code: NVML's number of the error (``nvmlReturn_t``).
        message: NVML's text of the error.
    """

    code: int
    message: str = ""

    def __str__(self) -> str:
        return f"NVML error {self.code}: {self.message}" if self.message else f"NVML {self.code}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NvmlDevice:
    """One GPU as NVML enumerates it; ``address`` is as sysfs writes it, ``None`` if unreadable.

    ``error`` is set if NVML gave no handle for the GPU.

    Attributes:
        node: the node's name.
        index: NVML's index, from 0.
        name: the product, such as ``NVIDIA A100-SXM4-40GB``, ``""`` if unreadable.
        minor: the minor number of its device node, ``None`` if unreadable.
        answers: the raw answers, as in a recording's ``nvml.json``.
    """

    node: str
    index: int
    name: str
    address: str | None
    minor: int | None
    error: NvmlError | None
    answers: Mapping[str, Any]

    def __str__(self) -> str:
        known = ", ".join(filter(None, (self.name, self.address)))
        return f"GPU {self.index} ({known})" if known else f"GPU {self.index}"

    def answer(self, question: str) -> Any:
        """Return the answer to a question such as ``memory``: a value or an :class:`NvmlError`.

        Raises:
            NotInEvidence: it was not asked.
        """
        if self.answers.get(question) is None:
            raise NotInEvidence(self.node, f"NVML's answer to {question} of GPU {self.index}")
        return _value(self.answers[question])

    def numbers(
        self, question: str, *keys: str, kinds: Collection[type] = (int,)
    ) -> Mapping[str, int] | NvmlError:
        """Return an answer that holds these numbers, such as ``total`` in ``memory``.

        ``kinds`` are the types that they may have; ``bool`` is one of its own.

        Raises:
            NotInEvidence: it was not asked, or the recorded answer does not hold them.
        """
        value = self.answer(question)
        if isinstance(value, NvmlError):
            return value
        if isinstance(value, Mapping) and all(type(value.get(key)) in kinds for key in keys):
            return value
        what = f"NVML's {', '.join(keys)} in its answer to {question} of GPU {self.index}"
        raise NotInEvidence(self.node, what)

    def errors(self) -> Iterator[tuple[str, NvmlError]]:
        """Yield every question that got an error, starting with the handle's own error."""
        if self.error:
            yield "handle", self.error
        for question, raw in self.answers.items():
            value = _value(raw)
            if isinstance(value, NvmlError):
                yield question, value


@dataclass(frozen=True, slots=True, kw_only=True)
class Nvml:
    """NVML's answers. ``library`` is the file that was loaded, ``None`` if unknown.

    ``missing``: there is no library to load. ``error`` is the error of nvmlInit. ``hung``: a call
    did not return within its deadline.

    Attributes:
        driver_version: the driver's version, ``None`` if it was not told.
        devices: the GPUs, by index.
    """

    missing: bool = False
    library: str | None = None
    error: NvmlError | None = None
    hung: bool = False
    driver_version: str | None = None
    devices: tuple[NvmlDevice, ...] = ()

    @property
    def answers(self) -> bool:
        """Whether NVML started and returned."""
        return not self.missing and self.error is None and not self.hung

    def asked(self) -> tuple[NvmlDevice, ...]:
        """Return the devices.

        Raises:
            Unproven: NVML itself did not answer, so they are not known.
        """
        if not self.answers:
            raise Unproven(f"NVML did not answer ({self.why_not})")
        return self.devices

    @property
    def why_not(self) -> str:
        """The reason why NVML does not answer."""
        if self.missing:
            return "no libnvidia-ml.so.1"
        return "it hangs" if self.hung else str(self.error)


def read(evidence: NodeEvidence) -> Nvml:
    """Return NVML's answers.

    Raises:
        NotInEvidence: NVML was not asked.
    """
    raw = evidence.nvml
    if raw is None:
        return Nvml(missing=True)
    try:
        nvml_shape.check(raw)
        return _parsed(evidence.name, raw)
    except (TypeError, ValueError, AttributeError) as error:
        raise NotInEvidence(evidence.name, f"NVML's output ({error})") from None


def _parsed(node: str, raw: Mapping[str, Any]) -> Nvml:
    error, hung = _error(raw.get("init")), bool(raw.get("hung"))
    if "library" not in raw and not error and not hung:
        raise NotInEvidence(node, "whether NVML's library could be loaded")
    loaded = bool(raw.get("library")) or hung
    if loaded and not error and not hung and raw.get("devices") is None:
        raise NotInEvidence(node, "which GPUs NVML sees")
    return Nvml(
        library=str(raw["library"]) if raw.get("library") else None,
        missing=error.code == LIBRARY_NOT_FOUND if error else not loaded,
        error=error,
        hung=hung,
        driver_version=raw.get("driver_version"),
        devices=tuple(_device(node, item) for item in raw.get("devices") or ()),
    )


def _device(node: str, raw: Mapping[str, Any]) -> NvmlDevice:
    bdf, minor = raw.get("bdf"), raw.get("minor")
    for value in raw.values():
        _error(value)  # an invalid error code makes the whole record unreadable, not a test fail
    return NvmlDevice(
        node=node,
        index=int(raw.get("index", 0)),
        name=raw["name"] if isinstance(raw.get("name"), str) else "",
        address=normal(bdf) if isinstance(bdf, str) else None,
        minor=minor if isinstance(minor, int) else None,
        error=_error(raw),
        answers={key: value for key, value in raw.items() if key not in {"error", "message"}},
    )


def _value(raw: Any) -> Any:
    return _error(raw) or raw


def _error(raw: Any) -> NvmlError | None:
    if isinstance(raw, Mapping) and raw.get("error") is not None:
        code = raw["error"]
        if isinstance(code, bool) or not isinstance(code, int):
            raise TypeError("an error code is not a number")
        if not 0 <= code <= nvml_shape.MAX_NUMBER:
            raise ValueError("an error code has more than 64 bits")
        return NvmlError(code=code, message=str(raw.get("message", "")))
    return None


@fact
def nvml_of(node: Node) -> Nvml:
    """Return what NVML answered on the node."""
    return read(node.evidence)
