"""Findings with the values that every cause may use, as a run fills them in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pytest_gpu.causes import Finding
from pytest_gpu.run.placeholders import values_for
from pytest_gpu.stack.distributions.products.kubeadm import KUBEADM

COMMON: Mapping[str, str] = values_for("gpu-1", KUBEADM, KUBEADM.socket)
"""Those of a plain node called gpu-1."""


def full(finding: Finding) -> Finding:
    """Return a finding as it is reported of a plain node."""
    return replace(finding, values={**COMMON, **finding.values})
