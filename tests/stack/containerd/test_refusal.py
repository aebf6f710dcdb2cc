"""What containerd prints of a configuration that it refuses: lines of the real programs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pytest_gpu.causes import Evidence
from pytest_gpu.stack.containerd.refusal import Refusal, refusal

FILE = "/etc/containerd/config.toml"
DROP_IN = "/etc/containerd/conf.d/99-nvidia.toml"
JOURNAL = "Mar 04 09:50:01 gpu-1 containerd[51022]: "
ROW = (
    'time="2026-03-04T09:50:01Z" level=error msg="Failure unmarshaling TOML" column=13'
    ' error="toml: cannot decode TOML string into struct field config.Config.OOMScore of type int"'
    f" file={FILE} row=2"
)
ROW_AGAIN = (
    "containerd: failed to unmarshal TOML at row 2 column 13: toml: cannot decode TOML string into"
    " struct field config.Config.OOMScore of type int"
)
K0S = (
    'time="2026-03-04 09:50:01" level=info msg="containerd: failed to load TOML:'
    ' /etc/k0s/containerd.toml: (7, 27): unescaped control character U+000A" component=containerd'
    " stream=stderr"
)


def lines(*texts: str) -> Sequence[Evidence]:
    """Return lines of containerd's log."""
    return [Evidence(source="log", line=at, text=text) for at, text in enumerate(texts, 1)]


def told(*texts: str) -> tuple[str, int | None, str] | None:
    """Return file, line and reason of a refusal."""
    found = refusal(lines(*texts))
    return (found.file, found.line, found.why) if found else None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # 1.6.20 and 1.7.24
        (
            f"containerd: failed to load TOML: {FILE}: (7, 27): unescaped control character U+000A",
            (FILE, 7, "unescaped control character U+000A"),
        ),
        (
            f"containerd: failed to load TOML: {DROP_IN}: open {DROP_IN}: no such file or"
            " directory",
            (DROP_IN, None, f"open {DROP_IN}: no such file or directory"),
        ),
        (
            f'containerd: failed to load TOML from {FILE}: invalid plugin key URI "cri" expect'
            " io.containerd.x.vx",
            (FILE, None, 'invalid plugin key URI "cri" expect io.containerd.x.vx'),
        ),
        (
            "containerd: failed to unmarshal TOML: (2, 1): Can't convert high(string) to int",
            ("", 2, "Can't convert high(string) to int"),
        ),
        # 1.7.24
        (
            f"containerd: failed to load TOML from {FILE}: unsupported config version `4`",
            (FILE, None, "unsupported config version `4`"),
        ),
        # 2.1.9
        (
            f"containerd: open {DROP_IN}: no such file or directory",
            (DROP_IN, None, "no such file or directory"),
        ),
        (
            f"containerd: failed to load TOML from {FILE}: expected containerd config version equal"
            " to or less than `3`, got `4`",
            (FILE, None, "expected containerd config version equal to or less than `3`, got `4`"),
        ),
        (K0S, ("/etc/k0s/containerd.toml", 7, "unescaped control character U+000A")),
    ],
)
def test_file_line_and_reason(text: str, expected: object) -> None:
    """As each generation prints them, also in the journal."""
    assert told(text) == expected
    assert told(JOURNAL + text) == expected


def test_two_lines_of_containerd_2_are_one_refusal() -> None:
    """Only the first names the file."""
    why = "toml: cannot decode TOML string into struct field config.Config.OOMScore of type int"
    assert told(ROW, ROW_AGAIN) == (FILE, 2, why)
    assert told(ROW_AGAIN) == ("", 2, why)


@pytest.mark.parametrize(
    "text",
    [
        'time="2026-03-04T09:50:01Z" level=info msg="starting containerd" version=1.7.24',
        'time="2026-03-04T09:50:01Z" level=info msg="containerd successfully booted in 0.09s"',
    ],
)
def test_a_start_since_then_makes_it_old(text: str) -> None:
    """Whatever was refused before has been repaired."""
    assert told(K0S, text) is None
    assert told(text, K0S) is not None


@pytest.mark.parametrize(
    "text",
    [
        "containerd: mkdir /var/lib/containerd: read-only file system",
        'time="2026-03-04T09:50:01Z" level=error msg="failed to load cni during init"',
        "kubelet: failed to load TOML",
        "",
    ],
)
def test_other_last_words_are_no_refusal(text: str) -> None:
    """It read its files, and ended for another reason."""
    assert refusal(lines(text)) is None


def test_the_last_refusal_counts() -> None:
    """Somebody repaired one file, and the next one has a fault, too."""
    first = f"containerd: failed to load TOML: {FILE}: (7, 27): x"
    last = f"containerd: failed to load TOML: {DROP_IN}: (2, 2): y"
    found = refusal(lines(first, last))
    assert isinstance(found, Refusal)
    assert (found.file, found.evidence[0].line) == (DROP_IN, 2)
