"""The kubelet of a node, and the container runtime it uses."""
