"""Tests of CDI."""
