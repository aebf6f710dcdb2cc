"""Tests of the repository itself: its rules, docs and packages."""
