"""Our readings against the real components."""
