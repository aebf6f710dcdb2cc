"""PyYAML's safe loader and dumper: those of libyaml, written in C, where they can be used.

The binding to libyaml is loaded once per process and keeps the classes of the ``yaml`` it was
loaded with. Where ``yaml`` was dropped and imported again (pytester does so after each run in its
own process) the binding returns nodes and raises errors that the new ``yaml`` does not know; there
the loader written in Python is used. It is slower and gives the same result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from yaml import CSafeDumper as SafeDumper
    from yaml import CSafeLoader as SafeLoader
else:
    try:
        from yaml import _yaml

        fits = _yaml.MappingNode is yaml.MappingNode
    except ImportError:  # PyYAML was built without libyaml
        fits = False
    SafeLoader = yaml.CSafeLoader if fits else yaml.SafeLoader
    SafeDumper = yaml.CSafeDumper if fits else yaml.SafeDumper

__all__ = ["SafeDumper", "SafeLoader"]
