"""Tests of what workloads of the GPU stack say."""
