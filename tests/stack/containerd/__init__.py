"""Tests of containerd's configuration."""
