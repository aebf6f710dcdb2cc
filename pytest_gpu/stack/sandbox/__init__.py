"""Sandboxes that crictl starts, with and without a GPU."""
