"""Values of pytest's configuration file, and of ``-o``: where each was given, and as what."""

from __future__ import annotations

import warnings
from typing import Any

import pytest


def ini_source(config: pytest.Config, name: str) -> str:
    """Return where a value was given: with ``-o``, or in which file."""
    overridden = (each.partition("=")[0] for each in config.getoption("override_ini") or ())
    if name in overridden or config.inipath is None:
        return f"-o {name}"
    return f"{name} in {config.inipath.name}"


def ini_value(config: pytest.Config, name: str) -> Any:
    """Return a value as it was given, ``None`` if it was not.

    Raises:
        ValueError: it does not have the type that it was declared with. Before pytest 9.2 that is
            not a usage error.
    """
    with warnings.catch_warnings():
        # pytest warns of a list where a text should be; it becomes an error of ours.
        warnings.simplefilter("ignore")
        try:
            return config.getini(name)
        except (TypeError, pytest.UsageError) as error:
            raise ValueError(str(error)) from error
