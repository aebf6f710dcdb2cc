"""Whether the kubelet's containerd is configured, loaded and able to start GPU containers."""
