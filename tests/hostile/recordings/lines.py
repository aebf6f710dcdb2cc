"""The line that is right for each recording that is judged: what is told of what was hurt."""

from __future__ import annotations

from collections.abc import Mapping

SAYS: Mapping[str, str] = {}
