"""The text of a file or template after a repair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_gpu.stack.containerd import templates
from pytest_gpu.stack.containerd.config_file import cri_plugin
from pytest_gpu.stack.repair.config_places import FixPlace
from pytest_gpu.stack.repair.toml_diff import Keys, edited

Changes = Mapping[Keys, Any]


def changed(place: FixPlace, changes: Changes, beside: Changes | None = None) -> str | None:
    """Return a file with changes below its CRI section, and others beside it."""
    section = ("plugins", cri_plugin(place.version))
    below: dict[Keys, Any] = {(*section, *keys): value for keys, value in changes.items()}
    below = {**(beside or {}), **below}
    if not place.merged:
        return _in_template(place, below)
    if place.text is None:
        below = {("version",): place.version, **below}
    return edited(place.text or "", below)


def _in_template(place: FixPlace, changes: Changes) -> str | None:
    """Return a template changed: what Go fills in stays, behind a comment's sign meanwhile.

    A template that takes over the distribution's own text can be added to, not changed: what
    stands there must not be said twice, and only a whole handler is sure to be new.
    """
    new, text = all(isinstance(value, Mapping) for value in changes.values()), place.text
    if text is None:
        added = edited("", changes) if new else None
        return f"{place.begins}\n\n{added}" if added else None
    if templates.parse_template(".tmpl", text.encode()).base and not new:
        return None
    lines = [f"#GO{line}" if line.lstrip().startswith("{{") else line for line in text.split("\n")]
    changed = edited("\n".join(lines), changes)
    return changed.replace("#GO", "") if changed is not None and "#GO" not in text else None
