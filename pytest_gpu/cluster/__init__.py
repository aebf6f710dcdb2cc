"""Doors to a cluster: everything that reads or writes anything outside this process."""
