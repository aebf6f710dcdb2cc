"""Visits to nodes: through a pod, over ssh, or on this machine."""
