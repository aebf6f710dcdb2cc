"""Tests of a run as pytest sees it."""
