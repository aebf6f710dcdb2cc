"""The lab's nodes: machines in namespaces, with fake GPUs."""
