"""Tests of crictl sandboxes on a node."""
