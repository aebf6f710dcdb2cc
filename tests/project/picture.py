"""The picture of the output in README.md: taken from a real run, and compared with one by a test.

``python tests/project/picture.py`` puts the present output into README.md.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
SAMPLE = "sample:k8s-snap-two-containerds"
_BLOCK = re.compile(r"(<!-- picture.*-->\n```text\n)(.*?)(```\n<!-- end)", re.DOTALL)
_PLAIN = {"COLUMNS": "80", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}


def taken() -> str:
    """Return what a run shows at its end, in 80 columns; how long it took is left out."""
    argv = [sys.executable, "-m", "pytest", f"--gpu-cluster={SAMPLE}", "-p", "no:cacheprovider"]
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(
            argv,
            check=False,
            cwd=empty,
            env={**os.environ, **_PLAIN},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
        )
    start = re.search(r"^=+ GPU conformance =+$", done.stdout, re.MULTILINE)
    if done.returncode != 1 or not start:
        raise RuntimeError(f"exit {done.returncode}:\n{done.stdout}{done.stderr}")
    return without_time(done.stdout[start.start() :])


def without_time(output: str) -> str:
    """Return the output without how long it took."""
    return re.sub(r"=+ (\d+ failed.*) in [\d.]+s(?: \([\d:]+\))? =+", r"=== \1 ===", output)


def shown() -> str:
    """Return the picture that stands in README.md."""
    match = _BLOCK.search(README.read_text(encoding="utf-8"))
    if match is None:
        raise RuntimeError("README.md has no picture")
    return match[2]


def main() -> None:
    """Put the present output into README.md."""
    text, picture = README.read_text(encoding="utf-8"), taken()
    new = _BLOCK.sub(lambda match: match[1] + picture + match[3], text)
    README.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
