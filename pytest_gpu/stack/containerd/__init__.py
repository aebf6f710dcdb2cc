"""containerd's configuration: files, imports, templates, and how each generation merges them."""
