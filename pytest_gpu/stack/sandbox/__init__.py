"""Sandboxes started by crictl, without Kubernetes in the way."""
