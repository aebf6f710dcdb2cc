"""Tests of what a visit asks."""
