"""The Kubernetes API: login, rights, objects, and everything that a run creates there."""
