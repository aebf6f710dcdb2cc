"""Tests of GPUs and their driver."""
