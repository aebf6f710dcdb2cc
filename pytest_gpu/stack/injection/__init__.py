"""How containers get GPUs, and what the kubelet and runc ask of a handler."""
