"""Tests of the host's services that belong to GPUs."""
