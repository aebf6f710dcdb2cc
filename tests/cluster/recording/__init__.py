"""Tests of recordings: read, written, redacted, hostile."""
