"""Our reading of CDI specs, compared with the real library."""
