"""Tests of options and configuration values."""
