"""Sandboxes started by crictl, without Kubernetes."""
