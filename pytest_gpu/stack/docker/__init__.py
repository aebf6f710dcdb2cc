"""Docker on a GPU node."""
