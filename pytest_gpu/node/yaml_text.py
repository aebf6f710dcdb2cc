"""YAML files of a node, each parsed once: the nodes of a fleet have the same ones."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import yaml


# A survey comes back to a file in every round, and nobody changes what is returned.
@lru_cache(maxsize=64)
def parsed(content: bytes) -> Any:
    """Return what a YAML document says.

    Raises:
        yaml.YAMLError: it is none.
        UnicodeDecodeError: it is no text.
    """
    return yaml.safe_load(content)
