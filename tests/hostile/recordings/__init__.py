"""Hostile recordings: each is a healthy sample in which one thing is hurt."""
