"""Tests of where evidence comes from."""
