"""containerd as the kubelet uses it: its CRI, its handlers, what a restart changes."""
