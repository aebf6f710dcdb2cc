"""Our merge of containerd's files, compared with the real containerd."""
