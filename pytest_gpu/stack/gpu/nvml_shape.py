"""The shape of NVML's answers: what is text, what a number; a node or a recording may send any."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MAX_NUMBER = 2**63 - 1
"""The largest number that NVML can return."""

_VERSION = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6}){1,3}")
_ADDRESS = re.compile(r"[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7]")
_NUMBERS = ("index", "minor", "ecc_uncorrected")
_TEXTS = ("name", "uuid", "bdf")


def check(raw: Mapping[str, Any]) -> None:
    """Check the answers that decide something; each may be missing, or an error instead.

    Raises:
        TypeError, ValueError: one has another shape; the message says which.
    """
    if not isinstance(raw.get("init"), Mapping | None):
        raise TypeError("init is not a mapping")
    if not isinstance(raw.get("hung"), bool | None):
        raise TypeError("hung is neither true nor false")
    for key in ("library", "driver_version"):
        _check_text(raw.get(key), key)
    _check_form(raw.get("driver_version"), _VERSION, "driver_version is not a version")
    devices = [] if raw.get("devices") is None else raw["devices"]
    if not isinstance(devices, list) or not all(isinstance(each, Mapping) for each in devices):
        raise ValueError("devices is not a list of mappings")
    for device in devices:
        _check_device(device)


def _check_device(device: Mapping[str, Any]) -> None:
    for key in _TEXTS:
        _check_text(device.get(key), key)
    _check_form(device.get("bdf"), _ADDRESS, "bdf is not a PCI address")
    for key in _NUMBERS:
        value = device.get(key)
        if _is_told(value) and not _is_number(value):
            raise ValueError(f"{key} is not a whole number of at most 64 bits")


def _is_told(value: Any) -> bool:
    """Return whether a value is an answer, neither missing nor an error."""
    is_error = isinstance(value, Mapping) and value.get("error") is not None
    return value is not None and not is_error


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_NUMBER


def _check_text(value: Any, key: str) -> None:
    if _is_told(value) and not isinstance(value, str):
        raise ValueError(f"{key} is not text")


def _check_form(value: Any, form: re.Pattern[str], wrong: str) -> None:
    if isinstance(value, str) and not form.fullmatch(value):
        raise ValueError(wrong)
