"""Tests of verdicts and reports."""
