"""Hostile and broken inputs, each given to pytest-gpu as a user would: `make hostile`."""
