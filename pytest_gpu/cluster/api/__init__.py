"""The Kubernetes API: login, rights, objects, and all that a run creates there."""
