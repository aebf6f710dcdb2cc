"""Values in manifests and values files that a fix tells to write."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

_PLAIN = re.compile(r"[A-Za-z][\w.-]*", re.ASCII)
_OTHERWISE = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""Words that YAML does not read as text."""


def env_values(section: str, entries: Mapping[str, str]) -> str:
    """Return a file of Helm values that holds the whole ``env`` list of a section."""
    lines = [f"{section}:", "  env:"]
    for name, value in entries.items():
        lines += [
            f"  - name: {scalar(name)}",
            f"    value: {json.dumps(value, ensure_ascii=False)}",
        ]
    return "\n".join(lines)


def scalar(text: str) -> str:
    """Return a text as YAML: as it is where that is read as the same text, else in quotes."""
    is_plain = _PLAIN.fullmatch(text) and text.lower() not in _OTHERWISE
    return text if is_plain else json.dumps(text)
