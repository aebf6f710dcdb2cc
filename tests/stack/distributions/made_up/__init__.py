"""Distributions that do not exist, each a module as it would stand among the real ones."""
