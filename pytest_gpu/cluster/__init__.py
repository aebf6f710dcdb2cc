"""Doors to a cluster: everything that reads or writes the world outside this process."""
