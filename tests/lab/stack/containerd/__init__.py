"""Our merge of containerd's files against the real containerd."""
