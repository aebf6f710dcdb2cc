"""Docker on a GPU node: the kubelet's own runtime, or one beside it."""
