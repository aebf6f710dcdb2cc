"""The common interface of all container runtimes that a kubelet can use."""
