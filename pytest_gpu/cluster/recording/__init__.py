"""Recordings: reading, writing, redacting and overlaying them."""
