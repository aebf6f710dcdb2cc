"""Tests of redaction: what must go, and what must stay."""
