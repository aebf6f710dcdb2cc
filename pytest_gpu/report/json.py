"""The verdict document as a file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_gpu import private_files
from pytest_gpu.text.visible import json_text


def dumps(document: Mapping[str, Any]) -> str:
    """Return the document as JSON text with sorted keys: equal verdicts are equal text."""
    return json_text(document) + "\n"


def write(document: Mapping[str, Any], path: Path) -> None:
    """Write the document as UTF-8 JSON, all or nothing: a reader never sees half a file.

    Only this user can read it. Missing folders are created.

    Raises:
        OSError: the file cannot be written.
    """
    private_files.make_folder(path.parent)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(dumps(document))
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
