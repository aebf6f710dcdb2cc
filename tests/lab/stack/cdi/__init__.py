"""Our reading of CDI specs against the real library."""
