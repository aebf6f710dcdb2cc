"""The terminal of a run as a page, for all text that the plugin itself prints."""

from __future__ import annotations

import sys

import pytest

from pytest_gpu.report.blocks import Block
from pytest_gpu.report.terminal import page


def page_of(config: pytest.Config) -> Block:
    """Return a page as wide as the terminal, with its characters."""
    encoding = getattr(sys.__stdout__, "encoding", None)
    return page(config.get_terminal_writer().fullwidth, encoding)
