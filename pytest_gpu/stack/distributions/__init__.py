"""Kubernetes distributions: which one a node runs, and in what they differ."""
