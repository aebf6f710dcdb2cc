"""Tests of the NVIDIA container toolkit."""
