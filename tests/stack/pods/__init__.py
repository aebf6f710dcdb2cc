"""Tests of device plugins and GPU pods."""
