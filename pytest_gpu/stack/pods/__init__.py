"""What Kubernetes makes of the GPUs: the device plugin, RuntimeClasses, pods."""
