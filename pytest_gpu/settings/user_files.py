"""Files that the user names: checked before the first test; nothing is written here."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

REPORT_SUFFIXES = (".json",)


def path_of(text: str) -> Path:
    """Return the path that a text names.

    Raises:
        ValueError: no path has such a name.
    """
    if "\0" in text:
        raise ValueError("cannot be a path: it holds a null byte")
    return Path(text)


def report_file(path: Path) -> Path:
    """Return the path of a report; its folder is created when the report is written.

    Raises:
        ValueError: the file cannot be written, or its suffix is not that of a report.
        OSError: it is longer than a path may be.
    """
    if path.suffix not in REPORT_SUFFIXES:
        raise ValueError("this version writes only .json; name a file that ends in .json")
    if path.is_dir():
        raise ValueError("is a folder; name a file")
    return new_place(path)


def new_place(path: Path) -> Path:
    """Return a path that can be written, with the folders above it that do not exist yet.

    Raises:
        ValueError: it cannot be written.
        OSError: it is longer than a path may be.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        path.stat()
    above = next(each for each in path.parents if os.path.lexists(each))
    if not above.is_dir():
        raise ValueError(f"its folder cannot be created: {above} is not a folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise ValueError(f"cannot write to {above}")
    return path


def readable_file(path: Path) -> Path:
    """Return the path of a file that can be read and is not empty.

    Raises:
        ValueError: it is not such a file.
    """
    if not path.is_file():
        raise ValueError("is a folder; name a file" if path.is_dir() else "there is no such file")
    if not os.access(path, os.R_OK):
        raise ValueError("cannot be read: permission denied")
    if not path.stat().st_size:
        raise ValueError("is an empty file")
    return path


def program_file(path: Path) -> Path:
    """Return the path of a program that nodes can run.

    Raises:
        ValueError: it cannot be one: no file, or the archive in which programs are shipped.
    """
    with readable_file(path).open("rb") as file:
        if not file.read(4).startswith((b"\x7fELF", b"#!")):
            raise ValueError("is not a program for Linux; if it is an archive, unpack it first")
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
