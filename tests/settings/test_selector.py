"""Label selectors mean what they mean to kubectl."""

from __future__ import annotations

import pytest

from pytest_gpu.settings.selector import parse_selector

LABELS = {"pool": "a", "gpus": "8", "example.com/zone": "b", "empty": "", "in": "notin"}

HOLDS = [
    "pool",
    "pool=a",
    "pool==a",
    "pool = a , gpus",
    "pool!=b",
    "other!=a",
    "!other",
    "! other",
    "pool in (a,b)",
    "pool in(a)",
    "pool notin (b,c)",
    "other notin (a)",
    "example.com/zone in ( b )",
    "empty=",
    "empty=,pool",
    "empty in ()",
    "empty in (x,,y)",
    "empty in (,x)",
    "empty in (x,)",
    "gpus>7",
    "gpus > 7,gpus<9",
    "in",
    "in in (in,notin)",
    "in=notin",
    "pool\tin\n(a)",
]

HOLDS_NOT = [
    "other",
    "!pool",
    "pool=b",
    "pool=",
    "pool!=a",
    "pool notin (a)",
    "pool in ()",
    "other in (a)",
    "pool in (b,c)",
    "gpus>8",
    "gpus<8",
    "other>1",
    "pool>1",
    "pool=a,gpus=9",
]


@pytest.mark.parametrize("selector", HOLDS)
def test_selector_that_holds(selector: str) -> None:
    """Equality, sets, existence, numbers, and all of them together."""
    assert parse_selector(selector).matches(LABELS)


@pytest.mark.parametrize("selector", HOLDS_NOT)
def test_selector_that_does_not_hold(selector: str) -> None:
    """One condition that does not hold is enough."""
    assert not parse_selector(selector).matches(LABELS)


@pytest.mark.parametrize(
    "selector",
    [
        "",
        ",",
        "a,",
        ",a",
        "a b",
        "a=b=c",
        "a=b c",
        "=a",
        "!",
        "!a=b",
        "!!a",
        "a in",
        "a in b",
        "a in (b",
        "a in b)",
        "a in (b c)",
        "a in (b))",
        "a in ((b))",
        "a>",
        "a>b",
        "a><1",
        "a=-b",
        "a=b/c",
        "a/b/c=d",
        "/a",
        "a/",
        "Example.com/a",
        "a..b/c",
        f"{'a' * 64}",
        f"{'a.' * 127}a/b",
        f"a={'b' * 64}",
        "a=b\0",
        "ä",
    ],
)
def test_what_kubectl_refuses_is_refused(selector: str) -> None:
    """In words, and without any other error."""
    with pytest.raises(ValueError, match=r"."):
        parse_selector(selector)
