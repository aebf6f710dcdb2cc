"""Tests that start real components; each is left out, loudly, where it cannot run."""
