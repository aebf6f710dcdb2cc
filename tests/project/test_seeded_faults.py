"""The program that seeds faults tells caught from survived, and its own faults are in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.project.seeded_faults import Fault, WrongFaultError, faults, id_of, main, place_of

ROOT = Path(__file__).parents[2]
LAYERS = {
    *("access", "hardware", "driver", "runtime", "sandbox", "device-plugin", "pods"),
    *("report", "cluster", "recording", "redaction", "survey"),
}


def test_there_are_fifty_over_all_layers() -> None:
    """Each once."""
    found = faults()
    assert len(set(found)) == len(found) >= 50
    assert {fault.layer for fault in found} == LAYERS


@pytest.mark.parametrize("fault", faults(), ids=lambda fault: f"{fault.layer}: {fault.old[:50]}")
def test_text_and_test_of_each_fault_are_there_once(fault: Fault) -> None:
    """Whoever changes that text seeds another fault in its place."""
    assert place_of(fault, ROOT).suffix == ".py"
    assert id_of(fault, ROOT)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a product of one line, and tests that see one of its two faults."""
    root = tmp_path / "checkout"
    for folder in ("pytest_gpu", "tests"):
        (root / folder).mkdir(parents=True)
    (root / "pytest_gpu/__init__.py").write_text("LOW, HIGH = 1, 2\n")
    (root / "tests/test_it.py").write_text(
        "from pathlib import Path\n"
        "TEXT = Path(__file__).parent.parent.joinpath('pytest_gpu/__init__.py').read_text()\n"
        "def test_low(): assert 'LOW, HIGH = 1,' in TEXT\n"
        "def test_red(): assert False\n"
    )
    return root


def run(checkout: Path, capsys: pytest.CaptureFixture[str], **fault: str) -> tuple[int, str]:
    """Run the program with one fault; return exit code and output."""
    values = {"layer": "x", "old": " = 1", "new": " = 3", "test": "test_low", **fault}
    file = checkout / "faults.toml"
    lines = [f"{key} = {value!r}" for key, value in values.items()]
    file.write_text("\n".join(["[[fault]]", *lines]))
    return main([], checkout, file), capsys.readouterr().out


def test_a_fault_that_a_test_notices_is_caught(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The checkout itself is left alone."""
    assert run(checkout, capsys) == (
        0,
        "  1 x               test_low: caught\n1 of 1 seeded faults caught\n",
    )
    assert (checkout / "pytest_gpu/__init__.py").read_text() == "LOW, HIGH = 1, 2\n"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"old": ", 2", "new": ", 3"}, "test_low: SURVIVED"),
        ({"old": "= 7"}, "found 0 times below pytest_gpu/, not once: = 7"),
        ({"old": "H"}, "found 2 times"),
        ({"new": " = 1"}, "it changes nothing"),
        ({"test": "test_gone"}, "found 0 times below tests/, not once: test_gone"),
        ({"test": "test_red"}, "a test fails without any fault"),
    ],
    ids=["survivor", "no-text", "two-texts", "no-change", "no-test", "red-before"],
)
def test_all_else_ends_with_1(
    checkout: Path, capsys: pytest.CaptureFixture[str], fault: dict[str, str], words: str
) -> None:
    """A fault that proves nothing is as bad as one that survives."""
    code, output = run(checkout, capsys, **fault)
    assert code == 1
    assert words in output


def test_faults_are_chosen_by_words(checkout: Path) -> None:
    """Of layer or test; a word that fits none is an error and no success."""
    assert {fault.layer for fault in faults(["redaction"])} == {"redaction"}
    with pytest.raises(WrongFaultError, match="found 0 times"):
        place_of(faults(["redaction"])[0], checkout)
    assert main(["no-such-layer"], checkout) == 1
