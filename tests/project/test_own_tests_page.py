"""The page on own tests: its files and commands, in order, as a reader would save and type them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from pytest_gpu.cause_entry import COMMON
from tests.project.test_doc_examples import DOCS, Claim, commands, examples
from tests.support.runs import QUIET, run_here

PAGE = DOCS / "how-to/own-tests.md"
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A block of the page that is a file: the last path in the text before it."""

    path: str
    text: str


def saved() -> list[Saved]:
    """Return the files of the page in order."""
    text = PAGE.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        if match[1] in ("python", "toml", "ini"):
            names = re.findall(r"`([\w/]+\.(?:py|toml|ini))`", text[: match.start()])
            found.append(Saved(path=names[-1], text=match[2]))
    return found


def save(pytester: pytest.Pytester, *files: Saved) -> None:
    """Write files of the page."""
    for each in files:
        path = pytester.path / each.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(each.text)


def run(pytester: pytest.Pytester, arguments: list[str], claim: Claim | None) -> str:
    """Run a command of the page; return its output."""
    result = run_here(pytester, *arguments, *QUIET)
    output = result.stdout.str()
    assert result.ret == (claim.code if claim else 0), output
    if claim and claim.cause:
        assert f"cause: {claim.cause} (layer {claim.layer})" in output
    return output


def test_every_block_is_a_file_a_command_or_a_message() -> None:
    """A new block needs a line below."""
    assert [each.path for each in saved()] == [
        "tests/gpu/test_pods.py",
        "causes/fleet.toml",
        "pytest.ini",
        "tests/gpu/test_fleet.py",
    ]
    assert len(commands(PAGE)) == 6
    assert [each.language for each in examples(PAGE)].count("text") == 1


def test_the_first_test_comes_out_as_its_page_says(pytester: pytest.Pytester) -> None:
    """Alone, with the shipped suite, and on a broken node, where it is blocked."""
    save(pytester, saved()[0])
    alone, together, broken = commands(PAGE)[:3]
    assert re.search(r"\b1 passed\b", run(pytester, *alone))
    assert re.search(r"\b[3-9]\d passed\b", run(pytester, *together))
    output = run(pytester, *broken)
    assert re.search(r"\b1 blocked\b", output)
    assert "passed" not in output.splitlines()[-1]


def test_the_own_cause_comes_out_as_its_page_says(pytester: pytest.Pytester) -> None:
    """In the run, and explained; the layers above are blocked."""
    save(pytester, *saved())
    failing, explained, everything = commands(PAGE)[3:]
    output = run(pytester, *failing)
    assert "gpu-1 runs driver 550.144.03, not 580.95.05" in output
    assert re.search(r"\b1 failed\b.*\bblocked\b", output)
    assert "kubectl uncordon gpu-1" in run(pytester, *explained)
    assert "  acme/driver-not-rolled-out: <node> runs driver" in run(pytester, *everything)


def test_a_mistake_is_told_as_the_page_says(pytester: pytest.Pytester) -> None:
    """The message is the real one."""
    save(pytester, *saved())
    file = pytester.path / "causes/fleet.toml"
    file.write_text(file.read_text().replace("why = ", "reason = "))
    result = run_here(pytester, "--gpu-cluster=sample:healthy-kubeadm", *QUIET)
    (message,) = [each.code for each in examples(PAGE) if each.language == "text"]
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message.replace("/repo", str(pytester.path)) in result.stderr.str()


def test_the_page_names_every_common_placeholder() -> None:
    """And no other in its table."""
    rows = [row for row in PAGE.read_text(encoding="utf-8").splitlines() if row.startswith("| `{")]
    assert set(re.findall(r"`\{(\w+)\}`", "\n".join(row.split(" | ")[0] for row in rows))) == COMMON
