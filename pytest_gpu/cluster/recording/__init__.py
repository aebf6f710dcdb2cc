"""Recordings: reading, writing, redacting, and laying one over another."""
