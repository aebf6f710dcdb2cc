"""crictl on a node: the program itself, and the sandboxes it starts and removes."""
