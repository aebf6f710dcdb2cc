"""A cause as a report would show it: with example values, as if it had been found on a node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_gpu.catalogue import examples
from pytest_gpu.cause_entry import COMMON, Cause
from pytest_gpu.causes import Finding, fill, fill_step, steps_of
from pytest_gpu.run.placeholders import values_for
from pytest_gpu.stack.distributions.products.kubeadm import KUBEADM
from pytest_gpu.stack.distributions.usual import usual
from pytest_gpu.steps import Step, Value

NODE = "gpu-1"


class Example:
    """The texts of a cause, filled in."""

    def __init__(self, cause: Cause) -> None:
        self.cause = cause
        self.given = {**examples().get(cause.id, {}), **cause.example}
        self._distribution = str(self.given.get("distribution", KUBEADM.name))
        self._usual = self._on(self._distribution)

    @property
    def title(self) -> str:
        """The title."""
        return fill(self.cause.title, self._usual)

    @property
    def why(self) -> str:
        """How the cause breaks GPUs."""
        return fill(self.cause.why, self._usual)

    @property
    def check(self) -> Sequence[Step]:
        """How to see it by hand."""
        return [fill_step(step, self._usual) for step in self.cause.check]

    def fix(self, name: str) -> Sequence[Step]:
        """Return the fix for a distribution, or for those without a fix of their own."""
        return steps_of(self._usual if name == "default" else self._on(name))

    def said(self) -> str:
        """Return which values are only examples, an empty text if there are none."""
        used = self.cause.placeholders()
        texts = {"node": NODE, **self.given}
        shown = [
            f"{name.replace('_', ' ')} {value}"
            for name, value in texts.items()
            if name in used and isinstance(value, str) and value and "\n" not in value
        ]
        if used & (COMMON - {"node"}):
            shown.append(f"commands for {self._distribution}")
        return "; ".join(shown)

    def _on(self, distribution: str) -> Finding:
        values: Mapping[str, Value] = {
            **values_for(NODE, where := usual(distribution), where.socket),
            **self.given,
            "distribution": where.name,
        }
        return Finding(cause=self.cause.id, evidence=(), values=values, entry=self.cause)
