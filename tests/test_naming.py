"""Names in natural order, and short lists of them."""

from __future__ import annotations

import pytest

from pytest_gpu.text.naming import listed, natural, nearest


@pytest.mark.parametrize(
    "names",
    [
        ["gpu-1", "gpu-2", "gpu-10", "gpu-100"],
        ["a2b1", "a2b3", "a10b2", "b1"],
        ["7", "007", "8", "gpu", "gpu-1"],
        ["ip-10-0-1-9.eu", "ip-10-0-1-23.eu", "ip-10-0-12-1.eu"],
    ],
)
def test_numbers_are_compared_as_numbers(names: list[str]) -> None:
    """Whatever stands before and behind them."""
    assert sorted(sorted(names), key=natural) == names


def test_nearest_names_come_first_and_the_list_is_short() -> None:
    """A typo finds its name among thousands."""
    names = [f"gpu-{number:04}" for number in range(2000)]
    assert nearest("gpu0042", names).startswith("gpu-0042, ")
    assert nearest("gpu0042", names).endswith(" and 1995 more")
    assert nearest("x", []) == "none"


def test_a_list_says_how_many_it_leaves_out() -> None:
    """None, if it leaves out none."""
    assert listed("abcde") == "a, b, c, d, e"
    assert listed("abcdef") == "a, b, c, d, e and 1 more"
    assert listed("abc", 2) == "a, b and 1 more"
