"""Hostile inputs, end to end: each is a run of its own."""
