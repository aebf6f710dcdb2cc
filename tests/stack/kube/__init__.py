"""Tests of Kubernetes objects."""
