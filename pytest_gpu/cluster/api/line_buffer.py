"""Lines out of the parts of a stream: in linear time, and never more than a budget."""

from __future__ import annotations

from pytest_gpu.errors import GpuError

LINE_BYTES = 32 << 20
"""Bytes of one answer; the longest that the probe sends is a command's output, escaped."""

ROUND_BYTES = 128 << 20
"""Bytes of all answers to one question; the probe sends 64 MiB of files as base64, and outputs."""


ROUND_LINES = 200_000
"""Lines of all answers to one question; the probe sends one for each file, directory or command."""


class LineBuffer:
    """Takes parts of a stream and gives whole lines."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._taken = 0
        self._lines = 0

    @property
    def rest(self) -> bytes:
        """The beginning of a line whose end has not come yet."""
        return bytes(self._rest)

    def renew(self) -> None:
        """Give the answers to the next question a budget of their own."""
        self._taken = 0
        self._lines = 0

    def spend(self, size: int) -> None:
        """Count bytes that are not part of a line, such as errors.

        Raises:
            GpuError: more comes than any answer needs.
        """
        self._taken += size
        if self._taken > ROUND_BYTES:
            raise GpuError(f"cut off after {ROUND_BYTES >> 20} MiB, more than any answer needs")

    def take(self, part: bytes) -> list[bytes]:
        """Take a part; return the lines that end in it, without their ends.

        Raises:
            GpuError: more comes than any answer needs.
        """
        self.spend(len(part))
        self._lines += part.count(b"\n")
        if self._lines > ROUND_LINES:
            raise GpuError(f"cut off after {ROUND_LINES} lines, more than any answer needs")
        first, *further = part.split(b"\n")
        self._rest += first
        if len(self._rest) > LINE_BYTES:
            raise GpuError(f"cut off: an answer is longer than {LINE_BYTES >> 20} MiB")
        if not further:
            return []
        lines = [bytes(self._rest), *further[:-1]]
        self._rest = bytearray(further[-1])
        return lines
