"""The Kubernetes distributions, one module each, as their documents say: names, paths, habits."""
