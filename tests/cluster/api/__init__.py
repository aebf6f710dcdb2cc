"""Tests of the Kubernetes API side, and a fake API server for them."""
