"""Tests of the kubelet and its runtime."""
