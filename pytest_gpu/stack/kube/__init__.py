"""What Kubernetes objects say: pure functions from objects to facts."""
