"""Archives of recordings: what is unpacked, what is refused, and that nothing lands elsewhere."""

from __future__ import annotations

import gzip
import io
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_gpu.cluster.recording import archive as archives
from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.errors import RecordingError

HEAD = b"format: 1\ntaken: 2026-11-21T10:00:00Z\n"

Build = Callable[[tarfile.TarFile], None]


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put temporary folders where a test can look at them."""
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    return tmp_path / "scratch"


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", **more: object) -> None:
    """Add a member; further arguments are attributes of its header."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in more.items():
        setattr(member, key, value)
    tar.addfile(member, io.BytesIO(content))


def pack(path: Path, *build: Build) -> Path:
    """Write an archive with a manifest and what the builders add."""
    with tarfile.open(path, "w:gz") as tar:
        add(tar, "recording.yaml", HEAD)
        for each in build:
            each(tar)
    return path


def everything(root: Path) -> set[str]:
    """Return every path below a folder, with the size of files."""
    return {f"{path} {path.lstat().st_size if path.is_file() else ''}" for path in root.rglob("*")}


def refusal(tmp_path: Path, path: Path) -> str:
    """Return the one line with which an archive is refused, having left nothing anywhere."""
    before = everything(tmp_path)
    with pytest.raises(RecordingError) as caught:
        open_recording(path, "x")
    assert everything(tmp_path) == before
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("prefix", ["", "./", "my recording/"])
@pytest.mark.parametrize("name", ["r.tar.gz", "r.tgz", "any name"])
def test_archive_is_read_like_the_folder(
    tmp_path: Path, scratch: Path, prefix: str, name: str
) -> None:
    """With or without a folder around it; what was unpacked is gone at the end."""
    path = tmp_path / name
    with tarfile.open(path, "w:gz") as tar:
        add(tar, f"{prefix}recording.yaml", HEAD)
        add(tar, f"{prefix}nodes/n/files/etc/x", b"x")
    with open_recording(path, "x") as cluster:
        assert cluster.node("n").read("/etc/x") == b"x"
        assert [each.stat().st_mode & 0o777 for each in scratch.iterdir()] == [0o700]
    assert list(scratch.iterdir()) == []


def test_forgotten_archive_is_removed_too(tmp_path: Path, scratch: Path) -> None:
    """Nobody has to close what is not used any more."""
    cluster = open_recording(pack(tmp_path / "r.tar.gz"), "x")
    assert list(scratch.iterdir())
    del cluster
    assert list(scratch.iterdir()) == []


FILE = tarfile.REGTYPE


MEMBERS = [
    ("/etc/cron.d/x", FILE, "", "'/etc/cron.d/x' is an absolute path; it must stay inside"),
    ("../x", FILE, "", "'../x' leads out; it must stay inside the recording"),
    ("nodes/../../x", FILE, "", "'nodes/../../x' leads out"),
    ("..", tarfile.DIRTYPE, "", "'..' leads out"),
    ("link", tarfile.SYMTYPE, "/etc", "'link' is a symbolic link; it must be a file"),
    ("link", tarfile.SYMTYPE, "recording.yaml", "'link' is a symbolic link"),
    ("link", tarfile.LNKTYPE, "/etc/passwd", "'link' is a hard link"),
    ("char", tarfile.CHRTYPE, "", "'char' is a device or pipe"),
    ("block", tarfile.BLKTYPE, "", "'block' is a device or pipe"),
    ("pipe", tarfile.FIFOTYPE, "", "'pipe' is a device or pipe"),
    ("odd", b"Z", "", "'odd' is an unknown kind of member"),
    ("./recording.yaml", FILE, "", "is in the archive twice"),
    ("recording.yaml/x", FILE, "", "cannot be unpacked: "),
    ("a/" * 70 + "x", FILE, "", "is deeper than 64 folders"),
    ("\x1b[2J", tarfile.FIFOTYPE, "", "x1b[2J' is a device or pipe"),
    ("x" * 300, FILE, "", "cannot be unpacked: File name too long"),
]
"""Members that are no plain files, and what is said about each."""


@pytest.mark.parametrize(
    ("name", "kind", "target", "says"),
    MEMBERS,
)
def test_member_that_is_no_plain_file_is_refused(
    tmp_path: Path, name: str, kind: bytes, target: str, says: str
) -> None:
    """The message names the member, and nothing is left of the archive."""
    path = pack(tmp_path / "r.tar.gz", lambda tar: add(tar, name, type=kind, linkname=target))
    assert says in refusal(tmp_path, path)


def test_link_and_a_file_through_it_write_nothing_outside(tmp_path: Path) -> None:
    """The classical way out: a link first, then a file below it."""
    (tmp_path / "target").mkdir()

    def build(tar: tarfile.TarFile) -> None:
        add(tar, "nodes", type=tarfile.SYMTYPE, linkname=str(tmp_path / "target"))
        add(tar, "nodes/x", b"x")

    assert "is a symbolic link" in refusal(tmp_path, pack(tmp_path / "r.tar.gz", build))
    assert list((tmp_path / "target").iterdir()) == []


