"""Facts from Kubernetes objects, as pure functions."""
