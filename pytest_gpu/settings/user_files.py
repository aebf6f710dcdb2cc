"""Files that the user names: checked before the first test."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_gpu import private_files

if TYPE_CHECKING:
    pass

REPORT_SUFFIXES = (".json",)


def report_file(path: Path) -> Path:
    """Return the path of a report, after creating its folder.

    Raises:
        ValueError: the file cannot be written, or its suffix is not that of a report.
    """
    if path.suffix not in REPORT_SUFFIXES:
        raise ValueError("this version writes only .json; name a file that ends in .json")
    try:
        private_files.make_folder(path.parent)
    except OSError as error:
        raise ValueError(f"its folder cannot be created: {error.strerror}") from error
    if path.is_dir():
        raise ValueError("is a folder; name a file")
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"cannot write to {path.parent}")
    return path


def json_file(path: Path) -> Path:
    """Return the path of a JSON file for crictl.

    Raises:
        ValueError: there is no such file, or it is not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path} is not JSON, which crictl needs: {error}") from error
    if not isinstance(content, dict):
        message = f"{path} is not a JSON object, which crictl needs"
        raise ValueError(message)  # noqa: TRY004 - the user's text is wrong, not a type of ours
    return path