def test_file_of_zeros_is_refused_before_it_is_written(tmp_path: Path) -> None:
    """One member is bounded by its header, all of them by their sum and by what was packed."""
    bomb = pack(tmp_path / "one.tar.gz", lambda tar: add(tar, "x", bytes(65 * 2**20)))
    assert "'x' is larger than 64 MiB" in refusal(tmp_path, bomb)


def test_ratio_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of zeros pack a thousandfold, evidence does not."""
    monkeypatch.setattr(archives, "RATIO_FREE", 2**16)
    bomb = pack(
        tmp_path / "r.tar.gz",
        *(lambda tar, at=at: add(tar, f"x{at}", bytes(2**20)) for at in range(8)),
    )
    assert "unpacks to more than 250 times its size" in refusal(tmp_path, bomb)


@pytest.mark.parametrize(
    ("limit", "says"),
    [("MAX_TOTAL", "unpacks to more than 0 MiB"), ("MAX_MEMBERS", "holds more than 5 files")],
)
def test_sums_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, says: str
) -> None:
    """The number of members and their bytes together."""
    monkeypatch.setattr(archives, limit, 5 if limit == "MAX_MEMBERS" else 2**12)
    path = pack(
        tmp_path / "r.tar.gz",
        *(lambda tar, at=at: add(tar, f"x{at}", b"x" * 1000) for at in range(8)),
    )
    assert says in refusal(tmp_path, path)


def test_header_that_claims_more_than_a_file_may_hold_is_refused(tmp_path: Path) -> None:
    """Tarfile reads an extended header whole, so its length is bounded before that."""
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, 2**33
    path = tmp_path / "r.tar.gz"
    with gzip.open(path, "wb") as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT) + bytes(10_000))
    assert "has a header larger than a file may be" in refusal(tmp_path, path)


def test_length_that_leads_back_does_not_loop(tmp_path: Path) -> None:
    """A negative length would lead tarfile in circles."""
    member = tarfile.TarInfo("x")
    member.size = -1024
    path = tmp_path / "r.tar.gz"
    with gzip.open(path, "wb") as file:
        first = tarfile.TarInfo("recording.yaml")
        first.size = len(HEAD)
        file.write(first.tobuf() + HEAD + bytes(512 - len(HEAD)))
        file.write(member.tobuf(tarfile.GNU_FORMAT) + bytes(10_000))
    refusal(tmp_path, path)


def damage(path: Path, change: Callable[[bytes], bytes]) -> Path:
    """Change the bytes inside of the gzip stream."""
    path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:2048],
        lambda data: data[:1500],
        lambda data: data[:1024] + b"\xff" * 512 + data[1536:],
        lambda data: b"",
        lambda data: b"no tar at all" * 100,
        lambda data: data + b"something behind it" * 1000,
    ],
    ids=["no end", "cut off", "broken header", "empty", "no tar", "more behind the end"],
)
def test_damaged_archive_is_never_read_in_part(
    tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    """What is missing would look proven absent in a directory that was listed whole."""
    path = pack(
        tmp_path / "r.tar.gz",
        lambda tar: add(tar, "nodes/n/listing.yaml", b"complete: [/etc]"),
        lambda tar: add(tar, "nodes/n/files/etc/x", b"x"),
    )
    assert "is a damaged .tar.gz" in refusal(tmp_path, damage(path, change))


@pytest.mark.parametrize("cut", [slice(0, -6), slice(0, 40)])
def test_gzip_that_breaks_off_is_refused(tmp_path: Path, cut: slice) -> None:
    """A download that broke off."""
    path = pack(tmp_path / "r.tar.gz", lambda tar: add(tar, "x", b"abc" * 1000))
    path.write_bytes(path.read_bytes()[cut])
    assert "is a damaged .tar.gz" in refusal(tmp_path, path)


def test_wrong_checksum_is_refused(tmp_path: Path) -> None:
    """The checksum of gzip stands at the very end, so it is read to there."""
    path = pack(tmp_path / "r.tar.gz")
    data = bytearray(path.read_bytes())
    data[-8] ^= 1
    path.write_bytes(data)
    assert "is a damaged .tar.gz: CRC check failed" in refusal(tmp_path, path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04zip", b"format: 1\n"])
def test_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    """Also a manifest given instead of its folder."""
    path = tmp_path / "r"
    path.write_bytes(content)
    assert "is neither a folder nor a .tar.gz" in refusal(tmp_path, path)


def test_archive_without_a_manifest_is_no_recording(tmp_path: Path) -> None:
    """The private folder is gone after that, too."""
    path = tmp_path / "r.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        add(tar, "a/x", b"x")
        add(tar, "b/x", b"x")
    assert "is not a recording: it has no recording.yaml" in refusal(tmp_path, path)
